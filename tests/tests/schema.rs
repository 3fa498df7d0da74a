//! What is printed and answered as JSON is what the schemas say, in every state of a node.

use std::collections::BTreeSet;
use std::fs;

use jsonschema::Validator;
use repram_tests::{Answer, Fleet, PATIENCE, Sandbox, Stranger, ask, get, repository, wait_until};
use serde_json::{Map, Value, json};

/// Says of any value what its schema does not allow.
struct Schema(Validator);

impl Schema {
    /// The schema of an output, and strict: what it does not name is not allowed.
    fn named(name: &str) -> Self {
        let path = repository().join(format!("docs/reference/schema/{name}.json"));
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
        close(&mut schema);
        Self::of(&schema)
    }

    fn of(schema: &Value) -> Self {
        let options = jsonschema::options().should_validate_formats(true);
        Self(
            options
                .build(schema)
                .unwrap_or_else(|error| panic!("no schema: {error}")),
        )
    }

    #[track_caller]
    fn check(&self, value: &Value) {
        let mut problems = String::new();
        for error in self.0.iter_errors(value) {
            problems += &format!("\n{error} at {}", error.instance_path());
        }
        assert!(problems.is_empty(), "{problems}\nin {value:#}");
    }

    #[track_caller]
    fn check_lines(&self, lines: &str) -> usize {
        let values = lines.lines().map(|line| {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        values.map(|value| self.check(&value)).count()
    }
}

/// Allows no fields but those that are named.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                // Also those of alternatives, which are therefore left as they are.
                fields.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            let alternatives = ["oneOf", "anyOf", "allOf"];
            let is_object = fields.contains_key("properties");
            for (name, value) in fields.iter_mut() {
                if !(is_object && alternatives.contains(&name.as_str())) {
                    close(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Six nodes, of which each comes into another state, and two that share the last port.
fn fleet_of_all_states(settings: &[(&str, &str)]) -> (Fleet, Stranger) {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 6)
        .set("MAX_PORTS", 6)
        .set("MIN_READY", 0)
        .set("ON_FAILED", "keep")
        .set("STOP_TIMEOUT", "4s");
    let sandbox = settings
        .iter()
        .fold(sandbox, |sandbox, (name, value)| sandbox.set(name, value));
    let program = sandbox.write("states.py", include_str!("../programs/states.py"));
    let sandbox = sandbox.set("NODE_COMMAND", format!("python3 {}", program.display()));
    let taken = format!("tcp:{}", sandbox.http_port(5));
    let stranger = Stranger::holding(&sandbox, &[taken]);
    (sandbox.start(), stranger)
}

/// Every state that the status has shown, each time checked.
struct Seen {
    schema: Schema,
    why: Schema,
    states: BTreeSet<String>,
}

impl Seen {
    fn new() -> Self {
        Self {
            schema: Schema::named("status"),
            why: Schema::named("why"),
            states: BTreeSet::new(),
        }
    }

    #[track_caller]
    fn look(&mut self, fleet: &Fleet) -> Result<Value, String> {
        let finished = fleet.finish(&["status", "--json"]);
        if finished.code() != Some(0) {
            return Err(finished.said());
        }
        let status = finished.json();
        self.schema.check(&status);
        let why = fleet.finish(&["why", "--json"]);
        if why.code() == Some(0) {
            self.why.check(&why.json());
        }
        let nodes = status["nodes"].as_array().expect("a list");
        let states = nodes.iter().filter_map(|node| node["state"].as_str());
        self.states.extend(states.map(str::to_owned));
        Ok(status)
    }

    #[track_caller]
    fn wait_for(&mut self, fleet: &Fleet, states: &[&str]) {
        wait_until(&format!("seen {states:?}"), PATIENCE, || {
            let status = self.look(fleet)?;
            match states.iter().all(|state| self.states.contains(*state)) {
                true => Ok(()),
                false => Err(format!("{:?} of {status:#}", self.states)),
            }
        });
    }
}

#[test]
fn the_status_is_what_its_schema_says_in_every_state() {
    let mut seen = Seen::new();
    let settings = [("RESTART_BUDGET", "2")];
    let (mut fleet, _stranger) = fleet_of_all_states(&settings);
    seen.wait_for(
        &fleet,
        &["ready", "failed", "starting", "unready", "no-port"],
    );
    let restart = fleet.finish(&["restart", "5", "--force", "--no-wait", "--json"]);
    assert_eq!(restart.code(), Some(0), "{}", restart.said());
    Schema::named("begun").check(&restart.json());
    seen.wait_for(&fleet, &["stopping"]);
    let stop = fleet.finish(&["stop", "--no-wait", "--json"]);
    assert_eq!(stop.code(), Some(0), "{}", stop.said());
    Schema::named("stopping").check(&stop.json());
    seen.wait_for(&fleet, &["clearing", "stopped"]);
    fleet.wait_for_end();

    let settings = [("RESTART_DELAY", "60s"), ("RESTART_DELAY_MAX", "60s")];
    let (fleet, _stranger) = fleet_of_all_states(&settings);
    seen.wait_for(&fleet, &["waiting"]);
    fleet.finish(&["stop", "--now"]);
    let all = [
        "clearing", "failed", "no-port", "ready", "starting", "stopped", "stopping", "unready",
        "waiting",
    ];
    assert_eq!(seen.states, all.map(str::to_owned).into());
}

#[test]
fn every_output_is_what_its_schema_says() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    fleet.wait_for_nodes(3);
    let run = |arguments: &[&str]| {
        let finished = fleet.finish(&[arguments, &["--json"]].concat());
        assert_eq!(
            finished.code(),
            Some(0),
            "{arguments:?}: {}",
            finished.said()
        );
        finished
    };
    for (name, arguments) in [
        ("health", &["health"][..]),
        ("why", &["why"]),
        ("why", &["why", "2"]),
        ("claims", &["claims"]),
        ("config", &["config"]),
        ("log-stats", &["logs", "stats"]),
        ("rotated", &["logs", "rotate"]),
        ("plan", &["restart", "--rolling", "--dry-run"]),
        ("plan", &["scale", "5", "--dry-run"]),
        ("reload", &["reload", "--dry-run"]),
        ("begun", &["restart", "--rolling", "--no-wait"]),
    ] {
        Schema::named(name).check(&run(arguments).json());
    }
    Schema::named("ended").check(&run(&["restart", "--abort"]).json());
    fleet.wait_for_status("three ready nodes", |status| status["ready"] == 3);
    let event = Schema::named("event");
    assert!(event.check_lines(&run(&["restart", "1", "--force"]).stdout) > 2);
    assert!(event.check_lines(&run(&["scale", "2"]).stdout) > 1);
    assert!(event.check_lines(&run(&["events"]).stdout) > 10);
    assert!(Schema::named("line").check_lines(&run(&["logs"]).stdout) > 2);
    assert!(event.check_lines(&run(&["stop"]).stdout) > 2);
    fleet.wait_for_end();
}

/// An OpenAPI document, to hold answers against.
struct Document(Value);

impl Document {
    #[track_caller]
    fn at(port: u16) -> Self {
        let document = get(port, "/openapi.json").expect("it answers").json();
        assert_eq!(document["openapi"], "3.1.0");
        check_references(&document, &document);
        Self(document)
    }

    /// Whether an answer is one of those that are described: its status, its type and, where
    /// it is JSON, its body.
    #[track_caller]
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path}: {} {}", answer.status, answer.text());
        let responses = &self.0["paths"][path][method]["responses"];
        let mut response = &responses[answer.status.to_string()];
        if let Some(reference) = response["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').expect("inside");
            response = self.0.pointer(pointer).expect("it leads somewhere");
        }
        assert!(!response.is_null(), "not described: {what}");
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if answer.body.is_empty() && (method == "head" || response["content"].is_null()) {
            return;
        }
        let content = &response["content"][kind];
        assert!(!content.is_null(), "{kind:?} is not described: {what}");
        let schema = self.schema(&content["schema"]);
        match kind {
            "application/x-ndjson" => {
                schema.check_lines(&answer.text());
            }
            _ if kind.ends_with("json") => schema.check(&answer.json()),
            _ => {}
        }
    }

    /// A schema that may refer to the others.
    fn schema(&self, schema: &Value) -> Schema {
        let mut whole = Map::new();
        whole.insert("components".to_owned(), self.0["components"].clone());
        whole.insert("allOf".to_owned(), json!([schema]));
        Schema::of(&Value::Object(whole))
    }

    fn calls(&self) -> Vec<(String, String)> {
        let paths = self.0["paths"].as_object().expect("an object").iter();
        let calls = paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("an object").keys();
            methods.map(move |method| (method.clone(), path.clone()))
        });
        calls.collect()
    }
}

/// What a document refers to stands in it.
fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let pointer = reference.strip_prefix('#').expect("is in this document");
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            fields
                .values()
                .for_each(|it| check_references(it, document));
        }
        Value::Array(items) => items.iter().for_each(|it| check_references(it, document)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The document is asked for, and every call that it has is made, at ADMIN_ADDR.
#[test]
fn the_control_api_is_what_its_document_says() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 2);
    let port = sandbox.http_port(20);
    let token = "correct-horse-battery-staple";
    let sandbox = sandbox
        .set("ADMIN_ADDR", format!("127.0.0.1:{port}"))
        .set("ADMIN_TOKEN", token);
    let mut fleet = sandbox.start();
    fleet.wait_for_nodes(2);
    let document = Document::at(port);
    let version = fleet.finish(&["--version"]).stdout;
    let described = document.0["info"]["version"].as_str().expect("a text");
    assert!(version.trim().ends_with(described), "{version} {described}");
    let bearer = format!("Bearer {token}");
    let ask = |method: &str, call: &str, shows: &str| {
        let headers = [("Authorization", shows)];
        repram_tests::ask_with(&method.to_uppercase(), port, call, &headers, b"").expect("answers")
    };
    for (method, path) in document.calls() {
        // What each call is asked, beside nothing: answers of every kind.
        let queries: &[&str] = match path.as_str() {
            "/logs" => &[
                "?lines=3",
                "?format=json&node=1",
                "?format=raw",
                "?node=99",
                "?x=1",
            ],
            "/why" => &["?node=1", "?node=99"],
            "/metrics" => &["?nodes=true", "?nodes=maybe"],
            "/restart" => &[
                "?dry_run=true&force=true",
                "?node=99",
                "?rolling&force",
                "?node=1&force",
            ],
            "/scale" => &["?to=3&dry_run=true", "?to=0", "?to=3&wait=false", "?to=2"],
            "/reload" => &["?dry_run=true", "?wait=false"],
            // Last of all.
            "/stop" => &["?now=perhaps"],
            _ => &["?x=1"],
        };
        let plain = !matches!(path.as_str(), "/stop" | "/restart");
        for query in queries.iter().copied().chain(plain.then_some("")) {
            let answer = ask(&method, &format!("{path}{query}"), &bearer);
            document.check(&method, &path, &answer);
        }
        let other = if method == "get" { "post" } else { "get" };
        document.check(&method, &path, &ask(other, &path, &bearer));
        if method == "post" {
            document.check(&method, &path, &ask(&method, &path, "Bearer wrong"));
        }
    }
    // And no other: the answer to a call that there is not lists all that there are.
    let calls = ask("get", "/", "").text();
    for (method, path) in document.calls() {
        let call = format!("{} {path}", method.to_uppercase());
        assert!(calls.contains(&call), "{call} is not served: {calls}");
    }
    let served = calls.matches("GET /").count() + calls.matches("POST /").count();
    assert_eq!(served, document.calls().len(), "{calls}");
    let stopping = ask("post", "/stop", &bearer);
    assert_eq!(stopping.status, 202);
    document.check("post", "/stop", &stopping);
    fleet.wait_for_end();
}

#[test]
fn the_api_of_a_node_is_what_its_document_says() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 2).start();
    let port = fleet.wait_until_refilled(2)[0].port;
    let document = Document::at(port);
    for (method, path) in document.calls() {
        let call = path.replace("{key}", "a-key");
        let body: &[u8] = if method == "put" { b"value" } else { b"" };
        let answer = ask(&method.to_uppercase(), port, &call, body).expect("answers");
        document.check(&method, &path, &answer);
    }
    fleet.stop();
}
