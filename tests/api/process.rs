//! The server as a process: how it starts, how it refuses to, and how it ends.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::helpers::{
    Process, Wire, assert_transcript, clearside, exchange_json, get, phase, request, run, within,
};

const STREAM: &str = "/api/debates/d1";
const FOLLOW: &str = "/api/debates/d1/stream";

#[actix_web::test]
async fn headers_are_exactly_these() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--cors-origin", "https://ok.example"]).await;
    let ok = ("Origin", "https://ok.example");
    let mut text = String::new();
    let mut show = |label: &str, head: &crate::helpers::Head| {
        text.push_str(&format!("# {label}\n{} {}\n", head.version, head.status));
        for (name, value) in &head.headers {
            let is_volatile =
                matches!(name.as_str(), "date" | "etag" | "content-length" | "x-request-id");
            let mut listed: Vec<_> = value.split(", ").collect();
            if name == "access-control-expose-headers" {
                // A set: each worker has an order of its own.
                listed.sort_unstable();
            }
            let value = if is_volatile { "*".to_owned() } else { listed.join(", ") };
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push('\n');
    };
    let address = server.address;
    show("GET stream", &Wire::follow(address, FOLLOW, &[]).await.head);
    show("GET stream, Origin: ok", &Wire::follow(address, FOLLOW, &[ok]).await.head);
    show("HEAD stream", &request(address, "HEAD", FOLLOW, &[], b"").await.head);
    let published = exchange_json(address, &format!("{STREAM}/events"), &phase("Opening")).await;
    show("POST events", &published.unwrap().head);
    show("GET snapshot", &get(address, STREAM).await.head);
    show("GET unknown stream", &get(address, "/api/debates/none").await.head);
    show("GET unknown path", &get(address, "/api/nothing").await.head);
    show("PUT stream", &request(address, "PUT", FOLLOW, &[], b"").await.head);
    show("GET /", &get(address, "/").await.head);
    exchange_json(address, &format!("{STREAM}/events"), &crate::helpers::complete()).await.unwrap();
    let history = get(address, &format!("{STREAM}/events")).await.json();
    let last = history["events"][1]["id"].as_str().unwrap().to_owned();
    show(
        "GET stream at its end",
        &Wire::follow(address, FOLLOW, &[("Last-Event-ID", &last)]).await.head,
    );
    assert_transcript("headers", "", &text);
}

#[actix_web::test]
async fn only_pages_of_allowed_origins_are_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let origins = ["--cors-origin", "https://ok.example", "--cors-origin", "http://localhost:5173"];
    let server = Process::serve(folder.path(), 0, &origins).await;
    for (origin, is_allowed) in [
        ("https://ok.example", true),
        ("http://localhost:5173", true),
        ("http://ok.example", false),
        ("https://ok.example:8443", false),
        ("https://ok.example.evil", false),
        ("https://evil.example", false),
        ("https://OK.example", false),
        ("null", false),
    ] {
        let allowed = is_allowed.then_some(origin);
        let wire = Wire::follow(server.address, FOLLOW, &[("Origin", origin)]).await;
        let answer = get_as(&server, "/api/stats", origin).await;
        let preflight = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type, last-event-id"),
        ];
        let path = format!("{STREAM}/events");
        let preflight = request(server.address, "OPTIONS", &path, &preflight, b"").await;
        for (what, head) in
            [("stream", &wire.head), ("stats", &answer.head), ("preflight", &preflight.head)]
        {
            assert_eq!(head.header("access-control-allow-origin"), allowed, "{what} {origin}");
            let vary = head.header("vary").unwrap_or_default().to_ascii_lowercase();
            if is_allowed {
                assert!(vary.contains("origin"), "{what} {origin}: {vary:?}");
            }
        }
        assert_eq!(preflight.status() < 300, is_allowed, "{origin}: {}", preflight.status());
    }
    let without = Wire::follow(server.address, FOLLOW, &[]).await;
    assert_eq!(without.head.status, 200, "what is no browser sends no origin");
}

async fn get_as(server: &Process, path: &str, origin: &str) -> crate::helpers::Answer {
    request(server.address, "GET", path, &[("Origin", origin)], b"").await
}

#[actix_web::test]
async fn a_signal_drains_publishes_and_streams_and_then_exits() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Process::serve(folder.path(), 0, &[]).await;
        let address = server.address;
        let mut wires = Vec::new();
        for _ in 0..20 {
            let mut wire = Wire::follow(address, FOLLOW, &[]).await;
            wire.until("snapshot").await;
            wires.push(wire);
        }
        // A publisher that has sent half of its event, and one that keeps an idle connection.
        let body = phase("Opening").to_string();
        let (first_half, second_half) = body.split_at(body.len() / 2);
        let mut publisher = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {STREAM}/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{first_half}",
            body.len()
        );
        publisher.write_all(head.as_bytes()).await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut buffer = [0; 1024];
        assert!(within("an answer", idle.read(&mut buffer)).await.unwrap() > 0);

        let signalled = Instant::now();
        server.signal(signal);
        for wire in &mut wires {
            wire.until_end().await;
            let last = wire.text().trim_end().rsplit("\n\n").next().unwrap().to_owned();
            let retry: u64 = last.strip_prefix("retry: ").expect("the last word").parse().unwrap();
            assert!((1000..=3000).contains(&retry));
        }
        let retries: std::collections::BTreeSet<_> = wires.iter().map(Wire::retry).collect();
        assert!(retries.len() > 10, "they are not to come back together: {retries:?}");
        publisher.write_all(second_half.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within("the publisher's answer", publisher.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "SIG{signal}: {answer:?}");

        let status = server.exit().await;
        assert_eq!(status.code(), Some(0), "{}", server.stderr());
        assert!(signalled.elapsed() < Duration::from_secs(10), "{}", server.stderr());

        // Whoever copies the database's file has all of it.
        let log = folder.path().join("clearside.db-wal");
        assert_eq!(log.metadata().map_or(0, |log| log.len()), 0, "{}", server.stderr());

        let server = Process::serve(folder.path(), 0, &[]).await;
        let history = get(server.address, &format!("{STREAM}/events")).await.json();
        assert_eq!(history["events"].as_array().unwrap().len(), 1, "it was stored");
    }
}

#[actix_web::test]
async fn the_demo_performs_until_it_is_stopped_and_has_nothing_to_complain_of_then() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("demo.db").display());
    let demo = clearside(&["demo", "--listen", "127.0.0.1:0", "--database", &database]);
    let mut demo = Process::start(demo).await;
    let address = demo.address;
    crate::helpers::eventually("both performances", || async {
        let active = get(address, "/api/stats").await.json();
        active["debates"]["active"] == 1 && active["conversations"]["active"] == 1
    })
    .await;
    demo.signal("INT");
    assert_eq!(demo.exit().await.code(), Some(0), "{}", demo.stderr());
    assert!(!demo.stderr().contains("ERROR"), "{}", demo.stderr());
}

#[actix_web::test]
async fn connects_and_disconnects_are_logged_with_fields() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Process::serve(folder.path(), 0, &["--log-format", "json", "--heartbeat", "1h"]).await;
    let mut wire = Wire::follow(server.address, FOLLOW, &[]).await;
    let client = wire.until("snapshot").await[0].text("clientId");
    let secret = crate::helpers::event("note", json!({ "text": "a-payload-is-never-logged" }));
    exchange_json(server.address, &format!("{STREAM}/events"), &secret).await.unwrap();
    wire.until("note").await;
    drop(wire);
    crate::helpers::eventually("the log", || async {
        server.stderr().contains("closed_by_client")
    })
    .await;
    server.signal("TERM");
    server.exit().await;
    let log = server.stderr();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let about = |msg: &str| {
        lines
            .iter()
            .find(|line| line["msg"] == msg && line.to_string().contains(&client))
            .unwrap_or_else(|| panic!("no {msg:?} in {log}"))
            .clone()
    };
    let connected = about("subscriber connected");
    assert!(connected.to_string().contains("debate/d1"), "{connected}");
    let gone = about("subscriber disconnected");
    assert_eq!(gone["reason"], "closed_by_client");
    assert!(gone.to_string().contains("elapsed_ms"), "{gone}");
    assert!(!log.contains("a-payload-is-never-logged"));
}

#[actix_web::test]
async fn a_server_that_cannot_start_says_why_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let running = Process::serve(folder.path(), 0, &[]).await;
    let in_use = format!("sqlite://{}", folder.path().join("clearside.db").display());
    let taken = running.address.to_string();
    let other = tempfile::tempdir().unwrap();
    let link = other.path().join("link.db");
    std::os::unix::fs::symlink(folder.path().join("clearside.db"), &link).unwrap();
    let linked = format!("sqlite://{}", link.display());
    let fresh = format!("sqlite://{}", other.path().join("fresh.db").display());
    let missing = format!("sqlite://{}", other.path().join("missing/folder.db").display());
    let directory = format!("sqlite://{}", other.path().display());
    let garbage_path = other.path().join("garbage.db");
    let garbage_bytes = "this is no database\n".repeat(1000);
    std::fs::write(&garbage_path, &garbage_bytes).unwrap();
    let garbage = format!("sqlite://{}", garbage_path.display());
    for (listen, database, expected) in [
        ("127.0.0.1:0", &in_use, "in use by another process"),
        ("127.0.0.1:0", &linked, "in use by another process"),
        (taken.as_str(), &fresh, "cannot listen on 127.0.0.1"),
        ("127.0.0.1:0", &missing, "cannot open the database"),
        ("127.0.0.1:0", &directory, "cannot open the database"),
        ("127.0.0.1:0", &garbage, "cannot open the database"),
        ("203.0.113.7:0", &fresh, "cannot listen on 203.0.113.7"),
    ] {
        let command = clearside(&["serve", "--open", "--listen", listen, "--database", database]);
        let output = run(command).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{database}: {stderr}");
        assert_eq!(output.stdout, b"", "{database}");
        assert!(stderr.starts_with("error: ") && stderr.contains(expected), "{database}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert_eq!(
        std::fs::read_to_string(&garbage_path).unwrap(),
        garbage_bytes,
        "it is left as it was"
    );
    assert_eq!(get(running.address, "/health/ready").await.status(), 200, "the first one goes on");
}

#[actix_web::test]
async fn wrong_usage_exits_with_2_and_names_what_is_wrong() {
    for (args, expected) in [
        (vec!["serve", "--listen", "127.0.0.1:99999"], "--listen"),
        (vec!["serve", "--listen", "here"], "--listen"),
        (vec!["serve", "--database", "postgres://x"], "--database"),
        (vec!["serve", "--heartbeat", "0s"], "--heartbeat"),
        (vec!["serve", "--retry", "soon"], "--retry"),
        (vec!["serve", "--retry", "500us"], "2ms"),
        (vec!["serve", "--mailbox", "0"], "--mailbox"),
        (vec!["serve", "--cors-origin", "*"], "--cors-origin"),
        (vec!["serve", "--cors-origin", "https://ok.example/path"], "--cors-origin"),
        (vec!["serve", "--no-such-flag"], "--no-such-flag"),
        (vec!["watch", "debates/d1"], "debate/ID"),
        (vec!["publish", "debate/a b", "note", "{}"], "an id is"),
        (vec!["publish", "debate/d1"], "TYPE"),
        (vec!["play", "file.md"], "--debate"),
        (vec!["play", "file.md", "--debate", "d1", "--conversation", "s1"], "cannot be used with"),
        (vec!["play", "file.md", "--debate", "d1", "--speed", "0"], "--speed"),
        (vec!["nothing"], "nothing"),
        (vec![], "Usage"),
    ] {
        let output = run(clearside(&args)).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {stderr}");
    }
    for args in [vec!["--help"], vec!["serve", "--help"], vec!["--version"]] {
        let output = run(clearside(&args)).await;
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_ne!(output.stdout, b"");
    }
}

#[actix_web::test]
async fn what_is_asked_behind_a_stream_ends_it_if_it_is_too_much_and_is_ignored_if_it_is_little() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let behind = "GET /api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let stream = format!("GET {FOLLOW} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    tcp.write_all(format!("{stream}{behind}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let has_come = async |text: &str, tcp: &mut TcpStream, answer: &mut Vec<u8>| {
        let came = async {
            while !String::from_utf8_lossy(answer).contains(text) {
                assert!(tcp.read_buf(answer).await.unwrap() > 0);
            }
        };
        within(text, came).await;
    };
    has_come("event: snapshot", &mut tcp, &mut answer).await;
    tcp.write_all(behind.as_bytes()).await.unwrap();
    exchange_json(server.address, &format!("{STREAM}/events"), &phase("Opening")).await.unwrap();
    has_come("event: phase", &mut tcp, &mut answer).await;
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1").count(), 1);

    let (mut reader, mut writer) = tcp.into_split();
    let flood =
        actix_web::rt::spawn(
            async move { while writer.write_all(behind.as_bytes()).await.is_ok() {} },
        );
    // Closed with what it has not read, and so perhaps reset.
    let _ = within("the end", reader.read_to_end(&mut answer)).await;
    within("the flood's end", flood).await.unwrap();
}
