//! How connections live and end: closed, too old, too slow, too many.

use std::time::Duration;

use clearside_sse::{Broadcast, NewEvent};
use serde_json::json;

use crate::helpers::{End, SseEvent, TestServer, Wire, complete, note, within};

const STREAM: &str = "/api/debates/d1";
const FOLLOW: &str = "/api/debates/d1/stream";

#[actix_web::test]
async fn a_connection_that_is_closed_halfway_is_ended_at_once() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live(FOLLOW).await;
    wire.half_close().await;
    server.until_clients(0).await;
    within("the end", async { while wire.fill().await {} }).await;
}

#[actix_web::test]
async fn connections_end_at_their_age_with_a_retry_and_resume_exactly() {
    const EVENTS: usize = 150;
    let server = TestServer::with(|settings| {
        settings.hub.connection_age_max = Duration::from_millis(80);
        settings.hub.retry = Duration::from_millis(20);
    })
    .await;
    let mut one = server.follow_live(FOLLOW).await;
    one.until_end().await;
    assert_eq!(one.end, Some(End::Clean));
    let last = one.text().trim_end().rsplit("\n\n").next().unwrap().to_owned();
    assert!(last.starts_with("retry: "), "{last:?} is the last word");

    let followers: Vec<_> =
        (0..5).map(|_| actix_web::rt::spawn(server.follower(FOLLOW).follow_to_the_end())).collect();
    for number in 1..EVENTS {
        server.publish(STREAM, note(number)).await;
    }
    // Nobody is cut off by the end: each has had several connections by then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.publish(STREAM, complete()).await;
    for follower in followers {
        let follower = follower.await.unwrap();
        follower.assert_saw_everything(EVENTS as u64);
        assert!(follower.connections > 2, "{} connections", follower.connections);
    }
}

#[actix_web::test]
async fn a_client_that_does_not_read_delays_nobody_and_misses_nothing() {
    const EVENTS: u64 = 80;
    let server = TestServer::with(|settings| settings.hub.mailbox_capacity = 8).await;
    server.publish(STREAM, note(0)).await;
    let mut slow = Wire::follow_with_small_buffer(server.address, FOLLOW).await;
    slow.until("snapshot").await;
    let mut fast = server.follow_live(FOLLOW).await;
    let stream: clearside_sse::StreamKey = "debate/d1".parse().unwrap();
    let filler = "x".repeat(48 * 1024);
    for number in 1..=EVENTS {
        let events = [
            ("token", json!({ "speaker": "Pro", "token": format!("{number} ") })),
            (
                "utterance",
                json!({ "id": number.to_string(), "timestamp": 1, "phase": "p", "speaker": "Pro", "content": filler }),
            ),
        ];
        let events = events.map(|(name, data)| NewEvent::new(name, &data).unwrap());
        let broadcast = Broadcast::new(stream.clone(), &events).unwrap();
        server.hub.broadcast(broadcast).await.unwrap();
        // The one that reads has it before the next one is published, although the other takes nothing.
        let seen = fast.until_seq(number + 1).await;
        assert_eq!(seen.len(), 2, "its token and itself");
    }
    let last = NewEvent::new("complete", &json!({})).unwrap();
    server.hub.publish(&stream, last).await.unwrap();
    fast.until_end().await;

    let seen = slow.until_end().await;
    let seqs: Vec<_> =
        seen.iter().filter(|event| event.is_durable()).filter_map(SseEvent::seq).collect();
    assert_eq!(seqs, (2..=EVENTS + 2).collect::<Vec<_>>(), "each once and in order");
    assert!(seen.iter().any(|event| event.name == "snapshot"), "it was not behind at all");
    assert!(seen.iter().all(|event| event.name != "gap"));
    // Tokens may be missing; those that are there are in order and before what ends them.
    let mut ended = 0;
    for event in &seen {
        match event.name.as_str() {
            "token" => {
                let number: u64 = event.text("token").trim().parse().unwrap();
                assert!(number > ended, "token {number} after utterance {ended}");
            }
            "utterance" => ended = event.text("id").parse().unwrap(),
            _ => {}
        }
    }
}

#[actix_web::test]
async fn a_client_that_was_slow_is_live_again_once_it_has_caught_up() {
    let server = TestServer::with(|settings| settings.hub.mailbox_capacity = 2).await;
    let mut slow = Wire::follow_with_small_buffer(server.address, FOLLOW).await;
    slow.until("snapshot").await;
    let mut last = 0;
    for _ in 0..2 {
        let batch: serde_json::Value =
            (0..10).map(|_| crate::helpers::event("note", json!("x".repeat(20_000)))).collect();
        for _ in 0..6 {
            server.publish(STREAM, batch.clone()).await;
            last += 10;
        }
        let caught_up = slow.until_seq(last).await;
        assert_eq!(caught_up.iter().filter(|event| event.is_durable()).count(), 60);
        let snapshot = slow.next().await;
        assert_eq!((snapshot.name.as_str(), snapshot.seq()), ("snapshot", Some(last)));
        server.publish(STREAM, crate::helpers::token("Pro", "live")).await;
        assert_eq!(slow.next().await.name, "token");
        server.publish(STREAM, note(0)).await;
        last += 1;
        assert_eq!(slow.next().await.seq(), Some(last));
    }
}

#[actix_web::test]
async fn the_tokens_that_a_client_was_too_slow_for_are_told_by_the_snapshot_instead() {
    let server = TestServer::with(|settings| settings.hub.mailbox_capacity = 4).await;
    let mut slow = Wire::follow_with_small_buffer(server.address, FOLLOW).await;
    slow.until("snapshot").await;
    // One delivery that fills whatever lies between, and then more tokens than its mailbox takes.
    let large = crate::helpers::event("note", json!("x".repeat(20_000)));
    server.publish(STREAM, (0..40).map(|_| large.clone()).collect()).await;
    let mut spoken = String::new();
    for number in 0..20 {
        let text = format!("{number} ");
        server.publish(STREAM, crate::helpers::token("Pro", &text)).await;
        spoken.push_str(&text);
    }
    assert_eq!(slow.until_seq(40).await.len(), 40);
    let snapshot = slow.next().await;
    assert_eq!(snapshot.name, "snapshot", "and no token before it");
    assert_eq!(snapshot.json()["open"][0]["text"], spoken.as_str());
    server.publish(STREAM, crate::helpers::token("Pro", "live")).await;
    assert_eq!(slow.next().await.text("token"), "live");
}

#[actix_web::test]
async fn one_client_too_many_is_told_to_come_back() {
    let server = TestServer::with(|settings| {
        settings.hub.clients_max = 3;
        settings.hub.clients_per_stream_max = 2;
    })
    .await;
    let first = server.follow_live(FOLLOW).await;
    let _second = server.follow_live(FOLLOW).await;
    let mut refused = server.follow(FOLLOW).await;
    let assert_busy = |wire: &Wire, events: Vec<SseEvent>| {
        assert_eq!(wire.head.status, 200, "else an EventSource would not come back");
        let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names, ["busy"]);
        assert!(wire.retry().is_some());
    };
    let events = refused.until_end().await;
    assert_busy(&refused, events);
    let _other = server.follow_live("/api/debates/d2/stream").await;
    let mut refused = server.follow("/api/debates/d3/stream").await;
    let events = refused.until_end().await;
    assert_busy(&refused, events);
    assert_eq!(server.clients().await, 3, "those who were refused do not count");
    drop(first);
    server.until_clients(2).await;
    server.follow_live(FOLLOW).await;
}
