//! Bad input, as one table over raw TCP: a clear answer, nothing stored, and nobody disturbed.

use std::net::SocketAddr;

use serde_json::json;

use crate::helpers::{Answer, TestServer, event, exchange, note, request, within};

const EVENTS: &str = "/api/debates/canary/events";

/// The whole answer to these bytes; `None` if the connection was closed without one.
async fn raw(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let what = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    within(&what, exchange(address, bytes)).await.ok()
}

fn publish(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn nested(depth: usize) -> String {
    format!(r#"{{"type":"note","data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

/// Bodies for `POST …/events`, the status they are answered with, and the code.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let of_type = |name: &str| event(name, json!({})).to_string().into_bytes();
    let json_400 = |label, body| (label, body, 400, "invalid_json");
    let shape_422 = |label, body| (label, body, 422, "invalid_event");
    vec![
        json_400("empty", text("")),
        json_400("blank", text("  \n")),
        json_400("cut short", text(r#"{"type":"note","data":{"#)),
        json_400("trailing bytes", text(r#"{"type":"note","data":{}} x"#)),
        json_400("two values", text(r#"{"type":"note","data":{}}{"type":"note","data":{}}"#)),
        json_400("not JSON", text("hello")),
        json_400("single quotes", text("{'type':'note'}")),
        json_400("NaN", text(r#"{"type":"note","data":NaN}"#)),
        json_400("not UTF-8", b"{\"type\":\"note\",\"data\":\"\xff\xfe\"}".to_vec()),
        json_400("UTF-16", b"\xff\xfe{\0}\0".to_vec()),
        json_400("a byte order mark", text("\u{feff}{\"type\":\"note\",\"data\":{}}")),
        json_400("a lone surrogate", text(r#"{"type":"note","data":"\ud800"}"#)),
        json_400("a control character", b"{\"type\":\"note\",\"data\":\"\x01\"}".to_vec()),
        json_400("65 deep", text(&nested(65))),
        json_400("40,000 deep", text(&nested(40_000))),
        // As a batch may be that long, an array of one is.
        json_400("100,000 deep", text(&format!("[{}]", nested(100_000)))),
        ("100,000 deep, and too long for one", text(&nested(100_000)), 413, "too_large"),
        shape_422("null", text("null")),
        shape_422("a number", text("7")),
        shape_422("a string", text(r#""note""#)),
        shape_422("no type", text(r#"{"data":{}}"#)),
        shape_422("a type that is a number", text(r#"{"type":7,"data":{}}"#)),
        shape_422("an unknown field", text(r#"{"type":"note","data":{},"id":"k3v9x2a7-9"}"#)),
        shape_422("a repeated field", text(r#"{"type":"note","type":"pause","data":{}}"#)),
        shape_422(
            "a transient that is no boolean",
            text(r#"{"type":"note","data":{},"transient":1}"#),
        ),
        shape_422("a transient end", text(r#"{"type":"complete","data":{},"transient":true}"#)),
        shape_422("an array of nulls", text("[null]")),
        shape_422("an event by position", text(r#"[["note",{"a":1},false]]"#)),
        shape_422(
            "an utterance by position",
            text(r#"{"type":"utterance","data":["1",1,"Opening","Pro","hi"]}"#),
        ),
        shape_422("a token by position", text(r#"{"type":"token","data":["Pro","hi",null]}"#)),
        shape_422("a phase by position", text(r#"{"type":"phase_transition","data":["One",1]}"#)),
        ("an empty array", text("[]"), 400, "invalid_batch"),
        ("an empty type", of_type(""), 400, "invalid_type"),
        ("a type with a line end", of_type("a\nb"), 400, "invalid_type"),
        ("a type with a return", of_type("a\rdata: x"), 400, "invalid_type"),
        ("a type with a NUL", of_type("a\0"), 400, "invalid_type"),
        ("65 characters", of_type(&"x".repeat(65)), 400, "invalid_type"),
        ("an emoji", of_type("🎤"), 400, "invalid_type"),
        ("gap", of_type("gap"), 400, "reserved_type"),
        ("snapshot", of_type("snapshot"), 400, "reserved_type"),
        ("connected", of_type("connected"), 400, "reserved_type"),
        ("connection_established", of_type("connection_established"), 400, "reserved_type"),
        ("busy", of_type("busy"), 400, "reserved_type"),
        (
            "64 KiB and a byte",
            event("note", json!("x".repeat(65_535))).to_string().into_bytes(),
            413,
            "too_large",
        ),
    ]
}

/// Requests as they are written, and the statuses that are right for them.
fn requests() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    let get = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let with = |headers: &str| format!("GET /api/stats HTTP/1.1\r\n{headers}\r\n").into_bytes();
    let post = |headers: &str, body: &str| {
        format!("POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n\r\n{body}").into_bytes()
    };
    let long = "x".repeat(65);
    vec![
        ("an id too long", get(&format!("/api/debates/{long}")), &[400]),
        ("a dot", get("/api/debates/."), &[400, 404]),
        ("dots", get("/api/debates/..%2f..%2fetc%2fpasswd/stream"), &[400, 404]),
        ("a slash", get("/api/debates/a%2fb"), &[400]),
        ("a line end", get("/api/debates/a%0ab/stream"), &[400]),
        ("a NUL", get("/api/debates/a%00/stream"), &[400]),
        ("a space", get("/api/debates/a%20b"), &[400]),
        ("not UTF-8", get("/api/debates/a%ff/stream"), &[400]),
        ("bidi", get("/api/debates/%E2%80%AEabc/stream"), &[400]),
        ("half an escape", get("/api/debates/a%2/stream"), &[400]),
        ("an empty id", get("/api/debates//stream"), &[400, 404]),
        ("nothing there", get("/api/nothing"), &[404]),
        ("nothing below", get("/api/debates/d1/nothing"), &[404]),
        ("a stream nobody has published to", get("/api/debates/none"), &[404]),
        ("its events", get("/api/debates/none/events"), &[404]),
        ("limit 0", get(&format!("{EVENTS}?limit=0")), &[400]),
        ("limit -1", get(&format!("{EVENTS}?limit=-1")), &[400]),
        ("limit 1e9", get(&format!("{EVENTS}?limit=1e9")), &[400]),
        ("limit 1001", get(&format!("{EVENTS}?limit=1001")), &[400]),
        ("limit 2^64", get(&format!("{EVENTS}?limit=18446744073709551616")), &[400]),
        ("no limit", get(&format!("{EVENTS}?limit=")), &[400]),
        ("limit twice", get(&format!("{EVENTS}?limit=1&limit=2")), &[400]),
        ("an unknown parameter", get(&format!("{EVENTS}?from=1")), &[400]),
        ("after nothing", get(&format!("{EVENTS}?after=")), &[400]),
        ("after abc", get(&format!("{EVENTS}?after=abc")), &[400]),
        ("after another stream's", get(&format!("{EVENTS}?after=zzzzzzzz-1")), &[400]),
        ("before abc", get("/api/debates?before=abc"), &[400]),
        ("a list too long", get("/api/debates?limit=101"), &[400]),
        ("no Host", with("Connection: close\r\n"), &[200, 400]),
        ("a bad name", with("Host: x\r\nBad Name: 1\r\n"), &[400]),
        ("a space before the colon", with("Host: x\r\nBad : 1\r\n"), &[400]),
        ("a folded header", with("Host: x\r\nA: 1\r\n 2\r\n"), &[400]),
        ("a NUL in a header", with("Host: x\r\nA: \0\r\n"), &[400]),
        ("97 headers", with(&format!("Host: x\r\n{}", "A: 1\r\n".repeat(96))), &[431]),
        ("96 headers", with(&format!("Host: x\r\n{}", "A: 1\r\n".repeat(95))), &[200]),
        ("HTTP/9.9", b"GET /api/stats HTTP/9.9\r\nHost: x\r\n\r\n".to_vec(), &[400]),
        ("no HTTP", b"hello\r\n\r\n".to_vec(), &[400]),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), &[400]),
        ("two lengths", post("Content-Length: 2\r\nContent-Length: 3", "{}"), &[400]),
        ("a length with a sign", post("Content-Length: +2", "{}"), &[400]),
        (
            "length and chunks",
            post("Content-Length: 2\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            &[400],
        ),
        ("a bad chunk", post("Transfer-Encoding: chunked", "zz\r\n{}\r\n0\r\n\r\n"), &[400]),
    ]
}

#[actix_web::test]
async fn bad_input_gets_a_clear_answer_stores_nothing_and_disturbs_nobody() {
    let server = TestServer::start().await;
    server.publish("/api/debates/canary", note(0)).await;
    let mut canary = server.follow_live("/api/debates/canary/stream").await;
    let mut published = 1;
    let mut fails = Vec::new();
    let mut number = 0;
    let requests = requests()
        .into_iter()
        .map(|(label, bytes, statuses)| (label, bytes, statuses.to_vec(), None));
    let bodies = bodies()
        .into_iter()
        .map(|(label, body, status, code)| (label, publish(&body), vec![status], Some(code)));
    for (label, bytes, statuses, code) in bodies.chain(requests) {
        number += 1;
        match raw(server.address, &bytes).await {
            None => fails.push(format!("{label}: closed without an answer")),
            Some(answer) => {
                let got = answer.status();
                if !statuses.contains(&got) {
                    fails.push(format!("{label}: {got}, not {statuses:?}: {}", answer.text()));
                } else if code.is_some_and(|code| answer.code() != code) {
                    fails.push(format!("{label}: {}", answer.text()));
                } else {
                    // actix-http itself answers what is no HTTP, and says nothing more.
                    let is_silent = answer.body.is_empty() && code.is_none();
                    let is_clean = ["serde", "sqlite", "SELECT", "/tmp", ".rs", "panicked"]
                        .iter()
                        .all(|word| !answer.text().contains(word));
                    if !(got == 200 || is_silent || !answer.message().is_empty()) || !is_clean {
                        fails.push(format!("{label}: {}", answer.text()));
                    }
                }
            }
        }
        // The canary still sees what is published, next and at once, and nothing else.
        let id = server.publish("/api/debates/canary", note(number)).await;
        published += 1;
        let seen = canary.next().await;
        assert_eq!(seen.id.as_ref(), Some(&id), "after {label}");
        assert_eq!(seen.seq(), Some(published), "something was stored: {label}");
        assert_eq!(seen.json(), json!({ "n": number }), "after {label}");
    }
    assert!(fails.is_empty(), "{}", fails.join("\n"));
}

#[actix_web::test]
async fn what_is_odd_but_allowed_is_stored_as_it_came() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live("/api/debates/canary/stream").await;
    let largest = format!(r#"{{"type":"note","data":"{}"}}"#, "x".repeat(65_534));
    for body in [
        r#"{"type":"note","data":{"n":12345678901234567890123,"n":1.0,"z":1e400}}"#,
        r#"{"type":"note","data":"\u0000"}"#,
        r#"{"type":"note","data":null}"#,
        r#"{"type":"note","data":-0.0}"#,
        r#"{"type":"note","data":""}"#,
        r#"{"type":"note","data":"\u2028 \ud83c\udfa4"}"#,
        &nested(64),
        &largest,
    ] {
        let answer = raw(server.address, &publish(body.as_bytes())).await.unwrap();
        assert_eq!(answer.status(), 201, "{:.200}: {}", body, answer.text());
        let data = body.split_once(r#""data":"#).unwrap().1.strip_suffix('}').unwrap();
        let seen = wire.next().await;
        assert_eq!(seen.data, data);
        let history = server.get(&format!("{EVENTS}?limit=1000")).await.text();
        assert!(history.contains(&format!(r#""data":{data},"#)));
    }
}

#[actix_web::test]
async fn any_cursor_is_answered_200_and_told_what_it_missed() {
    let server = TestServer::start().await;
    let id = server.publish("/api/debates/d1", note(1)).await;
    let other = server.publish("/api/debates/d2", note(1)).await;
    let epoch = id.split_once('-').unwrap().0;
    let with = |seq: &str| format!("{epoch}-{seq}");
    let long = "9".repeat(4_000);
    for (cursor, reason) in [
        (String::new(), None),
        ("42".into(), Some("malformed")),
        ("../../etc/passwd".into(), Some("malformed")),
        ("' OR 1=1 --".into(), Some("malformed")),
        ("\u{e9}\u{1f3a4}".into(), Some("malformed")),
        ("a\x1b[2J".into(), Some("malformed")),
        ("null".into(), Some("malformed")),
        (long, Some("malformed")),
        (with("-1"), Some("malformed")),
        (with("01"), Some("malformed")),
        (with("1e3"), Some("malformed")),
        (with("+5"), Some("malformed")),
        (with("18446744073709551616"), Some("malformed")),
        (with("9223372036854775808"), Some("ahead")),
        (with("18446744073709551615"), Some("ahead")),
        (with("2"), Some("ahead")),
        (other, Some("unknown")),
        ("zzzzzzzz-1".into(), Some("unknown")),
        (with("1"), None),
        (with("0"), None),
    ] {
        let shown: String = cursor.chars().take(30).collect();
        let mut wire = server.resume("/api/debates/d1/stream", &cursor).await;
        if wire.head.status == 400 && cursor.contains('\x1b') {
            continue; // Not a header value at all: the HTTP layer has the last word.
        }
        assert_eq!(wire.head.status, 200, "{shown:?}");
        let events = wire.until("snapshot").await;
        let gap = events.iter().find(|event| event.name == "gap");
        assert_eq!(gap.map(|gap| gap.text("reason")).as_deref(), reason, "{shown:?}");
        let replayed = events.iter().filter(|event| event.is_durable()).count();
        let expected = usize::from(reason.is_some() || cursor.ends_with("-0"));
        assert_eq!(replayed, expected, "{shown:?}");
        if reason == Some("malformed") {
            assert_eq!(gap.unwrap().json()["requested"], json!(null), "{shown:?}");
        }
        assert_eq!(wire.take_events(), []);
        drop(wire);
        server.until_clients(0).await;
    }
    // A query that makes no sense is no reason to turn an EventSource away, either.
    for query in ["?lastEventId=%ff", "?lastEventId=1&lastEventId=2", "?%", "?x=y"] {
        let path = format!("/api/debates/d1/stream{query}");
        let mut wire = server.follow(&path).await;
        assert_eq!(wire.head.status, 200, "{query}");
        wire.until("snapshot").await;
    }
}

#[actix_web::test]
async fn a_known_path_with_another_method_says_which_it_has() {
    let server = TestServer::start().await;
    for base in ["/api/debates", "/api/conversations/sessions"] {
        for (path, allowed) in [
            (String::new(), "GET, HEAD"),
            ("/x1".into(), "GET, HEAD"),
            ("/x1/stream".into(), "GET, HEAD"),
            ("/x1/events".into(), "GET, HEAD, POST"),
            ("/x1/clients/c/events".into(), "POST"),
            ("/x1/launch".into(), "POST"),
            ("/x1/pause".into(), "POST"),
            ("/x1/resume".into(), "POST"),
            ("/x1/stop".into(), "POST"),
        ] {
            let path = format!("{base}{path}");
            for method in ["PUT", "DELETE", "PATCH"] {
                let answer = request(server.address, method, &path, &[], b"").await;
                assert_eq!(answer.status(), 405, "{method} {path}");
                assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
                assert_eq!(answer.code(), "method_not_allowed");
            }
            let answer = request(server.address, "OPTIONS", &path, &[], b"").await;
            assert_eq!(answer.status(), 204, "{path}");
            assert_eq!(answer.header("allow"), Some(allowed), "{path}");
        }
    }
    for path in ["/api/stats", "/health/live", "/health/ready"] {
        let answer = request(server.address, "POST", path, &[], b"{}").await;
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
}

#[actix_web::test]
async fn head_on_a_stream_is_its_headers_and_nothing_more() {
    let server = TestServer::start().await;
    let stream = "/api/debates/d1/stream";
    let head = request(server.address, "HEAD", stream, &[], b"").await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
    let wire = server.follow_live(stream).await;
    for name in ["content-type", "cache-control", "x-accel-buffering", "content-encoding"] {
        assert_eq!(head.header(name), wire.head.header(name), "{name}");
    }
    assert_eq!(server.clients().await, 1, "a HEAD is no subscriber");
    assert_eq!(
        request(server.address, "HEAD", "/api/debates/a%20b/stream", &[], b"").await.status(),
        400
    );
}

#[actix_web::test]
async fn an_http_1_0_client_gets_the_stream_without_chunks() {
    let server = TestServer::start().await;
    server.publish("/api/debates/d1", note(1)).await;
    server.publish("/api/debates/d1", crate::helpers::complete()).await;
    let request = b"GET /api/debates/d1/stream?lastEventId=earliest HTTP/1.0\r\n\r\n";
    let answer = raw(server.address, request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.text().ends_with("data: {}\n\n"), "{}", answer.text());
}

#[actix_web::test]
async fn a_thousand_requests_in_one_go_are_answered_in_order_or_not_at_all() {
    let server = TestServer::start().await;
    let mut canary = server.follow_live("/api/debates/canary/stream").await;
    let one = "GET /api/debates/none HTTP/1.1\r\nHost: x\r\n\r\n".repeat(999)
        + "GET /api/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut reader, mut writer) = tcp.into_split();
        let write = actix_web::rt::spawn(async move {
            let _ = writer.write_all(one.as_bytes()).await;
            writer
        });
        let mut answers = Vec::new();
        within("the answers", reader.read_to_end(&mut answers)).await.unwrap();
        drop(write.await);
        String::from_utf8(answers).unwrap()
    };
    assert_eq!(answers.matches("HTTP/1.1 404 ").count(), 999);
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 1);
    let id = server.publish("/api/debates/canary", note(1)).await;
    assert_eq!(canary.next().await.id, Some(id));
}

#[actix_web::test]
async fn whoever_pipelines_more_behind_a_stream_than_is_buffered_keeps_nobody_busy() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = TestServer::start().await;
    let mut canary = server.follow_live("/api/debates/canary/stream").await;
    let tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut reader, mut writer) = tcp.into_split();
    let behind = "GET /api/stats HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10_000);
    let requests = format!("GET /api/debates/d1/stream HTTP/1.1\r\nHost: x\r\n\r\n{behind}");
    let write = actix_web::rt::spawn(async move {
        let _ = writer.write_all(requests.as_bytes()).await;
        writer
    });
    // actix-http polls the stream over and over meanwhile, and so it ends, as an honest one would not.
    let mut answer = Vec::new();
    let ended = async {
        while !answer.windows(7).any(|bytes| bytes == b"\r\n0\r\n\r\n") {
            assert!(reader.read_buf(&mut answer).await.unwrap() > 0);
        }
    };
    within("the stream's end", ended).await;
    assert!(String::from_utf8_lossy(&answer).contains("event: snapshot"));
    write.abort();
    drop(reader);
    let id = server.publish("/api/debates/canary", note(1)).await;
    assert_eq!(canary.next().await.id, Some(id));
}
