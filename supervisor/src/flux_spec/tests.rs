use serde_json::{Value, json};

use super::check;

/// The shape that FluxOS's own validator accepts.
fn accepted() -> Value {
    json!({
        "version": 8, "name": "repramfade", "description": "REPRAM ephemeral store nodes",
        "owner": "1CbErtneaX2QVyUfwU7JGB7VzvPgrgc3uC",
        "compose": [{
            "name": "repram", "description": "REPRAM supervisor, 3 nodes",
            "repotag": "ghcr.io/example/repram-fade:1.0.0",
            "ports": [31810, 31911, 31912, 31913],
            "containerPorts": [8080, 9081, 9082, 9083],
            "domains": ["", "", "", ""], "environmentParameters": ["NODE_COUNT=3"],
            "commands": [], "containerData": "/tmp", "repoauth": "",
            "cpu": 0.5, "ram": 500, "hdd": 1
        }],
        "instances": 3, "contacts": [], "geolocation": [], "expire": 88000, "nodes": [],
        "staticip": false, "enterprise": ""
    })
}

/// What is said of the accepted one after a change.
fn said(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut specification = accepted();
    change(&mut specification);
    let findings = check(&specification).into_iter();
    findings
        .map(|finding| {
            let verdict = if finding.is_violation { "" } else { "remark " };
            format!("{verdict}{finding}")
        })
        .collect()
}

/// Sets what a JSON pointer names; the expectation is everything that is said.
#[track_caller]
fn check_set(pointer: &str, value: Value, expect: &[&str]) {
    let found = said(|it| *it.pointer_mut(pointer).expect("it is there") = value);
    assert_eq!(found, expect, "{pointer}");
}

#[test]
fn what_fluxos_accepts() {
    assert!(check(&accepted()).is_empty());
    check_set("/instances", json!(1), &[]);
    check_set("/name", json!("repram-fade"), &[]);
    // The same port in the container twice.
    check_set("/compose/0/containerPorts/1", json!(8080), &[]);
    let two = |it: &mut Value| {
        let mut second = it["compose"][0].clone();
        second["name"] = json!("second");
        second["ports"] = json!([31820, 31821, 31822, 31823]);
        it["compose"].as_array_mut().expect("a list").push(second);
    };
    assert!(said(two).is_empty());
    let none = |it: &mut Value| {
        for key in ["ports", "containerPorts", "domains"] {
            it["compose"][0][key] = json!([]);
        }
    };
    assert!(said(none).is_empty());
    assert!(said(|it| it["datacenter"] = json!(false)).is_empty());
}

#[test]
fn what_fluxos_refuses() {
    check_set(
        "/instances",
        json!(0),
        &["instances: found 0, allowed is a whole number from 1 to 100"],
    );
    check_set(
        "/instances",
        json!(101),
        &["instances: found 101, allowed is a whole number from 1 to 100"],
    );
    check_set(
        "/compose/0/ports/0",
        json!(16127),
        &["compose[0].ports[0]: port 16127 is not given to apps"],
    );
    check_set(
        "/compose/0/ports/0",
        json!(30050),
        &["compose[0].ports[0]: port 30050 is not given to apps"],
    );
    check_set(
        "/compose/0/ports/0",
        json!(4444),
        &["compose[0].ports[0]: port 4444 is not given to apps"],
    );
    check_set(
        "/compose/0/ports/1",
        json!(31810),
        &["compose[0].ports[1]: port 31810 is there twice"],
    );
    check_set(
        "/compose/0/ports/0",
        json!("31810"),
        &["compose[0].ports[0]: found \"31810\", allowed is a number from 1 to 65535"],
    );
    check_set(
        "/compose/0/domains",
        json!(["", "", ""]),
        &["compose[0].domains: found 3 entries, needed are 4, one for each of `ports`"],
    );
    check_set(
        "/compose/0/containerData",
        json!(""),
        &["compose[0].containerData: is empty; where no folder is wanted, write /tmp"],
    );
}

#[test]
fn what_fluxos_refuses_of_names_and_sizes() {
    check_set(
        "/name",
        json!("repram_fade"),
        &["name: found \"repram_fade\", allowed are letters, digits, and hyphens inside"],
    );
    check_set(
        "/name",
        json!("fluxrepram"),
        &["name: found \"fluxrepram\", which begins with flux"],
    );
    check_set(
        "/compose/0/name",
        json!("repram-node"),
        &["compose[0].name: found \"repram-node\", allowed are letters and digits"],
    );
    check_set(
        "/nodes",
        json!(["a:1"]),
        &["nodes: only enterprise apps choose their nodes; leave it empty"],
    );
    check_set(
        "/compose/0/repoauth",
        json!("x"),
        &[
            "compose[0].repoauth: only enterprise apps take images from private repositories; leave it empty",
        ],
    );
    check_set(
        "/compose/0/cpu",
        json!(0.55),
        &["compose[0].cpu: found 0.55, allowed is 0.1 to 15 cores, in tenths"],
    );
    check_set(
        "/compose/0/ram",
        json!(550),
        &["compose[0].ram: found 550, allowed is 100 to 59000 MB, in hundreds"],
    );
    check_set(
        "/compose",
        json!([]),
        &["compose: found 0 components, allowed are 1 to 10"],
    );
    check_set("/version", json!(7), &["version: found 7, allowed is 8"]);
    check_set(
        "/staticip",
        json!("no"),
        &["staticip: found \"no\", allowed is true or false"],
    );
}

#[test]
fn what_fluxos_refuses_for_its_number_or_length() {
    let many: Vec<String> = (0..21).map(|number| format!("A{number}=1")).collect();
    check_set(
        "/compose/0/environmentParameters",
        json!(many),
        &["compose[0].environmentParameters: found 21 entries, allowed are at most 20"],
    );
    let long = format!("A={}", "x".repeat(399));
    check_set(
        "/compose/0/environmentParameters/0",
        json!(long),
        &["compose[0].environmentParameters[0]: found 401 characters, allowed are at most 400"],
    );
    let secret = json!("REPRAM_CLUSTER_SECRET=x");
    check_set(
        "/compose/0/environmentParameters/0",
        secret,
        &[
            "compose[0].environmentParameters[0]: REPRAM_CLUSTER_SECRET would be public: everybody can read an app's environment",
        ],
    );

    let six = said(|it| {
        let component = &mut it["compose"][0];
        component["ports"] = json!([31810, 31811, 31812, 31813, 31814, 31815]);
        component["containerPorts"] = json!([1, 2, 3, 4, 5, 6]);
        component["domains"] = json!(["", "", "", "", "", ""]);
    });
    assert_eq!(
        six,
        ["compose[0].ports: found 6 ports, allowed are at most 5"]
    );
}

#[test]
fn keys_are_exactly_those_of_the_version() {
    let found = said(|it| {
        it.as_object_mut().expect("an object").remove("enterprise");
        it["compose"][0]["tiered"] = json!(false);
        it["compose"][0]["secrets"] = json!("");
    });
    let expect = [
        "enterprise: is missing",
        "compose[0].secrets: is no key of version 8",
        "compose[0].tiered: is no key of version 8",
    ];
    assert_eq!(found, expect);
    assert_eq!(check(&json!([])).len(), 1);
}

#[test]
fn what_is_worth_knowing() {
    check_set(
        "/compose/0/ports/0",
        json!(8080),
        &["remark compose[0].ports[0]: port 8080 costs extra, and few hosts give it"],
    );
    let name = "a".repeat(42);
    check_set(
        "/name",
        json!(name),
        &["remark name: with more than 41 characters ports get no domain of their own"],
    );
    let digest = json!("a/b@sha256:00");
    check_set(
        "/compose/0/repotag",
        digest,
        &["remark compose[0].repotag: a digest is dropped; name a version that never changes"],
    );
    for image in ["a/b", "a/b:latest", "host:5000/b"] {
        let found = said(|it| it["compose"][0]["repotag"] = json!(image));
        assert_eq!(found.len(), 1, "{image}");
        assert!(found[0].starts_with("remark "), "{image}");
    }
}

#[test]
fn everything_is_named_at_once() {
    let found = said(|it| {
        it["name"] = json!("zel!");
        it["instances"] = json!(1.5);
        it["compose"][0]["ports"][0] = json!(70_000);
        it["compose"][0]["cpu"] = json!("1");
        it["owner"] = json!("");
    });
    assert_eq!(found.len(), 6, "{found:?}");
}
