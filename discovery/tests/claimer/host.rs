//! Hosts of a domain within one process.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use repram_discovery::addresses::{DomainAddresses, Resolve, ResolveFuture};
use repram_discovery::auth::ClusterKeys;
use repram_discovery::claim::core::{Standing, Timing};
use repram_discovery::claim::{About, Applicant, ClaimEvent, Claimer, ClaimerConfig};
use repram_discovery::domain::ResolveError;
use repram_discovery::public_ports::PublicPorts;
use repram_discovery::secret::Secret;
use repram_discovery::slot::PortRange;
use repram_discovery::sockets::SlotSockets;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use crate::ports::pick;

/// What nobody waits for longer; a machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Long against everything that a busy machine does, short for a test.
pub(crate) const TIMING: Timing = Timing {
    settle: Duration::from_millis(1000),
    refresh: Duration::from_millis(500),
    move_timeout: Duration::from_secs(600),
};

/// The hosts that a name stands for, as it is seen by one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domain {
    hosts: Arc<Mutex<Vec<IpAddr>>>,
    hangs: Arc<AtomicBool>,
    hung: Arc<Notify>,
}

impl Domain {
    pub(crate) fn of(hosts: &[u8]) -> Self {
        let domain = Self::default();
        domain.set(hosts);
        domain
    }

    pub(crate) fn set(&self, hosts: &[u8]) {
        *self.hosts.lock().unwrap() = hosts.iter().copied().map(address).collect();
    }

    /// The name server answers no more, nor refuses. Returns when somebody waits for it.
    pub(crate) async fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
        self.hung.notified().await;
    }
}

impl Resolve for Domain {
    fn name(&self) -> &str {
        "hosts.test"
    }

    fn resolve(&self) -> ResolveFuture<'_> {
        let hosts = self.hosts.lock().unwrap().clone();
        let host = "hosts.test".to_owned();
        Box::pin(async move {
            if self.hangs.load(Ordering::Relaxed) {
                self.hung.notify_one();
                return std::future::pending().await;
            }
            if hosts.is_empty() {
                return Err(ResolveError::NoAddress { host });
            }
            Ok(hosts)
        })
    }
}

/// The address of host number `number`.
pub(crate) fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

/// Ports from the first HTTP port of a range to the first of the next, and to its own first
/// gossip port: no two tests of this process have the same.
const BLOCK: u16 = 32;
const OFFSET: u16 = 16;

/// A range that was free on all these hosts a moment ago, and that no other test here has.
pub(crate) fn free_range(slots: u16, hosts: &[u8]) -> PortRange {
    static FIRST: LazyLock<u16> = LazyLock::new(|| pick().clamp(1024, 40_000));
    static NEXT: AtomicU16 = AtomicU16::new(0);
    assert!(slots <= OFFSET);
    for _ in 0..100 {
        let base = *FIRST + BLOCK * NEXT.fetch_add(1, Ordering::Relaxed);
        let range = PortRange::new(base, slots, OFFSET).unwrap();
        let free = |port: u16| {
            hosts
                .iter()
                .all(|host| TcpListener::bind((address(*host), port)).is_ok())
        };
        if range
            .slots()
            .all(|slot| free(slot.http) && free(slot.gossip))
        {
            return range;
        }
    }
    panic!("no free range in 100 attempts");
}

pub(crate) fn keys(secret: &str) -> ClusterKeys {
    ClusterKeys::new(&Secret::new(secret.as_bytes()), None)
}

/// A process that claims for its nodes, on a host of its own.
pub(crate) struct Host {
    pub(crate) number: u8,
    pub(crate) range: PortRange,
    orders: mpsc::Sender<Order>,
    /// What the claimer said, in order.
    pub(crate) events: mpsc::Receiver<Said>,
    _task: tokio::task::JoinHandle<()>,
}

/// What a claimer said, without its sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Settled {
        uuid: u128,
        slot: u16,
    },
    Yield {
        uuid: u128,
        slot: u16,
    },
    NoPort {
        uuid: u128,
        tried: Vec<u16>,
        rivals: Vec<(u16, u128)>,
    },
    Released {
        slot: u16,
    },
}

type Look = Box<dyn FnOnce(&mut Claimer, &mut BTreeMap<u16, SlotSockets>) + Send>;

enum Order {
    Do(Look),
    Farewell(oneshot::Sender<()>),
}

/// What a host consists of.
pub(crate) struct Setup<'a> {
    pub(crate) number: u8,
    pub(crate) range: PortRange,
    pub(crate) domain: &'a Domain,
    pub(crate) secret: Option<&'a str>,
    /// Identity and first choice of each node.
    pub(crate) nodes: &'a [(u128, u16)],
    pub(crate) timing: Timing,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(
        number: u8,
        range: PortRange,
        domain: &'a Domain,
        nodes: &'a [(u128, u16)],
    ) -> Self {
        Self {
            number,
            range,
            domain,
            secret: None,
            nodes,
            timing: TIMING,
        }
    }

    /// The claimer of a host, for whoever waits on it.
    pub(crate) async fn claimer(&self) -> Claimer {
        let config = ClaimerConfig {
            range: self.range,
            ports: PublicPorts::default(),
            bind: address(self.number),
            timing: self.timing,
            incarnation: 1,
            keys: self.secret.map(keys),
            addresses: Arc::new(DomainAddresses::new(Box::new(self.domain.clone()))),
            about: About {
                domain: "hosts.test".to_owned(),
                network: "public".to_owned(),
                enclave: "default".to_owned(),
            },
        };
        let mut claimer = Claimer::new(config).await.unwrap();
        let applicants = self.nodes.iter().map(|&(uuid, slot)| Applicant {
            node_id: format!("node-{uuid}"),
            uuid: Uuid::from_u128(uuid),
            generation: 0,
            last_slot: Some(slot),
            start: 0,
        });
        claimer.join(applicants.collect());
        claimer
    }

    pub(crate) async fn start(self) -> Host {
        let claimer = self.claimer().await;
        let (orders, taken) = mpsc::channel(16);
        let (said, events) = mpsc::channel(1024);
        Host {
            number: self.number,
            range: self.range,
            orders,
            events,
            _task: tokio::spawn(run(claimer, taken, said)),
        }
    }
}

/// Keeps what is settled, as a supervisor does, and does what the test says.
async fn run(mut claimer: Claimer, mut orders: mpsc::Receiver<Order>, said: mpsc::Sender<Said>) {
    let mut settled: BTreeMap<u16, SlotSockets> = BTreeMap::new();
    loop {
        tokio::select! {
            event = claimer.next() => {
                let event = match event {
                    ClaimEvent::Settled { claim, sockets } => {
                        assert_eq!(sockets.slot().index, claim.slot);
                        settled.insert(claim.slot, sockets);
                        Said::Settled { uuid: claim.uuid.as_u128(), slot: claim.slot }
                    }
                    ClaimEvent::Yield { uuid, slot, .. } => {
                        Said::Yield { uuid: uuid.as_u128(), slot }
                    }
                    ClaimEvent::NoPort(refused) => Said::NoPort {
                        uuid: refused.uuid.as_u128(),
                        tried: refused.tried.iter().map(|taken| taken.slot.index).collect(),
                        rivals: refused
                            .rivals
                            .iter()
                            .map(|rival| (rival.port, rival.uuid.as_u128()))
                            .collect(),
                    },
                    ClaimEvent::Released { slot } => {
                        settled.remove(&slot);
                        Said::Released { slot }
                    }
                };
                said.send(event).await.expect("the test listens");
            }
            order = orders.recv() => match order {
                Some(Order::Do(look)) => look(&mut claimer, &mut settled),
                Some(Order::Farewell(done)) => {
                    settled.clear();
                    claimer.farewell(PATIENCE).await;
                    return done.send(()).expect("the test waits");
                }
                None => return,
            },
        }
    }
}

impl Host {
    /// Looks at the claimer, or tells it something.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Claimer, &mut BTreeMap<u16, SlotSockets>) -> T + Send + 'static,
    ) -> T {
        let (reply, answer) = oneshot::channel();
        let look: Look = Box::new(move |claimer, settled| {
            drop(reply.send(look(claimer, settled)));
        });
        drop(self.orders.send(Order::Do(look)).await);
        answer.await.expect("the host runs")
    }

    pub(crate) async fn said(&mut self) -> Said {
        let said = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        said.expect("something happens").expect("the host runs")
    }

    /// The slots settled first by the `count` nodes of this host, by UUID.
    pub(crate) async fn settled(&mut self, count: usize) -> Vec<(u128, u16)> {
        let mut slots = BTreeMap::new();
        while slots.len() < count {
            match self.said().await {
                Said::Settled { uuid, slot } => drop(slots.insert(uuid, slot)),
                other => panic!("nothing else happens: {other:?}"),
            }
        }
        slots.into_iter().collect()
    }

    pub(crate) async fn farewell(self) {
        let (done, wait) = oneshot::channel();
        drop(self.orders.send(Order::Farewell(done)).await);
        wait.await.expect("the host said farewell");
    }

    /// What is held now: slot, identity, standing.
    pub(crate) async fn own(&self) -> Vec<(u16, u128, Option<Standing>)> {
        self.with(|claimer, _| {
            let own = claimer.own();
            own.map(|claim| (claim.slot, claim.uuid.as_u128(), claim.standing))
                .collect()
        })
        .await
    }

    pub(crate) fn http(&self, slot: u16) -> SocketAddr {
        SocketAddr::new(address(self.number), self.range.slot(slot).unwrap().http)
    }
}

/// Asks again and again until `condition` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let begun = tokio::time::Instant::now();
    while !condition().await {
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
