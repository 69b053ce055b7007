//! HTTP/2 answers that nobody takes: actix has no bound on them.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use h2::{
    RecvStream,
    client::{ResponseFuture, SendRequest},
};
use serde_json::json;
use tokio::net::TcpStream;

use super::http2::{FOLLOW, ask, clients, http2, new_request};
use crate::helpers::{Process, eventually, get, note, post, within};

const EVENTS: &str = "/api/debates/d1/events";

/// A page of history of some 300 KB.
async fn long_history(server: &Process) -> usize {
    for _ in 0..5 {
        let long = json!({ "type": "note", "data": "x".repeat(60_000) }).to_string();
        assert_eq!(post(server.address, EVENTS, long.as_bytes()).await.status(), 201);
    }
    get(server.address, EVENTS).await.body.len()
}

/// Speaks HTTP/2 and takes only so much of each answer until it says so.
async fn taking(server: &Process, bytes: u32) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let builder = h2::client::Builder::new().initial_window_size(bytes).handshake(tcp);
    let (sender, connection) = within("HTTP/2", builder).await.unwrap();
    actix_web::rt::spawn(connection);
    sender
}

/// Asks for so many pages of this length and takes none of them: those that are answered, for which there is room,
/// and those that wait.
async fn fill(
    connection: &SendRequest<Bytes>,
    length: usize,
    count: usize,
) -> (Vec<http::Response<RecvStream>>, FuturesUnordered<ResponseFuture>) {
    let mut answers = FuturesUnordered::new();
    for _ in 0..count {
        let mut sender = connection.clone().ready().await.unwrap();
        let uri = format!("https://localhost{EVENTS}");
        let (answer, _) = sender.send_request(new_request("GET", &uri), true).unwrap();
        answers.push(answer);
    }
    // Room for one more of any length must be there before it is begun.
    let most = (8 * 1024 * 1024 - 1024 * 1024) / length + 1;
    let mut untaken = Vec::new();
    while untaken.len() < most {
        untaken.push(within("an answer", answers.next()).await.unwrap().unwrap());
    }
    (untaken, answers)
}

#[actix_web::test]
async fn answers_that_nobody_takes_have_so_much_room_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c", "--stall", "1h"]).await;
    let length = long_history(&server).await;
    let connection = taking(&server, 0).await;
    let (mut untaken, mut answers) = fill(&connection, length, 300).await;
    let most = untaken.len();
    for _ in 0..100 {
        assert_eq!(get(server.address, EVENTS).await.status(), 200, "others have their own room");
    }
    assert!(answers.next().now_or_never().is_none(), "{most} answers of {length} bytes");
    // Each has its turn as soon as there is room again.
    let mut taken = 0;
    while let Some(answer) = untaken.pop() {
        drop(answer);
        taken += 1;
        if let Some(answer) = within(&format!("the next after {taken}"), answers.next()).await {
            untaken.push(answer.unwrap());
        }
    }
    assert_eq!(taken, 300);
}

/// A proxy brings all of its clients over one connection.
#[actix_web::test]
async fn who_follows_or_publishes_waits_for_nobody_who_reads() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c", "--stall", "1h"]).await;
    let length = long_history(&server).await;
    let connection = taking(&server, 0).await;
    let (_untaken, mut pages) = fill(&connection, length, 40).await;
    for (method, path, body, expected) in [
        ("POST", EVENTS, Some(note(1).to_string()), 201),
        ("GET", FOLLOW, None, 200),
        ("HEAD", FOLLOW, None, 200),
        ("OPTIONS", EVENTS, None, 204),
        ("GET", "/health/ready", None, 200),
    ] {
        let (status, _) = ask(&connection, server.address, method, path, body).await;
        assert_eq!(status, expected, "{method} {path}");
    }
    assert!(pages.next().now_or_never().is_none(), "and another page has no room yet");
}

#[actix_web::test]
async fn whoever_takes_none_of_its_answers_is_let_go_and_a_slow_follower_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--h2c", "--stall", "2s", "--heartbeat", "1s"];
    let server = Process::serve(folder.path(), 0, &settings).await;
    long_history(&server).await;
    // It takes nothing at all, and that is its own affair: it holds nothing but its place.
    let slow = taking(&server, 0).await;
    let mut followers = Vec::new();
    for path in [FOLLOW.to_owned(), format!("{FOLLOW}?lastEventId=earliest")] {
        let (status, stream) = ask(&slow, server.address, "GET", &path, None).await;
        assert_eq!(status, 200);
        followers.push(stream);
    }
    let whole = http2(TcpStream::connect(server.address).await.unwrap()).await;
    for round in 0..2 {
        let stuck = taking(&server, 1000).await;
        let (status, mut body) = ask(&stuck, server.address, "GET", EVENTS, None).await;
        assert_eq!(status, 200);
        let (_, mut beside) = ask(&stuck, server.address, "GET", FOLLOW, None).await;
        let first = within("the first piece", body.data()).await.unwrap().unwrap();
        assert_eq!(first.len(), 1000);
        within("the end of the connection", async { while let Some(Ok(_)) = body.data().await {} })
            .await;
        within("the end of what is beside it", async {
            while let Some(Ok(_)) = beside.data().await {}
        })
        .await;
        eventually("that it is gone", async || clients(&whole, server.address).await == 2).await;
        assert_eq!(server.stderr().matches("takes none of its answers").count(), round + 1);
    }
    let (status, _) = ask(&slow, server.address, "GET", FOLLOW, None).await;
    assert_eq!(status, 200, "the connection goes on");
}

#[actix_web::test]
async fn whoever_asks_for_too_much_without_taking_it_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c", "--stall", "1h"]).await;
    let connection = taking(&server, 0).await;
    let mut answers = FuturesUnordered::new();
    for _ in 0..5000 {
        let Ok(mut sender) = connection.clone().ready().await else { break };
        let request = new_request("GET", "https://localhost/health/live");
        match sender.send_request(request, true) {
            Ok((answer, _)) => answers.push(answer.boxed_local()),
            Err(_) => break,
        }
    }
    // No answer fails but by the end of the connection.
    let mut untaken = Vec::new();
    let end = within("its end", async {
        loop {
            match answers.next().await {
                Some(Ok(answer)) => untaken.push(answer),
                end => break end.is_some(),
            }
        }
    });
    assert!(end.await, "{} answers that nobody takes", untaken.len());
    assert!(server.stderr().contains("asks for too much"));
    assert_eq!(get(server.address, "/health/live").await.status(), 200, "the server goes on");
}
