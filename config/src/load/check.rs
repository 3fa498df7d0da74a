//! Settings that are good by themselves and contradict each other.
//!
//! A contradiction is reported at a setting that somebody set, and names the
//! other with its value and origin. It is judged only when both values are
//! known: a value that has a problem of its own contradicts nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use crate::declaration::{Declaration, declaration};
use crate::environment::Role;
use crate::origin::{Origin, Origins};
use crate::problem::{Place, Problem, quoted};
use crate::settings::Draft;
use crate::value::{ClaimScope, LogDir, Probe, Span};

/// Why HTTP and gossip ports must not overlap.
const NO_OVERLAP: &str = ", or the HTTP and the gossip ports would overlap";

/// All contradictions, in a stable order.
pub(super) fn contradictions(role: Role, draft: &Draft, origins: &Origins) -> Vec<Problem> {
    let mut check = Check {
        draft,
        origins,
        problems: Vec::new(),
    };
    check.ranges();
    check.own_ports();
    check.public_ports();
    check.reach();
    check.lifetimes();
    check.secrets();
    match role {
        Role::Supervisor => check.fleet(),
        // One node neither counts nodes nor hands out sockets.
        Role::Node => {}
    }
    check.problems
}

struct Check<'a> {
    draft: &'a Draft,
    origins: &'a Origins,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// What concerns the whole fleet.
    fn fleet(&mut self) {
        let draft = self.draft;
        let no_more_ports = ", because every node needs a port of its own";
        self.at_most(
            ("node_count", draft.node_count),
            ("max_ports", draft.max_ports),
            no_more_ports,
        );
        self.at_most(
            ("min_ready", draft.min_ready),
            ("node_count", draft.node_count),
            "",
        );
        self.at_most(
            ("restart_delay", draft.restart_delay),
            ("restart_delay_max", draft.restart_delay_max),
            "",
        );
        self.start_time();
        self.startup_probe();
        self.handed_sockets();
        self.connections();
        self.shared_ports();
        self.log_directory();
    }

    /// Files can be made in LOG_DIR, or it can be made itself. Only looks.
    fn log_directory(&mut self) {
        let Some(LogDir::Path(path)) = &self.draft.log_dir else {
            return;
        };
        let exists = |path: &&Path| path.as_os_str().is_empty() || path.exists();
        // What is missing is made, below the nearest folder that is there.
        let there = path.ancestors().find(exists).unwrap_or(Path::new("."));
        let there = match there.as_os_str().is_empty() {
            true => Path::new("."),
            false => there,
        };
        let usable = there.is_dir() && access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
        if !usable {
            let allowed = "a folder that can be written or made, or `off`".to_owned();
            self.refuse("log_dir", allowed);
        }
    }

    /// The range of HTTP ports and the one of gossip ports.
    fn ranges(&mut self) {
        let draft = self.draft;
        let (Some(base), Some(count), Some(offset)) =
            (draft.base_port, draft.max_ports, draft.gossip_port_offset)
        else {
            return;
        };
        self.at_most(
            ("max_ports", Some(count)),
            ("gossip_port_offset", Some(offset)),
            NO_OVERLAP,
        );
        let last = u32::from(base) + u32::from(offset) + u32::from(count) - 1;
        let excess = last.saturating_sub(u32::from(u16::MAX));
        if excess == 0 {
            return;
        }
        let parts = [
            ("base_port", base),
            ("gossip_port_offset", offset),
            ("max_ports", count),
        ];
        let lowered = |value: u16| {
            u32::from(value)
                .checked_sub(excess)
                .filter(|value| *value > 0)
        };
        let set = || parts.iter().filter(|(key, _)| self.origins.is_set(key));
        let (key, value) = set()
            .find(|(_, value)| lowered(*value).is_some())
            .or_else(|| set().next())
            .copied()
            .unwrap_or(parts[0]);
        let allowed = lowered(value).map_or("less".to_owned(), |value| format!("at most {value}"));
        let because = "because the last gossip port, \
                       BASE_PORT + GOSSIP_PORT_OFFSET + MAX_PORTS - 1, would be";
        self.refuse(
            key,
            format!("{allowed}, {because} {last} and ports end at 65535"),
        );
    }

    /// The fixed ports of one node.
    fn own_ports(&mut self) {
        let (http, gossip) = (
            self.draft.http_port.flatten(),
            self.draft.gossip_port.flatten(),
        );
        if http.is_some() && http == gossip {
            let other = self.named("http_port");
            self.refuse("gossip_port", format!("another port than that of {other}"));
        }
    }

    /// A port has one public port, and a public port leads to one port.
    fn public_ports(&mut self) {
        let Some(ports) = &self.draft.advertise_ports else {
            return;
        };
        let (mut containers, mut publics) = (BTreeSet::new(), BTreeSet::new());
        let twice = ports
            .iter()
            .find(|pair| !containers.insert(pair.container) || !publics.insert(pair.public));
        if let Some(twice) = twice {
            let allowed = format!("each port once on each side, and {twice} repeats one");
            self.refuse("advertise_ports", allowed);
        }
    }

    /// Other hosts must reach what claims a port for all of them.
    fn reach(&mut self) {
        let Some(bind) = self.draft.bind_address else {
            return;
        };
        if self.over_domain() && bind.to_canonical().is_loopback() {
            let bind = self.named("bind_address");
            let why = "because other hosts do not reach a loopback address";
            self.refuse("claim_scope", format!("host beside {bind}, {why}"));
        }
    }

    /// The bounds of a time to live, and what lies between them.
    fn lifetimes(&mut self) {
        let draft = self.draft;
        let (min, max) = (("min_ttl", draft.min_ttl), ("max_ttl", draft.max_ttl));
        self.at_most(min, max, "");
        // Unset, it adapts to the bounds.
        if self.origins.is_set("default_ttl") {
            let default = ("default_ttl", draft.default_ttl);
            self.at_most(min, default, "");
            self.at_most(default, max, "");
        }
    }

    /// A secret has one source.
    fn secrets(&mut self) {
        let draft = self.draft;
        let pairs = [
            (
                ("cluster_secret", &draft.cluster_secret),
                ("cluster_secret_file", &draft.cluster_secret_file),
            ),
            (
                ("admin_token", &draft.admin_token),
                ("admin_token_file", &draft.admin_token_file),
            ),
        ];
        for ((key, secret), (file_key, file)) in pairs {
            if let (Some(Some(_)), Some(Some(_))) = (secret, file) {
                let secret = self.place(key);
                self.refuse(
                    file_key,
                    format!("only one of both, and {secret} is set, too"),
                );
            }
        }
    }

    /// What needs sockets that the supervisor holds and hands out.
    fn handed_sockets(&mut self) {
        if self.draft.node_sockets != Some(false) {
            return;
        }
        let sockets = self.named("node_sockets");
        if self.over_domain() {
            let why = "because a claim over a domain needs sockets that the supervisor holds";
            self.refuse("claim_scope", format!("host beside {sockets}, {why}"));
        }
        if self.draft.ingress_port.flatten().is_some() {
            let why = "because the shared port is handed to nodes as a socket";
            self.refuse("ingress_port", format!("nothing beside {sockets}, {why}"));
        }
    }

    /// A node must not be ended before its probes could have said that it is ready.
    fn start_time(&mut self) {
        let (Some(allowance), Some(limit)) =
            (self.draft.start_allowance(), self.draft.start_timeout)
        else {
            return;
        };
        // Unset, it adapts to the probes, as far as a start may take at all.
        if allowance < limit || (allowance == limit && !self.origins.is_set("start_timeout")) {
            return;
        }
        let need = Span::text(allowance);
        if self.origins.is_set("start_timeout") {
            let allowed = format!("more than the {need} that the probes of a start may take");
            return self.refuse("start_timeout", allowed);
        }
        let keys = [
            "startup_failure_threshold",
            "startup_period",
            "readiness_success_threshold",
            "readiness_period",
        ];
        if let Some(key) = keys.into_iter().find(|key| self.origins.is_set(key)) {
            let limit = Span::text(limit);
            let allowed = format!(
                "less, because the probes of a start may take {need}, and a start at most {limit}"
            );
            self.refuse(key, allowed);
        }
    }

    /// Settings of a startup probe without a startup probe were meant for something.
    fn startup_probe(&mut self) {
        if self.origins.is_set("startup_probe") {
            return;
        }
        let keys = [
            "startup_initial_delay",
            "startup_period",
            "startup_timeout",
            "startup_failure_threshold",
        ];
        for key in keys.into_iter().filter(|key| self.origins.is_set(key)) {
            let probe = self.named("startup_probe");
            self.refuse(key, format!("nothing without a probe: {probe}"));
        }
    }

    /// A connection to a socket that the supervisor itself listens on always comes about.
    fn connections(&mut self) {
        if self.draft.node_sockets != Some(true) {
            return;
        }
        let draft = self.draft;
        let probes = [
            ("startup_probe", draft.startup_probe.as_ref()),
            (
                "readiness_probe",
                draft.readiness_probe.as_ref().and_then(Option::as_ref),
            ),
            (
                "liveness_probe",
                draft.liveness_probe.as_ref().and_then(Option::as_ref),
            ),
        ];
        for (key, probe) in probes {
            if let Some(Probe::Tcp { .. }) = probe {
                let sockets = self.named("node_sockets");
                let why = "because the supervisor listens on the ports itself, and a connection \
                           would say nothing of the program";
                self.refuse(key, format!("http or off beside {sockets}, {why}"));
            }
        }
    }

    /// Ports of the supervisor's own beside those of the nodes.
    fn shared_ports(&mut self) {
        let ingress = self.draft.ingress_port.flatten();
        if let Some(range) = ingress.and_then(|port| self.range_with(port)) {
            self.refuse("ingress_port", format!("a port outside of {range}"));
        }
        let Some(admin) = self.draft.admin_addr.flatten() else {
            return;
        };
        if !self
            .draft
            .bind_address
            .is_some_and(|bind| overlap(bind, admin.ip()))
        {
            return;
        }
        if let Some(range) = self.range_with(admin.port()) {
            self.refuse("admin_addr", format!("a port outside of {range}"));
        } else if ingress == Some(admin.port()) {
            let ingress = self.named("ingress_port");
            self.refuse("admin_addr", format!("another port than that of {ingress}"));
        }
    }

    fn over_domain(&self) -> bool {
        self.draft.claim_scope == Some(ClaimScope::Domain)
    }

    /// The range of the nodes' ports that holds this port, in words.
    fn range_with(&self, port: u16) -> Option<String> {
        let base = u32::from(self.draft.base_port?);
        let count = u32::from(self.draft.max_ports?);
        let offset = u32::from(self.draft.gossip_port_offset?);
        let range = |first: u32| first..=first + count - 1;
        let words = |what: &str, range: RangeInclusive<u32>| {
            format!(
                "the nodes' {what} ports {} to {}",
                range.start(),
                range.end()
            )
        };
        [("HTTP", range(base)), ("gossip", range(base + offset))]
            .into_iter()
            .find(|(_, range)| range.contains(&u32::from(port)))
            .map(|(what, range)| words(what, range))
    }

    /// Reports that one value is above another; `why` follows the other.
    fn at_most<T: PartialOrd>(
        &mut self,
        (low_key, low): (&'static str, Option<T>),
        (high_key, high): (&'static str, Option<T>),
        why: &str,
    ) {
        let (Some(low), Some(high)) = (low, high) else {
            return;
        };
        if low <= high {
            return;
        }
        if self.origins.is_set(low_key) || !self.origins.is_set(high_key) {
            let high = self.named(high_key);
            self.refuse(low_key, format!("at most {high}{why}"));
        } else {
            let low = self.named(low_key);
            self.refuse(high_key, format!("at least {low}{why}"));
        }
    }

    fn refuse(&mut self, key: &str, allowed: String) {
        let place = self.place(key);
        let text = self.draft.text(key).unwrap_or_default();
        let found = match self.origins.get(key) {
            Origin::Variable(_) | Origin::Flag(_) => quoted(&text),
            Origin::Default | Origin::File { .. } | Origin::Contents(_) | Origin::Platform(_) => {
                text
            }
        };
        self.problems.push(Problem::Value {
            place,
            found,
            allowed,
        });
    }

    fn place(&self, key: &str) -> Place {
        Place::new(declared(key), self.origins.get(key).clone())
    }

    /// The other setting of a contradiction, with its value.
    fn named(&self, key: &str) -> String {
        let variable = declared(key).variable();
        let text = self.draft.text(key).unwrap_or_default();
        match self.origins.get(key) {
            Origin::Default => format!("{variable} (default {text})"),
            Origin::Variable(name) => format!("{name} ({text})"),
            origin @ (Origin::File { .. }
            | Origin::Flag(_)
            | Origin::Contents(_)
            | Origin::Platform(_)) => {
                format!("{variable} ({text}, {origin})")
            }
        }
    }
}

fn declared(key: &str) -> &'static Declaration {
    declaration(key).expect("checks name declared settings")
}

/// Whether sockets on both addresses compete for ports.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    // Beside 127.0.0.1 the supervisor keeps the port on ::1, too.
    let both_localhost = is_localhost(one) && is_localhost(other);
    one.is_unspecified() || other.is_unspecified() || one == other || both_localhost
}

fn is_localhost(ip: IpAddr) -> bool {
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}
