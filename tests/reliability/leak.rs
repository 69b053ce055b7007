//! Whoever has gone has left nothing behind.

use std::{fs, net::SocketAddr, path::Path};

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Process, Wire, event, eventually, exchange_json, get, within};

const STREAM: &str = "/api/debates/d1";
const FOLLOW: &str = "/api/debates/d1/stream?lastEventId=earliest";
/// Connections at a time.
const AT_ONCE: usize = 100;

/// What the server's process holds.
#[derive(Debug, Clone, Copy)]
struct Holds {
    descriptors: usize,
    kibibytes: usize,
}

fn holds(server: &Process) -> Holds {
    let process = Path::new("/proc").join(server.id().to_string());
    let status = fs::read_to_string(process.join("status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    Holds {
        descriptors: fs::read_dir(process.join("fd")).unwrap().count(),
        kibibytes: rss.trim().trim_end_matches(" kB").parse().unwrap(),
    }
}

async fn clients(address: SocketAddr) -> u64 {
    get(address, "/api/stats").await.json()["debates"]["clients"].as_u64().unwrap()
}

/// Connects and goes, in every way.
async fn come_and_go(address: SocketAddr) {
    let each = |connections: usize| stream::iter(0..connections);
    // Reads some and hangs up.
    each(2000)
        .for_each_concurrent(AT_ONCE, |_| async {
            drop(Wire::follow(address, FOLLOW, &[]).await);
        })
        .await;
    // Sends half a request, and nothing more.
    let half_requests: Vec<_> = each(200)
        .map(|_| async {
            let mut tcp = within("a connection", TcpStream::connect(address)).await.unwrap();
            tcp.write_all(b"GET /api/debates/d1/stream HTTP/1.1\r\nHost: x").await.unwrap();
            tcp
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    // Says that it will send nothing more, and stays.
    let half_open: Vec<_> = each(200)
        .map(|_| async {
            let mut wire = Wire::follow(address, FOLLOW, &[]).await;
            wire.half_close().await;
            wire
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    // Never reads, while there is much to read.
    let stalled: Vec<_> = each(200)
        .map(|_| Wire::follow_with_small_buffer(address, FOLLOW))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for number in 0..100 {
        let note = event("note", json!({ "n": number, "fill": "x".repeat(8000) }));
        let answer = exchange_json(address, &format!("{STREAM}/events"), &note).await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    drop((half_requests, half_open, stalled));
    eventually("everyone to be gone", || async { clients(address).await == 0 }).await;
}

#[actix_web::test]
async fn whoever_comes_and_goes_leaves_nothing_behind() {
    rlimit::increase_nofile_limit(8192).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let address = server.address;
    // At first, buffers grow and pools fill.
    let mut rounds = Vec::new();
    for _ in 0..3 {
        come_and_go(address).await;
        rounds.push(holds(&server));
    }
    let before = rounds[2];
    come_and_go(address).await;
    let after = std::cell::Cell::new(holds(&server));
    eventually("descriptors to be closed", || async {
        after.set(holds(&server));
        after.get().descriptors.abs_diff(before.descriptors) <= 5
    })
    .await;
    println!("2,600 connections a round: {rounds:?}, then {:?}", after.get());
    let grown = after.get().kibibytes.saturating_sub(before.kibibytes);
    assert!(grown <= 8 * 1024, "{grown} KiB are left of what has gone");
}
