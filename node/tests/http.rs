//! The HTTP API of a real node.

mod fixture;

use fixture::{Client, Node};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

#[test]
fn values_come_back_byte_for_byte() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let large = vec![0xa5; 10 * MIB];
    for (key, value) in [
        ("text", &b"hello"[..]),
        ("empty", b""),
        ("binary", &binary),
        ("large", &large),
    ] {
        let path = format!("/data/{key}");
        let answer = client.put(&format!("{path}?ttl=600"), value);
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (201, &b"OK"[..]),
            "{key}"
        );
        let answer = client.get(&path);
        assert_eq!(answer.status, 200, "{key}");
        assert!(answer.body == value, "{key}: {} bytes", answer.body.len());
        assert_eq!(
            answer.header("content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(answer.header("x-original-ttl"), Some("600"));
        let remaining: u32 = answer
            .header("x-remaining-ttl")
            .expect("is there")
            .parse()
            .expect("number");
        assert!((1..=600).contains(&remaining), "{remaining}");
        let created = answer.header("x-created-at").expect("is there");
        assert!(created.len() == 24 && created.ends_with('Z'), "{created}");

        let head = client.ask(&format!("HEAD {path}"), "", b"");
        assert_eq!(head.status, 200);
        assert_eq!(
            head.header("content-length"),
            Some(value.len().to_string().as_str())
        );
        assert_eq!(head.header("etag"), answer.header("etag"));
    }
    client.get("/data/none").check_problem(404);
}

/// A field that means nothing makes a request take the long way; what is answered must not
/// depend on it.
#[test]
fn both_ways_answer_alike() {
    let node = Node::start(&[]);
    let (small, medium, large) = (vec![1; 64], vec![2; 15_000], vec![3; 70_000]);
    let both = |line: &str, fields: &str, body: &[u8]| {
        let [short, long] = ["", "x-other: 1\r\n"].map(|more| {
            // A refusal may end its connection.
            let answer = node.client().ask(line, &format!("{fields}{more}"), body);
            let lines = answer.head.lines();
            // Both come from one clock, and each write is another one.
            let changing = ["date", "etag", "x-created-at", "x-remaining-ttl"];
            let lasting = lines.filter(|line| {
                let name = line.split(':').next().unwrap_or("");
                line.starts_with("HTTP") || !changing.contains(&name)
            });
            let tag = answer.header("etag").map(str::to_owned);
            let names: Vec<String> = answer
                .head
                .lines()
                .map(|line| line[..4].to_owned())
                .collect();
            (
                lasting.collect::<Vec<_>>().join("\n"),
                names,
                tag,
                answer.body.clone(),
            )
        });
        assert_eq!(short, long, "{line}");
        short.0
    };
    for (key, value) in [("s", &small), ("m", &medium), ("l", &large)] {
        let head = both(&format!("PUT /data/{key}?ttl=700"), "", value);
        assert!(head.starts_with("HTTP/1.1 201 Created"), "{head}");
        let head = both(&format!("GET /data/{key}"), "accept: */*\r\n", b"");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert!(head.contains("x-original-ttl: 700"), "{head}");
    }
    both("PUT /v1/data/s", "x-ttl: 800\r\n", &small);
    let head = both("GET /v1/cluster/get/s", "", b"");
    assert!(head.contains("x-original-ttl: 800"), "{head}");
    for (line, fields, body, status) in [
        ("GET /data/none", "", &[][..], 404),
        ("PUT /data/s?ttl=x", "", b"v", 400),
        ("PUT /data/s?ttl=0", "", b"v", 400),
        ("PUT /data/s", "x-ttl: -1\r\n", b"v", 400),
    ] {
        let head = both(line, fields, body);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[test]
fn a_full_store_says_so_both_ways() {
    let node = Node::start(&[("REPRAM_MAX_STORAGE_MB", "1")]);
    let mut client = node.client();
    let value = vec![5; 16_000];
    let first_full = |client: &mut Client, fields: &str| {
        (0..200)
            .map(|number| client.ask(&format!("PUT /data/{number}"), fields, &value))
            .find(|answer| answer.status == 507)
    };
    for fields in ["", "x-other: 1\r\n"] {
        let answer = first_full(&mut client, fields).expect("a mebibyte is less");
        answer.check_problem(507);
        assert_eq!(client.get("/health").status, 200, "the connection goes on");
    }
}

#[test]
fn an_overwrite_changes_value_and_tag() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.put("/data/k", b"one");
    let first = client.get("/data/k");
    let tag = first.header("etag").expect("is there").to_owned();
    let condition = format!("if-none-match: {tag}\r\n");
    let known = client.ask("GET /data/k", &condition, b"");
    assert_eq!(
        (known.status, known.header("etag")),
        (304, Some(tag.as_str()))
    );

    assert_eq!(client.put("/data/k", b"two").status, 201);
    let second = client.ask("GET /data/k", &condition, b"");
    assert_eq!((second.status, second.body.as_slice()), (200, &b"two"[..]));
    assert_ne!(second.header("etag"), Some(tag.as_str()));
}

#[test]
fn conditional_writes_are_refused_and_store_nothing() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.put("/data/k", b"one");
    for condition in ["if-match: \"x\"\r\n", "if-none-match: *\r\n"] {
        node.client()
            .ask("PUT /data/k", condition, b"two")
            .check_problem(501);
    }
    assert_eq!(node.client().get("/data/k").body, b"one");
}

#[test]
fn every_spelling_of_a_path_is_served() {
    let node = Node::start(&[]);
    let mut client = node.client();
    for (number, prefix) in ["/data", "/v1/data", "/cluster/put", "/v1/cluster/put"]
        .iter()
        .enumerate()
    {
        let key = format!("a%2Fb%20{number}");
        assert_eq!(
            client.put(&format!("{prefix}/{key}"), b"v").status,
            201,
            "{prefix}"
        );
        for prefix in ["/data", "/v1/data", "/cluster/get", "/v1/cluster/get"] {
            assert_eq!(
                client.get(&format!("{prefix}/{key}")).body,
                b"v",
                "{prefix}"
            );
        }
    }
    for path in [
        "/keys",
        "/v1/keys",
        "/scan",
        "/v1/scan",
        "/cluster/scan",
        "/v1/cluster/scan",
    ] {
        let keys = client.get(path).json();
        assert_eq!(
            keys,
            json!({"keys": ["a/b 0", "a/b 1", "a/b 2", "a/b 3"]}),
            "{path}"
        );
    }
    let absolute = client.ask("GET http://elsewhere/data/a%2fb%200", "", b"");
    assert_eq!(absolute.body, b"v");
}

#[test]
fn keys_are_listed_in_pages() {
    let node = Node::start(&[]);
    let mut client = node.client();
    for number in 0..25 {
        assert_eq!(client.put(&format!("/data/k{number:02}"), b"").status, 201);
    }
    client.put("/data/other", b"");
    let mut found = Vec::new();
    let mut path = "/keys?prefix=k&limit=10".to_owned();
    loop {
        let page = client.get(&path).json();
        let keys = page["keys"].as_array().expect("a list").iter();
        found.extend(keys.map(|key| key.as_str().expect("text").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/keys?prefix=k&limit=10&cursor={cursor}");
    }
    let expected: Vec<_> = (0..25).map(|number| format!("k{number:02}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn times_to_live_are_clamped_and_end() {
    let node = Node::start(&[("REPRAM_MIN_TTL", "1"), ("REPRAM_MAX_TTL", "1000")]);
    let mut client = node.client();
    let mut check = |request: &str, headers: &str, expect: &str| {
        assert_eq!(
            client
                .ask(&format!("PUT /data/k{request}"), headers, b"")
                .status,
            201
        );
        assert_eq!(client.get("/data/k").header("x-original-ttl"), Some(expect));
    };
    check("?ttl=600", "x-ttl: 700\r\n", "600");
    check("", "X-TTL: 700\r\n", "700");
    check("", "", "1000");
    check("?ttl=123456789012345678901234567890", "", "1000");

    client.put("/data/short?ttl=1", b"v");
    let mut status = 200;
    while status == 200 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        status = client.get("/data/short").status;
    }
    assert_eq!(status, 404);
    while client.get("/status").json()["store"]["keys"] != 1 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn bodies_are_bounded_and_may_come_in_pieces() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.send("PUT /data/k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 201);
    assert_eq!(client.get("/data/k").body, b"abcde");

    client.send(
        "PUT /data/k HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
    );
    assert_eq!(client.answer().status, 100);
    client.send("xyz");
    assert_eq!(client.answer().status, 201);
    assert_eq!(client.get("/data/k").body, b"xyz");

    let too_large = 10 * MIB + 1;
    client.send(format!(
        "PUT /data/k HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {too_large}\r\n\r\n"
    ));
    client.answer().check_problem(413);

    let mut client = node.client();
    client
        .put("/data/k", &vec![0; too_large])
        .check_problem(413);
    assert!(client.is_closed());

    let mut client = node.client();
    client.send("PUT /data/k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = [b"100000\r\n".to_vec(), vec![b'x'; MIB], b"\r\n".to_vec()].concat();
    for _ in 0..11 {
        client.send(&chunk);
    }
    client.answer().check_problem(413);
    assert_eq!(
        node.client().get("/data/k").body,
        b"xyz",
        "what was there stays"
    );
}

#[test]
fn a_large_body_may_come_in_pieces_and_takes_nothing_of_what_follows() {
    let node = Node::start(&[]);
    for fields in ["", "x-other: 1\r\n"] {
        for pieces in [
            &[70_000][..],
            &[0, 70_000],
            &[1, 30_000, 39_999],
            &[69_999, 1],
        ] {
            let mut client = node.client();
            let value = vec![b'v'; 70_000];
            let head = format!("host: x\r\n{fields}content-length: {}\r\n\r\n", value.len());
            client.send(format!("PUT /data/k HTTP/1.1\r\n{head}"));
            let mut rest = &value[..];
            for (number, piece) in pieces.iter().enumerate() {
                let (now, later) = rest.split_at(*piece);
                rest = later;
                let is_last = number + 1 == pieces.len();
                let next = if is_last {
                    "GET /data/k HTTP/1.1\r\nhost: x\r\n\r\n"
                } else {
                    ""
                };
                client.send([now, next.as_bytes()].concat());
            }
            assert_eq!(client.answer().status, 201, "{fields} {pieces:?}");
            let answer = client.answer();
            assert!(
                answer.status == 200 && answer.body == value,
                "{fields} {pieces:?}"
            );
        }
    }
}

#[test]
fn a_large_body_that_ends_early_is_refused_both_ways() {
    let node = Node::start(&[]);
    for fields in ["", "x-other: 1\r\n"] {
        for here in [0, 1, 60_000] {
            let mut client = node.client();
            let head = format!("host: x\r\n{fields}content-length: 70000\r\n\r\n");
            client.send(format!("PUT /data/k HTTP/1.1\r\n{head}"));
            client.send(vec![b'v'; here]);
            client.finish();
            client.answer().check_problem(400);
            assert!(client.is_closed(), "{fields} {here}");
        }
    }
    let mut client = node.client();
    assert_eq!(client.get("/data/k").status, 404);
    let metrics = client.get("/metrics").body;
    let metrics = String::from_utf8(metrics).expect("is text");
    let counted = |line: &str| line.contains("\"400\"") && line.ends_with(" 6");
    assert!(metrics.lines().any(counted), "{metrics}");
}

/// The end of a head without more fields.
const END: &str = "HTTP/1.1\r\nhost: x\r\n\r\n";

/// That a request on a connection of its own is refused with `status`, whole and in time.
fn check_refused(node: &Node, request: &str, status: u16) {
    let mut client = node.client();
    client.send(request);
    let answer = client.answer_to(request);
    if request.starts_with("HEAD") {
        assert_eq!(answer.status, status, "{request:.60}");
    } else {
        answer.check_problem(status);
    }
}

#[test]
fn targets_and_fields_that_cannot_be_used_are_refused() {
    let node = Node::start(&[]);
    let long_key = format!("/data/{}", "k".repeat(1025));
    for path in [
        "/data/",
        "/data/%zz",
        "/data/%ff",
        "/data/a/b",
        "/cluster/get/",
        "/v1/data/%",
        "/keys?limit=0",
        "/keys?limit=x",
        "/keys?cursor=5",
        "/keys?prefix=%",
        &long_key,
    ] {
        check_refused(&node, &format!("GET {path} {END}"), 400);
    }
    for ttl in ["", "0", "-1", "1.5", "x", "%"] {
        let request =
            format!("PUT /data/k?ttl={ttl} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        check_refused(&node, &request, 400);
    }
    for fields in [
        "x-ttl: soon\r\ncontent-length: 0\r\n\r\n",
        "content-length: -1\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        check_refused(
            &node,
            &format!("PUT /data/k HTTP/1.1\r\nhost: x\r\n{fields}"),
            400,
        );
    }
    let nowhere = [
        "/",
        "/nothing",
        "/data",
        "/v2/health",
        "/health/",
        "//health",
    ];
    for path in nowhere {
        check_refused(&node, &format!("GET {path} {END}"), 404);
    }
    check_refused(&node, &format!("HEAD /nothing {END}"), 404);
    let wrong = [
        "DELETE /data/k",
        "POST /health",
        "GET /cluster/put/k",
        "BREW /data/k",
    ];
    for request in wrong {
        check_refused(&node, &format!("{request} {END}"), 405);
    }
}

#[test]
fn what_is_no_request_or_too_large_for_one_is_refused() {
    let node = Node::start(&[]);
    for bytes in [
        "\r\n\r\n\u{0}\u{1}\u{2}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n: x\r\n\r\n",
        "GET /\u{e4} HTTP/1.1\u{1}\r\n\r\n",
    ] {
        check_refused(&node, bytes, 400);
    }
    for size in [17 * 1024, 40 * 1024, MIB] {
        let filler = "y".repeat(size);
        check_refused(
            &node,
            &format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {filler}\r\n\r\n"),
            431,
        );
        check_refused(&node, &format!("GET /data/{filler} {END}"), 431);
    }
    for count in [150, 900] {
        let fields = "a: b\r\n".repeat(count);
        check_refused(
            &node,
            &format!("GET /health HTTP/1.1\r\nhost: x\r\n{fields}\r\n"),
            431,
        );
    }
    assert_eq!(node.client().get("/health").status, 200);
}

#[test]
fn a_request_that_ends_early_harms_nobody() {
    let node = Node::start(&[]);
    for part in [
        "",
        "G",
        "GET /health HTTP/1.1\r\nhost: x\r\n",
        "PUT /data/k HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx",
    ] {
        let mut client = node.client();
        client.send(part);
        client.finish();
        assert!(part.contains("PUT") || client.is_closed(), "{part}");
    }
    assert_eq!(node.client().get("/data/k").status, 404);
}

#[test]
fn errors_leave_the_connection_usable() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.get("/data/none").check_problem(404);
    client.get("/nothing").check_problem(404);
    let answer = client.ask("POST /health", "", b"a body that nobody reads");
    answer.check_problem(405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
}

#[test]
fn any_page_may_read_and_write() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let preflight = client.ask(
        "OPTIONS /v1/data/k",
        "origin: https://page.example\r\naccess-control-request-method: PUT\r\n",
        b"",
    );
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("GET, HEAD, PUT, OPTIONS")
    );
    let accepted = preflight
        .header("access-control-allow-headers")
        .expect("is there");
    assert!(accepted.contains("X-TTL"), "{accepted}");
    for path in ["/data/k", "/keys", "/health", "/peers", "/metrics"] {
        let answer = client.ask(
            &format!("GET {path}"),
            "origin: https://page.example\r\n",
            b"",
        );
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
        let exposed = answer
            .header("access-control-expose-headers")
            .expect("is there");
        assert!(exposed.contains("X-Remaining-TTL"), "{exposed}");
    }
    assert_eq!(client.ask("OPTIONS *", "", b"").status, 204);
}

#[test]
fn the_node_tells_about_itself() {
    let uuid = "6f0f9cf6-4d0e-4d8e-8f5e-0b8f5f1d2c3b";
    let node = Node::start(&[
        ("REPRAM_NODE_ID", "flux-node-7"),
        ("REPRAM_NODE_UUID", uuid),
        ("REPRAM_ENCLAVE", "lab"),
        ("REPRAM_MAX_STORAGE_MB", "64"),
    ]);
    let port = node.address().port();
    let gossip = node.sockets().gossip.local_addr().expect("is bound").port();
    let mut client = node.client();

    let health = client.get("/v1/health").json();
    for (name, value) in [
        ("status", json!("healthy")),
        ("node_id", json!("flux-node-7")),
        ("uuid", json!(uuid)),
        ("port", json!(port)),
        ("domain", json!("localhost")),
        ("network", json!("public")),
        ("enclave", json!("lab")),
        ("discovery_enabled", json!(false)),
        ("active_peers", json!(0)),
    ] {
        assert_eq!(health[name], value, "{health}");
    }
    assert!(
        health["uptime"].is_u64() && health["generation"].is_u64(),
        "{health}"
    );
    assert_eq!(client.get("/live").status, 200);

    let peers = client.get("/peers").json();
    assert_eq!(
        (&peers["peers"], &peers["claimed_ports"]),
        (&json!([]), &json!([port]))
    );
    assert!(peers["last_updated"].is_string(), "{peers}");
    let topology = client.get("/topology").json();
    assert_eq!(
        (&topology["node_id"], &topology["enclave"]),
        (&json!("flux-node-7"), &json!("lab"))
    );
    assert_eq!(topology["peers"], json!([]));

    client.put("/data/k", b"0123456789");
    let status = client.get("/status").json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["gossip_port"], gossip);
    assert_eq!(status["store"]["keys"], 1);
    assert_eq!(status["store"]["limit_bytes"], 64 << 20);
    assert!(
        status["memory"]["resident_bytes"].as_u64() > Some(1 << 20),
        "{status}"
    );
    assert_eq!(status["refill"]["complete"], true);

    assert!(client.get("/cluster/discovery/health").json()["methods"].is_array());
    assert_eq!(client.get("/openapi.json").json()["openapi"], "3.1.0");
}

#[test]
fn metrics_count_requests() {
    let node = Node::start(&[]);
    let mut client = node.client();
    client.put("/data/k", b"v");
    for _ in 0..3 {
        client.get("/data/k");
    }
    client.get("/nothing");
    let answer = client.get("/v1/metrics");
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/openmetrics-text"))
    );
    let text = String::from_utf8(answer.body).expect("is text");
    for line in [
        "repram_http_requests_total{route=\"data\",method=\"PUT\",status=\"201\"} 1",
        "repram_http_requests_total{route=\"data\",method=\"GET\",status=\"200\"} 3",
        "repram_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1",
        "repram_http_request_duration_seconds_count{route=\"data\",method=\"GET\"} 3",
        "repram_store_keys 1",
        "repram_peers_active 0",
        "repram_peer_evictions_total 0",
        "repram_peer_joins_total 0",
        "repram_ping_failures_total 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn the_document_of_the_api_is_true_of_the_node() {
    let node = Node::start(&[]);
    let mut client = node.client();
    let document = client.get("/openapi.json").json();
    client.put("/data/k", b"v");
    for (path, operations) in document["paths"].as_object().expect("has paths") {
        let target = path.replace("{key}", "k");
        for method in ["get", "head", "put", "post", "delete"] {
            let described = operations.get(method);
            let body: &[u8] = if method == "put" { b"v" } else { b"" };
            let answer = client.ask(&format!("{} {target}", method.to_uppercase()), "", body);
            match described {
                None => assert_eq!(answer.status, 405, "{method} {path}"),
                Some(operation) => {
                    let status = answer.status.to_string();
                    let response = &operation["responses"][&status];
                    assert!(
                        !response.is_null(),
                        "{method} {path}: {status} is not described"
                    );
                    check_body(&document, response, &answer.body);
                }
            }
            if answer.header("connection") == Some("close") {
                client = node.client();
            }
        }
    }
}

/// Requests for each path of the document that go wrong in each way that a client alone can
/// bring about: line, fields, bytes of the body, status.
const REFUSED: &[(&str, &str, usize, u16)] = &[
    ("GET /data/{none}", "", 0, 404),
    ("HEAD /data/{none}", "", 0, 404),
    ("GET /data/%zz", "", 0, 400),
    ("GET /data/{key}", "if-none-match: *\r\n", 0, 304),
    ("HEAD /data/{key}", "if-none-match: *\r\n", 0, 304),
    ("PUT /data/{key}?ttl=0", "", 0, 400),
    ("PUT /data/{key}?ttl=1&ttl=2", "", 0, 400),
    ("PUT /data/{key}", "if-match: *\r\n", 0, 501),
    ("PUT /data/{key}", "", 2 * MIB, 507),
    ("PUT /data/{key}", "", 10 * MIB + 1, 413),
    ("GET /cluster/get/{none}", "", 0, 404),
    ("GET /cluster/get/", "", 0, 400),
    ("PUT /cluster/put/{key}?ttl=x", "", 0, 400),
    ("PUT /cluster/put/{key}", "", 2 * MIB, 507),
    ("PUT /cluster/put/{key}", "", 10 * MIB + 1, 413),
    ("GET /keys?limit=0", "", 0, 400),
    ("GET /scan?cursor=x", "", 0, 400),
    ("GET /cluster/scan?prefix=%", "", 0, 400),
    ("POST /peer_announce", "", 2, 401),
    ("POST /peer_leaving", "", 2, 401),
    ("POST /conflict_resolution", "", 2, 401),
    ("POST /peer_announce", "", MIB, 413),
    ("POST /peer_leaving", "", MIB, 413),
    ("POST /conflict_resolution", "", MIB, 413),
];

#[test]
fn what_goes_wrong_is_in_the_document() {
    let node = Node::start(&[("REPRAM_MAX_STORAGE_MB", "1")]);
    let document = node.client().get("/openapi.json").json();
    assert_eq!(node.client().put("/data/key", b"v").status, 201);
    for &(line, fields, length, status) in REFUSED {
        let (method, target) = line.split_once(' ').expect("a method and a target");
        let path = target.split('?').next().unwrap_or(target);
        let template = ["/data/", "/cluster/get/", "/cluster/put/"]
            .into_iter()
            .find(|prefix| path.starts_with(prefix))
            .map_or_else(|| path.to_owned(), |prefix| format!("{prefix}{{key}}"));
        let request = line.replace(['{', '}'], "");
        let answer = node.client().ask(&request, fields, &vec![b' '; length]);
        assert_eq!(answer.status, status, "{line}: {}", answer.head);
        let operation = &document["paths"][&template][method.to_lowercase()];
        let described = &operation["responses"][&status.to_string()];
        assert!(!described.is_null(), "{line}: {status} is not described");
        if status != 304 && method != "HEAD" {
            answer.check_problem(status);
        }
    }
    // And what any path may answer.
    for (line, status) in [
        ("DELETE /data/k", 405),
        ("POST /metrics", 405),
        ("GET /", 404),
    ] {
        node.client().ask(line, "", b"").check_problem(status);
    }
}

/// That a JSON body has the fields that its schema requires.
fn check_body(document: &Value, response: &Value, body: &[u8]) {
    let reference = &response["content"]["application/json"]["schema"]["$ref"];
    let Some(pointer) = reference
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'))
    else {
        return;
    };
    let schema = document.pointer(pointer).expect("is in the document");
    let body: Value = serde_json::from_slice(body).expect("is JSON");
    let described = schema["properties"].as_object().expect("has properties");
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(
            !body[name.as_str().expect("a name")].is_null(),
            "{name} in {body}"
        );
    }
    for name in body.as_object().expect("is an object").keys() {
        assert!(
            described.contains_key(name),
            "{name} of {body} is not described"
        );
    }
}

#[test]
fn requests_of_one_address_are_limited() {
    let node = Node::start(&[("REPRAM_RATE_LIMIT", "1"), ("REPRAM_TRUST_PROXY", "true")]);
    let mut client = node.client();
    let limited = |client: &mut Client, from: &str| {
        (0..50)
            .map(|_| {
                client.ask(
                    "GET /data/k",
                    &format!("x-forwarded-for: 9.9.9.9, {from}\r\n"),
                    b"",
                )
            })
            .find(|answer| answer.status != 404)
    };
    let answer = limited(&mut client, "192.0.2.1").expect("50 requests take no 50 seconds");
    answer.check_problem(429);
    assert_eq!(answer.header("retry-after"), Some("1"));
    let other = client.ask("GET /data/k", "x-forwarded-for: 192.0.2.2\r\n", b"");
    assert_eq!(other.status, 404, "another address is another bucket");
    for _ in 0..20 {
        assert_eq!(client.get("/health").status, 200);
    }
}

#[test]
fn a_full_store_says_so_and_keeps_what_it_has() {
    let node = Node::start(&[("REPRAM_MAX_STORAGE_MB", "1")]);
    let mut client = node.client();
    assert_eq!(client.put("/data/small", b"v").status, 201);
    client
        .put("/data/large", &vec![0; 2 * MIB])
        .check_problem(507);
    let mut client = node.client();
    let value = vec![0; 10_000];
    let refused = (0..200)
        .map(|number| client.put(&format!("/data/{number}"), &value))
        .find(|answer| answer.status != 201)
        .expect("200 values of 10 kB do not fit 1 MiB");
    refused.check_problem(507);
    assert_eq!(node.client().get("/data/small").body, b"v");
}
