//! More than a server takes, as the real binary is told to take it; and how it ends all the same.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::helpers::{
    Process, Wire, clearside_with_files, event, eventually, exchange_json, get, note, request, run,
    within,
};

const STREAM: &str = "/api/debates/d1";
const FOLLOW: &str = "/api/debates/d1/stream";
const OTHER: &str = "/api/conversations/sessions/s1/stream";

async fn serve(folder: &Path, args: &[&str]) -> Process {
    Process::serve(folder, 0, args).await
}

async fn clients(server: &Process) -> u64 {
    let stats = get(server.address, "/api/stats").await.json();
    let clients = |kind: &str| stats[kind]["clients"].as_u64().unwrap();
    clients("debates") + clients("conversations")
}

async fn until_clients(server: &Process, expected: u64) {
    eventually("the clients", || async { clients(server).await == expected }).await;
}

async fn follow_live(server: &Process, path: &str) -> Wire {
    let mut wire = Wire::follow(server.address, path, &[]).await;
    wire.until("snapshot").await;
    wire
}

#[actix_web::test]
async fn whoever_is_one_too_many_is_told_to_come_back_and_let_in_once_one_leaves() {
    for (limit, other_is_let_in) in [
        ("--max-clients", false),
        ("--max-clients-per-stream", true),
        ("--max-clients-per-address", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(folder.path(), &[limit, "2", "--retry", "1s"]).await;
        let first = follow_live(&server, FOLLOW).await;
        let second = follow_live(&server, FOLLOW).await;
        for path in [FOLLOW, OTHER] {
            let is_let_in = other_is_let_in && path == OTHER;
            // The answer has a length, so its connection would be kept for the next request.
            let close = [("Connection", "close")];
            let mut third = Wire::follow(server.address, path, &close).await;
            assert_eq!(third.head.status, 200, "{limit}: else an EventSource would not come back");
            assert_eq!(third.head.header("content-type"), Some("text/event-stream"));
            if is_let_in {
                third.until("snapshot").await;
                continue;
            }
            let events = third.until_end().await;
            let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
            assert_eq!(names, ["busy"], "{limit}");
            assert!(third.text().starts_with("retry: "), "{limit}: {}", third.text());
            let retry = third.retry().unwrap();
            assert!((500..=1500).contains(&retry), "{limit}: {retry}");
        }
        until_clients(&server, 2).await;
        drop(first);
        until_clients(&server, 1).await;
        let third = follow_live(&server, FOLLOW).await;
        assert_eq!(clients(&server).await, 2, "{limit}");
        drop((second, third));
        until_clients(&server, 0).await;
        let stats = get(server.address, "/api/stats").await.json();
        assert_eq!(
            (&stats["debates"]["count"], &stats["conversations"]["count"]),
            (&json!(0), &json!(0))
        );
    }
}

#[actix_web::test]
async fn a_stream_too_many_is_refused_and_those_in_memory_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &["--max-streams", "1"]).await;
    let events = format!("{STREAM}/events");
    let publish = async |path: &str| exchange_json(server.address, path, &note(1)).await.unwrap();
    assert_eq!(publish(&events).await.status(), 201);
    let mut live = follow_live(&server, FOLLOW).await;

    let refused = publish("/api/debates/d2/events").await;
    assert_eq!((refused.status(), refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let mut turned_away = Wire::follow(server.address, OTHER, &[("Connection", "close")]).await;
    let names: Vec<_> = turned_away.until_end().await.into_iter().map(|event| event.name).collect();
    assert_eq!((turned_away.head.status, names), (200, vec!["busy".to_owned()]));

    assert_eq!(publish(&events).await.status(), 201);
    assert_eq!(live.next().await.seq(), Some(2));
    follow_live(&server, FOLLOW).await;
    let missing = get(server.address, "/api/debates/d2").await;
    assert_eq!(missing.status(), 404, "nothing of it is stored");
}

#[actix_web::test]
async fn pages_of_other_origins_change_nothing_unless_they_are_allowed_to() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &["--cors-origin", "https://ok.example"]).await;
    let own = format!("http://{}", server.address);
    let body = note(1).to_string();
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("https://ok.example.evil", 403),
        ("https://ok.example", 201),
        (&own, 201),
    ] {
        let headers = [("Content-Type", "application/json"), ("Origin", origin)];
        let path = format!("{STREAM}/events");
        let answer = request(server.address, "POST", &path, &headers, body.as_bytes()).await;
        assert_eq!(answer.status(), status, "{origin}: {}", answer.text());
        if status == 403 {
            assert_eq!(answer.code(), "foreign_origin");
            // What needs no body and no content type is what a page could send unasked.
            let stop = format!("{STREAM}/stop");
            let answer = request(server.address, "POST", &stop, &[("Origin", origin)], b"").await;
            assert_eq!((answer.status(), answer.code().as_str()), (403, "foreign_origin"));
        }
    }
    let shown = get(server.address, STREAM).await.json();
    assert_eq!(shown["status"], "live", "nobody has stopped it");
    assert!(shown["lastEventId"].as_str().unwrap().ends_with("-2"));
}

#[actix_web::test]
async fn headers_that_are_too_long_are_refused_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &[]).await;
    let (long, longest) = ("x".repeat(9_000), "x".repeat(8_000));
    let several = [("A", longest.as_str()); 5];
    for (headers, status) in [
        (&[("Cookie", long.as_str())][..], 431),
        (&several[..], 431),
        (&several[..3], 200),
        (&[("Last-Event-ID", long.as_str())], 200),
    ] {
        let answer = request(server.address, "GET", "/api/stats", headers, b"").await;
        assert_eq!(answer.status(), status, "{}", answer.text());
        if status == 431 {
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.code(), "headers_too_large");
        }
    }
}

#[actix_web::test]
async fn a_reader_that_is_stalled_keeps_no_server_from_ending_and_it_is_not_ready_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(folder.path(), &["--drain", "4s", "--retry", "1s"]).await;
    let mut stalled = Wire::follow_with_small_buffer(server.address, FOLLOW).await;
    stalled.until("snapshot").await;
    // More than the kernel takes for one that reads nothing.
    let large: serde_json::Value =
        (0..16).map(|_| event("note", json!("x".repeat(60_000)))).collect();
    for _ in 0..4 {
        let published = exchange_json(server.address, &format!("{STREAM}/events"), &large).await;
        assert_eq!(published.unwrap().status(), 201);
    }
    assert_eq!(get(server.address, "/health/ready").await.status(), 200);
    let signalled = Instant::now();
    server.signal("TERM");
    eventually("the drain", || async {
        get(server.address, "/health/ready").await.status() == 503
    })
    .await;
    assert_eq!(get(server.address, "/health/live").await.status(), 200, "it is not dead");
    let status = within("the exit", server.exit()).await;
    assert_eq!(status.code(), Some(0), "{}", server.stderr());
    let took = signalled.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}: {}", server.stderr());
    drop(stalled);
}

/// Publishes over a connection that stays.
async fn publish_over(connection: &mut TcpStream) {
    let body = note(1).to_string();
    let head = format!(
        "POST {STREAM}/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with('}') {
        let mut bytes = [0; 1024];
        let read = within("an answer", connection.read(&mut bytes)).await.unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[actix_web::test]
async fn connections_of_any_kind_leave_descriptors_for_the_database() {
    const FILES: u32 = 320;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(clearside_with_files(FILES, folder.path())).await;
    let mut publisher = TcpStream::connect(server.address).await.unwrap();
    publish_over(&mut publisher).await;
    // They stay, as those of browsers do; the last ones wait in the kernel until others leave.
    let mut idle = Vec::new();
    for _ in 0..2 * FILES {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        let question = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
        connection.write_all(question).await.unwrap();
        idle.push(connection);
    }
    let folder_of_files = format!("/proc/{}/fd", server.id());
    let open = || std::fs::read_dir(&folder_of_files).unwrap().count();
    eventually("connections", || async { open() > 200 }).await;
    assert!(open() < 300, "{} of {FILES} files are open", open());
    publish_over(&mut publisher).await;
    drop(idle);
    eventually("room", || async { open() < 100 }).await;
    assert_eq!(get(server.address, "/health/ready").await.status(), 200);
    assert!(!server.stderr().contains("Too many open files"), "{}", server.stderr());
}

#[actix_web::test]
async fn a_server_that_may_open_too_few_files_says_so_and_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(clearside_with_files(256, folder.path())).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("open files") && stderr.lines().count() == 1, "{stderr}");
}
