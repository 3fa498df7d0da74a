//! Settings as users write them, and what they are told.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use repram_config::{
    Environment, Flag, Loaded, LogDir, Origin, Problem, Problems, ReplicationFactor, Role, load,
};

/// One user's way to write settings.
struct Case {
    environment: Environment,
    directory: tempfile::TempDir,
    file: Option<PathBuf>,
    flags: Vec<Flag>,
}

impl Case {
    fn new() -> Self {
        let environment = Environment {
            variables: Vec::new(),
            pid1: false,
            uid: 1000,
            role: Role::Supervisor,
        };
        let directory = tempfile::tempdir().unwrap();
        Self {
            environment,
            directory,
            file: None,
            flags: Vec::new(),
        }
    }

    /// Variables as one string: `A=1 B=2`.
    fn of(variables: &str) -> Self {
        variables
            .split_whitespace()
            .fold(Self::new(), |case, variable| {
                let (name, value) = variable.split_once('=').unwrap();
                case.variable(name, value.as_bytes())
            })
    }

    fn variable(mut self, name: &str, value: &[u8]) -> Self {
        self.environment
            .variables
            .push((name.into(), OsString::from_vec(value.to_vec())));
        self
    }

    fn node(mut self) -> Self {
        self.environment.role = Role::Node;
        self
    }

    fn pid1(mut self) -> Self {
        self.environment.pid1 = true;
        self
    }

    fn file(mut self, text: &str) -> Self {
        self.file = Some(self.write("repram.toml", text));
        self
    }

    fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.flags.push(Flag {
            key,
            value: value.to_owned(),
        });
        self
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(&self.environment, self.file.as_deref(), &self.flags)
    }

    #[track_caller]
    fn good(&self) -> Loaded {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The problems, one per line, with the test's directory left out.
    #[track_caller]
    fn bad(&self, expect: &[&str]) {
        let problems = match self.load() {
            Ok(loaded) => panic!("no problem:\n{}", loaded.render()),
            Err(problems) => problems,
        };
        let directory = format!("{}/", self.directory.path().display());
        let found: Vec<String> = problems
            .iter()
            .map(|problem| problem.to_string().replace(&directory, ""))
            .collect();
        assert_eq!(found, expect);
    }

    #[track_caller]
    fn warned(&self, expect: &[&str]) {
        let warnings: Vec<String> = self
            .good()
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(warnings, expect);
    }
}

#[track_caller]
fn check(variables: &str, expect: &[&str]) {
    Case::of(variables).bad(expect);
}

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

#[test]
fn values_out_of_bounds_are_named_by_their_variable() {
    check(
        "NODE_COUNT=0",
        &["NODE_COUNT: found \"0\", allowed is 1 to 1000"],
    );
    check(
        "BASE_PORT=abc",
        &["BASE_PORT: found \"abc\", allowed is a port number from 1 to 65535"],
    );
    check(
        "REPRAM_REPLICATION=0",
        &["REPRAM_REPLICATION: found \"0\", allowed is 1 to 1000, or all"],
    );
    check(
        "ON_FAILED=panic",
        &["ON_FAILED: found \"panic\", allowed is slow-retry, exit or keep"],
    );
    check(
        "LIVENESS=maybe",
        &["LIVENESS: found \"maybe\", allowed is on or off (also yes/no, true/false, 1/0)"],
    );
    check(
        "STOP_TIMEOUT=500ms",
        &[
            "STOP_TIMEOUT: found \"500ms\", allowed is a duration from 1s to 1h, such as 200ms, 2s \
           or 5m",
        ],
    );
    check(
        "REPRAM_PEERS=a:1,b",
        &[
            "REPRAM_PEERS: found \"b\" in \"a:1,b\", allowed is host:port, such as \
           peer.example:8081 or [::1]:8081; several (at most 1000) separated by commas",
        ],
    );
}

#[test]
fn flags_and_lines_are_named_too() {
    Case::new()
        .file("\nnode_count = 0\nlog_max_size = \"10 M\"\n")
        .flag("base_port", "abc")
        .bad(&[
            "repram.toml:2: node_count: found 0, allowed is 1 to 1000",
            "--base-port: found \"abc\", allowed is a port number from 1 to 65535",
            "repram.toml:3: log_max_size: found \"10 M\", allowed is a size from 4 KiB to 1 TiB, \
             such as 10 MiB or 100MB",
        ]);
}

#[test]
fn wrong_types_are_all_named() {
    Case::new()
        .file("node_count = \"3\"\nbase_port = 1.5\nenclave = 7\nliveness = 1\n[peers]\na = 1\n")
        .bad(&[
            "repram.toml:1: node_count: found a string, \"3\", allowed is an integer: 1 to 1000",
            "repram.toml:2: base_port: found a float, 1.5, allowed is an integer: a port number \
             from 1 to 65535",
            "repram.toml:5: peers: found a table, allowed is an array of strings or a string: \
             host:port, such as peer.example:8081 or [::1]:8081; several (at most 1000) separated \
             by commas",
            "repram.toml:3: enclave: found an integer, 7, allowed is a string: 1 to 64 of the \
             characters A-Z a-z 0-9 - _ . beginning with a letter or digit",
            "repram.toml:4: liveness: found an integer, 1, allowed is a boolean or a string: on or \
             off (also yes/no, true/false, 1/0)",
        ]);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let case = Case::of("NODE_COUNT=11 BASE_PORT=abc REPRAM_MIN_TTL=60 REPRAM_MAX_TTL=30")
        .variable("LOG_DIR", b"/tmp/\xff")
        .file("node_cuont = 5\nlog_keep = -1\n")
        .flag("on_failed", "explode");
    case.bad(&[
        "repram.toml:1: unknown key \"node_cuont\"; did you mean node_count?",
        "LOG_DIR: found bytes that are not UTF-8, allowed is text in UTF-8",
        "BASE_PORT: found \"abc\", allowed is a port number from 1 to 65535",
        "--on-failed: found \"explode\", allowed is slow-retry, exit or keep",
        "repram.toml:2: log_keep: found -1, allowed is 0 to 1000",
        "REPRAM_MIN_TTL: found \"60\", allowed is at most REPRAM_MAX_TTL (30)",
        "NODE_COUNT: found \"11\", allowed is at most MAX_PORTS (default 10), because every node \
         needs a port of its own",
    ]);
    let text = case.load().unwrap_err().to_string();
    assert!(
        text.starts_with("7 problems with the settings:\n\n  "),
        "{text}"
    );
}

#[test]
fn a_value_that_is_overridden_is_not_judged() {
    let case = Case::of("NODE_COUNT=nonsense")
        .file("node_count = [1]")
        .flag("node_count", "1");
    assert_eq!(case.good().settings.node_count, 1);
}

#[test]
fn a_file_that_is_no_toml_hides_nothing_else() {
    Case::of("NODE_COUNT=0 MAX_PORTS=1")
        .file("base_port = \nmax_ports 10\n")
        .flag("min_ready", "x")
        .bad(&[
            "repram.toml:1:13: not TOML: string values must be quoted, expected literal string",
            "repram.toml:2:11: not TOML: key with no value, expected `=`",
            "NODE_COUNT: found \"0\", allowed is 1 to 1000",
            "--min-ready: found \"x\", allowed is 0 to 1000",
        ]);
    // The file may have said MAX_PORTS=20, so there is no contradiction yet.
    Case::of("NODE_COUNT=20")
        .file("=")
        .bad(&["X"]);
}

#[test]
fn a_file_that_cannot_be_read() {
    let missing = Case {
        file: Some("/nonexistent/repram.toml".into()),
        ..Case::of("NODE_COUNT=0")
    };
    missing.bad(&[
        "--config: found \"/nonexistent/repram.toml\", which could not be read: No such file or \
         directory (os error 2); allowed is a readable TOML file of at most 1 MiB",
        "NODE_COUNT: found \"0\", allowed is 1 to 1000",
    ]);
    check(
        "REPRAM_CONFIG=/",
        &[
            "REPRAM_CONFIG: found \"/\", which could not be read: Is a directory (os error 21); \
           allowed is a readable TOML file of at most 1 MiB",
        ],
    );
    let too_long = Case::new()
        .file(&"#".repeat(1024 * 1024 + 1))
        .load()
        .unwrap_err();
    assert!(too_long.to_string().contains("at most 1 MiB"), "{too_long}");
}

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
fn a_secret_is_shown_nowhere() {
    let case = Case::of("REPRAM_CLUSTER_SECRET=hunter2hunter2hunter2");
    let loaded = case.good();
    let secret = loaded.settings.cluster_secret.as_ref().unwrap();
    assert_eq!(secret.expose(), b"hunter2hunter2hunter2");
    let shown = format!("{loaded:?} {} {}", loaded.render(), loaded.to_json());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        loaded
            .settings
            .to_environment()
            .iter()
            .all(|(_, value)| !value.contains("hunter2"))
    );

    let long = "hunter2".repeat(200);
    check(
        &format!("REPRAM_CLUSTER_SECRET={long}"),
        &["REPRAM_CLUSTER_SECRET: found ******** of 1400 bytes, allowed is 1 to 1024 bytes"],
    );
    Case::new().file("cluster_secret = 5").bad(&[
        "repram.toml:1: cluster_secret: found an integer, allowed is a string: 1 to 1024 bytes",
    ]);
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let case = Case::new();
    let path = case.write("secret", "correct horse battery staple\r\n\n");
    let name = "REPRAM_CLUSTER_SECRET_FILE";
    let case = case.variable(name, path.as_os_str().as_encoded_bytes());
    let loaded = case.good();
    assert_eq!(
        loaded.settings.cluster_secret.as_ref().unwrap().expose(),
        b"correct horse battery staple"
    );
    assert_eq!(
        *loaded.origin("cluster_secret"),
        Origin::Contents(path.clone())
    );

    case.write("secret", "\n");
    let told = case.load().unwrap_err().to_string();
    assert!(
        told.contains("which holds nothing, allowed is a readable file with a secret"),
        "{told}"
    );
    case.write("secret", &"x".repeat(5000));
    assert!(
        case.load()
            .unwrap_err()
            .to_string()
            .contains("which holds more than that")
    );

    std::fs::remove_file(&path).unwrap();
    assert!(
        case.load()
            .unwrap_err()
            .to_string()
            .contains("No such file")
    );
    // A supervised node has the secret from its supervisor.
    let node = case.node().variable("REPRAM_SUPERVISOR_FD", b"6");
    assert_eq!(node.good().settings.cluster_secret, None);
}

#[test]
fn a_secret_has_one_source() {
    check(
        "REPRAM_CLUSTER_SECRET=x REPRAM_CLUSTER_SECRET_FILE=/nonexistent",
        &[
            "REPRAM_CLUSTER_SECRET_FILE: found \"/nonexistent\", allowed is only one of both, and \
           REPRAM_CLUSTER_SECRET is set, too",
        ],
    );
}

#[test]
fn unknown_variables_with_our_prefix_are_warnings() {
    Case::of("REPRAM_ZEBRA=1 REPRAM_PEER=a:1 OTHER_PEER=x REPRAM_EMPTY= REPRAM_SUPERVISOR_FD=3")
        .warned(&[
            "REPRAM_PEER: no such setting; did you mean REPRAM_PEERS?",
            "REPRAM_ZEBRA: no such setting, and none has a similar name",
        ]);
    Case::of("REPRAM_CLUSTER_SECERT=sixteen-bytes-and-more")
        .warned(&["REPRAM_CLUSTER_SECERT: no such setting; did you mean REPRAM_CLUSTER_SECRET?"]);
    Case::of("REPRAM_ZEBRA=1 REPRAM_SUPERVISOR_FD=3")
        .node()
        .warned(&[]);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    Case::of("REPRAM_NODE_ID=me")
        .warned(&["REPRAM_NODE_ID: has no effect, because the supervisor sets it for each node"]);
    Case::of("REPRAM_NODE_ID=me").node().warned(&[]);
    Case::of("REPRAM_CLUSTER_SECRET=short").warned(&[
        "REPRAM_CLUSTER_SECRET: a secret of 5 bytes can be found by trying; use at least 16 random \
         bytes",
    ]);
}

#[test]
fn columns_are_aligned() {
    let loaded = Case::of("REPRAM_REPLICATION=all NODE_COUNT=5")
        .variable("NODE_COMMAND", "a\nb".as_bytes())
        .flag("base_port", "9000")
        .good();
    let text = loaded.render();
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    let words = |name: &str| {
        line(name)
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words("SETTING"), ["SETTING", "VALUE", "ORIGIN"]);
    assert_eq!(words("NODE_COUNT"), ["NODE_COUNT", "5", "environment"]);
    assert_eq!(words("MIN_READY"), ["MIN_READY", "4", "default"]);
    assert_eq!(
        words("NODE_COMMAND"),
        ["NODE_COMMAND", "a\\nb", "environment"]
    );
    assert_eq!(words("BASE_PORT"), ["BASE_PORT", "9000", "--base-port"]);
    assert_eq!(words("ADMIN_ADDR"), ["ADMIN_ADDR", "-", "default"]);
    assert!(
        line("REPLICATION_FACTOR").ends_with("  environment, REPRAM_REPLICATION"),
        "{text}"
    );
    let column = line("SETTING").find("ORIGIN").unwrap();
    assert!(
        line("NODE_COUNT")[column..].starts_with("environment"),
        "{text}"
    );

    let json = loaded.to_json();
    let settings = json["settings"].as_array().unwrap();
    assert_eq!(settings.len(), repram_config::declarations().len());
    assert_eq!(settings[0]["key"], "node_count");
    assert_eq!(settings[0]["value"], "5");
    assert_eq!(settings[0]["layer"], "environment");
}

#[test]
fn a_caller_reports_with_the_users_words() {
    let found = "\"/nope\", which could not be written";
    let problem = |case: Case| {
        case.good()
            .problem("log_dir", found, "a directory, or off")
            .to_string()
    };
    let rest = "found \"/nope\", which could not be written, allowed is a directory, or off";
    assert_eq!(
        problem(Case::of("LOG_DIR=/nope")),
        format!("LOG_DIR: {rest}")
    );
    assert_eq!(
        problem(Case::new().flag("log_dir", "/nope")),
        format!("--log-dir: {rest}")
    );
    assert_eq!(problem(Case::new()), format!("LOG_DIR (default): {rest}"));
    let problems = Problems::from(Case::new().good().problem("log_dir", found, "x"));
    assert!(
        problems
            .to_string()
            .starts_with("1 problem with the settings:")
    );
    let _: &Problem = problems.iter().next().unwrap();
}
