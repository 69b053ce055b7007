//! Heartbeats and ends that come due by themselves, on tokio's paused clock.

use std::{future::poll_fn, pin::Pin, time::Duration};

use actix_web::body::MessageBody;
use futures_util::future::join_all;
use tokio::time::{Instant, advance, pause, resume, sleep, timeout_at};

use super::{Setup, read};
use crate::{
    clock::Clock,
    event::NewEvent,
    hub::{Broadcast, HubConfig, SubscriberBody},
    sse::Cursor,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HEARTBEAT: &str = ":heartbeat\n\n";

/// When each heartbeat came until then, and when the response ended, if it did.
async fn listen(body: &mut SubscriberBody, until: Instant) -> (Vec<Instant>, Option<Instant>) {
    let mut heartbeats = Vec::new();
    loop {
        let next = poll_fn(|cx| Pin::new(&mut *body).poll_next(cx));
        match timeout_at(until, next).await {
            Ok(Some(Ok(bytes))) if bytes == HEARTBEAT => heartbeats.push(Instant::now()),
            Ok(Some(Ok(_))) => {}
            Ok(None) => return (heartbeats, Some(Instant::now())),
            Err(_) => return (heartbeats, None),
        }
    }
}

#[actix::test]
async fn each_connection_has_heartbeats_at_a_pace_of_its_own() {
    let setup = Setup::new();
    pause();
    let mut bodies = Vec::new();
    for _ in 0..40 {
        bodies.push((Instant::now(), setup.follow(Cursor::Now).await));
        sleep(Duration::from_millis(370)).await;
    }
    let end = Instant::now() + 10 * MINUTE;
    let heard = bodies.iter_mut().map(async |(since, body)| (*since, listen(body, end).await.0));
    let mut first = Vec::new();
    for (since, heartbeats) in join_all(heard).await {
        let times = [since].into_iter().chain(heartbeats.iter().copied());
        for (earlier, later) in times.zip(&heartbeats) {
            let pause = *later - earlier;
            assert!(pause > 14 * SECOND && pause < 16 * SECOND, "{pause:?}");
        }
        let missing = end - heartbeats.last().copied().unwrap_or(since);
        assert!(missing < 15 * SECOND, "{missing:?}");
        first.push(heartbeats[0]);
    }
    first.dedup();
    assert!(first.len() > 10, "they do not all come together: {}", first.len());
}

#[actix::test]
async fn a_heartbeat_is_a_second_early_at_most_however_rare_heartbeats_are() {
    let config = HubConfig { heartbeat_interval: 10 * MINUTE, ..HubConfig::default() };
    let setup = Setup::with(config, Clock::system());
    pause();
    let _earlier = setup.follow(Cursor::Now).await;
    sleep(20 * SECOND).await;
    let since = Instant::now();
    let mut body = setup.follow(Cursor::Now).await;
    let (heartbeats, _) = listen(&mut body, since + 11 * MINUTE).await;
    assert_eq!(heartbeats.len(), 1);
    let after = heartbeats[0] - since;
    assert!(after >= 10 * MINUTE - SECOND && after <= 10 * MINUTE + SECOND, "{after:?}");
}

#[actix::test]
async fn connections_that_began_together_end_each_at_its_own_time() {
    for (heartbeat_interval, connection_age_max, moments) in
        [(15 * SECOND, 60 * MINUTE, 90), (60 * MINUTE, MINUTE, 90), (15 * SECOND, 10 * SECOND, 90)]
    {
        let config = HubConfig { heartbeat_interval, connection_age_max, ..HubConfig::default() };
        let setup = Setup::with(config, Clock::system());
        pause();
        let begun = Instant::now();
        let bodies = join_all((0..100).map(|_| setup.follow(Cursor::Now))).await;
        let ends = bodies.into_iter().map(async |mut body| {
            listen(&mut body, begun + 2 * connection_age_max).await.1.expect("it has ended")
        });
        let mut ages: Vec<_> = join_all(ends).await.into_iter().map(|end| end - begun).collect();
        resume();
        ages.sort();
        let (youngest, oldest) = (connection_age_max.mul_f64(0.9), connection_age_max.mul_f64(1.1));
        // tokio's timers are exact to the millisecond.
        let slack = Duration::from_millis(2);
        assert!(ages[0] >= youngest && ages[99] <= oldest + slack, "{ages:?}");
        ages.dedup();
        assert!(ages.len() > moments, "{ages:?}");
    }
}

#[actix::test]
async fn whoever_has_no_room_for_its_end_gets_it_later() {
    let config = HubConfig { mailbox_capacity: 1, ..HubConfig::default() };
    let setup = Setup::with(config, Clock::system());
    pause();
    let mut body = setup.follow(Cursor::Now).await;
    read(&mut body, "snapshot").await;
    // It does not read: its mailbox holds heartbeats.
    sleep(70 * MINUTE).await;
    let now = Instant::now();
    let (heartbeats, end) = listen(&mut body, now + MINUTE).await;
    assert!(!heartbeats.is_empty(), "they were in its mailbox");
    assert!(end.expect("it has ended") <= now + SECOND);
}

#[actix::test]
async fn heartbeats_do_not_pile_up_for_one_that_reads_history() {
    let setup =
        Setup::with(HubConfig { history_bytes: 0, ..HubConfig::default() }, Clock::system());
    let note = NewEvent::new("note", &"x".repeat(10_000)).unwrap();
    let hundred = Broadcast::new(setup.stream.clone(), &vec![note; 100]).unwrap();
    setup.hub.broadcast(hundred).await.unwrap();
    let mut body = setup.follow(Cursor::Earliest).await;
    read(&mut body, "event: note").await;
    pause();
    advance(20 * MINUTE).await;
    // All rounds that have come due go by.
    sleep(MINUTE).await;
    resume();
    let text = read(&mut body, "event: snapshot\n").await;
    assert!(!text.contains(HEARTBEAT));
    pause();
    let (heartbeats, _) = listen(&mut body, Instant::now() + MINUTE).await;
    assert_eq!(heartbeats.len(), 4, "it is live now");
}
