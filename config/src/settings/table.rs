//! The table of settings.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::declare::{Difference, Read, settings};
use crate::declaration::DefaultValue::{Computed, Derived, Text as Fixed, Unset};
use crate::declaration::Effect::{Effective, PerNode};
use crate::declaration::Reload::{Never, NewStart, Nodes, Now, Scale};
use crate::declaration::{Declaration, Section};
use crate::environment::Role;
use crate::value::{
    Address, Advertised, AdvertisedPort, Choice, ClaimScope, Copies, FilePath, Hidden, Host,
    Identity, Kind, List, LogDir, LogDirectory, LogFormat, LogLevel, LogStdout, Name, OnFailed,
    Optional, Peer, PeerAddress, Port, Probe, ProbeText, ReplicationFactor, Secret, Size, Socket,
    Span, Switch, Text, Token, Url, Whole,
};

/// The most nodes of one fleet.
pub const NODE_COUNT_MAX: u16 = 256;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const TIB: u64 = 1024 * 1024 * MIB;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Nothing that the fleet waits for may take longer than a day.
const DAY: Duration = secs(86_400);
const HOUR: Duration = secs(3600);

/// Ten years of 365 days: long enough for any value that is meant to end.
const TTL_MAX_S: u64 = 315_360_000;

settings! {
    section Fleet {
        /// How many node processes run.
        // A node is told of all its siblings in one message of 64 KiB, which has room for
        // so many with the longest names.
        node_count: u16 =
            Fixed("3"), Whole::<u16>::new(1, NODE_COUNT_MAX), ["NODE_COUNT"], Effective, Scale;

        /// What runs as a node. It is split at blanks and executed directly, or given to
        /// `/bin/sh -c` when it contains characters that only a shell understands.
        node_command: Option<String> =
            Unset("the `repram-node` beside the supervisor"),
            Optional(Text { what: "a command line" }), ["NODE_COMMAND"], Effective, Nodes;

        /// Whether a node gets its sockets from the supervisor. `off` is for programs that bind
        /// their ports themselves.
        node_sockets: bool =
            Fixed("on"), Switch::OnOff, ["NODE_SOCKETS"], Effective, NewStart;

        /// Pause between the starts of two nodes.
        start_stagger: Duration =
            Fixed("200ms"), Span::new(secs(0), HOUR), ["START_STAGGER"], Effective, Now;

        /// Ready nodes that the supervisor's own actions always leave standing.
        min_ready: u16 =
            Derived("NODE_COUNT - 1", |draft| {
                Some(draft.node_count?.saturating_sub(1).to_string())
            }),
            Whole::<u16>::new(0, NODE_COUNT_MAX), ["MIN_READY"], Effective, Now;

        /// Where identities, generations and the control socket live. It belongs to one
        /// supervisor.
        state_dir: PathBuf =
            Computed("/tmp/repram-UID", |environment| format!("/tmp/repram-{}", environment.uid)),
            FilePath, ["STATE_DIR"], Effective, NewStart;
    }

    section Ports {
        /// The first HTTP port of the range.
        base_port: u16 =
            Fixed("8081"), Port, ["BASE_PORT"], Effective, NewStart;

        /// How many HTTP ports the range has.
        max_ports: u16 =
            Fixed("10"), Whole::<u16>::new(1, 10_000), ["MAX_PORTS"], Effective, NewStart;

        /// A node's gossip port (TCP and UDP) is its HTTP port plus this.
        gossip_port_offset: u16 =
            Fixed("1000"), Whole::<u16>::new(1, 65_534), ["GOSSIP_PORT_OFFSET"], Effective, NewStart;

        /// The address on which nodes listen. `::` is every address, IPv4 included.
        bind_address: IpAddr =
            Computed("`::` as process 1 of a container, else 127.0.0.1", |environment| {
                if environment.pid1 { "::" } else { "127.0.0.1" }.to_owned()
            }),
            Address, ["BIND_ADDRESS"], Effective, NewStart;

        /// One port in front of all nodes: whichever is ready takes a connection.
        ingress_port: Option<u16> =
            Unset("unset (no shared port)"), Optional(Port), ["INGRESS_PORT"], Effective, NewStart;

        /// The HTTP port of a node that runs on its own.
        http_port: Option<u16> =
            Unset("unset (8080, or with USE_AUTO_DISCOVERY a free port of the range)"), Optional(Port),
            ["REPRAM_HTTP_PORT"], PerNode, Never;

        /// The gossip port of a node that runs on its own.
        gossip_port: Option<u16> =
            Unset("unset (the HTTP port + GOSSIP_PORT_OFFSET)"), Optional(Port),
            ["REPRAM_GOSSIP_PORT"], PerNode, Never;

        /// Whether a node that was given no ports claims a free pair of the range itself.
        use_auto_discovery: bool =
            Computed("true under the supervisor, else false", |environment| {
                (environment.role == Role::Supervisor).to_string()
            }),
            Switch::TrueFalse, ["USE_AUTO_DISCOVERY"], Effective, Nodes;
    }

    section Discovery {
        /// The name or address behind which all nodes are found.
        discovery_domain: String =
            Fixed("localhost"), Host, ["DISCOVERY_DOMAIN"], Effective, NewStart;

        /// How far a port is unique: `host` is one network namespace, `domain` all hosts behind
        /// DISCOVERY_DOMAIN.
        claim_scope: ClaimScope =
            Fixed("host"), Choice::new(ClaimScope::WORDS), ["CLAIM_SCOPE"],
            Effective, NewStart;

        /// How long a claim over a domain stays tentative. All hosts of a domain should have the
        /// same, longer than the longest delay between them.
        claim_settle: Duration =
            Fixed("2s"), Span::new(ms(100), HOUR), ["CLAIM_SETTLE"], Effective, NewStart;

        /// How often a settled claim over a domain is repeated; also the time in which a change
        /// of the domain's addresses is seen.
        claim_refresh: Duration =
            Fixed("5s"), Span::new(ms(100), HOUR), ["CLAIM_REFRESH"], Effective, NewStart;

        /// How long a node may take to leave a port that it lost over a domain.
        move_timeout: Duration =
            Fixed("30s"), Span::new(secs(1), HOUR), ["MOVE_TIMEOUT"], Effective, NewStart;

        /// The address that a node tells its peers.
        node_address: Option<String> =
            Unset("`localhost` where the domain is this machine; on Flux what FLUX_HOSTINFO_URL \
                   says, else FLUX_NODE_HOST_IP, else the address that peers see; else the \
                   local address of the route to the first peer"),
            Optional(Host), ["NODE_ADDRESS", "REPRAM_ADDRESS"], Effective, Nodes;

        /// Ports that the outside reaches under another number, as pairs `container:public`.
        /// All instances behind one name, or of one app, have the same list.
        advertise_ports: Vec<AdvertisedPort> =
            Unset("unset (ports are the same outside)"), List(Advertised), ["ADVERTISE_PORTS"],
            Effective, Nodes;

        /// Static seeds: where other nodes answer HTTP. Joined with REPRAM_PEERS.
        bootstrap_peers: Vec<PeerAddress> =
            Unset("empty"), List(Peer), ["REPRAM_BOOTSTRAP_PEERS"], Effective, Nodes;

        /// Static seeds: where other nodes answer HTTP. Joined with REPRAM_BOOTSTRAP_PEERS.
        peers: Vec<PeerAddress> =
            Unset("empty"), List(Peer), ["REPRAM_PEERS"], Effective, Nodes;

        /// The name of the app on Flux, whose other instances are peers. Flux sets it.
        flux_app_name: Option<String> =
            Unset("unset (this is not Flux)"), Optional(Text { what: "the name of an app" }),
            ["FLUX_APP_NAME"], Effective, Nodes;

        /// The public address of this host when Flux made the container. Flux sets it, and it
        /// may not be true any more, so it counts as long as FLUX_HOSTINFO_URL says nothing.
        flux_node_host_ip: Option<String> =
            Unset("unset"), Optional(Text { what: "an IP address" }),
            ["FLUX_NODE_HOST_IP"], Effective, Nodes;

        /// Where Flux tells a container about its host, the public address among it.
        flux_hostinfo_url: String =
            Fixed("http://fluxnode.service:16101/hostinfo"), Url,
            ["FLUX_HOSTINFO_URL"], Effective, Nodes;

        /// Where Flux tells on which hosts the instances of an app run. The name of the app is
        /// put behind it.
        flux_location_url: String =
            Fixed("https://api.runonflux.io/apps/location/"), Url,
            ["FLUX_LOCATION_URL"], Effective, Nodes;

        /// How often FLUX_LOCATION_URL is asked for the other instances.
        flux_peers_refresh: Duration =
            Fixed("60s"), Span::new(ms(100), DAY), ["FLUX_PEERS_REFRESH"], Effective, Nodes;

        /// How often FLUX_HOSTINFO_URL is asked for our own address.
        flux_address_refresh: Duration =
            Fixed("5m"), Span::new(ms(100), DAY), ["FLUX_ADDRESS_REFRESH"], Effective, Nodes;
    }

    section Identity {
        /// The name of a node, for people.
        node_id: Option<String> =
            Unset("`flux-node-N` under the supervisor"), Optional(Name), ["REPRAM_NODE_ID"],
            PerNode, Never;

        /// The identity of a node. It survives restarts, of which its generation keeps count.
        node_uuid: Option<Uuid> =
            Unset("made once and kept in STATE_DIR"), Optional(Identity), ["REPRAM_NODE_UUID"],
            PerNode, Never;

        /// The group of nodes that share their data.
        enclave: String =
            Fixed("default"), Name, ["REPRAM_ENCLAVE"], Effective, Nodes;

        /// The gossip network. Networks with different names do not meet.
        network: String =
            Fixed("public"), Name, ["REPRAM_NETWORK"], Effective, Nodes;
    }

    section Data {
        /// How many nodes keep a value; `all` keeps it on every node.
        replication_factor: ReplicationFactor =
            Fixed("3"), Copies, ["REPLICATION_FACTOR", "REPRAM_REPLICATION"], Effective, Nodes;

        /// The shortest time to live. A shorter one is raised to it.
        min_ttl: Duration =
            Fixed("300"), Span::seconds(1, TTL_MAX_S), ["REPRAM_MIN_TTL"], Effective, Nodes;

        /// The longest time to live. A longer one is lowered to it.
        max_ttl: Duration =
            Fixed("86400"), Span::seconds(1, TTL_MAX_S), ["REPRAM_MAX_TTL"], Effective, Nodes;

        /// The time to live of a value that is written without one.
        default_ttl: Duration =
            Derived("3600, or the nearest between REPRAM_MIN_TTL and REPRAM_MAX_TTL", |draft| {
                let (min, max) = (draft.min_ttl?.as_secs(), draft.max_ttl?.as_secs());
                Some(3600.max(min).min(max).to_string())
            }),
            Span::seconds(1, TTL_MAX_S), ["REPRAM_DEFAULT_TTL"], Effective, Nodes;

        /// How long a write waits for its quorum before it is answered with 202.
        write_timeout: Duration =
            Fixed("5s"), Span::new(ms(10), HOUR), ["REPRAM_WRITE_TIMEOUT"], Effective, Nodes;

        /// How long a member that cannot be reached still counts.
        down_forget: Duration =
            Fixed("60s"), Span::new(secs(1), DAY), ["DOWN_FORGET"], Effective, Nodes;

        /// How many MiB a node keeps, overhead included, before it answers 507. 0 is half of what
        /// the container's memory limit leaves (without a limit, a quarter of the machine's
        /// memory), divided by NODE_COUNT.
        max_storage_mb: u64 =
            Fixed("0"), Whole::<u64>::new(0, 16 * 1024 * 1024), ["REPRAM_MAX_STORAGE_MB"],
            Effective, Nodes;

        /// Data requests per second and client address. 0 is no limit.
        rate_limit: u32 =
            Fixed("0"), Whole::<u32>::new(0, 1_000_000), ["REPRAM_RATE_LIMIT"], Effective, Nodes;

        /// Whether the client's address is taken from `X-Forwarded-For`. Only behind a proxy that
        /// sets it.
        trust_proxy: bool =
            Fixed("false"), Switch::TrueFalse, ["REPRAM_TRUST_PROXY"], Effective, Nodes;
    }

    section Security {
        /// The secret of the gossip network. Better in a file, because an environment is seen by
        /// too many.
        cluster_secret: Option<Secret> =
            Unset("made once per user where the domain is this machine and nothing else is a \
                   source of peers; else the network is open"),
            Optional(Hidden), ["REPRAM_CLUSTER_SECRET"], Effective, Nodes;

        /// The file that holds the secret of the gossip network. Line ends at its end do not
        /// count.
        cluster_secret_file: Option<PathBuf> =
            Unset("unset"), Optional(FilePath), ["REPRAM_CLUSTER_SECRET_FILE"], Effective, Now;

        /// The secret before a rotation: it is still believed, and no longer used for signing.
        cluster_secret_previous: Option<Secret> =
            Unset("unset"), Optional(Hidden), ["REPRAM_CLUSTER_SECRET_PREVIOUS"], Effective, Nodes;
    }

    section Health {
        /// What a program that does not notify is asked first of all, until it succeeds once:
        /// for programs that take long to start.
        startup_probe: Probe =
            Fixed("off"), ProbeText, ["STARTUP_PROBE"], Effective, Now;

        /// From the start of a process until its first startup probe.
        startup_initial_delay: Duration =
            Fixed("0s"), Span::new(secs(0), HOUR), ["STARTUP_INITIAL_DELAY"], Effective, Now;

        /// Time between two startup probes.
        startup_period: Duration =
            Fixed("10s"), Span::new(ms(100), HOUR), ["STARTUP_PERIOD"], Effective, Now;

        /// How long one startup probe waits for its answer.
        startup_timeout: Duration =
            Fixed("1s"), Span::new(ms(10), HOUR), ["STARTUP_TIMEOUT"], Effective, Now;

        /// How many startup probes must fail, one after the other, to end the node.
        startup_failure_threshold: u32 =
            Fixed("3"), Whole::<u32>::new(1, 1000), ["STARTUP_FAILURE_THRESHOLD"], Effective, Now;

        /// What a program that does not notify is asked to learn whether it is ready. `off`
        /// makes it ready as soon as it has started.
        readiness_probe: Option<Probe> =
            Unset("`http:/health`, where every status below 500 is success"),
            Optional(ProbeText), ["READINESS_PROBE"], Effective, Now;

        /// From the start of a process, or the success of its startup probe, until its first
        /// readiness probe.
        readiness_initial_delay: Duration =
            Fixed("0s"), Span::new(secs(0), HOUR), ["READINESS_INITIAL_DELAY"], Effective, Now;

        /// Time between two readiness probes. Until the first success they follow each other
        /// faster.
        readiness_period: Duration =
            Fixed("10s"), Span::new(ms(100), HOUR), ["READINESS_PERIOD"], Effective, Now;

        /// How long one readiness probe waits for its answer.
        readiness_timeout: Duration =
            Fixed("1s"), Span::new(ms(10), HOUR), ["READINESS_TIMEOUT"], Effective, Now;

        /// How many readiness probes must succeed, one after the other, to make a node ready.
        readiness_success_threshold: u32 =
            Fixed("1"), Whole::<u32>::new(1, 1000), ["READINESS_SUCCESS_THRESHOLD"], Effective, Now;

        /// How many readiness probes must fail, one after the other, to make a node unready.
        readiness_failure_threshold: u32 =
            Fixed("3"), Whole::<u32>::new(1, 1000), ["READINESS_FAILURE_THRESHOLD"], Effective, Now;

        /// How long a node may take until it is ready.
        start_timeout: Duration =
            Derived("60s, and what the startup probe and the first readiness probes may take",
                |draft| {
                    let whole = secs(60).saturating_add(draft.start_allowance()?).min(DAY);
                    Some(format!("{}ms", whole.as_millis()))
                }),
            Span::new(ms(100), DAY), ["START_TIMEOUT"], Effective, Now;

        /// Whether a node that no longer shows life is killed.
        liveness: bool =
            Fixed("on"), Switch::OnOff, ["LIVENESS"], Effective, Now;

        /// What a program that was ready once and does not notify is asked to learn whether it
        /// lives. `off` leaves the watchdog to those that notify, and asks nobody.
        liveness_probe: Option<Probe> =
            Unset("`http:/live`, where every answer in HTTP is success"),
            Optional(ProbeText), ["LIVENESS_PROBE"], Effective, Now;

        /// From the time a process is ready for the first time until its first liveness probe.
        liveness_initial_delay: Duration =
            Fixed("0s"), Span::new(secs(0), HOUR), ["LIVENESS_INITIAL_DELAY"], Effective, Now;

        /// How often a node shows life.
        liveness_period: Duration =
            Fixed("10s"), Span::new(ms(100), HOUR), ["LIVENESS_PERIOD"], Effective, Now;

        /// How long one liveness probe waits for its answer.
        liveness_timeout: Duration =
            Fixed("1s"), Span::new(ms(10), HOUR), ["LIVENESS_TIMEOUT"], Effective, Now;

        /// How many periods without life, one after the other, end a node.
        liveness_failures: u32 =
            Fixed("3"), Whole::<u32>::new(1, 1000),
            ["LIVENESS_FAILURES", "LIVENESS_FAILURE_THRESHOLD"], Effective, Now;

        /// The pause before the second restart of a node. The first restart is immediate; every
        /// further pause is twice as long.
        restart_delay: Duration =
            Fixed("100ms"), Span::new(ms(1), HOUR), ["RESTART_DELAY"], Effective, Now;

        /// The longest pause before a restart.
        restart_delay_max: Duration =
            Fixed("30s"), Span::new(ms(1), DAY), ["RESTART_DELAY_MAX"], Effective, Now;

        /// How long a node must be ready until its earlier failures are forgotten.
        restart_stable: Duration =
            Fixed("5s"), Span::new(ms(1), DAY), ["RESTART_STABLE"], Effective, Now;

        /// How many failures without being forgotten make a node `failed`.
        restart_budget: u32 =
            Fixed("10"), Whole::<u32>::new(1, 1_000_000), ["RESTART_BUDGET"], Effective, Now;

        /// What happens when nodes have failed: try again slowly for ever, exit when fewer than
        /// MIN_READY can still run, or stay as it is.
        on_failed: OnFailed =
            Fixed("slow-retry"), Choice::new(OnFailed::WORDS), ["ON_FAILED"], Effective, Now;

        /// How long a whole stop may take. One second before its end what is left is killed.
        stop_timeout: Duration =
            Fixed("8s"), Span::new(secs(1), HOUR), ["STOP_TIMEOUT"], Effective, Now;

        /// How long a restarted node must stay ready before a rolling restart goes on.
        rolling_soak: Duration =
            Fixed("1s"), Span::new(secs(0), HOUR), ["ROLLING_SOAK"], Effective, Now;
    }

    section Logs {
        /// The least severe events that a node writes.
        log_level: LogLevel =
            Fixed("info"), Choice::new(LogLevel::WORDS), ["REPRAM_LOG_LEVEL"], Effective, Nodes;

        /// Where the output of the nodes is kept, as `flux-node-N.log`. `off` keeps none.
        log_dir: LogDir =
            Fixed("/tmp"), LogDirectory, ["LOG_DIR"], Effective, NewStart;

        /// What the supervisor's standard output shows: nodes and events, events, or nothing.
        log_stdout: LogStdout =
            Fixed("all"), Choice::new(LogStdout::WORDS), ["LOG_STDOUT"], Effective, Now;

        /// How the supervisor's output is written: for people, or one JSON object per line.
        log_format: LogFormat =
            Fixed("text"), Choice::new(LogFormat::WORDS), ["LOG_FORMAT"], Effective, NewStart;

        /// The size at which a node's file is rotated.
        log_max_size: u64 =
            Fixed("10 MiB"), Size::new(4 * KIB, TIB), ["LOG_MAX_SIZE"], Effective, Now;

        /// The age at which a node's file is rotated, counted from its first line: the first
        /// line after it begins a new file. 0 rotates by size only.
        log_max_age: Duration =
            Fixed("0s"), Span::new(secs(0), secs(366 * 86_400)), ["LOG_MAX_AGE"], Effective, Now;

        /// How many rotated files of a node are kept.
        log_keep: u32 =
            Fixed("5"), Whole::<u32>::new(0, 1000), ["LOG_KEEP"], Effective, Now;

        /// How much all files together may hold.
        log_total: u64 =
            Fixed("100 MiB"), Size::new(4 * KIB, TIB), ["LOG_TOTAL"], Effective, Now;

        /// The longest line. The rest of a longer one is cut off, with a mark.
        log_max_line: u64 =
            Fixed("64 KiB"), Size::new(256, 16 * MIB), ["LOG_MAX_LINE"], Effective, Now;
    }

    section Control {
        /// A network address for the control API, beside its socket in STATE_DIR.
        /// Reading needs no token: choose one that only those reach who may read. Without a
        /// token nothing can be changed there.
        admin_addr: Option<SocketAddr> =
            Unset("unset (only the socket in STATE_DIR)"), Optional(Socket), ["ADMIN_ADDR"],
            Effective, NewStart;

        /// What a request at ADMIN_ADDR must show to change something, as `Authorization:
        /// Bearer`. Better in a file, because an environment is seen by too many.
        admin_token: Option<Secret> =
            Unset("unset (ADMIN_ADDR is read-only)"), Optional(Token), ["ADMIN_TOKEN"],
            Effective, Now;

        /// The file that holds the token of ADMIN_ADDR. Line ends at its end do not count.
        admin_token_file: Option<PathBuf> =
            Unset("unset"), Optional(FilePath), ["ADMIN_TOKEN_FILE"], Effective, Now;
    }
}
