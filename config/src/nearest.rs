//! What a misspelt name was meant to be.

use crate::declaration::declarations;

/// The key that is most similar to a name found in a file.
pub(crate) fn nearest_key(name: &str) -> Option<&'static str> {
    nearest(
        name,
        declarations().iter().flat_map(|declaration| {
            declaration
                .variables()
                .iter()
                .map(|variable| (*variable, declaration.key()))
        }),
    )
}

/// The variable that is most similar to a name found in the environment.
pub(crate) fn nearest_variable(name: &str) -> Option<&'static str> {
    let declared = declarations()
        .iter()
        .flat_map(|declaration| declaration.variables());
    nearest(
        name,
        declared
            .chain([&"REPRAM_CONFIG"])
            .map(|variable| (*variable, *variable)),
    )
}

/// The answer whose name needs the fewest edits, where they are few beside
/// its length; the first of equals.
fn nearest(
    name: &str,
    names: impl Iterator<Item = (&'static str, &'static str)>,
) -> Option<&'static str> {
    let name = plain(name);
    names
        .map(|(candidate, answer)| (edits(&name, &plain(candidate)), answer))
        .filter(|(edits, _)| *edits <= name.len().div_ceil(3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, answer)| answer)
}

/// Names are confused over case, hyphens and the prefix, too.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    name.strip_prefix("repram_")
        .map(str::to_owned)
        .unwrap_or(name)
}

/// Insertions, deletions, replacements and swaps of neighbours.
fn edits(left: &str, right: &str) -> usize {
    strsim::osa_distance(left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let check = |name, expect| assert_eq!(nearest_key(name), expect, "{name}");
        check("node_cuont", Some("node_count"));
        check("NODE_COUNT", Some("node_count"));
        check("node-count", Some("node_count"));
        check("repram_peers", Some("peers"));
        check("replication", Some("replication_factor"));
        check("port", None);
        check("colour", None);
        check("", None);
    }

    #[test]
    fn variables() {
        let check = |name, expect| assert_eq!(nearest_variable(name), expect, "{name}");
        check("REPRAM_PEER", Some("REPRAM_PEERS"));
        check("REPRAM_CLUSTER_SECERT", Some("REPRAM_CLUSTER_SECRET"));
        check("REPRAM_NODE_COUNT", Some("NODE_COUNT"));
        check("REPRAM_MAX_STORAGE", Some("REPRAM_MAX_STORAGE_MB"));
        check("REPRAM_CONFG", Some("REPRAM_CONFIG"));
        check("REPRAM_URL", None);
        check("REPRAM_", None);
    }
}
