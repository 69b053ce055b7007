//! What those who read notice of those who never do.
//!
//! A figure, not a claim that holds on any machine: `cargo test --release --test reliability -- --ignored
//! --nocapture isolation`, with nothing else running.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use actix_web::rt::spawn;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::{net::TcpStream, time::MissedTickBehavior};

use crate::{
    lean::{connect, read_lines},
    load::post,
    support::{Process, event, eventually, get},
};

const READERS: usize = 900;
const STALLED: usize = 100;
/// Pairs of runs, one with those who never read and one without.
const PAIRS: usize = 5;
const EVENTS: usize = 300;
const EVENT_BYTES: usize = 1000;
const PERIOD: Duration = Duration::from_millis(33);

/// How long after it was asked for an event had come, for each reader and event.
struct Latencies(Vec<Duration>);

impl Latencies {
    fn at(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }
}

async fn followers(
    server: &Process,
    path: &str,
    count: usize,
    buffer: Option<u32>,
) -> Vec<TcpStream> {
    let connections = stream::iter(0..count).map(|_| connect(server.address, path, buffer));
    connections.buffer_unordered(100).collect().await
}

/// One stream with its followers, and events at a steady pace.
async fn run(server: &Process, number: usize, stalled: usize) -> Latencies {
    let address = server.address;
    let stream = format!("/api/debates/d{number}");
    let follow = format!("{stream}/stream");
    let began = Instant::now();
    let latencies = Rc::new(RefCell::new(Vec::with_capacity(READERS * EVENTS)));
    let readers = followers(server, &follow, READERS, None).await;
    let stalled = followers(server, &follow, stalled, Some(4096)).await;
    for reader in readers {
        let latencies = Rc::clone(&latencies);
        spawn(read_lines(reader, move |line| {
            if let Some(rest) = line.strip_prefix(br#"data: {"at":"#) {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
                let at = digits.fold(0, |at, digit| at * 10 + u64::from(digit - b'0'));
                latencies.borrow_mut().push(began.elapsed() - Duration::from_micros(at));
            }
        }));
    }
    eventually("everyone to follow", || async {
        let stats = get(address, "/api/stats").await.json();
        stats["debates"]["clients"] == json!(READERS + stalled.len())
    })
    .await;

    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..EVENTS {
        ticks.tick().await;
        let at = began.elapsed().as_micros() as u64;
        let note = event("note", json!({ "at": at, "fill": "x".repeat(EVENT_BYTES) }));
        let answer = post(address, &stream, &format!("k{number}"), &note).await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    eventually("everyone to have everything", || async {
        latencies.borrow().len() == READERS * EVENTS
    })
    .await;
    // Whoever reads goes at the end of the stream, whoever does not must be left.
    let end = event("complete", json!({}));
    assert_eq!(post(address, &stream, "end", &end).await.unwrap().status(), 201);
    drop(stalled);
    eventually("everyone to be gone", || async {
        get(address, "/api/stats").await.json()["debates"]["clients"] == json!(0)
    })
    .await;
    let mut latencies = latencies.take();
    latencies.sort();
    Latencies(latencies)
}

fn median(mut figures: Vec<Duration>) -> Duration {
    figures.sort();
    figures[figures.len() / 2]
}

#[actix_web::test]
#[ignore = "a figure: needs a release build and a machine at rest"]
async fn who_never_reads_delays_nobody() {
    rlimit::increase_nofile_limit(8192).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    run(&server, 0, 0).await; // warms up
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for pair in 1..=PAIRS {
        for (figures, stalled) in [(&mut without, 0), (&mut with, STALLED)] {
            let behind = server.stderr().matches("a subscriber fell behind").count();
            let latencies = run(&server, 2 * pair + usize::from(stalled > 0), stalled).await;
            let behind = server.stderr().matches("a subscriber fell behind").count() - behind;
            let (half, most, all) = (latencies.at(0.5), latencies.at(0.99), latencies.at(1.0));
            println!(
                "{READERS} readers, {stalled} who never read: median {half:.1?}, p99 {most:.1?}, \
                 max {all:.1?}; {behind} fell behind"
            );
            assert!(behind >= stalled, "they were stalled");
            figures.push(most);
        }
    }
    let (without, with) = (median(without), median(with));
    println!("p99, median of {PAIRS} runs each: {without:.1?} without them, {with:.1?} with them");
    assert!(with <= without.mul_f64(1.2) + Duration::from_millis(5));
}
