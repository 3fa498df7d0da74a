//! What the repository promises about its own files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use repram_tests::repository;

/// A file longer than this, tests aside, holds more than one thing.
const MAX_LINES: usize = 500;

/// Files that may be longer, and how long. The list only shrinks: an entry that is
/// larger than its file needs is an error too.
const LONGER: &[(&str, usize)] = &[];

#[test]
fn files_are_short_enough_to_be_read() {
    let longer: BTreeMap<_, _> = LONGER.iter().copied().collect();
    let problems = texts()
        .filter(|text| text.is_product_code())
        .filter_map(|text| {
            let lines = text.lines_without_tests();
            match longer.get(text.path.as_str()) {
                None if lines > MAX_LINES => Some(format!(
                    "{}: {lines} lines without tests; at most {MAX_LINES}, find the second noun",
                    text.path
                )),
                Some(allowed) if lines != *allowed => Some(format!(
                    "{}: {lines} lines, its exception says {allowed}; it may only shrink, \
                 together with the exception",
                    text.path
                )),
                _ => None,
            }
        });
    assert_none(problems);
    let gone = LONGER
        .iter()
        .filter(|(path, lines)| *lines <= MAX_LINES || !repository().join(path).exists());
    assert_none(gone.map(|(path, _)| format!("{path} needs no exception any more")));
}

#[test]
fn nothing_names_a_place_on_somebodys_machine() {
    let places = ["work", "Users"].map(|folder| format!("/{folder}/"));
    check_absent(&places, "is a path of one machine");
}

#[test]
fn nothing_is_left_open() {
    // In two parts, so that this file does not find itself.
    let marks = [("TO", "DO"), ("FIX", "ME")].map(|(begin, end)| format!("{begin}{end}"));
    check_absent(&marks, "leaves something open");
}

/// Only a gate of its own may take over a test, and the reason says which.
#[test]
fn no_test_is_switched_off() {
    let mark = format!("#[{}", "ignore");
    let allowed = format!("{mark} = \"needs the image: cargo xtask containers\"]");
    let problems = texts().flat_map(|text| {
        let lines = text.content.lines().map(str::trim);
        let off = lines.filter(|line| line.contains(&mark) && **line != *allowed);
        off.map(|line| format!("{}: {line}", text.path))
            .collect::<Vec<_>>()
    });
    assert_none(problems);
}

/// A tag can be moved to other code, a commit cannot.
#[test]
fn workflows_use_actions_at_a_commit_and_say_which_version_it_is() {
    let workflows = texts().filter(|text| text.path.starts_with(".github/workflows/"));
    let problems = workflows.flat_map(|text| {
        let uses = text.content.lines().filter(|line| line.contains("uses:"));
        let loose = uses.filter(|line| !is_pinned(line));
        loose
            .map(|line| format!("{}: {}", text.path, line.trim()))
            .collect::<Vec<_>>()
    });
    assert_none(problems);
}

fn is_pinned(line: &str) -> bool {
    let pin = line
        .split_once('@')
        .and_then(|(_, pin)| pin.split_once(" # v"));
    pin.is_some_and(|(commit, _)| {
        commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit())
    })
}

#[test]
fn links_in_documents_lead_somewhere() {
    let documents = texts().filter(|text| text.path.ends_with(".md"));
    assert_none(documents.flat_map(|text| {
        let dangling = links(&text.content).filter_map(|link| dangling(&text.path, &link));
        dangling
            .map(|problem| format!("{}: {problem}", text.path))
            .collect::<Vec<_>>()
    }));
}

/// A tracked file that is text.
struct Text {
    path: String,
    content: String,
}

impl Text {
    fn is_product_code(&self) -> bool {
        let path = Path::new(&self.path);
        let in_tests = path.components().any(|part| part.as_os_str() == "tests");
        let is_tests = path.file_name().is_some_and(|name| name == "tests.rs");
        path.extension().is_some_and(|end| end == "rs") && !is_tests && !in_tests
    }

    /// Unit tests stand last in a file.
    fn lines_without_tests(&self) -> usize {
        self.content
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count()
    }
}

/// Every tracked file that is text; drawings come from programs.
fn texts() -> impl Iterator<Item = Text> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z"]).current_dir(repository());
    let output = git.output().expect("git can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let paths = list.split_terminator('\0').map(str::to_owned);
    let paths: Vec<String> = paths.filter(|path| !path.ends_with(".svg")).collect();
    paths.into_iter().filter_map(|path| {
        // Binary files, and those that are deleted but not committed yet, are none of ours.
        let content = String::from_utf8(fs::read(repository().join(&path)).ok()?).ok()?;
        Some(Text { path, content })
    })
}

#[track_caller]
fn check_absent(needles: &[String], why: &str) {
    let problems = texts().flat_map(|text| {
        let found = text.content.lines().enumerate().flat_map(|(index, line)| {
            let hits = needles
                .iter()
                .filter(move |needle| line.contains(needle.as_str()));
            hits.map(move |needle| (index + 1, needle))
        });
        let path = &text.path;
        found
            .map(|(line, needle)| format!("{path}:{line}: {needle} {why}"))
            .collect::<Vec<_>>()
    });
    assert_none(problems);
}

#[track_caller]
fn assert_none(problems: impl Iterator<Item = String>) {
    let problems: Vec<_> = problems.collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The targets of all inline links outside code.
fn links(document: &str) -> impl Iterator<Item = String> {
    let mut in_code = false;
    let prose = document.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    });
    prose.flat_map(|line| {
        // Every second part stands between back ticks.
        let outside: String = line.split('`').step_by(2).collect();
        let targets = outside
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        targets
            .map(|(target, _)| target.to_owned())
            .collect::<Vec<_>>()
    })
}

/// What is wrong with a link, if anything. Other sites are not asked.
fn dangling(from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, rest)| (path, Some(rest)));
    let target = match path {
        "" => PathBuf::from(from),
        path => normal(&Path::new(from).parent().unwrap_or(Path::new("")).join(path)),
    };
    let file = repository().join(&target);
    if !file.exists() {
        return Some(format!(
            "{link} leads to {}, which is not there",
            target.display()
        ));
    }
    let anchor = anchor?;
    let headings = fs::read_to_string(file).ok()?;
    let found = headings
        .lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| slug(line) == anchor);
    (!found).then(|| format!("{link}: {} has no such heading", target.display()))
}

/// Resolves `..` without asking the file system, so that a link cannot leave the repository.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// The anchor that forges make of a heading.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
