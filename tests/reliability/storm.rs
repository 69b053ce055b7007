//! Everybody is cut off at once, and comes back.

use std::time::{Duration, Instant};

use crate::{checker, load::Load, support::Process};

/// The reconnects are spread over twice the retry time, which is as long as there is time for. What is read
/// of the history is counted by the log.
const ARGS: [&str; 4] = ["--retry", "2s", "--log-filter", "info,clearside_sse::store=debug"];

struct Storm {
    followers: usize,
    streams: usize,
    /// Ends the server: what it is sent.
    signal: &'static str,
}

impl Storm {
    /// The server goes and comes back, and with it everyone who followed; nobody has missed anything.
    async fn blow(&self) {
        let &Self { followers, streams, signal } = self;
        rlimit::increase_nofile_limit(followers as u64 + 1000).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Process::serve(folder.path(), 0, &ARGS).await;
        let address = server.address;
        let mut load = Load::start_slowly(address, streams, 1);
        load.follow(address, followers);
        load.until_clients(followers).await;
        load.acknowledged(streams).await;

        let died = Instant::now();
        server.signal(signal);
        server.exit().await;
        let ended = died.elapsed();
        server = Process::serve(folder.path(), address.port(), &ARGS).await;
        // Publishing goes on while they are on their way.
        load.acknowledged(streams).await;
        let published = died.elapsed();
        load.until_clients(followers).await;
        let back = died.elapsed();
        let reads = server.stderr().matches("history read").count();
        load.acknowledged(streams).await;
        let (run, seen, tally) = load.end().await;
        checker::assert_clean(&run);

        let mut returns: Vec<_> = seen
            .iter()
            .map(|follower| {
                let at = follower.connected_at.iter().find(|at| **at > died + ended);
                at.expect("it came back").duration_since(died)
            })
            .collect();
        returns.sort();
        let mut told: Vec<_> = seen.iter().map(|follower| follower.told_to_wait[0]).collect();
        told.sort();
        let busiest = busiest_quarter_second(&returns);
        let busiest_told = busiest_quarter_second(&told);
        let (first, median) = (returns[0], returns[followers / 2]);
        let stored: usize = run.history.values().map(Vec::len).sum();
        println!(
            "{signal}, {followers} followers of {streams} streams: ended after {ended:.1?}, back after \
             {first:.1?} (first), {median:.1?} (median), {back:.1?} (all); {busiest} in the busiest 250 ms, \
             {busiest_told} were told to; {reads} pages of history read; {streams} more publishes after \
             {published:.1?}; {stored} stored; {tally:?}"
        );
        // An eighth is what chance would have; a machine under load may still bring them together.
        assert!(busiest_told < followers / 5, "{busiest_told} were told to come at once: {told:?}");
    }
}

#[actix_web::test]
async fn two_thousand_come_back_after_a_sudden_death_and_miss_nothing() {
    Storm { followers: 2000, streams: 50, signal: "KILL" }.blow().await;
}

#[actix_web::test]
#[ignore = "takes long, and all of a machine"]
async fn fifteen_thousand_come_back_after_a_sudden_death_and_miss_nothing() {
    Storm { followers: 15_000, streams: 200, signal: "KILL" }.blow().await;
}

#[actix_web::test]
#[ignore = "takes long, and all of a machine"]
async fn fifteen_thousand_come_back_after_a_shutdown_and_miss_nothing() {
    Storm { followers: 15_000, streams: 200, signal: "TERM" }.blow().await;
}

/// How many came within the same 250 ms.
fn busiest_quarter_second(sorted: &[Duration]) -> usize {
    let within = |start: usize| {
        let end = sorted[start] + Duration::from_millis(250);
        sorted[start..].partition_point(|at| *at < end)
    };
    (0..sorted.len()).map(within).max().unwrap_or(0)
}
