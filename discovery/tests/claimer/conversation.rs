//! What a claimant answers, and whom it believes.

use std::time::Duration;

use repram_discovery::claim::core::{Standing, Timing};
use uuid::Uuid;

use crate::host::{Domain, Host, Said, Setup, TIMING, address, free_range};
use crate::wire::{answer_always, get, post, post_signed};

/// A host whose node 5 holds slot 0 for the time being, and does not settle in this test.
async fn tentative(secret: Option<&str>, domain: &Domain) -> Host {
    let range = free_range(3, &[2, 3]);
    let setup = Setup {
        secret,
        timing: Timing {
            settle: Duration::from_secs(3600),
            ..TIMING
        },
        ..Setup::new(2, range, domain, &[(5, 0)])
    };
    setup.start().await
}

fn health(uuid: u128, status: &str, claim: Option<(u16, &str)>) -> String {
    let uuid = Uuid::from_u128(uuid);
    let claim = claim.map_or_else(String::new, |(port, standing)| {
        format!(
            r#","claim":{{"port":{port},"uuid":"{uuid}","standing":"{standing}","incarnation":9,"sequence":1}}"#
        )
    });
    format!(r#"{{"status":"{status}","node_id":"other","uuid":"{uuid}"{claim}}}"#)
}

#[tokio::test]
async fn a_claimed_port_answers() {
    let host = tentative(None, &Domain::default()).await;
    let place = host.http(0);
    let uuid = Uuid::from_u128(5).to_string();
    for path in ["/health", "/v1/health"] {
        let health = get(place, path).await;
        assert_eq!(health.status, 503);
        assert_eq!(health.headers["retry-after"], "2");
        assert_eq!(health.body["status"], "claiming");
        assert_eq!(health.body["uuid"], uuid);
        assert_eq!(health.body["node_id"], "node-5");
        assert_eq!(health.body["port"], place.port());
        assert_eq!(health.body["claim"]["standing"], "tentative");
    }
    let peers = get(place, "/peers").await;
    assert_eq!(peers.status, 200);
    assert_eq!(peers.body["claimed_ports"][0], place.port());
    for path in ["/data/k", "/live", "/", "/v1", "/v1/keys"] {
        let answer = get(place, path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.headers["retry-after"], "2");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.body["status"], 503);
    }
    let announced = get(place, "/peer_announce").await;
    assert_eq!(
        (announced.status, &announced.headers["allow"]),
        (405, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn nobody_answers_for_the_node_after_it_was_handed_over() {
    let range = free_range(1, &[2]);
    let mut host = Setup::new(2, range, &Domain::default(), &[(5, 0)])
        .start()
        .await;
    assert_eq!(host.settled(1).await, [(5, 0)]);
    let place = host.http(0);
    let health = get(place, "/health").await;
    assert_eq!(
        (health.status, &health.body["claim"]["standing"]),
        (503, &"settled".into())
    );

    host.with(|claimer, _| claimer.hand_over(0)).await;
    let waiting = tokio::spawn(async move { get(place, "/health").await });
    host.with(|claimer, settled| claimer.take_back(0, settled[&0].http()).unwrap())
        .await;
    assert_eq!(waiting.await.unwrap().status, 503, "it waited in the queue");
}

#[tokio::test]
async fn who_is_not_there_is_not_believed() {
    let host = tentative(None, &Domain::default()).await;
    let port = host.http(0).port();
    let ours = Uuid::from_u128(5).to_string();
    for (path, claim) in [("/peer_announce", "new_peer"), ("/conflict_resolution", "")] {
        let (port_name, uuid_name) = match claim {
            "" => ("conflicting_port", "my_uuid"),
            _ => ("new_peer_port", "new_peer_uuid"),
        };
        let body = format!(
            r#"{{"{port_name}":{port},"{uuid_name}":"{}","standing":"settled","incarnation":1,"sequence":1}}"#,
            Uuid::from_u128(1)
        );
        let answer = post(3, host.http(0), path, &body).await;
        assert_eq!(
            (answer.status, &answer.body["acknowledged"]),
            (200, &false.into())
        );
        let reason = answer.body["reason"].as_str().unwrap();
        assert!(reason.contains("was not found on port"), "{reason}");
        assert_eq!(answer.body["claim"]["uuid"], ours, "we keep it");
    }
    assert_eq!(host.own().await, [(0, 5, Some(Standing::Tentative))]);
}

#[tokio::test]
async fn both_spellings_are_understood_and_the_stronger_claim_wins() {
    /// Announces a node on host 3 that shows itself as `shown`.
    async fn check(shown: &str, path: &str, body: &str, keeps: bool) {
        let host = tentative(None, &Domain::default()).await;
        let port = host.http(0).port();
        let shown = shown.replace("PORT", &port.to_string());
        answer_always((address(3), port).into(), 503, shown.clone()).await;
        let body = body.replace("PORT", &port.to_string());
        let answer = post(3, host.http(0), path, &body).await;
        assert_eq!(
            (answer.status, &answer.body["acknowledged"]),
            (200, &true.into()),
            "{body}"
        );
        let name = if path.ends_with("announce") {
            "my_uuid"
        } else {
            "peer_uuid"
        };
        assert_eq!(answer.body[name], Uuid::from_u128(5).to_string());
        if path.ends_with("resolution") {
            assert_eq!(answer.body["should_yield"], keeps, "{shown} {body}");
        }
        let slots: Vec<u16> = host.own().await.iter().map(|(slot, ..)| *slot).collect();
        assert_eq!(slots, [u16::from(!keeps)], "{shown} {body}");
    }
    let first = r#"{"node_id":"other","http_port":PORT,"timestamp":1}"#;
    let second = |uuid| {
        let uuid = Uuid::from_u128(uuid);
        format!(r#"{{"new_peer_port":PORT,"new_peer_uuid":"{uuid}","timestamp":1}}"#)
    };
    let conflict = |uuid| {
        let uuid = Uuid::from_u128(uuid);
        format!(r#"{{"conflicting_port":PORT,"my_uuid":"{uuid}","timestamp":1}}"#)
    };
    // Who claims shows so; everybody else runs.
    check(&health(4, "claiming", None), "/peer_announce", first, false).await;
    check(&health(6, "claiming", None), "/peer_announce", first, true).await;
    check(
        &health(6, "healthy", None),
        "/v1/peer_announce",
        &second(6),
        false,
    )
    .await;
    check(
        &health(6, "claiming", None),
        "/peer_announce",
        &second(6),
        true,
    )
    .await;
    check(
        &health(6, "claiming", None),
        "/conflict_resolution",
        &conflict(6),
        true,
    )
    .await;
    check(
        &health(4, "claiming", None),
        "/v1/conflict_resolution",
        &conflict(4),
        false,
    )
    .await;
}

#[tokio::test]
async fn what_is_not_signed_counts_as_it_is_shown() {
    let host = tentative(None, &Domain::default()).await;
    let port = host.http(0).port();
    let shown = health(6, "claiming", Some((port, "tentative")));
    answer_always((address(3), port).into(), 503, shown).await;
    let body = format!(
        r#"{{"http_port":{port},"new_peer_uuid":"{}","standing":"settled","incarnation":99,"sequence":1}}"#,
        Uuid::from_u128(6)
    );
    let answer = post(3, host.http(0), "/peer_announce", &body).await;
    assert_eq!(answer.body["acknowledged"], true);
    assert_eq!(
        host.own().await,
        [(0, 5, Some(Standing::Tentative))],
        "it lied"
    );
}

#[tokio::test]
async fn who_is_announced_may_be_anywhere_in_the_domain() {
    let host = tentative(None, &Domain::of(&[3])).await;
    let port = host.http(0).port();
    answer_always((address(3), port).into(), 200, health(4, "healthy", None)).await;
    let uuid = Uuid::from_u128(4);
    let body = format!(r#"{{"new_peer_port":{port},"new_peer_uuid":"{uuid}"}}"#);
    let answer = post(4, host.http(0), "/peer_announce", &body).await;
    assert_eq!(answer.body["acknowledged"], true);
}

#[tokio::test]
async fn without_a_name_server_the_hosts_that_are_known_are_asked() {
    let domain = Domain::of(&[3]);
    let host = tentative(None, &domain).await;
    let port = host.http(0).port();
    answer_always((address(3), port).into(), 200, health(4, "healthy", None)).await;
    domain.hang().await;
    let uuid = Uuid::from_u128(4);
    let body = format!(r#"{{"departing_port":{port},"departing_uuid":"{uuid}"}}"#);
    let answer = post(4, host.http(0), "/peer_leaving", &body).await;
    assert_eq!(answer.body["acknowledged"], false, "it is still there");
    let body = format!(r#"{{"new_peer_port":{port},"new_peer_uuid":"{uuid}"}}"#);
    let answer = post(4, host.http(0), "/peer_announce", &body).await;
    assert_eq!(answer.body["acknowledged"], true);
}

#[tokio::test]
async fn who_left_must_be_gone() {
    let host = tentative(None, &Domain::default()).await;
    let port = host.http(0).port();
    let uuid = Uuid::from_u128(6);
    let leave = format!(r#"{{"departing_port":{port},"departing_uuid":"{uuid}","reason":"x"}}"#);
    let gone = post(3, host.http(0), "/peer_leaving", &leave).await;
    assert_eq!(
        (gone.status, &gone.body["acknowledged"]),
        (200, &true.into())
    );

    answer_always((address(3), port).into(), 200, health(6, "claiming", None)).await;
    let announce = format!(r#"{{"new_peer_port":{port},"new_peer_uuid":"{uuid}"}}"#);
    post(3, host.http(0), "/peer_announce", &announce).await;
    let there = post(3, host.http(0), "/peer_leaving", &leave).await;
    assert_eq!(
        (there.status, &there.body["acknowledged"]),
        (200, &false.into())
    );
    assert_eq!(host.with(|claimer, _| claimer.others().count()).await, 1);
}

#[tokio::test]
async fn with_a_secret_nothing_unsigned_is_taken() {
    let host = tentative(Some("secret"), &Domain::default()).await;
    let place = host.http(0);
    let port = place.port();
    answer_always((address(3), port).into(), 200, health(4, "healthy", None)).await;
    let uuid = Uuid::from_u128(4);
    let body = format!(r#"{{"new_peer_port":{port},"new_peer_uuid":"{uuid}"}}"#);
    let unsigned = post(3, place, "/peer_announce", &body).await;
    let wrong = post_signed(3, place, "/peer_announce", &body, "another").await;
    for (answer, reason) in [(unsigned, "is missing"), (wrong, "does not match")] {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.headers["www-authenticate"], "Repram-Signature");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(reason), "{detail}");
    }
    assert_eq!(host.own().await, [(0, 5, Some(Standing::Tentative))]);

    let signed = post_signed(3, place, "/peer_announce", &body, "secret").await;
    assert_eq!(
        (signed.status, &signed.body["acknowledged"]),
        (200, &true.into())
    );
    assert!(signed.headers.contains_key("x-repram-signature"));
    assert_eq!(
        host.own().await,
        [(1, 5, Some(Standing::Tentative))],
        "it yielded"
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let host = tentative(None, &Domain::default()).await;
    let place = host.http(0);
    let long = format!(r#"{{"http_port":1,"node_id":"{}"}}"#, "x".repeat(5000));
    for (body, status, reason) in [
        ("", 400, "not a JSON object"),
        ("{}", 400, "names no port"),
        (r#"{"http_port":1}"#, 400, "not an HTTP port of the range"),
        (&long, 413, "at most 4096 bytes"),
    ] {
        let answer = post(3, place, "/peer_announce", body).await;
        assert_eq!(answer.status, status, "{body}");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(reason), "{detail}");
    }
}

#[tokio::test]
async fn a_client_that_posts_too_much_is_told_to_wait() {
    let host = tentative(None, &Domain::default()).await;
    let mut refused = None;
    // A machine would have to take four seconds for these to let them all through.
    for _ in 0..60 {
        let answer = post(3, host.http(0), "/peer_announce", "{}").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 400);
    }
    let refused = refused.expect("20 at once are enough");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    assert_eq!(
        post(4, host.http(0), "/peer_announce", "{}").await.status,
        400
    );
    assert_eq!(
        get(host.http(0), "/health").await.status,
        503,
        "reading is not limited"
    );
}

#[tokio::test]
async fn a_node_passes_on_what_it_hears() {
    let range = free_range(2, &[2]);
    let mut host = Setup::new(2, range, &Domain::default(), &[(5, 0)])
        .start()
        .await;
    assert_eq!(host.settled(1).await, [(5, 0)]);
    host.with(|claimer, _| {
        let ours = claimer.claim_of(Uuid::from_u128(5)).unwrap();
        let uuid = Uuid::from_u128(4);
        claimer.heard(
            repram_discovery::claim::core::Claim { uuid, ..ours },
            Some(address(3)),
        );
    })
    .await;
    assert_eq!(host.said().await, Said::Yield { uuid: 5, slot: 0 });
    assert_eq!(host.said().await, Said::Settled { uuid: 5, slot: 1 });
}
