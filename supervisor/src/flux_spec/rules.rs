//! What FluxOS accepts.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fields::{Checker, Finding, inside};

/// The version whose rules these are.
pub(super) const VERSION: u64 = 8;

/// Ports of one component.
pub(super) const PORTS_MAX: usize = 5;

const COMPONENTS_MAX: usize = 10;
const ENVIRONMENT_MAX: usize = 20;
/// Characters of an entry of the environment, or of a command.
const ENTRY_MAX: usize = 400;
const INSTANCES: (f64, f64) = (1.0, 100.0);
/// Blocks of half a minute: a year.
const EXPIRE: (f64, f64) = (1.0, 1_056_000.0);

/// The domains of single ports leave out apps with longer names.
const NAME_WITH_DOMAINS_MAX: usize = 41;

/// Host ports that nobody gets, both ends included.
const BANNED_PORTS: &[(u16, u16)] = &[
    (22, 23),
    (25, 25),
    (53, 53),
    (123, 123),
    (161, 161),
    (512, 513),
    (3388, 3389),
    (4444, 4444),
    (5800, 5800),
    (5900, 5901),
    (8384, 8384),
    (16100, 16299),
    (26100, 26299),
    (27017, 27017),
    (30000, 30099),
];

/// Host ports that cost extra and that few hosts give.
const DEAR_PORTS: &[(u16, u16)] = &[(0, 1023), (6667, 6667), (8080, 8081), (8443, 8443)];

const TOP_KEYS: &[&str] = &[
    "version",
    "name",
    "description",
    "owner",
    "compose",
    "instances",
    "contacts",
    "geolocation",
    "expire",
    "nodes",
    "staticip",
    "enterprise",
];

/// Known, but not asked for.
const OPTIONAL_KEYS: &[&str] = &["datacenter"];

const COMPONENT_KEYS: &[&str] = &[
    "name",
    "description",
    "repotag",
    "ports",
    "containerPorts",
    "environmentParameters",
    "commands",
    "containerData",
    "domains",
    "repoauth",
    "cpu",
    "ram",
    "hdd",
];

/// Everything that there is to say of a specification, in the order of its keys.
#[must_use]
pub fn check(specification: &Value) -> Vec<Finding> {
    let mut checker = Checker::default();
    checker.top(specification);
    checker.findings()
}

/// Whether a host port is one that nobody gets.
pub(super) fn is_banned(port: u16) -> bool {
    among(port, BANNED_PORTS)
}

fn among(port: u16, ranges: &[(u16, u16)]) -> bool {
    ranges
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&port))
}

impl Checker {
    fn top(&mut self, specification: &Value) {
        let Some(top) = specification.as_object() else {
            return self.expect("", specification, "an object");
        };
        self.keys("", top, TOP_KEYS, OPTIONAL_KEYS);
        if let Some(found) = top.get("version")
            && found.as_u64() != Some(VERSION)
        {
            self.expect("version", found, &VERSION.to_string());
        }
        self.app_name(top);
        self.text(top, "", "description", 1, 256);
        self.text(top, "", "owner", 1, usize::MAX);
        let is_enterprise = self.enterprise(top);
        self.compose(top, is_enterprise);
        self.whole_number(top, "", "instances", INSTANCES);
        self.texts(top, "", "contacts", 5, 75);
        self.texts(top, "", "geolocation", 10, 50);
        self.whole_number(top, "", "expire", EXPIRE);
        let nodes = self.texts(top, "", "nodes", 120, 70);
        if nodes > 0 && !is_enterprise {
            self.refuse(
                "nodes",
                "only enterprise apps choose their nodes; leave it empty",
            );
        }
        for key in ["staticip", "datacenter"] {
            if let Some(found) = top.get(key)
                && !found.is_boolean()
            {
                self.expect(key, found, "true or false");
            }
        }
    }

    fn app_name(&mut self, top: &Map<String, Value>) {
        let Some(name) = self.text(top, "", "name", 1, 63) else {
            return;
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !name.chars().all(is_plain) || name.starts_with('-') || name.ends_with('-') {
            self.refuse(
                "name",
                format!("found {name:?}, allowed are letters, digits, and hyphens inside"),
            );
        }
        if name.eq_ignore_ascii_case("watchtower") {
            self.refuse("name", "watchtower is another's");
        }
        self.no_reserved_start("name", &name);
        if name.len() > NAME_WITH_DOMAINS_MAX {
            self.remark(
                "name",
                format!(
                    "with more than {NAME_WITH_DOMAINS_MAX} characters ports get no domain of \
                     their own"
                ),
            );
        }
    }

    fn no_reserved_start(&mut self, place: &str, name: &str) {
        for start in ["flux", "zel"] {
            if name.starts_with(start) {
                self.refuse(place, format!("found {name:?}, which begins with {start}"));
            }
        }
    }

    fn enterprise(&mut self, top: &Map<String, Value>) -> bool {
        match top.get("enterprise") {
            Some(Value::String(sealed)) => !sealed.is_empty(),
            Some(Value::Bool(false)) | None => false,
            Some(found) => {
                self.expect("enterprise", found, "an empty or an encrypted text");
                false
            }
        }
    }

    fn compose(&mut self, top: &Map<String, Value>, is_enterprise: bool) {
        let Some(found) = top.get("compose") else {
            return;
        };
        let Some(components) = found.as_array() else {
            return self.expect("compose", found, "a list of components");
        };
        // The components of an enterprise app are in its sealed part.
        let fewest = usize::from(!is_enterprise);
        if components.len() < fewest || components.len() > COMPONENTS_MAX {
            self.refuse(
                "compose",
                format!(
                    "found {} components, allowed are {fewest} to {COMPONENTS_MAX}",
                    components.len()
                ),
            );
        }
        let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
        for (number, found) in components.iter().enumerate() {
            let place = format!("compose[{number}]");
            let Some(component) = found.as_object() else {
                self.expect(&place, found, "an object");
                continue;
            };
            self.component(&place, component, is_enterprise);
            if let Some(name) = component.get("name").and_then(Value::as_str)
                && !names.insert(name.to_owned())
            {
                self.refuse(&inside(&place, "name"), format!("{name:?} is there twice"));
            }
            self.ports(&place, component, &mut ports);
        }
    }

    fn component(&mut self, place: &str, component: &Map<String, Value>, is_enterprise: bool) {
        self.keys(place, component, COMPONENT_KEYS, &[]);
        if let Some(name) = self.text(component, place, "name", 1, 63) {
            let at = inside(place, "name");
            if !name.chars().all(|c| c.is_ascii_alphanumeric()) {
                self.refuse(
                    &at,
                    format!("found {name:?}, allowed are letters and digits"),
                );
            }
            self.no_reserved_start(&at, &name);
        }
        self.text(component, place, "description", 0, 256);
        if let Some(image) = self.text(component, place, "repotag", 1, 200) {
            self.image(&inside(place, "repotag"), &image);
        }
        self.environment(place, component, is_enterprise);
        self.texts(component, place, "commands", ENVIRONMENT_MAX, ENTRY_MAX);
        if component.get("containerData").is_some_and(|it| it == "") {
            let hint = "is empty; where no folder is wanted, write /tmp";
            self.refuse(&inside(place, "containerData"), hint);
        } else {
            self.text(component, place, "containerData", 2, 200);
        }
        if let Some(login) = self.text(component, place, "repoauth", 0, 15_000)
            && !login.is_empty()
            && !is_enterprise
        {
            let only = "only enterprise apps take images from private repositories; leave it empty";
            self.refuse(&inside(place, "repoauth"), only);
        }
        self.hardware(component, place);
    }

    fn image(&mut self, place: &str, image: &str) {
        if image.contains('@') {
            self.remark(
                place,
                "a digest is dropped; name a version that never changes",
            );
            return;
        }
        let name = image.rsplit('/').next().unwrap_or(image);
        match name.split_once(':') {
            Some((_, tag)) if tag != "latest" && !tag.is_empty() => {}
            _ => self.remark(
                place,
                "all instances start anew at the same time when the image behind a tag changes; \
                 name a version that never changes",
            ),
        }
    }

    fn environment(&mut self, place: &str, component: &Map<String, Value>, is_enterprise: bool) {
        let key = "environmentParameters";
        self.texts(component, place, key, ENVIRONMENT_MAX, ENTRY_MAX);
        let entries = component.get(key).and_then(Value::as_array);
        let entries = entries.into_iter().flatten().filter_map(Value::as_str);
        for (number, entry) in entries.enumerate() {
            let at = format!("{}[{number}]", inside(place, key));
            let Some((name, value)) = entry.split_once('=') else {
                self.refuse(&at, format!("found {entry:?}, allowed is NAME=VALUE"));
                continue;
            };
            let secrets = repram_config::declarations().iter();
            let mut secrets = secrets.filter(|setting| setting.is_secret());
            let is_secret = secrets.any(|setting| setting.variables().contains(&name));
            if is_secret && !value.is_empty() && !is_enterprise {
                self.refuse(
                    &at,
                    format!("{name} would be public: everybody can read an app's environment"),
                );
            }
        }
    }

    fn ports(&mut self, place: &str, component: &Map<String, Value>, taken: &mut BTreeSet<u64>) {
        let mut counts = Vec::new();
        for (key, allowed) in [("ports", 1), ("containerPorts", 0)] {
            let at = inside(place, key);
            let Some(found) = component.get(key) else {
                continue;
            };
            let Some(ports) = found.as_array() else {
                self.expect(&at, found, "a list of numbers");
                continue;
            };
            counts.push((key, ports.len()));
            for (number, found) in ports.iter().enumerate() {
                let at = format!("{at}[{number}]");
                match found.as_u64() {
                    Some(port) if (allowed..=65_535).contains(&port) => {}
                    _ => {
                        self.expect(&at, found, &format!("a number from {allowed} to 65535"));
                        continue;
                    }
                }
                if key == "ports" {
                    self.host_port(&at, found.as_u64().unwrap_or_default(), taken);
                }
            }
        }
        if let Some(domains) = component.get("domains").and_then(Value::as_array) {
            counts.push(("domains", domains.len()));
        }
        self.texts(component, place, "domains", usize::MAX, 253);
        let Some((_, ports)) = counts.iter().find(|(key, _)| *key == "ports").copied() else {
            return;
        };
        if ports > PORTS_MAX {
            self.refuse(
                &inside(place, "ports"),
                format!("found {ports} ports, allowed are at most {PORTS_MAX}"),
            );
        }
        for (key, count) in counts.into_iter().filter(|(_, count)| *count != ports) {
            self.refuse(
                &inside(place, key),
                format!("found {count} entries, needed are {ports}, one for each of `ports`"),
            );
        }
    }

    fn host_port(&mut self, place: &str, port: u64, taken: &mut BTreeSet<u64>) {
        let number = u16::try_from(port).unwrap_or_default();
        if is_banned(number) {
            self.refuse(place, format!("port {port} is not given to apps"));
        } else if among(number, DEAR_PORTS) {
            self.remark(
                place,
                format!("port {port} costs extra, and few hosts give it"),
            );
        }
        if !taken.insert(port) {
            self.refuse(place, format!("port {port} is there twice"));
        }
    }

    /// The limits are those of the largest kind of host.
    fn hardware(&mut self, component: &Map<String, Value>, place: &str) {
        let kinds = [
            ("cpu", 0.1, 15.0, 0.1, "cores, in tenths"),
            ("ram", 100.0, 59_000.0, 100.0, "MB, in hundreds"),
            ("hdd", 1.0, 820.0, 1.0, "GB"),
        ];
        for (key, least, most, step, unit) in kinds {
            let Some(found) = component.get(key) else {
                continue;
            };
            let fits = found.as_f64().is_some_and(|number| {
                let steps = number / step;
                (least..=most).contains(&number) && (steps - steps.round()).abs() < 1e-9
            });
            if !fits {
                let allowed = format!("{least} to {most} {unit}");
                self.expect(&inside(place, key), found, &allowed);
            }
        }
    }
}
