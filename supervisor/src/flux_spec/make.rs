//! A specification for the settings at hand.

use repram_config::{Loaded, declarations};
use serde_json::{Value, json};

use super::rules::{self, PORTS_MAX, VERSION};

/// What the settings do not say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The name of the app.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The ID of its owner.
    pub owner: String,
    /// The image, with its version.
    pub image: String,
    /// Hosts that run it.
    pub instances: u64,
    /// Blocks of half a minute that it is to run.
    pub expire: u64,
    /// Cores per instance.
    pub cpu: f64,
    /// Megabytes per instance.
    pub ram: u64,
    /// Gigabytes per instance.
    pub hdd: u64,
    /// Public ports are so much above those in the container, where ADVERTISE_PORTS says
    /// nothing else.
    pub public_offset: u16,
}

/// The specification, which FluxOS accepts.
///
/// A container publishes at most five ports. With INGRESS_PORT these are the front port and
/// the gossip ports of up to four nodes, which nodes on other hosts need; without it all
/// ports of up to two nodes.
///
/// # Errors
/// Everything that stands in the way, each with what to do.
pub fn specification(loaded: &Loaded, wanted: &Wanted) -> Result<Value, Vec<String>> {
    let mut problems = secrets(loaded);
    let settings = &loaded.settings;
    if loaded.origins.is_set("bind_address") && settings.bind_address.is_loopback() {
        problems.push(format!(
            "BIND_ADDRESS: found {}, allowed is an address that the host can reach, such as `::`",
            settings.bind_address
        ));
    }
    let ports = ports(loaded, wanted.public_offset).unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let specification = json!({
        "version": VERSION,
        "name": wanted.name,
        "description": wanted.description,
        "owner": wanted.owner,
        "compose": [{
            "name": "repram",
            "description": wanted.description,
            "repotag": wanted.image,
            "ports": ports.iter().map(|port| port.public).collect::<Vec<_>>(),
            "containerPorts": ports.iter().map(|port| port.container).collect::<Vec<_>>(),
            "domains": vec![""; ports.len()],
            "environmentParameters": environment(loaded, &ports),
            "commands": [],
            "containerData": "/tmp",
            "repoauth": "",
            "cpu": wanted.cpu,
            "ram": wanted.ram,
            "hdd": wanted.hdd,
        }],
        "instances": wanted.instances,
        "contacts": [],
        "geolocation": [],
        "expire": wanted.expire,
        "nodes": [],
        "staticip": false,
        "enterprise": "",
    });
    let findings = rules::check(&specification);
    let violations = findings.iter().filter(|finding| finding.is_violation);
    problems.extend(violations.map(ToString::to_string));
    if problems.is_empty() {
        Ok(specification)
    } else {
        Err(problems)
    }
}

/// A port in the container, and what it is called outside.
struct Published {
    container: u16,
    public: u16,
}

fn ports(loaded: &Loaded, offset: u16) -> Result<Vec<Published>, String> {
    let settings = &loaded.settings;
    let nodes = settings.node_count;
    let http = (0..nodes).map(|slot| settings.base_port + slot);
    let gossip = |http: u16| http + settings.gossip_port_offset;
    let container: Vec<u16> = match settings.ingress_port {
        Some(front) => std::iter::once(front).chain(http.map(gossip)).collect(),
        None => http.flat_map(|http| [http, gossip(http)]).collect(),
    };
    if container.len() > PORTS_MAX {
        let needed = container.len();
        let most = PORTS_MAX - 1;
        let advice = match settings.ingress_port {
            Some(_) => format!("allowed is at most {most} beside INGRESS_PORT"),
            None => format!(
                "allowed is at most {}, or at most {most} with INGRESS_PORT in front of them",
                PORTS_MAX / 2
            ),
        };
        return Err(format!(
            "NODE_COUNT: found {nodes}, which needs {needed} ports where a container has \
             {PORTS_MAX}; {advice}"
        ));
    }
    container
        .into_iter()
        .map(|container| {
            let mut advertised = settings.advertise_ports.iter();
            let given = advertised.find(|port| port.container == container);
            let public = match given {
                Some(given) => Some(given.public),
                None => container.checked_add(offset),
            };
            let public = public.ok_or_else(|| {
                format!(
                    "--public-offset: found {offset}, which takes port {container} past 65535; \
                     allowed is a smaller one"
                )
            })?;
            Ok(Published { container, public })
        })
        .collect()
}

/// What was set, but secrets; and the public ports, which every instance needs to know.
fn environment(loaded: &Loaded, ports: &[Published]) -> Vec<String> {
    let effective = loaded.settings.to_environment();
    let is_wanted = |variable: &str| {
        let mut settings = declarations().iter();
        let setting = settings.find(|setting| setting.variable() == variable);
        setting.is_some_and(|setting| loaded.origins.is_set(setting.key()))
    };
    let pairs: Vec<String> = ports
        .iter()
        .map(|port| format!("{}:{}", port.container, port.public))
        .collect();
    let mut entries: Vec<String> = effective
        .into_iter()
        .filter(|(variable, _)| !is_made(variable) && is_wanted(variable))
        .map(|(variable, value)| format!("{variable}={value}"))
        .collect();
    if !entries.iter().any(|entry| entry.starts_with("NODE_COUNT=")) {
        entries.insert(0, format!("NODE_COUNT={}", loaded.settings.node_count));
    }
    entries.push(format!("{ADVERTISE_PORTS}={}", pairs.join(",")));
    entries
}

const ADVERTISE_PORTS: &str = "ADVERTISE_PORTS";

/// Whether a variable is written here, or by the platform itself.
fn is_made(variable: &str) -> bool {
    [ADVERTISE_PORTS, "FLUX_APP_NAME", "FLUX_NODE_HOST_IP"].contains(&variable)
}

fn secrets(loaded: &Loaded) -> Vec<String> {
    let set = declarations()
        .iter()
        .filter(|setting| setting.is_secret() && loaded.origins.is_set(setting.key()));
    set.map(|setting| {
        format!(
            "{}: a secret was set, and everybody can read the environment of an app; leave it out \
             here and put it into the encrypted part of an enterprise app",
            setting.variable()
        )
    })
    .collect()
}
