//! Clients of the original: each call of its first and second version, answer by answer. What
//! differs stands in docs/original.md, with the reason, and here, too.

use nix::sys::signal::Signal;
use repram_tests::{Answer, Fleet, Node, PATIENCE, Sandbox, ask_with, wait_until};
use serde_json::{Value, json};

/// One call: method, path, one header field, body.
struct Call(
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
    &'static str,
);

/// What is to be true of its answer.
enum Says {
    /// The whole body.
    Text(&'static str),
    /// A JSON object that has these fields, of these types.
    Fields(&'static [(&'static str, Kind)]),
    /// Lines of the text that begin like this.
    Lines(&'static [&'static str]),
    /// A header field and its value, or only that it is there.
    Header(&'static str, Option<&'static str>),
    /// Nothing more.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Number,
    Bool,
    List,
    Object,
    Is(&'static str),
}

impl Kind {
    fn is(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Bool => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
            Self::Is(text) => value == text,
        }
    }
}

fn perform(node: &Node, Call(method, path, field, body): &Call) -> Answer {
    ask_with(method, node.port, path, field.as_slice(), body.as_bytes())
        .unwrap_or_else(|problem| panic!("{method} {path}: {problem}"))
}

#[track_caller]
fn check(node: &Node, calls: &[(Call, u16, Says)]) {
    for (call, status, says) in calls {
        let answer = perform(node, call);
        let Call(method, path, ..) = call;
        let shown = format!("{method} {path}: {} {}", answer.status, answer.text());
        assert_eq!(answer.status, *status, "{shown}");
        match says {
            Says::Text(text) => assert_eq!(answer.text(), *text, "{shown}"),
            Says::Fields(fields) => {
                let body = answer.json();
                for (name, kind) in *fields {
                    assert!(kind.is(&body[*name]), "{name} as {kind:?} in {shown}");
                }
            }
            Says::Lines(lines) => {
                let text = answer.text();
                for line in *lines {
                    let found = text.lines().any(|found| found.starts_with(line));
                    assert!(found, "{line} in {shown}");
                }
            }
            Says::Header(name, value) => {
                let found = answer.header(name);
                assert!(found.is_some(), "{name} in {shown}");
                assert!(value.is_none() || found == *value, "{name}: {found:?}");
            }
            Says::Nothing => {}
        }
    }
}

fn fleet(sandbox: Sandbox) -> (Fleet, Vec<Node>) {
    let mut fleet = sandbox.start();
    let nodes = fleet.wait_for_nodes(3);
    (fleet, nodes)
}

/// What clients of the first version ask, and what they are to hear.
const FIRST: &[(Call, u16, Says)] = &[
    (
        Call("PUT", "/data/k?ttl=600", None, "v"),
        201,
        Says::Text("OK"),
    ),
    (Call("GET", "/data/k", None, ""), 200, Says::Text("v")),
    (
        Call("PUT", "/data/h", Some(("X-TTL", "700")), "w"),
        201,
        Says::Text("OK"),
    ),
    (
        Call("PUT", "/data/short?ttl=10", None, "s"),
        201,
        Says::Text("OK"),
    ),
    (
        Call("GET", "/data/short", None, ""),
        200,
        Says::Header("x-original-ttl", Some("300")),
    ),
    (Call("GET", "/data/none", None, ""), 404, Says::Nothing),
    (
        Call("PUT", "/cluster/put/c?ttl=600", None, "x"),
        201,
        Says::Text("OK"),
    ),
    (
        Call("GET", "/cluster/get/c", None, ""),
        200,
        Says::Text("x"),
    ),
    (
        Call("GET", "/scan", None, ""),
        200,
        Says::Fields(&[("keys", Kind::List)]),
    ),
    (
        Call("GET", "/cluster/scan", None, ""),
        200,
        Says::Fields(&[("keys", Kind::List)]),
    ),
    (
        Call("GET", "/health", None, ""),
        200,
        Says::Fields(&[
            ("status", Kind::Is("healthy")),
            ("node_id", Kind::Is("flux-node-1")),
            ("discovery_enabled", Kind::Bool),
            ("active_peers", Kind::Number),
            ("port", Kind::Number),
            ("uuid", Kind::Text),
            ("uptime", Kind::Number),
            ("domain", Kind::Is("localhost")),
        ]),
    ),
    (
        Call("GET", "/peers", None, ""),
        200,
        Says::Fields(&[
            ("peers", Kind::List),
            ("claimed_ports", Kind::List),
            ("last_updated", Kind::Text),
        ]),
    ),
];

#[test]
fn clients_of_the_first_version_are_served() {
    let (fleet, nodes) = fleet(Sandbox::new());
    check(&nodes[0], FIRST);
    // What one node took, all give.
    for node in &nodes {
        assert_eq!(node.get("/data/k").text(), "v");
        let keys = node.get("/scan").json();
        assert_eq!(keys["keys"], json!(["c", "h", "k", "short"]));
    }
    fleet.stop();
}

/// The same for the second version.
const SECOND: &[(Call, u16, Says)] = &[
    (
        Call("PUT", "/v1/data/a%2Fb", Some(("X-TTL", "600")), "v"),
        201,
        Says::Text("OK"),
    ),
    (
        Call("GET", "/v1/data/a%2Fb", None, ""),
        200,
        Says::Text("v"),
    ),
    (
        Call("GET", "/v1/data/a%2Fb", None, ""),
        200,
        Says::Header("x-created-at", None),
    ),
    (
        Call("HEAD", "/v1/data/a%2Fb", None, ""),
        200,
        Says::Header("x-original-ttl", Some("600")),
    ),
    (
        Call("HEAD", "/v1/data/a%2Fb", None, ""),
        200,
        Says::Header("x-remaining-ttl", None),
    ),
    (Call("HEAD", "/v1/data/none", None, ""), 404, Says::Text("")),
    (Call("GET", "/v1/data/none", None, ""), 404, Says::Nothing),
    (
        Call("PUT", "/v1/data/default", None, "d"),
        201,
        Says::Text("OK"),
    ),
    (
        Call("GET", "/v1/data/default", None, ""),
        200,
        Says::Header("x-original-ttl", Some("3600")),
    ),
    (
        Call("PUT", "/v1/data/long?ttl=999999", None, "l"),
        201,
        Says::Text("OK"),
    ),
    (
        Call("GET", "/v1/data/long", None, ""),
        200,
        Says::Header("x-original-ttl", Some("86400")),
    ),
    (
        Call("PUT", "/v1/data/bad?ttl=soon", None, ""),
        400,
        Says::Nothing,
    ),
    (
        Call("GET", "/v1/keys?prefix=a%2F&limit=1", None, ""),
        200,
        Says::Fields(&[("keys", Kind::List)]),
    ),
    (
        Call("GET", "/v1/keys?limit=1", None, ""),
        200,
        Says::Fields(&[("keys", Kind::List), ("next_cursor", Kind::Text)]),
    ),
    (
        Call("GET", "/v1/health", None, ""),
        200,
        Says::Fields(&[
            ("status", Kind::Is("healthy")),
            ("node_id", Kind::Is("flux-node-2")),
            ("network", Kind::Is("public")),
            ("enclave", Kind::Is("default")),
        ]),
    ),
    (
        Call("GET", "/v1/status", None, ""),
        200,
        Says::Fields(&[
            ("status", Kind::Is("healthy")),
            ("uptime", Kind::Number),
            ("memory", Kind::Object),
        ]),
    ),
    (
        Call("GET", "/v1/topology", None, ""),
        200,
        Says::Fields(&[
            ("node_id", Kind::Is("flux-node-2")),
            ("enclave", Kind::Is("default")),
            ("peers", Kind::List),
        ]),
    ),
    (
        Call("GET", "/v1/metrics", None, ""),
        200,
        Says::Lines(&[
            "repram_peers_active 2",
            "repram_peer_evictions_total ",
            "repram_peer_joins_total ",
            "repram_ping_failures_total ",
        ]),
    ),
    (
        Call(
            "OPTIONS",
            "/v1/data/k",
            Some(("Origin", "https://fade.example")),
            "",
        ),
        204,
        Says::Header("access-control-allow-origin", Some("*")),
    ),
];

#[test]
fn clients_of_the_second_version_are_served() {
    let (fleet, nodes) = fleet(Sandbox::new());
    check(&nodes[1], SECOND);
    let topology = nodes[1].get("/v1/topology").json();
    for peer in topology["peers"].as_array().expect("a list") {
        for name in ["id", "address", "enclave"] {
            assert!(peer[name].is_string(), "{name} in {peer}");
        }
        assert!(peer["http_port"].is_u64(), "{peer}");
    }
    fleet.stop();
}

#[test]
fn a_write_without_its_quorum_is_accepted_and_spreads_later() {
    let (fleet, nodes) = fleet(Sandbox::new().set("REPRAM_WRITE_TIMEOUT", "300ms"));
    let frozen = [&nodes[1], &nodes[2]].map(|node| fleet.process_of(&node.id));
    for process in frozen {
        process.signal(Signal::SIGSTOP);
    }
    let answer = nodes[0].put("/v1/data/k?ttl=600", b"v");
    for process in frozen {
        process.signal(Signal::SIGCONT);
    }
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (202, "Accepted (quorum pending)")
    );
    for node in &nodes {
        wait_until("the value everywhere", PATIENCE, || {
            let answer = node.get("/v1/data/k");
            (answer.text() == "v")
                .then_some(())
                .ok_or_else(|| answer.text())
        });
    }
    fleet.stop();
}

#[test]
fn announcements_need_a_signature_where_there_is_a_secret() {
    let announce = |node: &Node, port: u16| {
        let first = json!({"node_id": "x", "http_port": port, "timestamp": "2026-01-01T00:00:00Z"});
        let leave = json!({"node_id": "x", "http_port": port, "reason": "shutdown"});
        [("/peer_announce", first), ("/peer_leaving", leave)].map(|(path, body)| {
            let body = body.to_string();
            ask_with("POST", node.port, path, &[], body.as_bytes()).expect("an answer")
        })
    };
    let (fleet, nodes) = fleet(Sandbox::new());
    for answer in announce(&nodes[0], nodes[1].port) {
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
    fleet.stop();
    // Of another domain, whose operator has set no secret.
    let open = Sandbox::new()
        .unset("REPRAM_CLUSTER_SECRET_FILE")
        .set("REPRAM_PEERS", "192.0.2.1:8081")
        .set("NODE_COUNT", 1);
    let mut fleet = open.start();
    let nodes = fleet.wait_for_nodes(1);
    let answers = announce(&nodes[0], nodes[0].port + 9);
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["acknowledged"], false, "nobody is there: {body}");
        assert!(body["reason"].is_string(), "{body}");
    }
    fleet.stop();
}

#[test]
fn what_differs_differs_as_it_is_written() {
    let sandbox = Sandbox::new().set("REPRAM_MAX_STORAGE_MB", 1);
    let (fleet, nodes) = fleet(sandbox);
    let node = &nodes[0];
    // Errors are problem documents, and not lines of text.
    let missing = node.get("/v1/data/none");
    assert_eq!(
        missing.header("content-type"),
        Some("application/problem+json")
    );
    let full = node.put("/v1/data/large", &vec![0; 2 << 20]);
    assert_eq!(full.status, 507, "{}", full.text());
    assert_eq!(full.json()["status"], 507);
    let too_large = node.put("/v1/data/large", &vec![0; (10 << 20) + 1]);
    assert_eq!(too_large.status, 413, "{}", too_large.text());
    // Peers are objects, and not ports.
    let peers = node.get("/peers").json();
    assert!(peers["peers"][0]["port"].is_u64(), "{peers}");
    // The gossip of the second version is another language.
    for path in ["/v1/bootstrap", "/v1/gossip/message"] {
        let answer = ask_with("POST", node.port, path, &[], b"{}").expect("an answer");
        assert_eq!(answer.status, 404, "{path}");
    }
    let deleted = ask_with("DELETE", node.port, "/v1/data/k", &[], b"").expect("an answer");
    assert_eq!(deleted.status, 405);
    assert_eq!(deleted.header("allow"), Some("GET, HEAD, PUT, OPTIONS"));
    fleet.stop();
}

/// What the acceptance script of the first version did: scan the ports, read `node_id`, write to
/// one node and read the same bytes from the others.
#[test]
fn the_acceptance_script_of_the_first_version_passes() {
    let (fleet, nodes) = fleet(Sandbox::new());
    let value: Vec<u8> = (0..=255).collect();
    assert_eq!(nodes[0].put("/data/acceptance?ttl=600", &value).status, 201);
    for node in &nodes[1..] {
        assert_eq!(node.get("/data/acceptance").body, value, "{}", node.id);
    }
    fleet.stop();
}
