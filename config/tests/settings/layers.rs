//! Which value wins, and how values are written.

use std::path::Path;
use std::time::Duration;

use repram_config::{LogDir, Origin, ReplicationFactor};

use crate::case::Case;

#[test]
fn nothing_set_is_the_default_of_everything() {
    let loaded = Case::new().good();
    let settings = &loaded.settings;
    assert_eq!((settings.node_count, settings.min_ready), (3, 2));
    assert_eq!(
        (
            settings.base_port,
            settings.max_ports,
            settings.gossip_port_offset
        ),
        (8081, 10, 1000)
    );
    assert_eq!(settings.bind_address.to_string(), "127.0.0.1");
    assert_eq!(settings.state_dir, Path::new("/tmp/repram-1000"));
    assert_eq!(settings.log_dir, LogDir::Path("/tmp".into()));
    assert_eq!(settings.replication_factor, ReplicationFactor::Count(3));
    assert_eq!(settings.default_ttl, Duration::from_secs(3600));
    assert_eq!(settings.stop_timeout, Duration::from_secs(8));
    assert_eq!(
        (settings.log_max_size, settings.log_total),
        (10 << 20, 100 << 20)
    );
    assert!(settings.use_auto_discovery && settings.node_sockets && settings.liveness);
    assert!(settings.static_peers().is_empty() && settings.cluster_secret.is_none());
    assert!(loaded.warnings.is_empty());
    assert!(!loaded.origins.is_set("node_count"));
}

#[test]
fn some_defaults_depend_on_the_surroundings() {
    assert_eq!(
        Case::new().pid1().good().settings.bind_address.to_string(),
        "::"
    );
    assert!(!Case::new().node().good().settings.use_auto_discovery);
    assert_eq!(Case::of("NODE_COUNT=1").good().settings.min_ready, 0);
    assert_eq!(Case::of("NODE_COUNT=10").good().settings.min_ready, 9);
    let ttl = |variables| Case::of(variables).good().settings.default_ttl.as_secs();
    assert_eq!(ttl("REPRAM_MAX_TTL=600"), 600);
    assert_eq!(ttl("REPRAM_MIN_TTL=7200"), 7200);
}

#[test]
fn a_later_layer_wins() {
    let case = Case::of("NODE_COUNT=2 BASE_PORT=9000")
        .file("node_count = 1\nbase_port = 1000\nmax_ports = 20\n")
        .flag("node_count", "4");
    let loaded = case.good();
    let settings = &loaded.settings;
    assert_eq!(
        (settings.node_count, settings.base_port, settings.max_ports),
        (4, 9000, 20)
    );
    assert_eq!(
        *loaded.origin("node_count"),
        Origin::Flag("--node-count".to_owned())
    );
    assert_eq!(
        *loaded.origin("base_port"),
        Origin::Variable("BASE_PORT".to_owned())
    );
    let path = case.directory.path().join("repram.toml");
    assert_eq!(*loaded.origin("max_ports"), Origin::File { path, line: 3 });
    assert_eq!(*loaded.origin("gossip_port_offset"), Origin::Default);
}

#[test]
fn the_file_is_the_one_of_the_flag_or_of_the_variable() {
    let case = Case::new().file("node_count = 1");
    let other = case.write("other.toml", "node_count = 2");
    let case = case.variable("REPRAM_CONFIG", other.as_os_str().as_encoded_bytes());
    assert_eq!(case.good().settings.node_count, 1);
    let case = Case { file: None, ..case };
    assert_eq!(case.good().settings.node_count, 2);
    assert_eq!(Case::of("REPRAM_CONFIG=").good().settings.node_count, 3);
}

#[test]
fn names_that_look_like_numbers_stay_names() {
    for name in ["007", "1.10", "true", "1e3", "0x10"] {
        let from_environment = Case::of(&format!("REPRAM_ENCLAVE={name}")).good();
        assert_eq!(from_environment.settings.enclave, name);
        let from_file = Case::new().file(&format!("enclave = \"{name}\"")).good();
        assert_eq!(from_file.settings.enclave, name);
        let from_flag = Case::new().flag("enclave", name).good();
        assert_eq!(from_flag.settings.enclave, name);
    }
}

#[test]
fn every_layer_writes_values_its_own_way() {
    let file = "start_stagger = 0.5\nstop_timeout = 10\nliveness_period = \"1m\"\n\
                log_max_size = 1_048_576\nlog_total = \"64 MiB\"\nliveness = false\n\
                node_sockets = \"off\"\nreplication_factor = \"all\"\nlog_dir = \"off\"\n\
                peers = [\"a:1\", \"b:2\"]\nbootstrap_peers = \"b:2,c:3\"\n";
    let settings = Case::new().file(file).good().settings;
    assert_eq!(settings.start_stagger, Duration::from_millis(500));
    assert_eq!(settings.stop_timeout, Duration::from_secs(10));
    assert_eq!(settings.liveness_period, Duration::from_secs(60));
    assert_eq!(
        (settings.log_max_size, settings.log_total),
        (1 << 20, 64 << 20)
    );
    assert!(!settings.liveness && !settings.node_sockets);
    assert_eq!(settings.replication_factor, ReplicationFactor::All);
    assert_eq!(settings.log_dir, LogDir::Off);
    let peers: Vec<String> = settings
        .static_peers()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(peers, ["b:2", "c:3", "a:1"]);
}
