//! Peers that are gone without a word, and peers that take nothing more.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::net::TcpSocket;

use crate::{
    load::post,
    support::{Process, Wire, event, eventually, get, note, within},
};

const STREAM: &str = "/api/debates/d1";
const FOLLOW: &str = "/api/debates/d1/stream";

async fn clients(server: &Process) -> u64 {
    get(server.address, "/api/stats").await.json()["debates"]["clients"].as_u64().unwrap()
}

async fn until_clients(server: &Process, expected: u64) {
    eventually("the clients", || async { clients(server).await == expected }).await;
}

/// The socket is blocked, and its peer says so again and again: nothing but the stall ends that.
#[actix_web::test]
async fn a_peer_that_takes_nothing_is_let_go_and_resumes_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--stall", "1s"]).await;
    let mut stalled = Wire::follow_with_small_buffer(server.address, FOLLOW).await;
    stalled.until("snapshot").await;
    let mut reader = Wire::follow(server.address, FOLLOW, &[]).await;
    let events = 64;
    let publish = async {
        for number in 1..=events {
            let note = event("note", json!({ "n": number, "fill": "x".repeat(60_000) }));
            let answer = post(server.address, STREAM, &format!("k{number}"), &note).await.unwrap();
            assert_eq!(answer.status(), 201, "{}", answer.text());
        }
    };
    tokio::join!(publish, reader.until_seq(events));
    until_clients(&server, 1).await;

    // What it still finds in its buffers, and then what its cursor asks for.
    while stalled.fill().await {}
    let seen = stalled.take_events();
    let cursor = seen.last().map_or("earliest", |event| event.last_event_id.as_str());
    let mut resumed = Wire::follow(server.address, FOLLOW, &[("Last-Event-ID", cursor)]).await;
    let rest = resumed.until("snapshot").await;
    let all = seen.iter().chain(&rest).filter(|event| event.is_durable());
    let seqs: Vec<_> = all.filter_map(|event| event.seq()).collect();
    assert_eq!(seqs, (1..=events).collect::<Vec<_>>());
    assert!(seen.len() < events as usize, "there was something left");
    drop(reader);
}

/// From here on nothing gets to this address or comes from it.
fn cut_off(address: Ipv4Addr) {
    let rules = format!(
        "add table ip gone\n\
         add chain ip gone input {{ type filter hook input priority 0; }}\n\
         add rule ip gone input ip saddr {address} drop\n\
         add rule ip gone input ip daddr {address} drop\n"
    );
    let output = Command::new("nft").arg(rules).output().expect("nft is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// In a network namespace of its own: `scripts/vanished-peers.sh`.
#[actix_web::test]
#[ignore = "needs a network of its own: scripts/vanished-peers.sh"]
async fn peers_that_have_vanished_are_gone_within_a_minute() {
    const EACH: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let address = server.address;
    let (quiet, busy) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let mut stays = Wire::follow(address, FOLLOW, &[]).await;
    let mut gone = Vec::new();
    for (from, path) in [(quiet, "/api/debates/quiet/stream"), (busy, FOLLOW)] {
        for _ in 0..EACH {
            gone.push(Wire::follow_from(IpAddr::V4(from), address, path).await);
        }
    }
    until_clients(&server, 2 * EACH + 1).await;

    cut_off(quiet);
    cut_off(busy);
    let vanished = Instant::now();
    let (mut busy_gone, mut published) = (None, 0);
    within("all of them to be gone", async {
        loop {
            published += 1;
            let answer = post(address, STREAM, &format!("k{published}"), &note(published)).await;
            assert_eq!(answer.unwrap().status(), 201);
            let left = clients(&server).await;
            if left <= EACH + 1 {
                busy_gone.get_or_insert(vanished.elapsed());
            }
            if left == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    println!(
        "{EACH} followers of a stream with events vanished: gone after {:.1?}; {EACH} of one without: \
         after {:.1?}",
        busy_gone.unwrap(),
        vanished.elapsed()
    );
    // Whoever stayed has missed nothing.
    let seen = stays.until_seq(published as u64).await;
    assert_eq!(seen.iter().filter(|event| event.is_durable()).count(), published);
}

/// In a network namespace of its own: `scripts/vanished-peers.sh`.
#[actix_web::test]
#[ignore = "needs a network of its own: scripts/vanished-peers.sh"]
async fn http2_followers_that_have_vanished_are_gone_within_a_heartbeat() {
    const EACH: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--h2c"]).await;
    let mut stays = Wire::follow(server.address, FOLLOW, &[]).await;
    let mut gone = Vec::new();
    let from = Ipv4Addr::new(127, 0, 0, 4);
    for _ in 0..EACH {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let tcp = socket.connect(server.address).await.unwrap();
        let (sender, connection) = h2::client::handshake(tcp).await.unwrap();
        actix_web::rt::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let uri = format!("http://localhost{FOLLOW}");
        let request = http::Request::get(uri).version(http::Version::HTTP_2).body(()).unwrap();
        let (answer, _) = sender.send_request(request, true).unwrap();
        gone.push((sender, within("an answer", answer).await.unwrap()));
    }
    until_clients(&server, EACH + 1).await;
    cut_off(from);
    let vanished = Instant::now();
    until_clients(&server, 1).await;
    let elapsed = vanished.elapsed();
    println!("{EACH} followers over HTTP/2 vanished: gone after {elapsed:.1?}");
    // A heartbeat is 15 s; without pings it would be that and the stall, 45 s.
    assert!(elapsed < Duration::from_secs(25), "{elapsed:?}");
    let answer = post(server.address, STREAM, "k1", &note(1)).await.unwrap();
    assert_eq!(answer.status(), 201);
    stays.until_seq(1).await;
}
