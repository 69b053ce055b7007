//! What the parts of the server cost by themselves, without HTTP: encoding, fan-out, replay, group commit.
//!
//! `cargo bench` runs them all, `cargo bench -- replay` one. A database is a file in the folder for temporary
//! files (`TMPDIR`), which must be on the disk that is to be measured: group commit is all about its sync.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench has nobody to tell of an error"
)]

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use actix::Arbiter;
use actix_web::{body::MessageBody, rt::System};
use bytes::Bytes;
use clearside_sse::{
    Broadcast, Cursor, DatabaseUrl, Event, EventId, Hub, HubConfig, NewEvent, Peer, Store,
    StreamKey, SubscriberBody, bench_support,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::{join_all, poll_fn};
use tempfile::TempDir;

/// How many subscribers a delivery goes to.
const SUBSCRIBERS: usize = 1000;

/// How many deliveries are made before the mailboxes are emptied, which is not counted; 64 fit.
const DELIVERIES: u64 = 32;

/// How many events are replayed.
const REPLAYED: usize = 10_000;

/// How many publishes share a commit, or do not.
const PUBLISHES: usize = 64;

fn stream(number: usize) -> StreamKey {
    format!("debate/bench-{number}").parse().unwrap()
}

/// An event whose data has this many bytes.
fn event(size: usize) -> NewEvent {
    let text = "x".repeat(size - r#"{"text":""}"#.len());
    NewEvent::new("bench", &serde_json::json!({ "text": text })).unwrap()
}

fn broadcast(number: usize, events: &[NewEvent]) -> Broadcast {
    Broadcast::new(stream(number), events).unwrap()
}

fn start(folder: &TempDir) -> Hub {
    let url = DatabaseUrl::file(folder.path().join("clearside.db"));
    let config = HubConfig { clients_per_stream_max: SUBSCRIBERS, ..HubConfig::default() };
    Hub::start(&Arbiter::current(), Store::open(&url).unwrap(), config)
}

/// A batch of events, as it goes out to all subscribers of a stream.
fn encode(criterion: &mut Criterion) {
    const EVENTS: usize = 100;
    let mut group = criterion.benchmark_group("encode");
    for size in [200, 8 * 1024] {
        let broadcast = broadcast(0, &vec![event(size); EVENTS]);
        let id = |seq| EventId { epoch: "k3v9x2a7".parse().unwrap(), seq };
        let events: Vec<(&Event, Option<EventId>)> =
            broadcast.events().iter().zip((1..).map(id).map(Some)).collect();
        let bytes = bench_support::encode(&events).len();
        for (unit, throughput) in [
            ("events", Throughput::Elements(EVENTS as u64)),
            ("bytes", Throughput::Bytes(bytes as u64)),
        ] {
            group.throughput(throughput);
            group.bench_function(BenchmarkId::new(unit, format!("{size} B")), |bencher| {
                bencher.iter(|| bench_support::encode(&events));
            });
        }
    }
    group.finish();
}

/// Transient events, so that no disk has a part in it: from the publish to its answer, when the delivery is
/// in every mailbox. Who only has one subscriber sees what is not the fan-out. The waker of a subscriber
/// does nothing here; under a server it wakes a task.
fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan-out");
    for subscribers in [1, SUBSCRIBERS] {
        group.throughput(Throughput::Elements(subscribers as u64));
        let name = BenchmarkId::new("mailboxes", subscribers);
        group.bench_function(name, |bencher| {
            let folder = tempfile::tempdir().unwrap();
            let system = System::new();
            let hub = system.block_on(async { start(&folder) });
            let mut bodies =
                system.block_on(join_all((0..subscribers).map(|_| follow(&hub, Cursor::Now))));
            let event = broadcast(0, &[event(200).transient()]);
            bencher.iter_custom(|deliveries| {
                let mut took = Duration::ZERO;
                let mut left = deliveries;
                while left > 0 {
                    let now = left.min(DELIVERIES);
                    left -= now;
                    took += system.block_on(publish_all(&hub, &vec![event.clone(); now as usize]));
                    let read = bodies.iter_mut().map(read_what_is_there).sum::<usize>();
                    assert!(read >= subscribers * now as usize * 200, "everyone gets everything");
                }
                took
            });
        });
    }
    group.finish();
}

/// From the connection of a subscriber that has seen nothing to the last event: pages are read from the
/// database, the newest events from memory.
fn replay(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let system = System::new();
    let hub = system.block_on(async { start(&folder) });
    let batch = broadcast(0, &vec![event(200); 100]);
    let batches = vec![batch; REPLAYED / 100];
    system.block_on(publish_all(&hub, &batches));
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(20);
    for (unit, throughput) in [
        ("events", Throughput::Elements(REPLAYED as u64)),
        ("bytes", Throughput::Bytes(system.block_on(read_all(&hub)) as u64)),
    ] {
        group.throughput(throughput);
        group.bench_function(BenchmarkId::new(unit, REPLAYED), |bencher| {
            bencher.iter(|| system.block_on(read_all(&hub)));
        });
    }
    group.finish();
}

/// Durable publishes on streams of their own: all at once, they share commits; one after the other, each has
/// one to itself.
fn group_commit(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let system = System::new();
    let hub = system.block_on(async { start(&folder) });
    let publishes: Vec<_> = (0..PUBLISHES).map(|number| broadcast(number, &[event(200)])).collect();
    let mut group = criterion.benchmark_group("group commit");
    group.sample_size(20);
    group.throughput(Throughput::Elements(PUBLISHES as u64));
    group.bench_function("64 publishes at once", |bencher| {
        bencher.iter(|| {
            let all = publishes.iter().map(|publish| hub.broadcast(publish.clone()));
            for published in system.block_on(join_all(all)) {
                published.unwrap();
            }
        });
    });
    group.bench_function("64 publishes one after the other", |bencher| {
        bencher.iter(|| system.block_on(publish_all(&hub, &publishes)));
    });
    group.finish();
}

/// Publishes one after the other, and says how long it took.
async fn publish_all(hub: &Hub, broadcasts: &[Broadcast]) -> Duration {
    let started = Instant::now();
    for broadcast in broadcasts {
        hub.broadcast(broadcast.clone()).await.unwrap();
    }
    started.elapsed()
}

/// A subscriber that is at the live edge, if it comes without a cursor.
async fn follow(hub: &Hub, cursor: Cursor) -> SubscriberBody {
    let mut body = hub.subscribe(&stream(0), cursor, Peer::default()).await.unwrap().unwrap();
    if cursor == Cursor::Now {
        read_what_is_there(&mut body);
    }
    body
}

/// How many bytes are ready to go out.
fn read_what_is_there(body: &mut SubscriberBody) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut bytes = 0;
    while let Poll::Ready(piece) = next(body, &mut context) {
        bytes += piece.len();
    }
    bytes
}

/// Reads the whole history, and says how many bytes it has.
async fn read_all(hub: &Hub) -> usize {
    let mut body = follow(hub, Cursor::Earliest).await;
    let last = format!("-{REPLAYED}\n");
    let mut bytes = 0;
    loop {
        let piece = poll_fn(|context| next(&mut body, context)).await;
        bytes += piece.len();
        // The snapshot comes last, and has the id of the last event.
        let tail = &piece[piece.len().saturating_sub(512)..];
        if tail.windows(last.len()).any(|text| text == last.as_bytes()) {
            return bytes;
        }
    }
}

fn next(body: &mut SubscriberBody, context: &mut Context<'_>) -> Poll<Bytes> {
    Pin::new(body).poll_next(context).map(|piece| piece.unwrap().unwrap())
}

criterion_group!(benches, encode, fan_out, replay, group_commit);
criterion_main!(benches);
