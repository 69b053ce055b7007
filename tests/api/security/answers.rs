//! How what is refused is refused: the exact status, headers and body, in the app and below it.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Guarded, answer_to, assert_refused};
use crate::helpers::{Process, event, eventually, get, note, request, within};

const EVENTS: &str = "/api/debates/d1/events";
const FOLLOW: &str = "/api/debates/d1/stream";

#[actix_web::test]
async fn what_would_forge_an_event_or_a_stream_is_refused_in_one_shape() {
    let server = Guarded::start(&[]).await;
    let token = server.token(&json!({ "publish": ["*"], "subscribe": ["*"] }));
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let of_type = |name: &str| event(name, json!({}));
    let with_id = json!({ "type": "note", "data": {}, "id": "k3v9x2a7-9" });
    for (what, body, status, code) in [
        ("a line end", of_type("a\nid: 1"), 400, "invalid_type"),
        ("a return", of_type("a\rdata: x"), 400, "invalid_type"),
        ("a colon in front", of_type(":heartbeat"), 400, "invalid_type"),
        ("65 characters", of_type(&"x".repeat(65)), 400, "invalid_type"),
        ("gap", of_type("gap"), 400, "reserved_type"),
        ("connected", of_type("connected"), 400, "reserved_type"),
        ("snapshot", of_type("snapshot"), 400, "reserved_type"),
        ("auth_expired", of_type("auth_expired"), 400, "reserved_type"),
        ("an id of its own", with_id, 422, "invalid_event"),
    ] {
        let answer = server.send("POST", EVENTS, &headers, &body.to_string()).await;
        assert_refused(&answer, status, code, None, what);
    }
    for id in [
        "..%2f..%2fetc%2fpasswd",
        "a%2fb",
        "a%00",
        "a%0aevent:x",
        "a%0d",
        "%E2%80%AEabc",
        "%E2%80%8Babc",
        &"x".repeat(65),
    ] {
        for (method, rest) in
            [("GET", "/stream"), ("GET", ""), ("GET", "/events"), ("POST", "/events")]
        {
            let body = if method == "POST" { note(1).to_string() } else { String::new() };
            let path = format!("/api/debates/{id}{rest}");
            let answer = server.send(method, &path, &headers, &body).await;
            assert_refused(&answer, 400, "invalid_stream_id", None, &path);
        }
    }
    let list = server.get("/api/debates", &token).await.json();
    assert_eq!(list["streams"], json!([]), "nothing was stored");
}

#[actix_web::test]
async fn a_body_that_is_too_slow_is_answered_in_the_same_shape_and_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let half = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{"
    );
    // It ends only because the server closes the connection.
    let answer = answer_to(server.address, half.as_bytes()).await;
    assert_refused(&answer, 408, "timeout", None, "a slow body");
    assert_eq!(get(server.address, "/api/debates/d1").await.status(), 404);
}

#[actix_web::test]
async fn a_page_that_is_refused_is_no_page() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let script = "/%3Cscript%3Ealert(1)%3C/script%3E";
    for (method, path, status, code) in [
        ("GET", script, 404, "not_found"),
        ("GET", "/api/debates/%3Cscript%3E/events", 400, "invalid_stream_id"),
        ("DELETE", FOLLOW, 405, "method_not_allowed"),
        ("GET", "/assets/nothing.js", 404, "not_found"),
    ] {
        let answer = request(server.address, method, path, &[], b"").await;
        assert_refused(&answer, status, code, None, path);
        assert!(!answer.text().contains("script"), "it says nothing that it was told");
    }
}

/// What is no HTTP never gets as far as the app. actix-http answers it with a status and nothing else, and
/// closes the connection: there is no body that could be taken for anything.
#[actix_web::test]
async fn what_is_no_proper_request_gets_a_bare_status_and_the_end_of_the_connection() {
    let server = Guarded::start(&[]).await;
    let token = server.token(&json!({ "publish": ["*"], "subscribe": ["*"], "stats": true }));
    let post = |headers: &str, body: &str| {
        format!(
            "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{headers}\r\n\r\n{body}"
        )
    };
    let with = |headers: &str| format!("GET /api/stats HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let body = note(1).to_string();
    let length = body.len();
    let smuggled = format!("0\r\n\r\n{}", post("Content-Length: 1", "x"));
    for (what, bytes, status) in [
        (
            "two lengths",
            post(&format!("Content-Length: {length}\r\nContent-Length: 1"), &body),
            400,
        ),
        ("a length with a sign", post(&format!("Content-Length: +{length}"), &body), 400),
        (
            "a length and chunks",
            post(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"), &smuggled),
            400,
        ),
        ("a folded header", with("A: 1\r\n 2\r\n"), 400),
        ("a space before the colon", with("A : 1\r\n"), 400),
        ("97 headers", with(&"A: 1\r\n".repeat(96)), 431),
        ("200 headers", with(&"A: 1\r\n".repeat(200)), 431),
        ("a head without an end", with(&format!("A: {}", "x".repeat(100))), 408),
        ("no HTTP", "hello\r\n\r\n".into(), 400),
        ("HTTP/9.9", "GET / HTTP/9.9\r\nHost: x\r\n\r\n".into(), 400),
    ] {
        let answer = answer_to(server.server.address, bytes.as_bytes()).await;
        assert_eq!(answer.status(), status, "{what}: {}", answer.text());
        assert_eq!(answer.body, b"", "{what}");
        let mut names: Vec<_> = answer.head.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["connection", "content-length", "date"], "{what}");
        assert_eq!(answer.header("connection"), Some("close"), "{what}");
    }
    // The app's own limits come with the app's answers.
    let long = [("Cookie", "x".repeat(9_000))];
    let long: Vec<_> = long.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = server.send("GET", "/api/stats", &long, "").await;
    assert_refused(&answer, 431, "headers_too_large", None, "one long header");
    let many = vec![("A", "x".repeat(8_000)); 5];
    let many: Vec<_> = many.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = server.send("GET", "/api/stats", &many, "").await;
    assert_refused(&answer, 431, "headers_too_large", None, "long headers");
    assert_eq!(server.get("/api/debates/d1", &token).await.status(), 404, "nothing was stored");
}

#[actix_web::test]
async fn nothing_that_a_stranger_sends_can_forge_a_line_of_the_log() {
    const FORGED: &str = "forged-by-a-stranger";
    let folder = tempfile::tempdir().unwrap();
    let settings =
        ["--log-format", "json", "--log-filter", "trace", "--trusted-proxy", "127.0.0.1"];
    let mut server = Process::serve(folder.path(), 0, &settings).await;
    let forged = format!("\u{1b}[31m{FORGED}\u{202e}");
    let line = format!("%0d%0a{{\"level\":\"ERROR\",\"msg\":\"{FORGED}\"}}%1b[31m%e2%80%ae");
    for path in [
        format!("/api/debates/{line}/stream"),
        format!("{FOLLOW}?lastEventId={line}"),
        format!("{EVENTS}?after={line}"),
        format!("/{line}"),
    ] {
        let headers = [
            ("User-Agent", forged.as_str()),
            ("X-Forwarded-For", &forged),
            ("Origin", &forged),
            ("Connection", "close"),
        ];
        // Bytes that are no header are refused below; what counts is the log.
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        tcp.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let _ = within(&path, tcp.read_u8()).await;
    }
    let named = event(&format!("a\r\n{{\"msg\":\"{FORGED}\"}}"), json!(forged));
    let kept = event("note", json!(forged));
    for body in [named, kept] {
        let headers = [("Content-Type", "application/json"), ("User-Agent", "x")];
        request(server.address, "POST", EVENTS, &headers, body.to_string().as_bytes()).await;
    }
    let log = server.end_and_read_log();
    assert!(log.lines().count() > 10, "a log that says nothing proves nothing: {log}");
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).expect(line);
        assert_ne!(entry["msg"], FORGED, "{line}");
        let is_raw = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!line.contains(is_raw), "{line:?}");
    }
}

/// Opens so many connections that say nothing, and keeps them.
async fn silent(server: &Process, count: usize) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(TcpStream::connect(server.address).await.unwrap());
    }
    connections
}

#[actix_web::test]
async fn who_says_nothing_in_a_tls_handshake_is_let_go_and_keeps_nobody_out_meanwhile() {
    let certificate = super::http2::certificate();
    let secure = super::http2::Secure::start(&certificate, &[]).await;
    // More than actix lets shake hands at a time on all workers, unless it is told otherwise.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let count = workers * 256 + 100;
    rlimit::increase_nofile_limit(count as u64 + 1024).unwrap();
    let is_open = |tcp: &TcpStream| {
        let mut byte = [0];
        matches!(tcp.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    eventually("one who is let in while all of them still wait", async || {
        let waiting = silent(&secure.server, count).await;
        let trusted = certificate.cert.der();
        secure.connect(trusted, b"h2").await.unwrap();
        waiting.iter().all(is_open)
    })
    .await;
    let mut one = silent(&secure.server, 1).await.remove(0);
    let mut read = Vec::new();
    let _ = within("its end", one.read_to_end(&mut read)).await;
    assert_eq!(read, b"");
}
