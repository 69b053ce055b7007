//! Time, on tokio's paused clock: hours go by in milliseconds, and nothing is counted roughly.

use std::{future::poll_fn, pin::Pin};

use actix::Arbiter;
use actix_web::body::MessageBody;
use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout_at};

use super::*;
use crate::store::{DatabaseUrl, sabotage::Held};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A hub on this thread; its database goes with the folder.
pub(super) fn hub(config: HubConfig) -> (Hub, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&DatabaseUrl::file(folder.path().join("clearside.db"))).unwrap();
    let hub = Hub::start_with_clock(&Arbiter::current(), store, config, Clock::stopped_at(7));
    (hub, folder)
}

pub(super) fn key(text: &str) -> StreamKey {
    text.parse().unwrap()
}

/// Lets all actors read their mail, and the mail that comes of it.
pub(super) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn follow(hub: &Hub, stream: &str) -> SubscriberBody {
    let body = hub.subscribe(&key(stream), Cursor::Now, Peer::default()).await;
    body.unwrap().expect("the stream has not ended")
}

/// What the body yields until then, and whether it has ended.
async fn read_until(body: &mut SubscriberBody, deadline: Instant) -> (String, bool) {
    let mut text = String::new();
    loop {
        let next = poll_fn(|cx| Pin::new(&mut *body).poll_next(cx));
        match timeout_at(deadline, next).await {
            Ok(Some(Ok(bytes))) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Ok(None) => return (text, true),
            Err(_) => return (text, false),
        }
    }
}

/// Everything up to the snapshot, and the moment at which the connection began.
async fn read_head(body: &mut SubscriberBody) -> (String, Instant) {
    let begun = Instant::now();
    let (head, is_ended) = read_until(body, begun + Duration::from_millis(1)).await;
    assert!(head.contains("event: snapshot\n") && !is_ended, "{head}");
    (head, begun)
}

#[actix_web::test]
async fn an_idle_hour_is_240_heartbeats_and_nothing_else() {
    tokio::time::pause();
    for (stream, heartbeat) in [
        ("debate/d1", ":heartbeat\n\n".to_owned()),
        (
            "conversation/s1",
            "event: connection_established\ndata: {\"type\":\"heartbeat\",\"sessionId\":\"s1\",\"timestamp\":7}\n\n"
                .to_owned(),
        ),
    ] {
        let (hub, _folder) = hub(HubConfig { connection_age_max: 2 * HOUR, ..HubConfig::default() });
        let mut body = follow(&hub, stream).await;
        let (_, begun) = read_head(&mut body).await;
        let (text, is_ended) = read_until(&mut body, begun + HOUR + Duration::from_secs(1)).await;
        assert!(!is_ended);
        assert_eq!(text, heartbeat.repeat(240), "{stream}");
    }
}

#[actix_web::test]
async fn a_heartbeat_waits_for_no_silence() {
    let (hub, _folder) = hub(HubConfig::default());
    let stream = key("debate/d1");
    tokio::time::pause();
    let mut body = follow(&hub, "debate/d1").await;
    let (_, begun) = read_head(&mut body).await;
    let mut text = String::new();
    for second in 1..=61 {
        // Tokens only: what is stored would be stored in real time.
        let token = serde_json::json!({ "speaker": "Pro", "token": "x" });
        hub.publish(&stream, NewEvent::new("token", &token).unwrap()).await.unwrap();
        text.push_str(&read_until(&mut body, begun + Duration::from_secs(second)).await.0);
    }
    assert_eq!(text.matches(":heartbeat\n\n").count(), 4);
    assert_eq!(text.matches("event: token\n").count(), 61);
}

#[actix_web::test]
async fn connections_end_between_54_and_66_minutes_each_at_its_own_time() {
    let (hub, _folder) = hub(HubConfig::default());
    tokio::time::pause();
    let mut ages = Vec::new();
    for _ in 0..60 {
        let mut body = follow(&hub, "debate/d1").await;
        let (_, begun) = read_head(&mut body).await;
        let (text, is_ended) = read_until(&mut body, begun + 2 * HOUR).await;
        assert!(is_ended);
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with("retry: "), "{last}");
        ages.push(begun.elapsed());
    }
    let (youngest, oldest) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
    assert!(*youngest >= 54 * MINUTE && *oldest <= 66 * MINUTE, "{youngest:?} to {oldest:?}");
    assert!(*oldest - *youngest > 5 * MINUTE, "{youngest:?} to {oldest:?}: they all come at once");
}

#[actix_web::test]
async fn a_connection_ends_with_its_token_and_says_so() {
    let (hub, _folder) = hub(HubConfig::default());
    tokio::time::pause();
    for (lifetime, heartbeats) in [
        (Duration::ZERO, 0),
        (Duration::from_millis(1500), 0),
        // It is due together with a heartbeat.
        (Duration::from_secs(15), 0),
        (30 * MINUTE + Duration::from_secs(1), 120),
    ] {
        let mut body = follow(&hub, "debate/d1").await;
        let begun = Instant::now();
        body.end_at(begun + lifetime);
        let (text, is_ended) = read_until(&mut body, begun + 2 * HOUR).await;
        assert!(is_ended, "{lifetime:?}");
        let late = begun.elapsed() - lifetime;
        assert!(late < Duration::from_millis(10), "{late:?} after {lifetime:?}");
        let (_, rest) = text.split_once("event: snapshot\n").unwrap();
        assert_eq!(rest.matches(":heartbeat\n\n").count(), heartbeats, "{lifetime:?}");
        let (_, end) = rest.split_once("event: auth_expired\n").unwrap();
        let (data, retry) = end.split_once("\n\n").unwrap();
        assert_eq!(data, r#"data: {"message":"the token has expired"}"#);
        assert!(retry.starts_with("retry: ") && retry.ends_with("\n\n"), "{retry:?}");
    }
    // The age limit comes first.
    let mut body = follow(&hub, "debate/d1").await;
    body.end_at(Instant::now() + 2 * HOUR);
    let (text, is_ended) = read_until(&mut body, Instant::now() + 3 * HOUR).await;
    assert!(is_ended && !text.contains("auth_expired"));
}

/// A stream with so long a history that a client reads on and on.
async fn publish_megabyte(hub: &Hub) {
    let note = NewEvent::new("note", &serde_json::json!("x".repeat(10_000))).unwrap();
    let hundred = Broadcast::new(key("debate/d1"), &vec![note; 100]).unwrap();
    hub.broadcast(hundred).await.unwrap();
}

#[actix_web::test]
async fn whoever_is_reading_history_is_let_go_in_time_as_well() {
    let config = HubConfig { connection_age_max: HOUR, history_bytes: 0, ..HubConfig::default() };
    for reason in ["token", "age", "shutdown"] {
        let (hub, _folder) = hub(config.clone());
        publish_megabyte(&hub).await;
        let body = hub.subscribe(&key("debate/d1"), Cursor::Earliest, Peer::default()).await;
        let mut body = body.unwrap().unwrap();
        if reason == "token" {
            body.end_at(Instant::now() + MINUTE);
        }
        let mut text = String::new();
        while text.len() < 50_000 {
            let Some(Ok(bytes)) = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await else {
                panic!("{reason}: an end before its time");
            };
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        match reason {
            "token" => {
                tokio::time::pause();
                tokio::time::advance(MINUTE).await;
                tokio::time::resume();
            }
            "age" => {
                tokio::time::pause();
                tokio::time::advance(2 * HOUR).await;
                tokio::time::resume();
            }
            _ => drop(hub.shutdown(Duration::ZERO).now_or_never()),
        }
        let (rest, is_ended) = read_until(&mut body, Instant::now() + MINUTE).await;
        assert!(is_ended, "{reason}");
        assert!(rest.len() < 50_000, "{reason}: {} bytes more", rest.len());
        assert_eq!(rest.contains("event: auth_expired\n"), reason == "token", "{reason}");
        let last = rest.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with("retry: "), "{reason}: {last}");
    }
}

#[actix_web::test]
async fn a_stream_that_nobody_needs_leaves_memory_and_comes_back_as_it_was() {
    let (hub, _folder) = hub(HubConfig::default());
    let stream = key("debate/d1");
    let phase = serde_json::json!({ "phase": "Opening", "timestamp": 1 });
    let id = hub.publish(&stream, NewEvent::new("phase_transition", &phase).unwrap()).await;
    let id = id.unwrap().unwrap();
    assert_eq!(hub.stats().await.debates.active, 1);
    tokio::time::pause();
    sleep(3 * MINUTE).await;
    assert_eq!(hub.stats().await.debates.active, 0);

    let mut body = follow(&hub, "debate/d1").await;
    let (head, _) = read_head(&mut body).await;
    assert!(
        head.contains(&format!("id: {id}\n")) && head.contains(r#""phase":"Opening""#),
        "{head}"
    );
    sleep(HOUR / 2).await;
    assert_eq!(hub.stats().await.debates.active, 1, "it is being followed");
    drop(body);
    sleep(3 * MINUTE).await;
    assert_eq!(hub.stats().await.debates.active, 0);
    tokio::time::resume();
    let next = hub.publish(&stream, NewEvent::new("note", &1).unwrap()).await;
    assert_eq!(next.unwrap().unwrap(), EventId { seq: 2, ..id }, "it goes on where it was");
}

#[actix_web::test]
async fn a_stream_that_is_being_spoken_stays_in_memory_longer() {
    let (hub, _folder) = hub(HubConfig::default());
    let stream = key("debate/d1");
    let token = serde_json::json!({ "speaker": "Pro", "token": "x" });
    tokio::time::pause();
    hub.publish(&stream, NewEvent::new("token", &token).unwrap()).await.unwrap();
    sleep(9 * MINUTE).await;
    assert_eq!(hub.stats().await.debates.active, 1, "somebody who joins now gets the open text");
    sleep(3 * MINUTE).await;
    assert_eq!(hub.stats().await.debates.active, 0);
}

#[test]
fn jitter_covers_its_whole_range_and_no_more() {
    let config = HubConfig::default();
    for (jittered, lowest, highest) in [
        (HubConfig::jittered_retry as fn(&HubConfig) -> Duration, 1.0, 3.0),
        (HubConfig::jittered_connection_age, 3240.0, 3960.0),
    ] {
        let times: Vec<_> = (0..2000).map(|_| jittered(&config).as_secs_f64()).collect();
        let (min, max) = times
            .iter()
            .fold((f64::MAX, 0.0), |(min, max): (f64, f64), time| (min.min(*time), max.max(*time)));
        assert!(min >= lowest && max <= highest, "{min} to {max}");
        assert!(max - min > 0.9 * (highest - lowest), "{min} to {max}");
    }
}

/// Reads on until this has come.
async fn read_until_text(body: &mut SubscriberBody, text: &str) -> String {
    let deadline = Instant::now() + MINUTE;
    let mut read = String::new();
    // Only what is new is searched, and as much before it as may belong to the text.
    let mut searched = 0;
    while !read[searched..].contains(text) {
        searched = read.floor_char_boundary(read.len().saturating_sub(text.len()));
        let next = poll_fn(|cx| Pin::new(&mut *body).poll_next(cx));
        let bytes = timeout_at(deadline, next).await.expect("there is more");
        let bytes = bytes.expect("it has not ended").unwrap();
        read.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    read
}

/// The ids and names of the events, in their order.
fn events(text: &str) -> Vec<(u64, &str)> {
    text.split_terminator("\n\n")
        .filter_map(|frame| {
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
            let seq = field("id: ")?.rsplit_once('-')?.1.parse().ok()?;
            Some((seq, field("event: ")?))
        })
        .collect()
}

#[actix_web::test]
async fn a_backlog_is_bounded_in_bytes_and_whoever_exceeds_it_misses_nothing() {
    const LENGTH: usize = 60 * 1024;
    let fitting = HubConfig::default().backlog_bytes_max as u64 / LENGTH as u64;
    let stream = key("debate/d1");
    // All of these would fit by their number.
    for (deliveries, falls_behind) in [(fitting - 1, false), (fitting + 2, true), (60, true)] {
        assert!((deliveries as usize) < HubConfig::default().mailbox_capacity);
        let (hub, _folder) = hub(HubConfig::default());
        let mut body = follow(&hub, "debate/d1").await;
        read_until_text(&mut body, "event: snapshot\n").await;
        let note = NewEvent::new("note", &"x".repeat(LENGTH)).unwrap();
        for _ in 0..deliveries {
            hub.publish(&stream, note.clone()).await.unwrap();
        }
        hub.publish(&stream, NewEvent::new("last", &1).unwrap()).await.unwrap();
        let mut expected: Vec<_> = (1..=deliveries).map(|seq| (seq, "note")).collect();
        expected.push((deliveries + 1, "last"));
        let lag = async || {
            let stats = hub.stats().await;
            (stats.debates.behind, stats.totals.fell_behind)
        };
        let fell_behind = u64::from(falls_behind);
        assert_eq!(lag().await, (usize::from(falls_behind), fell_behind), "{deliveries}");
        // Whoever has fallen behind gets the last of the history and the snapshot in one chunk.
        let end = if falls_behind { "event: snapshot\n" } else { "event: last\n" };
        let mut text = read_until_text(&mut body, end).await;
        if falls_behind {
            expected.push((deliveries + 1, "snapshot"));
        }
        // It is live again, or still.
        let token = serde_json::json!({ "speaker": "Pro", "token": "live" });
        hub.publish(&stream, NewEvent::new("token", &token).unwrap()).await.unwrap();
        text += &read_until_text(&mut body, "event: token\n").await;
        assert_eq!(events(&text), expected, "{deliveries} deliveries");
        assert_eq!(text.matches("event: snapshot\n").count(), usize::from(falls_behind));
        assert_eq!(lag().await, (0, fell_behind), "{deliveries}");
    }
}

#[actix_web::test]
async fn whoever_reads_history_is_behind_until_it_has_read_all_of_it() {
    let (hub, _folder) = hub(HubConfig { history_bytes: 0, ..HubConfig::default() });
    publish_megabyte(&hub).await;
    let mut live = follow(&hub, "debate/d1").await;
    read_until_text(&mut live, "event: snapshot\n").await;
    let body = hub.subscribe(&key("debate/d1"), Cursor::Earliest, Peer::default()).await;
    let mut body = body.unwrap().unwrap();
    for text in ["event: connected\n", "event: note\n"] {
        read_until_text(&mut body, text).await;
        let stats = hub.stats().await;
        assert_eq!((stats.debates.clients, stats.debates.behind), (2, 1), "{text}");
        assert_eq!(stats.conversations.behind, 0);
    }
    read_until_text(&mut body, "event: snapshot\n").await;
    let stats = hub.stats().await;
    assert_eq!((stats.debates.clients, stats.debates.behind), (2, 0));
    assert_eq!(stats.totals.fell_behind, 0, "it has missed no delivery");
}

#[actix_web::test]
async fn what_waits_to_be_stored_is_bounded_on_all_streams_together() {
    const LENGTH: usize = 10_000;
    let config = HubConfig { pending_bytes_total_max: 11 * LENGTH, ..HubConfig::default() };
    let (hub, folder) = hub(config);
    let note = NewEvent::new("note", &"x".repeat(LENGTH - 2)).unwrap();
    let to_each = async || {
        let publish = async |number| {
            let stream = key(&format!("debate/d{number}"));
            hub.publish(&stream, note.clone()).await
        };
        futures_util::future::join_all((0..25).map(publish)).await
    };
    for _ in 0..2 {
        let held = Held::new(&folder.path().join("clearside.db"));
        let refused = async {
            // All of them have been looked at once the hub has answered something that came later.
            tokio::task::yield_now().await;
            hub.describe(&key("debate/d24")).await.unwrap();
            drop(held);
        };
        let (outcomes, ()) = tokio::join!(to_each(), refused);
        let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let busy = outcomes.iter().filter(|it| **it == Err(PublishError::Overloaded)).count();
        assert_eq!((stored, busy), (10, 15), "{outcomes:?}");
    }
    for number in 0..25 {
        hub.publish(&key(&format!("debate/d{number}")), note.clone()).await.unwrap();
    }
}
