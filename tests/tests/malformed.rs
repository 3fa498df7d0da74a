//! What is malformed is refused with the right status, and harms nobody: no panic, no end, no
//! growth of memory or descriptors, and a healthy answer afterwards.
//!
//! `REPRAM_MALFORMED_RUNS=n` sends so many mutations of each kind instead of thousands, and
//! `REPRAM_MALFORMED_SEED=n` the same ones again.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use repram_tests::{
    Fleet, Mutation, Node, PATIENCE, Process, RawAnswer, Sandbox, get, put, say, wait_until,
};

/// Mutations of each kind.
const RUNS: u32 = 2_000;

/// Clients that send them at the same time.
const CLIENTS: u32 = 4;

/// Anonymous memory that a node may have more than before: what the allocator keeps of the
/// buffers of a few connections, and values that mutated requests have rightly stored.
const GROWTH_KIB: u64 = 48 * 1024;

/// Well-formed requests that are mutated.
const REQUESTS: &[&str] = &[
    "GET /data/key HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HEAD /v1/data/key HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"a\", W/\"b\"\r\n\r\n",
    "PUT /data/a%2Fb?ttl=600 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nvalue",
    "PUT /v1/data/key HTTP/1.1\r\nHost: localhost\r\nX-TTL: 300\r\nTransfer-Encoding: chunked\r\n\
     \r\n5;a=b\r\nvalue\r\n3\r\nxyz\r\n0\r\nTrailer: x\r\n\r\n",
    "PUT /cluster/put/key HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
     Content-Length: 3\r\n\r\nabc",
    "GET /keys?prefix=a%2F&limit=10&cursor=6b6579 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /scan HTTP/1.0\r\n\r\n",
    "OPTIONS /data/key HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a\r\n\
     Access-Control-Request-Method: PUT\r\n\r\n",
    "POST /peer_announce HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
     Content-Length: 62\r\n\r\n{\"node_id\":\"x\",\"http_port\":8081,\"timestamp\":\"2026-01-01T00:00:00Z\"}",
    "POST /conflict_resolution HTTP/1.1\r\nHost: localhost\r\nContent-Length: 64\r\n\r\n\
     {\"conflicting_port\":1,\"my_uuid\":\"6f0f9cf6-4d0e-4d8e-8f5e-0b8f5f1\"}",
    "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.2.3.4, [::1]:5\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /status HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// Statuses that a malformed request may get. 507 is for a length that does not fit.
const STATUSES: &[u16] = &[
    200, 201, 204, 304, 400, 401, 404, 405, 408, 413, 429, 431, 501, 507,
];

/// A fleet of two, of which one is ill-treated.
struct Victim {
    fleet: Fleet,
    nodes: Vec<Node>,
    process: Process,
    memory_kib: u64,
    descriptors: usize,
}

impl Victim {
    fn start(sandbox: Sandbox) -> Self {
        let mut fleet = sandbox
            .set("NODE_COUNT", 2)
            .set("REPRAM_MAX_STORAGE_MB", 64)
            .start();
        let nodes = fleet.wait_until_refilled(2);
        let process = fleet.process_of(&nodes[0].id);
        Self {
            fleet,
            nodes,
            process,
            memory_kib: process.memory_kib().expect("it runs"),
            descriptors: process.descriptors(),
        }
    }

    fn port(&self) -> u16 {
        self.nodes[0].port
    }

    /// Remembers how much the node needs when it has been used in every way.
    fn warmed_up(&mut self) {
        self.memory_kib = self.process.memory_kib().expect("it runs");
    }

    /// That nothing happened to it, and that it works; then ends it.
    #[track_caller]
    fn check(mut self) {
        let process = self.process;
        wait_until("descriptors given back", PATIENCE, || {
            let now = process.descriptors();
            let most = self.descriptors + 4;
            (now <= most)
                .then_some(())
                .ok_or_else(|| format!("{now} of {most}"))
        });
        let now = process.memory_kib().expect("it runs");
        let most = self.memory_kib + GROWTH_KIB;
        assert!(now <= most, "{now} KiB after {} KiB", self.memory_kib);
        let nodes = self.fleet.wait_for_nodes(2);
        for (before, after) in self.nodes.iter().zip(&nodes) {
            assert_eq!(before.generation, after.generation, "nobody has ended");
        }
        let written = put(self.port(), "/data/after?ttl=600", b"still well");
        assert_eq!(written.map(|answer| answer.status), Ok(201));
        for node in &nodes {
            assert_eq!(node.get("/data/after").body, b"still well");
            let log = std::fs::read_to_string(self.fleet.log_file(&node.id)).unwrap_or_default();
            assert!(!log.contains("panicked"), "{log}");
        }
        self.fleet.stop();
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many mutations, and the seed of the first.
fn runs() -> (u32, u64) {
    let runs = setting("REPRAM_MALFORMED_RUNS").and_then(|runs| u32::try_from(runs).ok());
    let seed = setting("REPRAM_MALFORMED_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("REPRAM_MALFORMED_SEED={seed}");
    (runs.unwrap_or(RUNS), seed)
}

/// Does something so many times, with clients that work at the same time.
fn by_many(runs: u32, seed: u64, task: impl Fn(&mut Mutation) + Sync) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let task = &task;
            scope.spawn(move || {
                let mut mutation = Mutation::new(seed.wrapping_add(client.into()));
                for _ in 0..runs.div_ceil(CLIENTS) {
                    task(&mut mutation);
                }
            });
        }
    });
}

#[test]
fn mutated_requests_harm_nobody() {
    let mut victim = Victim::start(Sandbox::new());
    let port = victim.port();
    let corpus: Vec<Vec<u8>> = REQUESTS.iter().map(|text| text.as_bytes().into()).collect();
    let (runs, seed) = runs();
    let ill_treat = |mutation: &mut Mutation| {
        let request = mutation.of(&corpus);
        let problem = say(port, &request)
            .map_err(|error| error.to_string())
            .and_then(|heard| judged(&request, &heard));
        if let Err(problem) = problem {
            panic!("seed {seed}: {problem}\nto {}", request.escape_ascii());
        }
    };
    by_many(runs / 10, !seed, ill_treat);
    victim.warmed_up();
    by_many(runs, seed, ill_treat);
    victim.check();
}

/// That what was heard is nothing at all or an answer that a malformed request may get.
fn judged(request: &[u8], heard: &[u8]) -> Result<(), String> {
    let Some(answer) = RawAnswer::parse(heard)? else {
        return Ok(());
    };
    if !STATUSES.contains(&answer.status) {
        return Err(format!("{} is no answer to this", answer.head));
    }
    // A mutation may have made something else of the method.
    if answer.status < 400 || request.starts_with(b"HEAD") {
        return Ok(());
    }
    answer.check_problem()
}

#[test]
fn noise_on_every_port_harms_nobody() {
    let mut victim = Victim::start(Sandbox::new());
    let http = victim.port();
    let gossip = http + victim.fleet.ports().gossip_offset();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let (runs, seed) = runs();
    let ill_treat = |mutation: &mut Mutation| {
        let noise = mutation.noise(2_000);
        // A full queue of the socket refuses a datagram; that is fine.
        let _ = udp.send_to(&noise, (Ipv4Addr::LOCALHOST, gossip));
        for port in [http, gossip] {
            let heard = say(port, &noise).expect("the port is open");
            let answer = RawAnswer::parse(&heard);
            if port == http {
                judged(&noise, &heard).unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
            } else {
                assert!(answer != Ok(None) || heard.is_empty(), "seed {seed}");
            }
        }
    };
    by_many(runs / 20, !seed, ill_treat);
    victim.warmed_up();
    by_many(runs, seed, ill_treat);
    victim.check();
}

/// Takes the first connection to a gossip port where nobody lives, hands everything on to
/// another, and gives what the one who connected has said.
fn overheard(sandbox_port: u16, gossip: u16) -> mpsc::Receiver<Vec<u8>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, sandbox_port)).expect("ours");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let (mut near, _) = listener.accept().expect("somebody connects");
        let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, gossip)).expect("a node listens");
        let mut back = (far.try_clone(), near.try_clone());
        thread::spawn(move || {
            if let (Ok(far), Ok(near)) = (&mut back.0, &mut back.1) {
                let _over = std::io::copy(far, near);
            }
        });
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = near.read(&mut buffer) {
            said.extend_from_slice(&buffer[..count]);
            if far.write_all(&buffer[..count]).is_err() || tell.send(said.clone()).is_err() {
                return;
            }
        }
    });
    told
}

#[test]
fn mutated_streams_of_gossip_harm_nobody() {
    let sandbox = Sandbox::new();
    let offset = sandbox.ports().gossip_offset();
    let behind = sandbox.http_port(20);
    // The nodes take this for a peer, and greet it.
    let told = overheard(behind + offset, sandbox.http_port(0) + offset);
    let sandbox = sandbox.set("REPRAM_PEERS", format!("127.0.0.1:{behind}"));
    let mut victim = Victim::start(sandbox);
    let mut said = told.recv_timeout(PATIENCE).expect("a node greets its peer");
    // The greeting, and what follows when it is answered, if anything does.
    while let Ok(more) = told.recv_timeout(Duration::from_millis(200)) {
        said = more;
    }
    let gossip = victim.port() + offset;
    let greeting = said[..said.len().min(200)].to_vec();
    let corpus = [said, greeting];
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let (runs, seed) = runs();
    let ill_treat = |mutation: &mut Mutation| {
        let bytes = mutation.of(&corpus);
        say(gossip, &bytes).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let datagram = &bytes[..bytes.len().min(1_400)];
        let _ = udp.send_to(datagram, (Ipv4Addr::LOCALHOST, gossip));
    };
    by_many(runs / 20, !seed, ill_treat);
    victim.warmed_up();
    by_many(runs, seed, ill_treat);
    victim.check();
}

/// The place of the version in a datagram and in a greeting.
const VERSIONED: [(&[u8], usize); 2] = [(b"rp", 2), (b"RPRM", 4)];

#[test]
fn another_version_of_the_protocol_is_named_and_counted() {
    let victim = Victim::start(Sandbox::new());
    let gossip = victim.port() + victim.fleet.ports().gossip_offset();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let of_version_77 = |(magic, at): (&[u8], usize)| {
        let mut bytes = vec![0; 200];
        bytes[..magic.len()].copy_from_slice(magic);
        bytes[at] = 77;
        bytes
    };
    let [datagram, greeting] = VERSIONED.map(of_version_77);
    wait_until("the version counted and named", PATIENCE, || {
        udp.send_to(&datagram, (Ipv4Addr::LOCALHOST, gossip))
            .map_err(|error| error.to_string())?;
        let heard = say(gossip, &greeting).map_err(|error| error.to_string())?;
        assert!(heard.is_empty(), "{}", heard.escape_ascii());
        let page = get(victim.port(), "/metrics")?.text();
        for kind in ["datagrams", "streams"] {
            let none = format!("repram_{kind}_version_total 0");
            if page.lines().any(|line| line == none) {
                return Err(none);
            }
        }
        let log = std::fs::read_to_string(victim.fleet.log_file(&victim.nodes[0].id));
        let log = log.unwrap_or_default();
        let lines = log.lines().filter(|line| line.contains("version 77"));
        // One of each kind, however many came.
        match lines.count() {
            2 => Ok(()),
            other => Err(format!("{other} lines: {log}")),
        }
    });
    victim.check();
}

/// The field that requests have which are right in this.
const HOST: &str = "Host: localhost\r\n";

/// First lines, fields, and what each must be answered with.
const HEADS: &[(u16, &str, &str)] = &[
    (400, "GET /health HTTP/1.1", ""),
    (400, "GET /health HTTP/1.1", "Host: a\r\nHost: a\r\n"),
    (400, "GET /health HTTP/1.1", "Host: a, b\r\n"),
    (400, "GET /health HTTP/1.1", "Host: a/b\r\n"),
    (400, "GET /health HTTP/1.1", "Host: a b\r\n"),
    (200, "GET /health HTTP/1.1", "Host:\r\n"),
    (200, "GET /health HTTP/1.1", "Host: [::1]:8081\r\n"),
    (200, "GET /health HTTP/1.0", ""),
    (200, "GET http://elsewhere/health HTTP/1.1", HOST),
    (400, "GET health HTTP/1.1", HOST),
    (400, "GET /health HTTP/1.2", HOST),
    (400, "GET /health", ""),
    (400, "GET  /health HTTP/1.1", HOST),
    (400, "GET /health HTTP/1.1", "Host : a\r\n"),
    (400, "GET /health HTTP/1.1", "Host: a\r\n folded: b\r\n"),
    (400, "PUT /data/k?ttl=600&ttl=601 HTTP/1.1", HOST),
    (400, "PUT /data/k?ttl=600&ttl=600 HTTP/1.1", HOST),
    (400, "PUT /data/k?ttl=18446744073709551616x HTTP/1.1", HOST),
    (201, "PUT /data/k?ttl=18446744073709551616 HTTP/1.1", HOST),
    (
        400,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nX-TTL: 300\r\nX-TTL: 600\r\n",
    ),
    (
        400,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nX-TTL: 300, 600\r\n",
    ),
    (
        400,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
    ),
    (
        400,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nContent-Length: 1, 2\r\n",
    ),
    (
        400,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nContent-Length: +1\r\n",
    ),
    (
        400,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nContent-Length: 18446744073709551616\r\n",
    ),
    (
        413,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nContent-Length: 10485761\r\n",
    ),
    (
        413,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nContent-Length: 9223372036854775807\r\n",
    ),
    (
        400,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nTransfer-Encoding: gzip\r\n",
    ),
    (
        400,
        "PUT /data/k HTTP/1.1",
        "Host: a\r\nTransfer-Encoding: chunked, gzip\r\n",
    ),
    (
        400,
        "PUT /data/k HTTP/1.0",
        "Transfer-Encoding: chunked\r\n",
    ),
    (400, "GET /keys?limit=1&limit=2 HTTP/1.1", HOST),
    (400, "GET /keys?cursor=0 HTTP/1.1", HOST),
    (400, "GET /data/%c3%28 HTTP/1.1", HOST),
    (400, "GET /data/a%2 HTTP/1.1", HOST),
    (400, "GET /data/a/../b HTTP/1.1", HOST),
    (404, "GET /data/..%2f..%2fetc%2fpasswd HTTP/1.1", HOST),
    (404, "GET /../../etc/passwd HTTP/1.1", HOST),
    (405, "DELETE /data/k HTTP/1.1", HOST),
    (405, "TRACE /health HTTP/1.1", HOST),
    (404, "CONNECT localhost:80 HTTP/1.1", HOST),
    (400, "PRI * HTTP/2.0", ""),
];

/// Requests and what each must be answered with.
fn requests() -> Vec<(u16, String)> {
    let mut table = Vec::new();
    let mut add = |status: u16, request: String| table.push((status, request));
    for (status, line, fields) in HEADS {
        add(*status, format!("{line}\r\n{fields}\r\n"));
    }
    let chunked = "PUT /data/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "x\r\n",
        "-1\r\n",
        "fffffffffffffffff\r\n",
        "3\r\nabcd\r\n",
        "1 \rx",
    ] {
        add(400, format!("{chunked}{body}"));
    }
    let mut many = String::new();
    for field in 0..101 {
        let _ = write!(many, "a{field}: b\r\n");
    }
    add(431, format!("GET /health HTTP/1.1\r\n{HOST}{many}\r\n"));
    let long = "x".repeat(20_000);
    add(
        431,
        format!("GET /health HTTP/1.1\r\n{HOST}A: {long}\r\n\r\n"),
    );
    add(431, format!("GET /data/{long} HTTP/1.1\r\n{HOST}\r\n"));
    add(
        400,
        format!("GET /data/{} HTTP/1.1\r\n{HOST}\r\n", &long[..1025]),
    );
    table
}

#[test]
fn every_mistake_gets_its_status() {
    let victim = Victim::start(Sandbox::new());
    let mut wrong = Vec::new();
    for (status, request) in requests() {
        let heard = say(victim.port(), request.as_bytes()).expect("the port is open");
        let found = match RawAnswer::parse(&heard) {
            Ok(Some(answer)) if answer.status == status && status < 400 => Ok(()),
            Ok(Some(answer)) if answer.status == status => answer.check_problem(),
            other => Err(format!("{other:?}")),
        };
        if let Err(found) = found {
            wrong.push(format!("{status} for {request:.80?}, not {found:.300}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    victim.check();
}

#[test]
fn a_refused_body_is_never_asked_for() {
    let victim = Victim::start(Sandbox::new());
    for (status, target, length) in [
        (413, "/data/k", 10 * 1024 * 1024 + 1),
        (400, "/data/%zz", 10),
        (400, "/data/k?ttl=0", 10),
        (404, "/nothing", 10),
        (405, "/health", 10),
    ] {
        let head = format!(
            "PUT {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\
             \r\n\r\n"
        );
        let heard = say(victim.port(), head.as_bytes()).expect("the port is open");
        let start = String::from_utf8_lossy(&heard[..heard.len().min(12)]).into_owned();
        assert_eq!(start, format!("HTTP/1.1 {status}"), "{target}");
    }
    // Nobody heard of the value that was announced.
    let answer = get(victim.port(), "/data/k").map(|answer| answer.status);
    assert_eq!(answer, Ok(404));
    victim.check();
}
