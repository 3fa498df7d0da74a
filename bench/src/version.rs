//! Which version of something takes part.

use std::process::Command;

/// How one learns the version of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    /// It says it when it is started with this.
    Said(&'static str),
    /// It does not, so what Debian calls the version of this package.
    OfPackage(&'static str),
}

impl Version {
    /// The version of this program, or that it is unknown.
    pub(crate) fn of(self, program: &str) -> String {
        let mut command = match self {
            Self::Said(flag) => {
                let mut command = Command::new(program);
                command.arg(flag);
                command
            }
            Self::OfPackage(package) => {
                let mut command = Command::new("dpkg-query");
                command.args(["--show", "--showformat=${Version}", package]);
                command
            }
        };
        // Some say it as if it were an error.
        let said = command
            .output()
            .map(|output| [output.stdout, output.stderr].concat());
        let text = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        let version = number_in(&text);
        version.unwrap_or("of an unknown version").to_owned()
    }
}

/// The first thing in a text that looks like a version.
fn number_in(text: &str) -> Option<&str> {
    let belongs = |letter: char| letter.is_ascii_alphanumeric() || ".+~-".contains(letter);
    let words = text.split(|letter| !belongs(letter));
    let plain = words.map(|word| word.strip_prefix('v').unwrap_or(word));
    let mut versions = plain.filter(|word| {
        word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
    });
    versions.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        let check =
            |text: &str, expect: Option<&str>| assert_eq!(number_in(text), expect, "{text}");
        check("4.2.5\n", Some("4.2.5"));
        check("nginx version: nginx/1.22.1", Some("1.22.1"));
        check("Redis server v=7.0.15 sha=0:0 bits=64", Some("7.0.15"));
        check("tini version 0.19.0 - git.de40ad0", Some("0.19.0"));
        check("etcd Version: 3.4.23\nGo Version: go1.19", Some("3.4.23"));
        check("2.11.1.2-1", Some("2.11.1.2-1"));
        check("v0.1.7", Some("0.1.7"));
        check("usage: it 2 times", None);
    }
}
