//! What is wrong together.

use crate::case::{Case, check};

#[test]
fn nodes_need_ports() {
    check(
        "NODE_COUNT=11 MAX_PORTS=10",
        &[
            "NODE_COUNT: found \"11\", allowed is at most MAX_PORTS (10), because every node needs a \
           port of its own",
        ],
    );
    check(
        "MAX_PORTS=2",
        &[
            "MAX_PORTS: found \"2\", allowed is at least NODE_COUNT (default 3), because every node \
           needs a port of its own",
        ],
    );
    check(
        "MIN_READY=4",
        &["MIN_READY: found \"4\", allowed is at most NODE_COUNT (default 3)"],
    );
    assert_eq!(Case::of("MAX_PORTS=2").node().good().settings.max_ports, 2);
}

#[test]
fn ranges_end_and_do_not_overlap() {
    let because = "because the last gossip port, BASE_PORT + GOSSIP_PORT_OFFSET + MAX_PORTS - 1, \
                   would be";
    check(
        "BASE_PORT=65530",
        &[&format!(
            "BASE_PORT: found \"65530\", allowed is at most 64526, {because} 66539 and \
                    ports end at 65535"
        )],
    );
    check(
        "GOSSIP_PORT_OFFSET=60000",
        &[&format!(
            "GOSSIP_PORT_OFFSET: found \"60000\", allowed is at most 57445, {because} 68090 \
                    and ports end at 65535"
        )],
    );
    check(
        "BASE_PORT=65535 GOSSIP_PORT_OFFSET=65534",
        &[&format!(
            "BASE_PORT: found \"65535\", allowed is less, {because} 131078 and ports end at \
                    65535"
        )],
    );
    check(
        "GOSSIP_PORT_OFFSET=5",
        &[
            "GOSSIP_PORT_OFFSET: found \"5\", allowed is at least MAX_PORTS (default 10), or the \
           HTTP and the gossip ports would overlap",
        ],
    );
    assert_eq!(Case::of("BASE_PORT=64526").good().settings.base_port, 64526);
    assert_eq!(Case::of("MAX_PORTS=1000").good().settings.max_ports, 1000);
}

#[test]
fn a_domain_needs_reach_and_sockets() {
    check(
        "CLAIM_SCOPE=domain",
        &[
            "CLAIM_SCOPE: found \"domain\", allowed is host beside BIND_ADDRESS (default 127.0.0.1), \
           because other hosts do not reach a loopback address",
        ],
    );
    check(
        "CLAIM_SCOPE=domain NODE_SOCKETS=off BIND_ADDRESS=:: INGRESS_PORT=80",
        &[
            "CLAIM_SCOPE: found \"domain\", allowed is host beside NODE_SOCKETS (off), because a \
             claim over a domain needs sockets that the supervisor holds",
            "INGRESS_PORT: found \"80\", allowed is nothing beside NODE_SOCKETS (off), because the \
             shared port is handed to nodes as a socket",
        ],
    );
}

#[test]
fn ports_of_the_supervisors_own() {
    check(
        "INGRESS_PORT=8085",
        &[
            "INGRESS_PORT: found \"8085\", allowed is a port outside of the nodes' HTTP ports 8081 \
           to 8090",
        ],
    );
    check(
        "ADMIN_ADDR=0.0.0.0:9090",
        &[
            "ADMIN_ADDR: found \"0.0.0.0:9090\", allowed is a port outside of the nodes' gossip ports \
           9081 to 9090",
        ],
    );
    check(
        "ADMIN_ADDR=127.0.0.1:80 INGRESS_PORT=80",
        &[
            "ADMIN_ADDR: found \"127.0.0.1:80\", allowed is another port than that of INGRESS_PORT \
           (80)",
        ],
    );
    Case::of("ADMIN_ADDR=127.0.0.2:8081").good();
}

#[test]
fn other_contradictions() {
    check(
        "REPRAM_HTTP_PORT=80 REPRAM_GOSSIP_PORT=80",
        &[
            "REPRAM_GOSSIP_PORT: found \"80\", allowed is another port than that of REPRAM_HTTP_PORT \
           (80)",
        ],
    );
    check(
        "REPRAM_DEFAULT_TTL=100 RESTART_DELAY=1m",
        &[
            "REPRAM_DEFAULT_TTL: found \"100\", allowed is at least REPRAM_MIN_TTL (default 300)",
            "RESTART_DELAY: found \"1m\", allowed is at most RESTART_DELAY_MAX (default 30s)",
        ],
    );
    check(
        "REPRAM_REPLICATION=2 REPLICATION_FACTOR=3",
        &[
            "REPLICATION_FACTOR and REPRAM_REPLICATION: found \"3\" and \"2\", allowed is one value, \
           because they are two names of one setting",
        ],
    );
}

#[test]
fn logs_need_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    let path = file.display();
    Case::of(&format!("LOG_DIR={path}")).bad(&[&format!(
        "LOG_DIR: found \"{path}\", allowed is a folder that can be written or made, or `off`"
    )]);
    Case::of(&format!("LOG_DIR={path}/below")).bad(&[&format!(
        "LOG_DIR: found \"{path}/below\", allowed is a folder that can be written or made, or `off`"
    )]);
    let made = folder.path().join("not/yet");
    Case::of(&format!("LOG_DIR={}", made.display())).good();
    assert!(!made.exists(), "looking makes nothing");
    Case::of("LOG_DIR=off").good();
}

#[test]
fn a_start_is_not_ended_before_its_probes_could_succeed() {
    check(
        "STARTUP_PROBE=http:/started STARTUP_FAILURE_THRESHOLD=12 START_TIMEOUT=90s",
        &[
            "START_TIMEOUT: found \"90s\", allowed is more than the 2m that the probes of a start may take",
        ],
    );
    check(
        "READINESS_INITIAL_DELAY=10s READINESS_SUCCESS_THRESHOLD=3 START_TIMEOUT=30s",
        &[
            "START_TIMEOUT: found \"30s\", allowed is more than the 30s that the probes of a start may take",
        ],
    );
    check(
        "STARTUP_PROBE=http:/started STARTUP_FAILURE_THRESHOLD=1000 STARTUP_PERIOD=5m",
        &[
            "STARTUP_FAILURE_THRESHOLD: found \"1000\", allowed is less, because the probes of a \
           start may take 5000m, and a start at most 1d",
        ],
    );
    let adapted = |variables: &str| Case::of(variables).good().settings.start_timeout.as_secs();
    assert_eq!(adapted(""), 60);
    assert_eq!(adapted("STARTUP_PROBE=http:/started"), 90);
    assert_eq!(adapted("STARTUP_PROBE=off READINESS_INITIAL_DELAY=5"), 65);
    assert_eq!(adapted("READINESS_PROBE=off READINESS_INITIAL_DELAY=5"), 60);
    assert_eq!(adapted("STARTUP_PROBE=http:/started START_TIMEOUT=31s"), 31);
}

#[test]
fn probes_ask_what_can_answer() {
    check(
        "STARTUP_PERIOD=1s STARTUP_FAILURE_THRESHOLD=30",
        &[
            "STARTUP_PERIOD: found \"1s\", allowed is nothing without a probe: STARTUP_PROBE \
             (default off)",
            "STARTUP_FAILURE_THRESHOLD: found \"30\", allowed is nothing without a probe: \
             STARTUP_PROBE (default off)",
        ],
    );
    check(
        "READINESS_PROBE=tcp LIVENESS_PROBE=tcp:gossip",
        &[
            "READINESS_PROBE: found \"tcp\", allowed is http or off beside NODE_SOCKETS (default on), \
             because the supervisor listens on the ports itself, and a connection would say nothing \
             of the program",
            "LIVENESS_PROBE: found \"tcp:gossip\", allowed is http or off beside NODE_SOCKETS (default \
             on), because the supervisor listens on the ports itself, and a connection would say \
             nothing of the program",
        ],
    );
    let settings =
        Case::of("STARTUP_PROBE=off STARTUP_PERIOD=1s NODE_SOCKETS=off READINESS_PROBE=tcp")
            .good()
            .settings;
    assert!(settings.liveness_probe.is_none());
    check(
        "READINESS_PROBE=http://localhost/health",
        &[
            "READINESS_PROBE: found \"http://localhost/health\", allowed is http:/PATH or tcp on the \
           HTTP port, http:gossip/PATH or tcp:gossip on the gossip port, or off",
        ],
    );
}
