//! What Prometheus reads: by its project's own parser, and true.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use repram_tests::{Fleet, PATIENCE, Sandbox, ask_with, get, repository, skip, wait_until};
use serde_json::Value;

/// What asks for OpenMetrics, as Prometheus does it.
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0;q=0.6,\
                           text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// A python with the parser of the Prometheus project (python3-prometheus-client), or none.
fn parser() -> Option<&'static Path> {
    let has_parser = |python: &&Path| {
        let mut command = Command::new(python);
        command.args(["-c", "import prometheus_client.openmetrics.parser"]);
        command.stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"]
        .map(Path::new)
        .into_iter()
        .find(has_parser)
}

/// Runs a program on a text, and gives what it prints when it succeeds.
fn run_on(text: &str, command: &mut Command) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = text.to_owned();
    // It may print before it has read everything.
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    // It may have ended before it read everything.
    let _ = writing.join().expect("it does not panic");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(said(&output.stderr) + &said(&output.stdout))
    }
}

/// What the parser of the Prometheus project reads of a page; it is also checked as promtool
/// does it, by promtool itself where it is there.
#[track_caller]
fn parsed(page: &str, format: &str, python: &Path) -> Vec<Value> {
    let script = repository().join("tests/programs/exposition.py");
    let read = run_on(page, Command::new(python).arg(script).arg(format));
    let read = read.unwrap_or_else(|problem| panic!("{problem}\nof {page}"));
    if format == "text" && has_promtool() {
        let checked = run_on(page, Command::new("promtool").args(["check", "metrics"]));
        checked.unwrap_or_else(|problem| panic!("{problem}\nof {page}"));
    }
    serde_json::from_str(&read).expect("a list")
}

fn has_promtool() -> bool {
    let mut command = Command::new("promtool");
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn admin_port(fleet: &Sandbox) -> u16 {
    fleet.http_port(20)
}

fn sandbox(nodes: u16) -> Sandbox {
    let sandbox = Sandbox::new().set("NODE_COUNT", nodes);
    let address = format!("127.0.0.1:{}", admin_port(&sandbox));
    sandbox.set("ADMIN_ADDR", address)
}

#[track_caller]
fn page(fleet: &Fleet, call: &str, accept: &str) -> String {
    let headers = [("Accept", accept)];
    let answer = ask_with("GET", admin_port(fleet), call, &headers, b"").expect("it answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kind = answer.header("content-type").expect("it has a type");
    let expect = match accept {
        OPENMETRICS => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        _ => "text/plain; version=0.0.4; charset=utf-8",
    };
    assert_eq!(kind, expect);
    answer.text()
}

/// The value of a series as it stands on the page.
fn value<'p>(page: &'p str, series: &str) -> Option<&'p str> {
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

/// The names of all metrics of a page, the families.
fn families(page: &str) -> BTreeSet<&str> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).collect()
}

/// The names in the first column of the reference page.
fn documented() -> BTreeSet<String> {
    let path = repository().join("docs/reference/metrics.md");
    let text = fs::read_to_string(path).expect("the page is there");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn pages_are_read_by_the_parser_of_prometheus() {
    let Some(python) = parser() else {
        let why = "no python3 with prometheus_client (Debian: python3-prometheus-client)";
        return skip("pages_are_read_by_the_parser_of_prometheus", why);
    };
    let mut fleet = sandbox(3).start();
    let nodes = fleet.wait_until_refilled(3);
    // Something of everything: ends, changes, requests.
    fleet.process_of("flux-node-2").signal(Signal::SIGKILL);
    fleet.wait_until_refilled(3);
    assert_eq!(fleet.finish(&["restart", "1", "--force"]).code(), Some(0));
    assert_eq!(nodes[0].put("/data/a", b"b").status, 201);
    let whole = "/metrics?nodes=true";
    for (call, accept, format) in [
        ("/metrics", "*/*", "text"),
        ("/metrics", OPENMETRICS, "openmetrics"),
        (whole, "*/*", "text"),
        (whole, OPENMETRICS, "openmetrics"),
    ] {
        let page = page(&fleet, call, accept);
        let samples = parsed(&page, format, python);
        assert!(samples.len() > 100, "{page}");
        let of_nodes = samples
            .iter()
            .filter(|sample| sample[0] == "repram_store_keys" && sample[1]["node"].is_string());
        assert_eq!(
            of_nodes.count(),
            if call == whole { 3 } else { 0 },
            "{page}"
        );
    }
    // The pages of the nodes themselves.
    let own = get(nodes[0].port, "/metrics").expect("it answers").text();
    assert!(parsed(&own, "openmetrics", python).len() > 20, "{own}");
    fleet.stop();
}

#[test]
fn what_happened_is_counted() {
    let mut fleet = sandbox(3).start();
    fleet.wait_until_refilled(3);
    fleet.process_of("flux-node-2").signal(Signal::SIGKILL);
    fleet.wait_until_refilled(3);
    assert_eq!(fleet.finish(&["restart", "1", "--force"]).code(), Some(0));
    assert_eq!(fleet.finish(&["scale", "2"]).code(), Some(0));
    let page = wait_until("a page with two nodes", PATIENCE, || {
        let page = fleet.finish(&["metrics"]).stdout;
        match value(&page, "repram_fleet_nodes_ready") {
            Some("2") => Ok(page),
            other => Err(format!("{other:?}")),
        }
    });
    let check = |series: &str, expect: Option<&str>| {
        assert_eq!(value(&page, series), expect, "{series}\n{page}");
    };
    check("repram_fleet_healthy", Some("1"));
    check("repram_fleet_nodes_wanted", Some("2"));
    check("repram_fleet_nodes{state=\"ready\"}", Some("2"));
    check("repram_fleet_changes_total{outcome=\"done\"}", Some("2"));
    check("repram_fleet_changes_in_progress", Some("0"));
    check("repram_fleet_node_ready{node=\"flux-node-1\"}", Some("1"));
    check(
        "repram_fleet_node_restarts_total{node=\"flux-node-1\"}",
        Some("1"),
    );
    let exits = |node: u32, reason: &str| {
        format!("repram_fleet_node_exits_total{{node=\"flux-node-{node}\",reason=\"{reason}\"}}")
    };
    check(&exits(1, "operator"), Some("1"));
    check(&exits(1, "signal"), Some("0"));
    check(&exits(2, "signal"), Some("1"));
    check(
        "repram_fleet_node_last_exit_code{node=\"flux-node-2\"}",
        Some("137"),
    );
    // One that has left the fleet has no series.
    assert!(!page.contains("flux-node-3"), "{page}");
    for series in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
        "repram_fleet_node_resident_memory_bytes{node=\"flux-node-1\"}",
        "repram_fleet_node_start_time_seconds{node=\"flux-node-1\"}",
        "repram_fleet_node_log_read_lines_total{node=\"flux-node-1\"}",
    ] {
        let found = value(&page, series).and_then(|value| value.parse::<f64>().ok());
        assert!(
            found.is_some_and(|value| value > 0.0),
            "{series}: {found:?}\n{page}"
        );
    }
    fleet.stop();
}

#[test]
fn probes_are_counted() {
    let sandbox = sandbox(1);
    let program = sandbox.write("web.py", include_str!("../programs/web.py"));
    let sandbox = sandbox
        .set("NODE_COMMAND", format!("python3 {}", program.display()))
        .set("NODE_SOCKETS", "off");
    let fleet = sandbox.start();
    fleet.wait_for_status("a ready node", |status| status["ready"] == 1);
    let page = page(&fleet, "/metrics?nodes=true", "*/*");
    let labels = "{node=\"flux-node-1\",check=\"readiness\"";
    let passed = format!("repram_fleet_node_probes_total{labels},outcome=\"passed\"}}");
    let count = format!("repram_fleet_node_probe_duration_seconds_count{labels}}}");
    for series in [&passed, &count] {
        let found = value(&page, series).and_then(|value| value.parse::<f64>().ok());
        assert!(
            found.is_some_and(|value| value > 0.0),
            "{series}: {found:?}\n{page}"
        );
    }
    // It has no metrics of its own, which is told and no fault.
    let success = "repram_fleet_node_scrape_success{node=\"flux-node-1\"}";
    assert_eq!(value(&page, success), Some("0"), "{page}");
    fleet.stop();
}

#[test]
fn a_node_that_hangs_is_left_out() {
    let mut fleet = sandbox(3).start();
    fleet.wait_until_refilled(3);
    let frozen = fleet.process_of("flux-node-2");
    frozen.signal(Signal::SIGSTOP);
    let page = page(&fleet, "/metrics?nodes=true", OPENMETRICS);
    frozen.signal(Signal::SIGCONT);
    for (node, expect) in [(1, "1"), (2, "0"), (3, "1")] {
        let label = format!("{{node=\"flux-node-{node}\"}}");
        let success = format!("repram_fleet_node_scrape_success{label}");
        assert_eq!(value(&page, &success), Some(expect), "{page}");
        let keys = value(&page, &format!("repram_store_keys{label}"));
        assert_eq!(keys.is_some(), expect == "1", "{page}");
    }
    fleet.stop();
}

#[test]
fn every_metric_is_documented() {
    let documented = documented();
    let operations = repository().join("docs/operations.md");
    let operations = fs::read_to_string(operations).expect("the page is there");
    for name in &documented {
        let named = operations.contains(&format!("`{name}`"));
        assert!(
            named,
            "docs/operations.md does not say what to do about {name}"
        );
    }
    let mut fleet = sandbox(2).start();
    fleet.wait_for_nodes(2);
    let page = page(&fleet, "/metrics", "*/*");
    for name in families(&page) {
        assert!(documented.contains(name), "{name} is not in the reference");
    }
    fleet.stop();
}

/// Every metric that a rule asks for is there, and promtool understands the file where it is
/// there.
#[test]
fn alerts_ask_for_what_there_is() {
    let path = repository().join("docs/alerts.yml");
    let rules = fs::read_to_string(&path).expect("the rules are there");
    let documented = documented();
    let (mut alerts, mut expressions) = (0, 0);
    for line in rules.lines().map(str::trim) {
        alerts += usize::from(line.starts_with("- alert: "));
        let Some(expression) = line.strip_prefix("expr: ") else {
            continue;
        };
        expressions += 1;
        let word = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
        let names: Vec<&str> = expression
            .split(word)
            .filter(|name| name.starts_with("repram_fleet_") || name.starts_with("process_"))
            .collect();
        assert!(!names.is_empty(), "{expression} asks for nothing of ours");
        for name in names {
            assert!(
                documented.contains(name),
                "{name} of {expression} does not exist"
            );
        }
    }
    assert_eq!(
        alerts, expressions,
        "every alert has its expression in one line"
    );
    assert!(alerts >= 5, "{alerts} alerts");
    if !has_promtool() {
        return skip(
            "alerts_ask_for_what_there_is",
            "no promtool, only names were checked",
        );
    }
    let checked = Command::new("promtool")
        .args(["check", "rules"])
        .arg(&path)
        .output();
    let checked = checked.expect("it is there");
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}
