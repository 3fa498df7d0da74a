//! Manual pages and completions, as a person's shell has them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use repram_tests::{Fleet, Sandbox, skip};

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok()
}

#[test]
fn manual_pages_render_without_a_warning() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("man");
    let written = sandbox.finish(&["man", dir.to_str().expect("UTF-8")]);
    assert_eq!(written.code(), Some(0), "{}", written.said());
    let pages: Vec<_> = fs::read_dir(&dir).expect("it was made").flatten().collect();
    assert!(pages.len() > 10, "{}", written.said());
    let whole = sandbox.finish(&["man"]);
    assert_eq!(
        whole.stdout,
        fs::read_to_string(dir.join("supervisor.1")).expect("it is there")
    );
    if !is_there("groff") {
        return skip(
            "manual_pages_render_without_a_warning",
            "no groff (Debian: groff-base)",
        );
    }
    for page in pages {
        check_page(&page.path());
    }
}

#[track_caller]
fn check_page(page: &Path) {
    let rendered = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww"])
        .arg(page)
        .output()
        .expect("it is there");
    let warnings = String::from_utf8_lossy(&rendered.stderr);
    assert!(
        rendered.status.success() && warnings.is_empty(),
        "{}: {warnings}",
        page.display()
    );
    let text = without_overstrikes(&String::from_utf8_lossy(&rendered.stdout));
    for heading in ["NAME", "SYNOPSIS", "OPTIONS"] {
        assert!(
            text.contains(heading),
            "{}: no {heading} in {text}",
            page.display()
        );
    }
}

/// Bold letters are printed twice, with a backspace between, where a terminal has no colours.
fn without_overstrikes(text: &str) -> String {
    let mut plain = String::new();
    for char in text.chars() {
        match char {
            '\u{8}' => drop(plain.pop()),
            char => plain.push(char),
        }
    }
    plain
}

/// What bash completes a command line to.
#[track_caller]
fn completed(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let supervisor = sandbox.supervisor(&[]);
    let script = r#"
        source <("$0" completions bash) || exit 1
        COMP_WORDS=("$0" "$@") COMP_CWORD=$#
        _supervisor_with_nodes "$0" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
        complete -p supervisor >&2
    "#;
    let mut bash = sandbox.program("bash".as_ref());
    bash.args(["--norc", "-c", script])
        .arg(supervisor.get_program())
        .args(words);
    let output = bash.output().expect("it is there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("-F _supervisor_with_nodes"), "{said}");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    words.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_nodes() {
    if !is_there("bash") {
        return skip("bash_completes_commands_flags_and_nodes", "no bash");
    }
    let mut fleet: Fleet = Sandbox::new().set("NODE_COUNT", 2).start();
    fleet.wait_for_nodes(2);
    let nodes = ["flux-node-1", "flux-node-2"];
    let check = |words: &[&str], expect: &[&str]| {
        let found = completed(&fleet, words);
        for word in expect {
            assert!(
                found.iter().any(|found| found == word),
                "{words:?}: {found:?}"
            );
        }
        let named = found.iter().any(|word| word == nodes[0]);
        assert_eq!(named, expect.contains(&nodes[0]), "{words:?}: {found:?}");
    };
    check(&["st"], &["status", "stop"]);
    check(&["run", "--node-c"], &["--node-count"]);
    check(&["completions", ""], &["bash", "fish", "zsh"]);
    check(&["restart", ""], &nodes);
    check(&["restart", "flux-node-2", "flux"], &nodes);
    check(&["restart", "--ro"], &["--rolling"]);
    check(&["logs", "--node", ""], &nodes);
    check(&["logs", ""], &["rotate"]);
    fleet.stop();
}
