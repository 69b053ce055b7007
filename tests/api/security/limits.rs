//! Exhaustion: how often, how deep, how long.

use serde_json::{Value, json};

use super::{Guarded, answer_to, assert_refused};
use crate::helpers::{Answer, Process, Wire, eventually, get, note, request};

const EVENTS: &str = "/api/debates/d1/events";
const FOLLOW: &str = "/api/debates/d1/stream";

async fn publish_from(server: &Process, address: &str) -> Answer {
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", address)];
    request(server.address, "POST", EVENTS, &headers, note(1).to_string().as_bytes()).await
}

#[actix_web::test]
async fn an_address_that_publishes_too_often_has_to_wait_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--publish-rate", "1", "--trusted-proxy", "127.0.0.0/8"];
    let server = Process::serve(folder.path(), 0, &args).await;
    let mut refused = None;
    for _ in 0..60 {
        let answer = publish_from(&server, "198.51.100.1").await;
        if answer.status() != 201 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("60 at 1 a second");
    assert_refused(&refused, 429, "rate_limited", None, "too often");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    // What it says of itself before the proxy's word changes nothing.
    let stop = request(
        server.address,
        "POST",
        "/api/debates/d1/stop",
        &[("X-Forwarded-For", "6.6.6.6, 198.51.100.1")],
        b"",
    )
    .await;
    assert_eq!(stop.status(), 429);
    assert_eq!(publish_from(&server, "198.51.100.2").await.status(), 201);
    assert_eq!(
        get(server.address, "/api/debates/d1").await.status(),
        200,
        "reading is not counted"
    );
}

#[actix_web::test]
async fn nobody_is_believed_who_is_no_trusted_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "--publish-rate",
        "1",
        "--trusted-proxy",
        "192.0.2.0/24",
        "--max-clients-per-address",
        "1",
    ];
    let server = Process::serve(folder.path(), 0, &args).await;
    let mut statuses = Vec::new();
    for number in 0..60 {
        statuses.push(publish_from(&server, &format!("198.51.100.{number}")).await.status());
    }
    assert!(statuses.contains(&429), "all of them come from here: {statuses:?}");
    // The limit on connections goes by the same address.
    let mut first =
        Wire::follow(server.address, FOLLOW, &[("X-Forwarded-For", "198.51.100.1")]).await;
    first.until("snapshot").await;
    let headers = [("X-Forwarded-For", "198.51.100.2"), ("Connection", "close")];
    let mut second = Wire::follow(server.address, FOLLOW, &headers).await;
    assert_eq!(second.until_end().await[0].name, "busy");
}

#[actix_web::test]
async fn a_limit_on_addresses_goes_by_what_a_trusted_proxy_says() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--trusted-proxy", "127.0.0.1", "--max-clients-per-address", "1"];
    let server = Process::serve(folder.path(), 0, &args).await;
    let mut first =
        Wire::follow(server.address, FOLLOW, &[("X-Forwarded-For", "198.51.100.1")]).await;
    first.until("snapshot").await;
    let mut second =
        Wire::follow(server.address, FOLLOW, &[("X-Forwarded-For", "198.51.100.2")]).await;
    second.until("snapshot").await;
    let headers = [("X-Forwarded-For", "198.51.100.2"), ("Connection", "close")];
    let mut third = Wire::follow(server.address, FOLLOW, &headers).await;
    assert_eq!(third.until_end().await[0].name, "busy");
    for address in ["198.51.100.1", "198.51.100.2"] {
        let logged = format!(r#""address":"{address}""#);
        eventually(&logged, || async { server.stderr().contains(&logged) }).await;
    }
}

#[actix_web::test]
async fn a_token_is_counted_wherever_it_is_used() {
    let server = Guarded::start(&["--publish-rate", "1", "--trusted-proxy", "127.0.0.1"]).await;
    let bearer = format!("Bearer {}", server.token(&json!({ "publish": ["*"] })));
    let mut statuses = Vec::new();
    for number in 0..60 {
        let address = format!("198.51.100.{number}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", &address),
        ];
        statuses.push(server.send("POST", EVENTS, &headers, &note(1).to_string()).await.status());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[actix_web::test]
async fn a_token_of_nobody_has_a_limit_of_its_own() {
    let server = Guarded::start(&["--publish-rate", "1", "--trusted-proxy", "127.0.0.1"]).await;
    let nobodys = |seconds: i64| {
        let exp = super::now_secs() + seconds;
        let claims = json!({ "exp": exp, "clearside": { "publish": ["*"] } });
        server.keep_secret(super::hs256(&claims))
    };
    let publish = async |token: &str, number: i32| {
        let (bearer, address) = (format!("Bearer {token}"), format!("198.51.100.{number}"));
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", &address),
        ];
        server.send("POST", EVENTS, &headers, &note(1).to_string()).await.status()
    };
    let (one, other) = (nobodys(600), nobodys(700));
    let mut statuses = Vec::new();
    for number in 0..60 {
        statuses.push(publish(&one, number).await);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(publish(&other, 61).await, 201, "another token has its own");
}

#[actix_web::test]
async fn tickets_and_looks_at_a_stream_are_counted_as_connections() {
    let server = Guarded::start(&["--connect-rate", "1"]).await;
    for (method, path) in [("POST", "/api/debates/d1/ticket"), ("HEAD", FOLLOW)] {
        let claims = json!({
            "sub": method,
            "exp": super::now_secs() + 600,
            "clearside": { "subscribe": ["*"] },
        });
        let bearer = format!("Bearer {}", server.keep_secret(super::hs256(&claims)));
        let mut statuses = Vec::new();
        for _ in 0..60 {
            let headers = [("Authorization", bearer.as_str())];
            statuses.push(server.send(method, path, &headers, "").await.status());
        }
        assert!(statuses.contains(&429), "{method}: {statuses:?}");
    }
}

#[actix_web::test]
async fn whoever_is_refused_too_often_has_to_wait() {
    let server = Guarded::start(&["--connect-rate", "1", "--trusted-proxy", "127.0.0.1"]).await;
    let nothing = server.token(&json!({}));
    for (address, method, path, token) in [
        ("198.51.100.1", "GET", EVENTS, "x"),
        ("198.51.100.2", "POST", EVENTS, "x"),
        ("198.51.100.3", "GET", FOLLOW, "x"),
        ("198.51.100.4", "GET", "/api/stats", "x"),
        ("198.51.100.5", "GET", EVENTS, &nothing),
        ("198.51.100.6", "GET", "/api/stats", &nothing),
        ("198.51.100.7", "GET", "/api/debates", &nothing),
    ] {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("X-Forwarded-For", address),
            // An `EventSource` is told to come back: see below.
            ("Accept", "application/json"),
        ];
        let mut refused = None;
        for _ in 0..60 {
            let answer = server.send(method, path, &headers, "").await;
            if answer.status() != 401 && answer.status() != 403 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.expect("60 at 1 a second");
        assert_refused(&refused, 429, "rate_limited", None, path);
    }
}

#[actix_web::test]
async fn who_connects_too_often_comes_back_if_it_is_an_event_source_and_is_told_so_if_not() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--connect-rate", "1", "--retry", "1s"];
    let server = Process::serve(folder.path(), 0, &args).await;
    let mut busy = None;
    for _ in 0..60 {
        let headers = [("Accept", "text/event-stream"), ("Connection", "close")];
        let mut wire = Wire::follow(server.address, FOLLOW, &headers).await;
        assert_eq!(wire.head.status, 200, "else an EventSource would not come back");
        assert_eq!(wire.head.header("content-type"), Some("text/event-stream"));
        let first = wire.next().await;
        if first.name == "busy" {
            wire.until_end().await;
            busy = Some(wire);
            break;
        }
    }
    let busy = busy.expect("60 at 1 a second");
    assert!((500..=1500).contains(&busy.retry().unwrap()), "{}", busy.text());
    let answer =
        request(server.address, "GET", FOLLOW, &[("Accept", "application/json")], b"").await;
    assert_refused(&answer, 429, "rate_limited", None, "no EventSource");
    assert!(answer.header("retry-after").is_some());
}

#[actix_web::test]
async fn a_server_that_is_full_says_so_with_503_to_what_is_no_event_source() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--max-clients", "1"]).await;
    let mut first = Wire::follow(server.address, FOLLOW, &[]).await;
    first.until("snapshot").await;
    let answer =
        request(server.address, "GET", FOLLOW, &[("Accept", "application/json")], b"").await;
    assert_refused(&answer, 503, "busy", None, "full");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[actix_web::test]
async fn what_is_nested_too_deeply_or_too_long_stores_nothing() {
    let server = Guarded::start(&[]).await;
    let token = server.token(&json!({ "publish": ["*"], "subscribe": ["*"], "control": ["*"] }));
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let nested = |depth: usize| {
        format!(r#"{{"type":"note","data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    for (depth, status) in [(64, 201), (65, 400), (1000, 400), (30_000, 400)] {
        let answer = server.send("POST", EVENTS, &headers, &nested(depth)).await;
        assert_eq!(answer.status(), status, "{depth}: {}", answer.text());
        if status == 400 {
            assert_refused(&answer, 400, "invalid_json", None, "too deep");
        }
    }
    let deep = format!(r#"{{"transcript":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
    let answer = server.send("POST", "/api/debates/d1/launch", &headers, &deep).await;
    assert_refused(&answer, 400, "invalid_json", None, "a transcript that is too deep");
    let long = json!({ "type": "note", "data": "x".repeat(65_536) });
    let answer = server.post(EVENTS, &token, &long).await;
    assert_refused(&answer, 413, "too_large", None, "too long");
    let many: Value = (0..101).map(note).collect();
    assert_refused(
        &server.post(EVENTS, &token, &many).await,
        400,
        "invalid_batch",
        None,
        "too many",
    );
    // Ten gigabytes are refused before one byte of them has come.
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\nContent-Type: application/json\r\nContent-Length: 10000000000\r\n\r\n"
    );
    let answer = answer_to(server.server.address, head.as_bytes()).await;
    assert_refused(&answer, 413, "too_large", None, "10 GB");
    let history = server.get(EVENTS, &token).await.json();
    assert_eq!(history["events"].as_array().unwrap().len(), 1, "the one that was right");
}

#[actix_web::test]
async fn a_head_has_so_many_headers_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    for (headers, status) in [(96, 200), (97, 431)] {
        // `Host` and `Connection` are two of them.
        let rest: String = (2..headers).map(|number| format!("X-{number}: 1\r\n")).collect();
        let head = format!(
            "GET /api/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{rest}\r\n"
        );
        let answer = answer_to(server.address, head.as_bytes()).await;
        assert_eq!(answer.status(), status, "{headers}: {}", answer.text());
    }
}

#[actix_web::test]
async fn a_head_that_does_not_come_to_its_end_is_timed_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let half = b"GET /api/stats HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    let answer = answer_to(server.address, half).await;
    assert_eq!(answer.status(), 408, "{}", answer.text());
}

#[actix_web::test]
async fn what_is_no_proper_request_is_refused_and_the_server_goes_on() {
    let server = Guarded::start(&[]).await;
    let token = server.token(&json!({ "stats": true }));
    let long_token = format!("{token}{}", "x".repeat(9_000));
    assert_refused(
        &server.get("/api/stats", &long_token).await,
        431,
        "headers_too_large",
        None,
        "a long token",
    );
    let medium = "x".repeat(8_100);
    let reason = super::invalid("the token is malformed");
    assert_refused(
        &server.get("/api/stats", &medium).await,
        401,
        "invalid_token",
        Some(&reason),
        "a token of nothing",
    );
    for (what, request, statuses) in [
        (
            "two lengths",
            "POST /api/debates/d1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            &[400][..],
        ),
        (
            "a length and chunks",
            "POST /api/debates/d1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "a length with a sign",
            "POST /api/debates/d1/events HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx",
            &[400],
        ),
        ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03", &[400]),
    ] {
        let answer = answer_to(server.server.address, request.as_bytes()).await;
        assert!(statuses.contains(&answer.status()), "{what}: {}", answer.status());
    }
    assert_eq!(server.get("/api/stats", &token).await.status(), 200);
}

/// Nobody can be told apart behind it: that should not come as a surprise.
#[actix_web::test]
async fn a_proxy_that_is_not_named_is_noticed_once_and_one_that_is_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    for (args, times) in [(&[][..], 1), (&["--trusted-proxy", "127.0.0.1"], 0)] {
        let mut server = Process::serve(folder.path(), 0, args).await;
        assert_eq!(crate::helpers::post(server.address, EVENTS, b"").await.status(), 400);
        assert!(!server.stderr().contains("a proxy that is not named"), "it names nobody");
        for _ in 0..3 {
            assert_eq!(publish_from(&server, "198.51.100.1").await.status(), 201);
        }
        let log = server.end_and_read_log();
        assert_eq!(log.matches("a proxy that is not named").count(), times, "{log}");
    }
}
