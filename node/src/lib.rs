//! The node: an ephemeral key-value store over HTTP that replicates to its peers.
//!
//! **A request's way.** [`http`] parses it into a typed call and asks the
//! [`cluster::Cluster`]; the cluster's [`coordinator`] picks the key's holders by
//! [`placement`] among the members that [`membership`] knows, [`stream`] carries frames of
//! [`wire`] to them, and the [`store`] keeps what this node holds. Nothing but the cluster
//! touches the store's entries.
//!
//! **Time.** [`clock`] is the only module that reads clocks. Deadlines are milliseconds of
//! CLOCK_BOOTTIME, so that setting the wall clock moves nothing and siblings on one kernel
//! agree to the millisecond; the wall clock only feeds [`version`]s and what people read.
//!
//! **Sockets.** Listening sockets are shared with whoever holds their ports; [`door`] accepts
//! on them whatever happens to them meanwhile.
//!
//! **Threads.** One single-threaded runtime per core that may be used, each with its own
//! accept loop on the shared listener. The first also runs membership, streams, the
//! reclaiming of expired entries and the stop.
//!
//! **Order at the start** ([`run`]): settings, inherited descriptors, identity and secret,
//! sockets, store, cluster, HTTP, and READY=1 when the cluster has joined. **At the stop**:
//! STOPPING=1 and 503 on `/health`, no more accepting, requests in flight are answered with
//! `Connection: close`, peers are told, idle connections are closed, exit.

#![forbid(unsafe_code)]

pub mod clock;
pub mod cluster;
pub mod coordinator;
pub mod door;
pub mod http;
pub mod limits;
pub mod membership;
pub mod metrics;
pub mod placement;
pub mod reach;
pub mod run;
pub mod store;
pub mod stream;
pub mod supervised;
pub mod version;
pub mod wire;
