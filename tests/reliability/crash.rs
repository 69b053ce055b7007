//! The server is ended in the middle of everything, again and again.

use std::time::{Duration, Instant};

use crate::{checker, load::Load, support::Process};

const ARGS: [&str; 4] = ["--retry", "60ms", "--history", "16"];

/// Ends the server `rounds` times under load, politely or not.
async fn end_again_and_again(rounds: usize, end: impl AsyncFn(&mut Process)) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), 0, &ARGS).await;
    let address = server.address;
    let mut load = Load::start(address, 6, 2);
    load.follow(address, 42);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        load.acknowledged(fastrand::usize(10..40)).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..20))).await;
        end(&mut server).await;
        let started = Instant::now();
        server = Process::serve(folder.path(), address.port(), &ARGS).await;
        slowest = slowest.max(started.elapsed());
    }
    load.acknowledged(20).await;
    let (run, followers, tally) = load.end().await;
    let seen: usize = run.subscribers.iter().map(|subscriber| subscriber.seen.len()).sum();
    let reconnects: usize = followers.iter().map(|follower| follower.connections).sum();
    let stored: usize = run.history.values().map(Vec::len).sum();
    println!(
        "{rounds} ends: {tally:?}, {stored} stored, {seen} seen over {reconnects} connections, \
         slowest start {slowest:?}"
    );
    checker::assert_clean(&run);
    let gaps = run.subscribers.iter().flat_map(|it| &it.seen).filter(|event| event.name == "gap");
    assert_eq!(gaps.count(), 0, "nothing was missing");
    assert!(followers.iter().all(|follower| follower.connections > 1), "they were cut off");
    assert!(tally.failures.get() > 0, "publishers were cut off");
}

#[actix_web::test]
async fn nothing_is_lost_or_doubled_across_twenty_sudden_deaths() {
    end_again_and_again(20, async |server| server.kill()).await;
}

#[actix_web::test]
async fn nothing_is_lost_or_doubled_across_graceful_restarts() {
    end_again_and_again(4, async |server| {
        server.signal("TERM");
        let status = server.exit().await;
        assert_eq!(status.code(), Some(0), "{}", server.stderr());
    })
    .await;
}
