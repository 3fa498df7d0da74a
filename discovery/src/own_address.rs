//! The address under which other hosts reach this one.
//!
//! On most machines somebody says it, or it is that of a route. On Flux the container has an
//! address of its own that nobody else reaches, and the public one is asked for: of the
//! `hostinfo` service, again and again, because it may change; failing that it is what the
//! platform said when it made the container; failing that it is what peers see.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::chain::chain;
use crate::fetch::{Fetch, FetchError};
use crate::flux::{AnswerError, parse_address};
use crate::pace::{Ended, Pace};

/// Hosts whose reports of our address are remembered: enough for a majority, and few.
const REPORTERS_MAX: usize = 16;

/// Addresses that are taken for our own: the one of now and those before, which peers may
/// still speak of.
const OWN_MAX: usize = 4;

/// How we know our address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressOrigin {
    /// `NODE_ADDRESS` says it.
    NodeAddress,
    /// The domain is this machine.
    ThisMachine,
    /// It is the one that we listen on.
    BindAddress,
    /// It is our end of the route to a peer.
    Route,
    /// The `hostinfo` service of Flux says it.
    Hostinfo,
    /// `FLUX_NODE_HOST_IP` says it.
    FluxNodeHostIp,
    /// Peers see us there.
    Peers,
    /// Nobody said it: whoever hears from us takes the address that it sees.
    Unknown,
}

impl fmt::Display for AddressOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeAddress => "NODE_ADDRESS",
            Self::ThisMachine => "the domain is this machine",
            Self::BindAddress => "BIND_ADDRESS",
            Self::Route => "the route to a peer",
            Self::Hostinfo => "hostinfo",
            Self::FluxNodeHostIp => "FLUX_NODE_HOST_IP",
            Self::Peers => "peers see it",
            Self::Unknown => "nobody says it",
        })
    }
}

/// Our address and how we know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownAddress {
    /// The address; loopback where other hosts are to take the one that they see.
    pub ip: IpAddr,
    /// How we know it.
    pub origin: AddressOrigin,
}

/// What `/cluster/discovery/health` tells of our address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddressReport {
    /// The address that peers are told.
    pub address: IpAddr,
    /// How we know it.
    pub origin: AddressOrigin,
    /// Questions to the `hostinfo` service that have ended; absent where it is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<u64>,
    /// What went wrong with the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long that one took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How long ago it ended, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

/// Why the `hostinfo` service said nothing.
#[derive(Debug, thiserror::Error)]
pub enum HostinfoError {
    /// It gave no answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Its answer is of no use.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// Our own address, for everybody in this process who needs it. Clones share it.
#[derive(Clone, Debug)]
pub struct OwnAddress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sources: Mutex<Sources>,
    known: watch::Sender<KnownAddress>,
}

#[derive(Debug)]
struct Sources {
    /// Where it is not to be found out.
    fixed: Option<KnownAddress>,
    hostinfo: Option<IpAddr>,
    given: Option<IpAddr>,
    /// What other hosts say.
    seen: BTreeMap<IpAddr, IpAddr>,
    /// Ours where nobody says anything.
    fallback: IpAddr,
    /// Addresses at which we are, or were, the latest first.
    own: VecDeque<IpAddr>,
    last: Option<LastQuestion>,
    tried: u64,
}

#[derive(Debug)]
struct LastQuestion {
    error: Option<String>,
    duration: Duration,
    ended: Instant,
}

impl OwnAddress {
    /// An address that stays as it is.
    #[must_use]
    pub fn fixed(ip: IpAddr, origin: AddressOrigin) -> Self {
        let known = KnownAddress { ip, origin };
        Self::begin(Some(known), None, ip)
    }

    /// An address that is asked for; see [`Self::keep_asking`]. `given` is what the platform
    /// said when it made the container. As long as nobody knows better it is `fallback`.
    #[must_use]
    pub fn on_flux(given: Option<IpAddr>, fallback: IpAddr) -> Self {
        Self::begin(None, given, fallback)
    }

    fn begin(fixed: Option<KnownAddress>, given: Option<IpAddr>, fallback: IpAddr) -> Self {
        let mut sources = Sources {
            fixed,
            hostinfo: None,
            given,
            seen: BTreeMap::new(),
            fallback,
            own: VecDeque::new(),
            last: None,
            tried: 0,
        };
        let known = sources.best();
        sources.add_own(known.ip);
        Self(Arc::new(Inner {
            sources: Mutex::new(sources),
            known: watch::Sender::new(known),
        }))
    }

    /// What is known now.
    #[must_use]
    pub fn known(&self) -> KnownAddress {
        *self.0.known.borrow()
    }

    /// The address now, and every change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<KnownAddress> {
        self.0.known.subscribe()
    }

    /// Whether other hosts take `ip` for us, or did so lately. Loopback is no such address.
    #[must_use]
    pub fn is_own(&self, ip: IpAddr) -> bool {
        self.sources().own.contains(&ip.to_canonical())
    }

    /// We found ourselves behind `ip`, so it is ours, whoever says what.
    pub fn found_at(&self, ip: IpAddr) {
        self.sources().add_own(ip);
    }

    /// The host `reporter` sees us at `ip`.
    pub fn seen_as(&self, reporter: IpAddr, ip: IpAddr) {
        let (reporter, ip) = (reporter.to_canonical(), ip.to_canonical());
        if reporter.is_loopback() || ip.is_loopback() || ip.is_unspecified() {
            return;
        }
        let mut sources = self.sources();
        if sources.seen.len() >= REPORTERS_MAX && !sources.seen.contains_key(&reporter) {
            return;
        }
        sources.seen.insert(reporter, ip);
        self.choose(&mut sources);
    }

    /// Asks the `hostinfo` service once, for at most `patience`; a longer question does not
    /// count.
    pub async fn ask(&self, hostinfo: &Fetch, patience: Duration) {
        let started = Instant::now();
        if let Ok(answer) = timeout(patience, ask_hostinfo(hostinfo)).await {
            self.answered(answer, started);
        }
    }

    /// Asks the `hostinfo` service for ever, about once in `refresh`. Where it was asked
    /// already it begins with a pause.
    pub async fn keep_asking(&self, hostinfo: Fetch, refresh: Duration) {
        let mut pace = Pace::new(refresh);
        let mut ended = self.last_ended();
        loop {
            if let Some(ended) = ended {
                sleep(pace.after(ended, fastrand::f64())).await;
            }
            let started = Instant::now();
            let answer = ask_hostinfo(&hostinfo).await;
            self.answered(answer, started);
            ended = self.last_ended();
        }
    }

    fn last_ended(&self) -> Option<Ended> {
        let sources = self.sources();
        let last = sources.last.as_ref()?;
        Some(match last.error {
            None => Ended::Good,
            Some(_) => Ended::Failed,
        })
    }

    /// How we know our address.
    #[must_use]
    pub fn report(&self) -> AddressReport {
        let KnownAddress { ip, origin } = self.known();
        let sources = self.sources();
        let last = sources.last.as_ref();
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        AddressReport {
            address: ip,
            origin,
            tried: last.map(|_| sources.tried),
            error: last.and_then(|last| last.error.clone()),
            duration_ms: last.map(|last| millis(last.duration)),
            age_ms: last.map(|last| millis(last.ended.elapsed())),
        }
    }

    /// The last good answer counts as long as there is no other: a service that fails says
    /// nothing of our address.
    fn answered(&self, answer: Result<IpAddr, HostinfoError>, started: Instant) {
        let mut sources = self.sources();
        let failed_before = sources.last.as_ref().is_some_and(|it| it.error.is_some());
        let error = answer.as_ref().err().map(|error| chain(error));
        if let (Some(error), false) = (&error, failed_before) {
            tracing::warn!(
                error,
                address = %sources.best().ip,
                "hostinfo does not tell our address, trying again"
            );
        }
        sources.tried += 1;
        sources.last = Some(LastQuestion {
            error,
            duration: started.elapsed(),
            ended: Instant::now(),
        });
        if let Ok(ip) = answer {
            sources.hostinfo = Some(ip);
        }
        self.choose(&mut sources);
    }

    fn choose(&self, sources: &mut Sources) {
        let best = sources.best();
        sources.add_own(best.ip);
        self.0.known.send_if_modified(|known| {
            let changed = *known != best;
            if changed {
                tracing::info!(address = %best.ip, origin = %best.origin, "our address");
                *known = best;
            }
            changed
        });
    }

    /// What is behind the lock stays consistent whoever panicked.
    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.0
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    fn best(&self) -> KnownAddress {
        let known = |ip, origin| KnownAddress { ip, origin };
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        if let Some(ip) = self.hostinfo {
            return known(ip, AddressOrigin::Hostinfo);
        }
        if let Some(ip) = self.given {
            return known(ip, AddressOrigin::FluxNodeHostIp);
        }
        match self.most_seen() {
            Some(ip) => known(ip, AddressOrigin::Peers),
            None => known(self.fallback, AddressOrigin::Unknown),
        }
    }

    /// What most hosts say; of several the lowest, so that nothing flaps.
    fn most_seen(&self) -> Option<IpAddr> {
        let mut votes: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for ip in self.seen.values() {
            *votes.entry(*ip).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        let winner = votes.into_iter().find(|(_, count)| *count == most);
        winner.map(|(ip, _)| ip)
    }

    fn add_own(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        if ip.is_loopback() || ip.is_unspecified() {
            return;
        }
        self.own.retain(|known| *known != ip);
        self.own.push_front(ip);
        self.own.truncate(OWN_MAX);
    }
}

/// Asks the `hostinfo` service once for our public address.
///
/// # Errors
/// [`HostinfoError`].
pub async fn ask_hostinfo(hostinfo: &Fetch) -> Result<IpAddr, HostinfoError> {
    Ok(parse_address(&hostinfo.get().await?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(own: &OwnAddress, expect: &str, origin: AddressOrigin) {
        let expect = KnownAddress {
            ip: ip(expect),
            origin,
        };
        assert_eq!(own.known(), expect);
    }

    fn answer(own: &OwnAddress, said: Option<&str>) {
        let answer = said.map(ip).ok_or(AnswerError::NotJson);
        own.answered(answer.map_err(HostinfoError::from), Instant::now());
    }

    #[tokio::test]
    async fn the_best_source_counts() {
        use AddressOrigin::{FluxNodeHostIp, Hostinfo, Peers, Unknown};
        let own = OwnAddress::on_flux(None, ip("127.0.0.1"));
        check(&own, "127.0.0.1", Unknown);
        own.seen_as(ip("192.0.2.1"), ip("192.0.2.7"));
        check(&own, "192.0.2.7", Peers);
        answer(&own, None);
        check(&own, "192.0.2.7", Peers);
        answer(&own, Some("192.0.2.8"));
        check(&own, "192.0.2.8", Hostinfo);
        // It moved, and a failure is not news.
        answer(&own, Some("192.0.2.9"));
        answer(&own, None);
        own.seen_as(ip("192.0.2.1"), ip("192.0.2.7"));
        check(&own, "192.0.2.9", Hostinfo);
        for ours in ["192.0.2.7", "192.0.2.8", "::ffff:192.0.2.9"] {
            assert!(own.is_own(ip(ours)), "{ours}");
        }
        assert!(!own.is_own(ip("192.0.2.1")) && !own.is_own(ip("127.0.0.1")));

        let own = OwnAddress::on_flux(Some(ip("192.0.2.6")), ip("127.0.0.1"));
        own.seen_as(ip("192.0.2.1"), ip("192.0.2.7"));
        check(&own, "192.0.2.6", FluxNodeHostIp);
        answer(&own, Some("192.0.2.8"));
        check(&own, "192.0.2.8", Hostinfo);
    }

    #[test]
    fn what_most_peers_see() {
        let own = OwnAddress::on_flux(None, ip("::1"));
        let seen = |reporter: &str, at: &str| own.seen_as(ip(reporter), ip(at));
        seen("127.0.0.1", "192.0.2.1");
        seen("192.0.2.1", "127.0.0.1");
        seen("192.0.2.1", "0.0.0.0");
        check(&own, "::1", AddressOrigin::Unknown);
        seen("192.0.2.1", "192.0.2.9");
        seen("192.0.2.2", "192.0.2.8");
        check(&own, "192.0.2.8", AddressOrigin::Peers);
        seen("::ffff:192.0.2.3", "::ffff:192.0.2.9");
        check(&own, "192.0.2.9", AddressOrigin::Peers);
        // One host has one voice, and there are few.
        seen("192.0.2.3", "192.0.2.8");
        check(&own, "192.0.2.8", AddressOrigin::Peers);
        for number in 0..100 {
            seen(&format!("198.51.100.{number}"), "203.0.113.1");
        }
        assert_eq!(own.sources().seen.len(), REPORTERS_MAX);
    }

    #[test]
    fn what_is_fixed_stays() {
        let own = OwnAddress::fixed(ip("192.0.2.1"), AddressOrigin::NodeAddress);
        own.seen_as(ip("192.0.2.2"), ip("192.0.2.3"));
        check(&own, "192.0.2.1", AddressOrigin::NodeAddress);
        own.found_at(ip("192.0.2.4"));
        assert!(own.is_own(ip("192.0.2.4")));
        let report = serde_json::to_string(&own.report()).unwrap();
        let expect = r#"{"address":"192.0.2.1","origin":"node_address"}"#;
        assert_eq!(report, expect);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_an_answer() {
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = silent.local_addr().unwrap().port();
        let hostinfo = Fetch::new(&format!("http://127.0.0.1:{port}/hostinfo")).unwrap();
        let own = OwnAddress::on_flux(None, ip("127.0.0.1"));
        own.ask(&hostinfo, Duration::from_secs(1)).await;
        assert_eq!((own.report().tried, own.last_ended()), (None, None));

        answer(&own, None);
        let report = own.report();
        assert_eq!((report.tried, report.age_ms), (Some(1), Some(0)));
        let error = Some("the answer is not a JSON object".to_owned());
        assert_eq!(report.error, error);
        assert_eq!(own.last_ended(), Some(Ended::Failed));
    }
}
