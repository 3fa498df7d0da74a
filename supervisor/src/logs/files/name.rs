//! Names of log files: `flux-node-N.log`, `flux-node-N.log.1.gz`, `flux-node-N.log.2.gz`, ...

use std::collections::BTreeSet;

/// What every node's name begins with.
const NODE_PREFIX: &str = "flux-node-";

/// Whether a file may be named after this node. Files of other names in `LOG_DIR`, which is
/// often `/tmp`, are never touched.
pub(crate) fn is_node_name(name: &str) -> bool {
    number(name).is_some()
}

/// The N of `flux-node-N`.
pub(crate) fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(NODE_PREFIX)?;
    let number = digits.parse().ok()?;
    // Neither `+1` nor `01` is a number of ours.
    (u32::to_string(&number) == digits).then_some(number)
}

/// Names of nodes as people list them, by number and each once: `flux-node-1 to flux-node-3,
/// flux-node-7`.
#[must_use]
pub fn list_nodes(names: impl IntoIterator<Item = String>) -> String {
    let numbers: BTreeSet<u32> = names.into_iter().filter_map(|name| number(&name)).collect();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let texts: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                format!("{NODE_PREFIX}{first}")
            } else {
                format!("{NODE_PREFIX}{first} to {NODE_PREFIX}{last}")
            }
        })
        .collect();
    texts.join(", ")
}

/// Which of a node's files a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The one that is written.
    Current,
    /// A rotated one; 1 is the youngest.
    Rotated {
        /// Its number.
        number: u32,
        /// Whether it is compressed.
        gz: bool,
    },
    /// What a compression left behind that did not get to its end.
    Unfinished,
}

impl Kind {
    /// The name of this file of a node.
    pub(crate) fn file_name(self, node: &str) -> String {
        match self {
            Self::Current => format!("{node}.log"),
            Self::Rotated { number, gz: false } => format!("{node}.log.{number}"),
            Self::Rotated { number, gz: true } => format!("{node}.log.{number}.gz"),
            Self::Unfinished => format!("{node}.log.gz.tmp"),
        }
    }
}

/// The node and the kind that a file name means; none when it is not a log file of ours.
pub(crate) fn parse(file_name: &str) -> Option<(&str, Kind)> {
    let (node, rest) = file_name.split_once(".log")?;
    if !is_node_name(node) {
        return None;
    }
    let kind = match rest {
        "" => Kind::Current,
        ".gz.tmp" => Kind::Unfinished,
        rest => {
            let rest = rest.strip_prefix('.')?;
            let (digits, gz) = match rest.strip_suffix(".gz") {
                Some(digits) => (digits, true),
                None => (rest, false),
            };
            let number: u32 = digits.parse().ok()?;
            if number.to_string() != digits {
                return None;
            }
            Kind::Rotated { number, gz }
        }
    };
    Some((node, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_in_runs() {
        let check = |numbers: &[u32], expect: &str| {
            let names = numbers.iter().map(|number| format!("flux-node-{number}"));
            assert_eq!(list_nodes(names), expect);
        };
        check(&[], "");
        check(&[1], "flux-node-1");
        check(&[3, 1, 2, 2], "flux-node-1 to flux-node-3");
        check(
            &[10, 1, 2, 7],
            "flux-node-1 to flux-node-2, flux-node-7, flux-node-10",
        );
    }

    #[test]
    fn names_are_told_apart() {
        let check = |file: &str, expect: Option<(&str, Kind)>| {
            assert_eq!(parse(file), expect, "{file}");
            if let Some((node, kind)) = expect {
                assert_eq!(kind.file_name(node), file);
            }
        };
        let rotated = |number, gz| Kind::Rotated { number, gz };
        check("flux-node-1.log", Some(("flux-node-1", Kind::Current)));
        check(
            "flux-node-12.log.3",
            Some(("flux-node-12", rotated(3, false))),
        );
        check(
            "flux-node-1.log.10.gz",
            Some(("flux-node-1", rotated(10, true))),
        );
        check(
            "flux-node-1.log.gz.tmp",
            Some(("flux-node-1", Kind::Unfinished)),
        );
        check("flux-node-1.log.01", None);
        check("flux-node-1.log.gz", None);
        check("flux-node-1.log.1.xz", None);
        check("flux-node-1.log1", None);
        check("flux-node-.log", None);
        check("flux-node-01.log", None);
        check("flux-node-+1.log", None);
        check("flux-node-1x.log", None);
        check("other.log", None);
        check("other.log.1.gz", None);
        check("flux-node-1.txt", None);
    }
}
