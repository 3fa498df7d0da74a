//! Specifications of Flux apps, as people make and check them.

use repram_tests::{Finished, Sandbox};
use serde_json::{Value, json};

/// `supervisor flux-spec` with the settings of a container: no port of the test's own.
fn container() -> Sandbox {
    [
        "BASE_PORT",
        "MAX_PORTS",
        "GOSSIP_PORT_OFFSET",
        "REPRAM_CLUSTER_SECRET_FILE",
    ]
    .into_iter()
    .fold(Sandbox::new(), Sandbox::unset)
}

fn make(sandbox: &Sandbox) -> Finished {
    let image = "ghcr.io/example/repram-fleet:1.0.0";
    sandbox.finish(&[
        "flux-spec",
        "--owner",
        "1CbErtneaX2QVyUfwU7JGB7VzvPgrgc3uC",
        "--image",
        image,
    ])
}

#[track_caller]
fn check_made(sandbox: &Sandbox, containers: &[u16], public: &[u16]) -> Value {
    let made = make(sandbox);
    assert_eq!(made.code(), Some(0), "{}", made.said());
    let specification = made.json();
    let component = &specification["compose"][0];
    assert_eq!(component["containerPorts"], json!(containers));
    assert_eq!(component["ports"], json!(public));
    let file = sandbox.write("app.json", &made.stdout);
    let file = file.to_str().expect("a path of ours");
    let checked = sandbox.finish(&["flux-spec", "--check", file]);
    assert_eq!(checked.code(), Some(0), "{}", checked.said());
    assert_eq!(checked.stdout, "FluxOS accepts it\n");
    specification
}

#[test]
fn a_front_port_and_up_to_four_nodes_or_two_nodes_alone() {
    let front = |nodes: u16| {
        let sandbox = container().set("INGRESS_PORT", 8080);
        sandbox.set("NODE_COUNT", nodes)
    };
    let made = check_made(
        &front(3),
        &[8080, 9081, 9082, 9083],
        &[30910, 31911, 31912, 31913],
    );
    let environment = made["compose"][0]["environmentParameters"].clone();
    for entry in [
        "NODE_COUNT=3",
        "INGRESS_PORT=8080",
        "ADVERTISE_PORTS=8080:30910,9081:31911,9082:31912,9083:31913",
    ] {
        let entries = environment.as_array().expect("a list");
        assert!(entries.contains(&json!(entry)), "{entry}: {environment}");
    }
    check_made(
        &front(4),
        &[8080, 9081, 9082, 9083, 9084],
        &[30910, 31911, 31912, 31913, 31914],
    );
    let advertised = container()
        .set("NODE_COUNT", 2)
        .set("ADVERTISE_PORTS", "8081:31000,9082:31001");
    check_made(
        &advertised,
        &[8081, 9081, 8082, 9082],
        &[31000, 31911, 30912, 31001],
    );
}

#[track_caller]
fn check_refused(sandbox: &Sandbox, reasons: &[&str]) {
    let made = make(sandbox);
    assert_eq!(made.code(), Some(78), "{}", made.said());
    assert_eq!(made.stdout, "");
    for reason in reasons {
        assert!(made.stderr.contains(reason), "{reason}: {}", made.stderr);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_all_reasons() {
    check_refused(
        &container().set("NODE_COUNT", 3),
        &[
            "NODE_COUNT: found 3, which needs 6 ports where a container has 5; allowed is at most 2, or at most 4 with INGRESS_PORT",
        ],
    );
    check_refused(
        &container().set("NODE_COUNT", 5).set("INGRESS_PORT", 8080),
        &[
            "NODE_COUNT: found 5, which needs 6 ports where a container has 5; allowed is at most 4 beside INGRESS_PORT",
        ],
    );
    check_refused(
        &container()
            .set("NODE_COUNT", 3)
            .set("REPRAM_CLUSTER_SECRET", "correct-horse-battery-staple-55"),
        &[
            "NODE_COUNT: found 3",
            "REPRAM_CLUSTER_SECRET: a secret was set",
        ],
    );
}

#[test]
fn every_violation_of_a_file_is_named() {
    let sandbox = container();
    let file = sandbox.write("app.json", r#"{"version": 7, "name": "repram_fade"}"#);
    let checked = sandbox.finish(&["flux-spec", "--check", file.to_str().expect("ours")]);
    assert_eq!(checked.code(), Some(1), "{}", checked.said());
    for line in [
        "refused: version: found 7, allowed is 8",
        "refused: name: found \"repram_fade\", allowed are letters, digits, and hyphens inside",
        "refused: compose: is missing",
        "FluxOS refuses it: 12 violations",
    ] {
        assert!(checked.stdout.contains(line), "{line}: {}", checked.stdout);
    }
    let file = sandbox.write("app.json", "version: 8");
    let checked = sandbox.finish(&["flux-spec", "--check", file.to_str().expect("ours")]);
    assert_eq!(checked.code(), Some(1), "{}", checked.said());
    assert!(checked.stdout.contains("is no JSON"), "{}", checked.said());
    let checked = sandbox.finish(&["flux-spec", "--check", "/no/such/file"]);
    assert_eq!(checked.code(), Some(64), "{}", checked.said());
}
