//! Everybody is cut off at once, and comes back.

use std::time::{Duration, Instant};

use crate::{checker, load::Load, support::Process};

const FOLLOWERS: usize = 2000;
const STREAMS: usize = 50;

/// As long as it can be with the time there is: reconnects are spread over twice of it.
const ARGS: [&str; 2] = ["--retry", "2s"];

#[actix_web::test]
async fn two_thousand_come_back_after_a_sudden_death_and_miss_nothing() {
    rlimit::increase_nofile_limit(8192).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), 0, &ARGS).await;
    let address = server.address;
    let mut load = Load::start_slowly(address, STREAMS, 1);
    load.follow(address, FOLLOWERS);
    load.until_clients(FOLLOWERS).await;
    load.acknowledged(STREAMS).await;

    server.kill();
    let died = Instant::now();
    server = Process::serve(folder.path(), address.port(), &ARGS).await;
    // Publishing goes on while they are on their way.
    load.acknowledged(STREAMS).await;
    let published = died.elapsed();
    load.until_clients(FOLLOWERS).await;
    let back = died.elapsed();
    load.acknowledged(STREAMS).await;
    let (run, followers, tally) = load.end().await;
    checker::assert_clean(&run);

    let mut returns: Vec<_> = followers
        .iter()
        .map(|follower| {
            let at = follower.connected_at.iter().find(|at| **at > died).expect("it came back");
            at.duration_since(died)
        })
        .collect();
    returns.sort();
    let mut told: Vec<_> = followers.iter().map(|follower| follower.told_to_wait[0]).collect();
    told.sort();
    let (busiest, busiest_told) = (busiest_quarter_second(&returns), busiest_quarter_second(&told));
    let (first, median) = (returns[0], returns[FOLLOWERS / 2]);
    let stored: usize = run.history.values().map(Vec::len).sum();
    println!(
        "{FOLLOWERS} followers of {STREAMS} streams: back after {first:?} (first), {median:?} \
         (median), {back:?} (all); {busiest} in the busiest 250 ms, \
         {busiest_told} were told to; {STREAMS} more publishes after \
         {published:?}; {stored} stored; {tally:?}"
    );
    // An eighth is what chance would have; a machine under load may still bring them together.
    assert!(busiest_told < FOLLOWERS / 5, "{busiest_told} were told to come at once: {told:?}");
    drop(server);
}

/// How many came within the same 250 ms.
fn busiest_quarter_second(sorted: &[Duration]) -> usize {
    let within = |start: usize| {
        let end = sorted[start] + Duration::from_millis(250);
        sorted[start..].partition_point(|at| *at < end)
    };
    (0..sorted.len()).map(within).max().unwrap_or(0)
}
