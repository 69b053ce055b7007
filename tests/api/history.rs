//! History that lasts: resume, paging, and one order for everybody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::helpers::{SseEvent, TestServer, complete, event, note, phase, within};

const STREAM: &str = "/api/debates/d1";
const FOLLOW: &str = "/api/debates/d1/stream";

fn notes(from: usize, count: usize) -> Value {
    (from..from + count).map(note).collect()
}

fn seqs(events: &[SseEvent]) -> Vec<u64> {
    events.iter().filter(|event| event.is_durable()).filter_map(SseEvent::seq).collect()
}

#[actix_web::test]
async fn a_client_that_reconnects_at_any_event_misses_none_and_sees_none_twice() {
    let server = TestServer::start().await;
    server.publish(STREAM, notes(1, 20)).await;
    let mut all = server.follow(&format!("{FOLLOW}?lastEventId=earliest")).await;
    let all = all.until_seq(20).await;
    let all: Vec<_> = all.into_iter().filter(SseEvent::is_durable).collect();
    for (at, last) in all.iter().enumerate() {
        let mut wire = server.resume(FOLLOW, &last.last_event_id).await;
        let rest = wire.until("snapshot").await;
        let rest: Vec<_> = rest.into_iter().filter(SseEvent::is_durable).collect();
        assert_eq!(rest, all[at + 1..]);
    }
}

#[actix_web::test]
async fn the_snapshot_is_a_place_to_resume_from() {
    let server = TestServer::start().await;
    server.publish(STREAM, notes(1, 3)).await;
    let mut wire = server.follow(FOLLOW).await;
    let cursor = wire.until("snapshot").await.pop().unwrap().last_event_id;
    drop(wire);
    server.publish(STREAM, notes(4, 2)).await;
    let mut wire = server.resume(FOLLOW, &cursor).await;
    assert_eq!(seqs(&wire.until("snapshot").await), [4, 5]);
}

#[actix_web::test]
async fn a_client_that_was_cut_off_before_the_stream_began_sees_its_first_event() {
    let server = TestServer::start().await;
    for (stream, waits_for) in [("/api/debates/d1", ""), ("/api/debates/d2", "a token")] {
        if !waits_for.is_empty() {
            server.publish(stream, crate::helpers::token("Pro", "a")).await;
        }
        let follow = format!("{stream}/stream");
        let mut wire = server.follow(&follow).await;
        let cursor = wire.until("snapshot").await.pop().unwrap().last_event_id;
        drop(wire);
        server.publish(stream, notes(1, 2)).await;
        let mut wire = server.resume(&follow, &cursor).await;
        let events = wire.until("snapshot").await;
        assert_eq!(seqs(&events), [1, 2]);
        assert!(events.iter().all(|event| event.name != "gap"));
    }
}

#[actix_web::test]
async fn history_survives_a_restart_byte_for_byte() {
    let server = TestServer::start().await;
    let first = server.publish(STREAM, phase("Opening")).await;
    let odd = r#"[{"type":"note","data":{"n":12345678901234567890123,"n":1.0,"z":1e400,"s":"\u0000 é"}}]"#;
    let answer =
        crate::helpers::post(server.address, &format!("{STREAM}/events"), odd.as_bytes()).await;
    assert_eq!(answer.status(), 201, "{}", answer.text());
    let before = {
        let mut wire = server.resume(FOLLOW, &first).await;
        wire.until("snapshot").await
    };
    let pages = server.get(&format!("{STREAM}/events")).await.text();
    let folder = server.stop().await;

    let server = TestServer::on(folder).await;
    let mut wire = server.resume(FOLLOW, &first).await;
    let after = wire.until("snapshot").await;
    assert_eq!(after[1..], before[1..], "all but the client id");
    assert!(after[1].data.contains(r#""n":12345678901234567890123,"n":1.0,"z":1e400"#));
    assert_eq!(server.get(&format!("{STREAM}/events")).await.text(), pages);
    let next = server.publish(STREAM, note(3)).await;
    assert_eq!(next, first.replace("-1", "-3"), "ids go on");
}

#[actix_web::test]
async fn a_late_joiner_gets_a_long_history_in_order_while_live_events_go_on() {
    const STORED: usize = 5_000;
    const LIVE: usize = 300;
    for ring in [16, 100_000] {
        let server = TestServer::with(|settings| {
            settings.hub.history_events = ring;
            settings.hub.mailbox_capacity = 4;
        })
        .await;
        for batch in 0..STORED / 100 {
            server.publish(STREAM, notes(1 + batch * 100, 100)).await;
        }
        let mut wire = server.follow(&format!("{FOLLOW}?lastEventId=earliest")).await;
        let publish = async {
            for number in 0..LIVE {
                server.publish(STREAM, note(STORED + 1 + number)).await;
            }
        };
        let ((), seen) = tokio::join!(publish, wire.until_seq((STORED + LIVE) as u64));
        let durable: Vec<_> = seen.iter().filter(|event| event.is_durable()).collect();
        assert_eq!(durable.len(), STORED + LIVE, "ring of {ring}");
        for (number, event) in (1..).zip(durable) {
            assert_eq!(event.seq(), Some(number), "ring of {ring}");
            assert_eq!(event.json(), json!({ "n": number }), "ring of {ring}");
        }
    }
}

#[actix_web::test]
async fn nobody_who_joins_while_events_are_published_misses_one_or_sees_one_twice() {
    const EVENTS: u64 = 300;
    let server = TestServer::with(|settings| settings.hub.history_events = 16).await;
    let is_over = AtomicBool::new(false);
    let publish = async {
        for number in 1..EVENTS as usize {
            server.publish(STREAM, note(number)).await;
        }
        server.publish(STREAM, complete()).await;
        is_over.store(true, Ordering::Relaxed);
    };
    // Joins all the time: at the start, from the tail, from a little before it.
    let join = async {
        let mut followers = Vec::new();
        let mut joined = 0_u64;
        while !is_over.load(Ordering::Relaxed) && joined < 120 {
            joined += 1;
            let mut wire = if joined.is_multiple_of(3) {
                server.follow(FOLLOW).await
            } else {
                server.follow(&format!("{FOLLOW}?lastEventId=earliest")).await
            };
            followers.push(actix_web::rt::spawn(async move { wire.until_end().await }));
        }
        join_all(followers).await
    };
    let ((), followers) = tokio::join!(publish, within("the followers", join));
    assert!(followers.len() > 20);
    for events in followers {
        let events = events.unwrap();
        let seqs = seqs(&events);
        let first = seqs[0];
        assert_eq!(seqs, (first..=EVENTS).collect::<Vec<_>>());
        // Without a cursor there is no replay, but nothing is missing after the snapshot.
        let snapshot = events.iter().find(|event| event.name == "snapshot").unwrap();
        if first > 1 {
            assert_eq!(snapshot.seq(), Some(first - 1));
        }
    }
}

#[actix_web::test]
async fn concurrent_publishers_are_seen_in_one_order_by_everyone() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 100;
    let server = TestServer::start().await;
    let mut followers = Vec::new();
    for _ in 0..50 {
        let mut wire = server.follow_live(FOLLOW).await;
        followers.push(actix_web::rt::spawn(async move {
            let events = wire.until_seq((PUBLISHERS * EACH) as u64).await;
            events.into_iter().map(|event| (event.id, event.data)).collect::<Vec<_>>()
        }));
    }
    let publisher = |publisher: usize| {
        let server = &server;
        async move {
            let mut ids = Vec::new();
            for number in 0..EACH {
                let data = json!({ "publisher": publisher, "n": number });
                ids.push(server.publish(STREAM, event("note", data)).await);
            }
            ids
        }
    };
    let acknowledged = join_all((0..PUBLISHERS).map(publisher)).await;
    let seen = join_all(followers).await;
    let reference = seen[0].as_ref().unwrap();
    for follower in &seen {
        assert_eq!(follower.as_ref().unwrap(), reference);
    }
    assert_eq!(reference.len(), PUBLISHERS * EACH);
    for (publisher, ids) in acknowledged.iter().enumerate() {
        let marker = format!(r#""publisher":{publisher},"#);
        let own: Vec<_> = reference
            .iter()
            .filter(|(_, data)| data.contains(&marker))
            .map(|(id, _)| id.clone().unwrap())
            .collect();
        assert_eq!(&own, ids, "each publisher's events keep their order and their ids");
    }
}

#[actix_web::test]
async fn the_history_is_paged_and_says_where_the_next_page_begins() {
    let server = TestServer::start().await;
    let last = server.publish(STREAM, notes(1, 25)).await;
    let epoch = last.split_once('-').unwrap().0.to_owned();
    let mut path = format!("{STREAM}/events?limit=10");
    let mut ids = Vec::new();
    let mut lengths = Vec::new();
    loop {
        let page = server.get(&path).await;
        assert_eq!(page.status(), 200);
        let page = page.json();
        let events = page["events"].as_array().unwrap();
        lengths.push(events.len());
        for event in events {
            ids.push(event["id"].as_str().unwrap().to_owned());
            assert_eq!(event["type"], "note");
            assert_eq!(event["data"], json!({ "n": ids.len() }));
            assert_eq!(event["timestamp"], crate::helpers::NOW_MS);
        }
        match page["next"].as_str() {
            Some(next) => path = format!("{STREAM}/events?limit=10&after={next}"),
            None => break,
        }
    }
    assert_eq!(lengths, [10, 10, 5]);
    let expected: Vec<_> = (1..=25).map(|seq| format!("{epoch}-{seq}")).collect();
    assert_eq!(ids, expected);
    let at_the_end = server.get(&format!("{STREAM}/events?after={last}")).await;
    assert_eq!(at_the_end.json(), json!({ "events": [], "next": null }));
}

#[actix_web::test]
async fn streams_are_listed_newest_first_and_paged() {
    let server = TestServer::start().await;
    for number in 1..=5 {
        let data = json!({ "title": format!("Debate {number}") });
        server.publish(&format!("/api/debates/d{number}"), event("debate_started", data)).await;
    }
    server
        .publish("/api/conversations/sessions/other", event("conversation_started", json!({})))
        .await;
    let wire = server.follow_live("/api/debates/d4/stream").await;
    let mut path = "/api/debates?limit=2".to_owned();
    let mut listed = Vec::new();
    loop {
        let page = server.get(&path).await.json();
        for stream in page["streams"].as_array().unwrap() {
            listed.push((
                stream["id"].as_str().unwrap().to_owned(),
                stream["title"].as_str().unwrap().to_owned(),
                stream["subscribers"].as_u64().unwrap(),
            ));
        }
        match page["next"].as_str() {
            Some(before) => path = format!("/api/debates?limit=2&before={before}"),
            None => break,
        }
    }
    let expected: Vec<_> = (1..=5)
        .rev()
        .map(|n| (format!("d{n}"), format!("Debate {n}"), u64::from(n == 4)))
        .collect();
    assert_eq!(listed, expected);
    drop(wire);
}

#[actix_web::test]
async fn the_snapshot_as_json_is_the_snapshot_on_the_wire() {
    let server = TestServer::start().await;
    server
        .publish(
            STREAM,
            json!([
                event("debate_started", json!({ "title": "Why?" })),
                phase("Opening"),
                crate::helpers::utterance("Pro", "Because"),
                crate::helpers::token("Con", "But"),
            ]),
        )
        .await;
    let mut wire = server.follow(FOLLOW).await;
    let on_the_wire = wire.until("snapshot").await.pop().unwrap().json();
    let shown = server.get(STREAM).await.json();
    for field in
        ["status", "title", "phase", "speaker", "turnCount", "summary", "open", "subscribers"]
    {
        assert_eq!(shown[field], on_the_wire[field], "{field}");
    }
    assert_eq!(shown["speaker"], "Con");
    assert_eq!(shown["open"][0]["text"], "But");
    assert_eq!(shown["id"], "d1");
    assert_eq!(shown["createdAt"], crate::helpers::NOW_MS);
    assert!(shown["lastEventId"].as_str().unwrap().ends_with("-3"));
}

#[actix_web::test]
async fn a_stream_is_shown_after_a_restart_as_it_was_but_for_what_was_being_spoken() {
    let server = TestServer::start().await;
    server.publish(STREAM, phase("Opening")).await;
    server.publish(STREAM, event("pause", json!({}))).await;
    server.publish(STREAM, crate::helpers::token("Con", "But")).await;
    let folder: Arc<_> = server.stop().await;
    let server = TestServer::on(folder).await;
    let shown = server.get(STREAM).await.json();
    assert_eq!(shown["status"], "paused");
    assert_eq!(shown["phase"], "Opening");
    assert_eq!(shown["open"], json!([]));
}
