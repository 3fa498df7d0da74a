//! Server and client over a real socket, with an event loop of the test's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use repram_config::{LogFormat, LogStdout};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    ChangeOrder, ClientError, Control, ControlAddress, ControlClient, ControlConfig, HEALTH_SCHEMA,
    Health, Problem, REQUESTS_MAX, Request, StopReply, UnknownNode,
};
use crate::event::{Event, EventKind};
use crate::fleet::{MaxNodes, NodeBound, NodeIndex, Refusal};
use crate::logs::{LogConfig, LogStats, Logs, RotateReport};
use crate::status::{FleetPhase, FleetStatus, STATUS_SCHEMA};
use crate::why::FleetWhy;

/// Long enough for a busy machine; a test that works never waits for it.
const LIMIT: Duration = Duration::from_secs(60);

struct Rig {
    dir: tempfile::TempDir,
    logs: Logs,
    control: Control,
    client: ControlClient,
    requests: mpsc::Receiver<Request>,
}

fn rig_with(log_dir: bool) -> Rig {
    let dir = tempfile::tempdir().expect("directory");
    let config = LogConfig {
        dir: log_dir.then(|| dir.path().to_owned()),
        stdout: LogStdout::Off,
        format: LogFormat::Text,
        max_size: 1 << 20,
        max_age: Duration::ZERO,
        keep: 5,
        total: 100 << 20,
        max_line: 1 << 10,
        nodes: 3,
    };
    let logs = config.build().expect("logs");
    let address = ControlAddress::in_directory(dir.path());
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let config = ControlConfig {
        address: address.clone(),
        admin: None,
        logs: logs.clone(),
        requests: sender,
    };
    let control = config.build().expect("listens");
    let client = ControlClient::find(&[address]).expect("answers");
    Rig {
        dir,
        logs,
        control,
        client,
        requests,
    }
}

fn rig() -> Rig {
    rig_with(true)
}

fn status(healthy: bool) -> FleetStatus {
    FleetStatus {
        schema: STATUS_SCHEMA,
        version: "0.1.0".to_owned(),
        pid: 7,
        started: Timestamp::UNIX_EPOCH,
        phase: FleetPhase::Running,
        ready: 2,
        min_ready: 0,
        healthy,
        canary: None,
        changes: Vec::new(),
        log_dir: None,
        ingress: None,
        nodes: Vec::new(),
    }
}

fn health(healthy: bool) -> Health {
    Health {
        schema: HEALTH_SCHEMA,
        healthy,
        phase: FleetPhase::Running,
        ready: 2,
        nodes: 3,
        needed: 1,
        lacking: vec!["flux-node-3 is failed".to_owned()],
    }
}

fn stopped() -> Event {
    let kind = EventKind::FleetStopped { after_ms: 5 };
    Event {
        time: Timestamp::UNIX_EPOCH,
        node: None,
        kind,
    }
}

impl Rig {
    /// Answers the next question with a status.
    async fn answer(&mut self, healthy: bool) {
        match self.requests.recv().await {
            Some(Request::Status { reply }) => reply.send(status(healthy)).expect("waits"),
            Some(Request::Health { reply }) => reply.send(health(healthy)).expect("waits"),
            other => panic!("{other:?}"),
        }
    }

    async fn text(&self, method: Method, call: &str) -> (StatusCode, String) {
        let mut answer = self
            .client
            .call(method, call, |_| true)
            .await
            .expect("answers");
        let mut text = Vec::new();
        while let Some(piece) = answer.piece().await.expect("whole") {
            text.extend_from_slice(&piece);
        }
        (answer.status(), String::from_utf8(text).expect("UTF-8"))
    }

    /// Writes a line as `flux-node-N` and waits until it is in the file.
    async fn line(&self, number: u32, line: &str) {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
        self.logs.attach(&format!("flux-node-{number}"), 1, read);
        File::from(write)
            .write_all(format!("{line}\n").as_bytes())
            .expect("write");
        self.logs
            .history(&crate::logs::LogQuery::default())
            .await
            .expect("answers");
    }
}

#[tokio::test]
async fn status_and_health_come_from_the_event_loop() {
    let mut rig = rig();
    let client = ControlClient::find(&[rig.control.address().clone()]).expect("answers");
    let (found, ()) = tokio::join!(client.get::<FleetStatus>("/status"), rig.answer(true));
    assert_eq!(found.expect("status"), status(true));
    for healthy in [true, false] {
        let (answer, ()) = tokio::join!(
            client.call(Method::GET, "/health", |_| true),
            rig.answer(healthy)
        );
        let answer = answer.expect("answers");
        assert_eq!(answer.status().as_u16(), if healthy { 200 } else { 503 });
        let found = answer.json::<Health>().await.expect("health");
        assert_eq!(found, health(healthy));
    }
}

#[tokio::test]
async fn an_event_loop_that_does_not_answer_is_a_problem() {
    let mut rig = rig();
    let client = ControlClient::find(&[rig.control.address().clone()]).expect("answers");
    let (found, request) = tokio::join!(client.get::<FleetStatus>("/status"), async {
        drop(rig.requests.recv().await);
    });
    let ((), error) = (request, found.expect_err("no answer"));
    let ClientError::Refused { problem } = error else {
        panic!("{error:?}")
    };
    assert_eq!(problem.status, 503);
}

#[tokio::test]
async fn wrong_calls_are_told_apart() {
    let rig = rig();
    let check = async |method: Method, call: &str, status: u16, detail: &str| {
        let (found, text) = rig.text(method, call).await;
        assert_eq!(found.as_u16(), status, "{call}");
        let problem: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(problem["status"], status);
        let found = problem["detail"].as_str().expect("text");
        assert!(found.contains(detail), "{call}: {found}");
    };
    check(Method::GET, "/nothing", 404, "GET /status").await;
    check(Method::POST, "/status", 405, "GET").await;
    check(Method::GET, "/stop", 405, "POST").await;
    check(Method::GET, "/status?x=1", 400, "\"x\"").await;
    check(Method::POST, "/stop?now=maybe", 400, "true or false").await;
    check(Method::POST, "/why", 405, "GET").await;
    check(Method::GET, "/why?node=x", 400, "flux-node-2").await;
    check(Method::GET, "/events?node=x", 400, "flux-node-2").await;
    check(Method::GET, "/events?since=yesterday", 400, "since").await;
    check(Method::GET, "/scale", 405, "POST").await;
    check(
        Method::POST,
        "/scale",
        400,
        "to=a number of nodes is missing",
    )
    .await;
    check(Method::POST, "/restart?node=x", 400, "flux-node-2").await;
    check(
        Method::POST,
        "/restart?rolling&force",
        400,
        "rolling or force",
    )
    .await;
    check(Method::GET, "/logs?lines=many", 400, "whole number").await;
    check(Method::GET, "/logs?follow&tail=3", 400, "\"tail\"").await;
}

#[tokio::test]
async fn a_change_that_is_refused_says_why() {
    let check = async |refusal: Refusal, expect: u16| {
        let mut rig = rig();
        let client = ControlClient::find(&[rig.control.address().clone()]).expect("answers");
        let call = client.call(Method::POST, "/scale?to=3", |_| true);
        let detail = refusal.to_string();
        let (answer, ()) = tokio::join!(call, async {
            match rig.requests.recv().await {
                Some(Request::Change {
                    order: ChangeOrder::Scale { to: 3 },
                    reply,
                    ..
                }) => reply.send(Err(refusal)).expect("waits"),
                other => panic!("{other:?}"),
            }
        });
        let answer = answer.expect("answers");
        assert_eq!(answer.status().as_u16(), expect, "{detail}");
        let problem: Problem = answer.json().await.expect("a problem");
        assert_eq!(problem.detail, detail);
    };
    check(Refusal::Stopping, 409).await;
    let max = MaxNodes {
        count: 2,
        bound: NodeBound::Ports,
    };
    check(Refusal::OutOfRange { to: 3, max }, 400).await;
    let (node, nodes) = (NodeIndex(3), 3);
    check(Refusal::NoSuchNode { node, nodes }, 404).await;
}

#[tokio::test]
async fn a_stop_ends_with_the_last_event() {
    let mut rig = rig();
    let client = ControlClient::find(&[rig.control.address().clone()]).expect("answers");
    let call = client.call(Method::POST, "/stop?now=true", |_| false);
    let logs = rig.logs.clone();
    let (answer, ()) = tokio::join!(call, async {
        match rig.requests.recv().await {
            Some(Request::Stop {
                now: true,
                by,
                reply,
            }) => {
                assert_eq!(
                    by,
                    format!("pid {} over the control socket", std::process::id())
                );
                reply.send(StopReply::Started).expect("waits");
            }
            other => panic!("{other:?}"),
        }
    });
    let mut answer = answer.expect("accepted");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    logs.event(&stopped());
    let mut text = Vec::new();
    while let Some(piece) = answer.piece().await.expect("whole") {
        text.extend_from_slice(&piece);
    }
    let event: Event = serde_json::from_slice(&text).expect("one event");
    assert_eq!(event, stopped());
}

#[tokio::test]
async fn a_stop_need_not_be_waited_for() {
    let mut rig = rig();
    let client = ControlClient::find(&[rig.control.address().clone()]).expect("answers");
    let call = client.call(Method::POST, "/stop?wait=false", |_| false);
    let (answer, ()) = tokio::join!(call, async {
        match rig.requests.recv().await {
            Some(Request::Stop {
                now: false, reply, ..
            }) => {
                reply.send(StopReply::UnderWay).expect("waits");
            }
            other => panic!("{other:?}"),
        }
    });
    let answer: Value = answer.expect("accepted").json().await.expect("JSON");
    assert_eq!(answer["started"], false);
}

#[tokio::test]
async fn logs_are_read_and_followed() {
    let rig = rig();
    rig.line(1, "one").await;
    rig.line(2, "two").await;
    let (_, text) = rig.text(Method::GET, "/logs?format=raw").await;
    assert_eq!(text, "one\ntwo\n");
    let (_, text) = rig.text(Method::GET, "/logs?format=raw&node=2").await;
    assert_eq!(text, "two\n");

    let call = "/logs?format=raw&follow=true&lines=1";
    let mut answer = rig
        .client
        .call(Method::GET, call, |_| false)
        .await
        .expect("answers");
    let mut text = Vec::new();
    while !text.ends_with(b"two\n") {
        text.extend_from_slice(&answer.piece().await.expect("whole").expect("more"));
    }
    assert_eq!(text, b"two\n");
    rig.line(3, "three").await;
    rig.logs.finish(LIMIT);
    while let Some(piece) = answer.piece().await.expect("whole") {
        text.extend_from_slice(&piece);
    }
    assert_eq!(text, b"two\nthree\n");
}

#[tokio::test]
async fn a_node_that_there_is_not_has_no_logs() {
    let mut rig = rig();
    rig.line(1, "one").await;
    rig.line(2, "two").await;
    let client = ControlClient::find(&[rig.control.address().clone()]).expect("answers");
    let (answer, ()) = tokio::join!(
        client.call(Method::GET, "/logs?node=2&node=9", |_| false),
        rig.answer(true)
    );
    let Err(ClientError::Refused { problem }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(problem.status, 404);
    let expect = "there is no flux-node-9; there are flux-node-1 to flux-node-2";
    assert_eq!(problem.detail, expect);
}

#[tokio::test]
async fn the_books_of_the_logs_are_told() {
    let rig = rig();
    rig.line(1, "one").await;
    let (_, text) = rig.text(Method::GET, "/logs/stats").await;
    let stats: LogStats = serde_json::from_str(&text).expect("JSON");
    let node = &stats.nodes[0];
    assert_eq!((node.node.as_str(), node.read.lines), ("flux-node-1", 1));
}

#[tokio::test]
async fn large_logs_come_whole() {
    let rig = rig();
    let line = "x".repeat(1000);
    rig.line(1, &vec![line.as_str(); 5000].join("\n")).await;
    let (_, text) = rig.text(Method::GET, "/logs?format=raw").await;
    assert_eq!(text.lines().filter(|found| *found == line).count(), 5000);
}

#[tokio::test]
async fn without_files_lines_can_only_be_followed() {
    let rig = rig_with(false);
    let (status, text) = rig.text(Method::GET, "/logs").await;
    assert_eq!(status, StatusCode::CONFLICT, "{text}");
    let (status, _) = rig.text(Method::POST, "/logs/rotate").await;
    assert_eq!(status, StatusCode::CONFLICT);
    let call = "/logs?follow=true&format=json";
    let mut answer = rig
        .client
        .call(Method::GET, call, |_| false)
        .await
        .expect("answers");
    let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    rig.logs.attach("flux-node-1", 1, read);
    File::from(write).write_all(b"live\n").expect("write");
    let piece = answer.piece().await.expect("whole").expect("a line");
    let line: Value = serde_json::from_slice(&piece).expect("JSON");
    assert_eq!(
        (&line["node"], &line["line"]),
        (&"flux-node-1".into(), &"live".into())
    );
}

#[tokio::test]
async fn rotation_is_answered_when_it_is_done() {
    let rig = rig();
    rig.line(1, "one").await;
    let answer = rig
        .client
        .call(Method::POST, "/logs/rotate", |_| false)
        .await
        .expect("answers");
    let report: RotateReport = answer.json().await.expect("report");
    assert_eq!(report.rotated, ["flux-node-1"]);
    assert!(rig.dir.path().join("flux-node-1.log.1").exists());
}

#[tokio::test]
async fn events_are_listed_and_followed() {
    let rig = rig();
    rig.logs.event(&stopped());
    let (_, text) = rig.text(Method::GET, "/events").await;
    assert_eq!(text.lines().count(), 1);
    let call = rig
        .client
        .call(Method::GET, "/events?follow=true", |_| false);
    let mut answer = call.await.expect("answers");
    assert!(answer.piece().await.expect("whole").is_some());
    rig.logs.event(&stopped());
    assert!(answer.piece().await.expect("whole").is_some());
    rig.logs.finish(LIMIT);
    assert!(answer.piece().await.expect("whole").is_none());
}

#[tokio::test]
async fn events_are_chosen_by_node_and_time() {
    let rig = rig();
    let kind = |message: &str| EventKind::Warning {
        message: message.to_owned(),
    };
    let event = |second: i64, node: Option<&str>, message: &str| Event {
        time: Timestamp::from_second(second).expect("in range"),
        node: node.map(str::to_owned),
        kind: kind(message),
    };
    rig.logs.event(&event(10, None, "a"));
    rig.logs.event(&event(20, Some("flux-node-2"), "b"));
    rig.logs.event(&event(30, Some("flux-node-1"), "c"));
    let check = async |query: &str, expect: &[&str]| {
        let (_, text) = rig.text(Method::GET, &format!("/events?{query}")).await;
        let event = |line| serde_json::from_str::<Event>(line).expect("an event");
        let found: Vec<EventKind> = text.lines().map(|line| event(line).kind).collect();
        let expect: Vec<EventKind> = expect.iter().map(|text| kind(text)).collect();
        assert_eq!(found, expect, "{query}");
    };
    check("", &["a", "b", "c"]).await;
    check("node=2", &["b"]).await;
    check("node=flux-node-1&node=2", &["b", "c"]).await;
    check("since=1970-01-01T00:00:20Z", &["b", "c"]).await;
    check("until=1970-01-01T00:00:20Z", &["a"]).await;

    let call = rig
        .client
        .call(Method::GET, "/events?follow&node=2", |_| false);
    let mut answer = call.await.expect("answers");
    let first = answer.piece().await.expect("whole").expect("an event");
    assert!(String::from_utf8_lossy(&first).contains("\"b\""));
    rig.logs.event(&event(40, None, "d"));
    rig.logs.event(&event(50, Some("flux-node-2"), "e"));
    let next = answer.piece().await.expect("whole").expect("an event");
    assert!(String::from_utf8_lossy(&next).contains("\"e\""));
}

#[tokio::test]
async fn why_is_told_with_the_last_lines() {
    let mut rig = rig();
    rig.line(2, "giving up").await;
    let client = ControlClient::find(&[rig.control.address().clone()]).expect("answers");
    let ask = client.call(Method::GET, "/why?node=2", |_| false);
    let (answer, ()) = tokio::join!(ask, async {
        match rig.requests.recv().await {
            Some(Request::Why { nodes, reply }) => {
                assert_eq!(nodes, [NodeIndex(1)]);
                reply.send(Ok(crate::why::sample::fleet())).expect("waits");
            }
            other => panic!("{other:?}"),
        }
    });
    let why: FleetWhy = answer.expect("answers").json().await.expect("a story");
    let exits = &why.nodes[0].exits;
    assert_eq!(exits[0].lines, Some(vec!["giving up".to_owned()]));
    assert_eq!(exits[1].lines, Some(Vec::new()), "of another life");

    let ask = client.call(Method::GET, "/why?node=9", |_| true);
    let (answer, ()) = tokio::join!(ask, async {
        match rig.requests.recv().await {
            Some(Request::Why { reply, .. }) => {
                let (node, nodes) = (NodeIndex(8), 3);
                reply.send(Err(UnknownNode { node, nodes })).expect("waits");
            }
            other => panic!("{other:?}"),
        }
    });
    let problem: Problem = answer.expect("answers").json().await.expect("a problem");
    let expect = "there is no flux-node-9; the fleet has flux-node-1 to flux-node-3";
    assert_eq!((problem.status, problem.detail.as_str()), (404, expect));
}

#[tokio::test]
async fn the_end_waits_for_answers_and_removes_the_socket() {
    let mut rig = rig();
    let address = rig.control.address().clone();
    let client = ControlClient::find(std::slice::from_ref(&address)).expect("answers");
    let asked = tokio::spawn(async move { client.get::<FleetStatus>("/status").await });
    let Some(Request::Status { reply }) = rig.requests.recv().await else {
        panic!("no question")
    };
    let ending = tokio::spawn(rig.control.finish(LIMIT));
    reply.send(status(true)).expect("waits");
    asked.await.expect("no panic").expect("answered");
    ending.await.expect("no panic");
    let error = ControlClient::find(&[address]).expect_err("nobody");
    assert!(error.is_unreachable());
    assert!(error.to_string().contains("supervisor.sock"), "{error}");
}

#[tokio::test]
async fn what_is_no_http_is_hung_up_on() {
    let rig = rig();
    let ControlAddress::Path(path) = rig.control.address().clone() else {
        panic!("a path")
    };
    let mut stream = UnixStream::connect(path).expect("connects");
    stream
        .write_all(b"\x16\x03\x01 hello\r\n\r\n")
        .expect("write");
    let answer = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).map(|_| text)
    });
    let text = answer.await.expect("no panic").expect("hung up");
    assert!(text.is_empty() || text.starts_with(b"HTTP/1.1 400"));
}
