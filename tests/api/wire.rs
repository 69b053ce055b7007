//! The wire, byte for byte: DESIGN 3.2 as golden transcripts, for both kinds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::{
    End, NOW_MS, TestServer, Wire, assert_transcript, complete, conversation_token,
    conversation_utterance, event, phase, token, utterance,
};

/// What the same story is called in each kind's words.
struct Kind {
    name: &'static str,
    path: &'static str,
    opening: Value,
    end: Value,
    token: fn(&str, &str) -> Value,
    utterance: fn(&str, &str) -> Value,
}

fn kinds() -> [Kind; 2] {
    [
        Kind {
            name: "debate",
            path: "/api/debates/d1",
            opening: phase("Opening"),
            end: complete(),
            token,
            utterance,
        },
        Kind {
            name: "conversation",
            path: "/api/conversations/sessions/s1",
            opening: event("conversation_started", json!({ "title": "Tides" })),
            end: event("conversation_completed", json!({})),
            token: conversation_token,
            utterance: |persona, content| conversation_utterance(persona, content, 1),
        },
    ]
}

impl Kind {
    fn stream(&self) -> String {
        format!("{}/stream", self.path)
    }

    #[track_caller]
    fn assert_transcript(&self, name: &str, epoch_of: &str, wire: &Wire) {
        assert_transcript(&format!("{}_{name}", self.name), epoch_of, wire.text());
    }
}

#[actix_web::test]
async fn a_client_of_an_unknown_stream_is_greeted_and_waits() {
    for kind in kinds() {
        let server = TestServer::start().await;
        let mut wire = server.follow(&kind.stream()).await;
        wire.until("snapshot").await;
        kind.assert_transcript("waiting", "", &wire);
        assert_eq!(server.get(kind.path).await.status(), 404, "nothing is stored");
    }
}

#[actix_web::test]
async fn a_client_that_waited_sees_the_stream_begin() {
    for kind in kinds() {
        let server = TestServer::start().await;
        let mut wire = server.follow_live(&kind.stream()).await;
        let id = server.publish(kind.path, kind.opening.clone()).await;
        wire.until_seq(1).await;
        kind.assert_transcript("begins", &id, &wire);
    }
}

#[actix_web::test]
async fn a_client_that_joins_a_live_stream_gets_its_snapshot_and_what_comes() {
    for kind in kinds() {
        let server = TestServer::start().await;
        server.publish(kind.path, kind.opening.clone()).await;
        let mut wire = server.follow_live(&kind.stream()).await;
        server.publish(kind.path, (kind.token)("Pro", "One")).await;
        server.publish(kind.path, (kind.token)("Pro", " two")).await;
        server.publish(kind.path, (kind.utterance)("Pro", "One two")).await;
        let id = server.publish(kind.path, event("something.new", json!({ "n": 1.0 }))).await;
        wire.until_seq(3).await;
        kind.assert_transcript("live", &id, &wire);
    }
}

#[actix_web::test]
async fn a_client_that_resumes_gets_what_it_missed_and_then_the_snapshot() {
    for kind in kinds() {
        let server = TestServer::start().await;
        let first = server.publish(kind.path, kind.opening.clone()).await;
        for content in ["One", "Two\nlines: \"and\" more"] {
            server.publish(kind.path, (kind.utterance)("Pro", content)).await;
        }
        let mut by_header = server.resume(&kind.stream(), &first).await;
        by_header.until("snapshot").await;
        kind.assert_transcript("resumes", &first, &by_header);

        let query = format!("{}?lastEventId={first}", kind.stream());
        let mut by_query = server.follow(&query).await;
        by_query.until("snapshot").await;
        // Two follow now, else nothing differs.
        let text = by_query.text().replace(r#""subscribers":2"#, r#""subscribers":1"#);
        assert_transcript(&format!("{}_resumes", kind.name), &first, &text);
    }
}

#[actix_web::test]
async fn the_header_wins_over_the_query() {
    let server = TestServer::start().await;
    let first = server.publish("/api/debates/d1", phase("One")).await;
    let second = server.publish("/api/debates/d1", phase("Two")).await;
    for (query, header, expected) in [
        (first.as_str(), second.as_str(), vec![]),
        (second.as_str(), first.as_str(), vec![2]),
        ("earliest", second.as_str(), vec![]),
        (first.as_str(), "", vec![2]),
        ("", first.as_str(), vec![2]),
        ("", "", vec![]),
    ] {
        let path = format!("/api/debates/d1/stream?lastEventId={query}");
        let mut wire = server.resume(&path, header).await;
        let events = wire.until("snapshot").await;
        let seqs: Vec<_> = events
            .iter()
            .filter(|event| event.is_durable())
            .filter_map(|event| event.seq())
            .collect();
        assert_eq!(seqs, expected, "query {query:?}, header {header:?}");
    }
}

#[actix_web::test]
async fn a_cursor_that_cannot_be_honoured_is_a_gap_and_then_everything() {
    for kind in kinds() {
        let server = TestServer::start().await;
        let id = server.publish(kind.path, kind.opening.clone()).await;
        server.publish(kind.path, (kind.utterance)("Pro", "One")).await;
        let ahead = id.replace("-1", "-99");
        for (name, cursor) in
            [("gap_malformed", "42"), ("gap_unknown", "zzzzzzzz-1"), ("gap_ahead", ahead.as_str())]
        {
            let mut wire = server.resume(&kind.stream(), cursor).await;
            wire.until("snapshot").await;
            kind.assert_transcript(name, &id, &wire);
            drop(wire);
            server.until_clients(0).await;
        }
    }
}

#[actix_web::test]
async fn a_cursor_on_a_stream_that_nobody_has_published_to_is_a_gap() {
    for kind in kinds() {
        let server = TestServer::start().await;
        let mut wire = server.resume(&kind.stream(), "zzzzzzzz-7").await;
        wire.until("snapshot").await;
        kind.assert_transcript("gap_waiting", "", &wire);
    }
}

#[actix_web::test]
async fn a_client_that_joins_in_mid_utterance_gets_the_text_so_far() {
    for kind in kinds() {
        let server = TestServer::start().await;
        let id = server.publish(kind.path, kind.opening.clone()).await;
        for text in ["It", " is", " said,\n\"so\""] {
            server.publish(kind.path, (kind.token)("Pro", text)).await;
        }
        let mut wire = server.follow_live(&kind.stream()).await;
        server.publish(kind.path, (kind.token)("Pro", " far")).await;
        wire.next().await;
        kind.assert_transcript("mid_utterance", &id, &wire);
    }
}

#[actix_web::test]
async fn a_stream_that_completes_ends_for_all_who_follow_it() {
    for kind in kinds() {
        let server = TestServer::start().await;
        let id = server.publish(kind.path, kind.opening.clone()).await;
        let mut wire = server.follow_live(&kind.stream()).await;
        server.publish(kind.path, kind.end.clone()).await;
        wire.until_end().await;
        kind.assert_transcript("completes", &id, &wire);
    }
}

#[actix_web::test]
async fn a_client_that_comes_after_the_end_gets_what_its_cursor_asks_for_and_the_end() {
    for kind in kinds() {
        let server = TestServer::start().await;
        let id = server.publish(kind.path, kind.opening.clone()).await;
        server.publish(kind.path, (kind.utterance)("Pro", "One")).await;
        server.publish(kind.path, kind.end.clone()).await;

        let mut late = server.follow(&kind.stream()).await;
        late.until_end().await;
        kind.assert_transcript("late", &id, &late);

        let mut from_the_start =
            server.follow(&format!("{}?lastEventId=earliest", kind.stream())).await;
        from_the_start.until_end().await;
        kind.assert_transcript("late_earliest", &id, &from_the_start);

        let mut resumed = server.resume(&kind.stream(), &id).await;
        resumed.until_end().await;
        // What was asked for is replayed in the same way.
        let replay = |wire: &Wire| wire.text().split_once("id: ").unwrap().1.to_owned();
        assert!(replay(&from_the_start).ends_with(&replay(&resumed)[10..]));

        let mut lost = server.resume(&kind.stream(), "zzzzzzzz-3").await;
        lost.until_end().await;
        kind.assert_transcript("late_gap", &id, &lost);
    }
}

#[actix_web::test]
async fn a_client_that_has_seen_the_end_is_told_to_stay_away() {
    for kind in kinds() {
        let server = TestServer::start().await;
        server.publish(kind.path, kind.opening.clone()).await;
        let last = server.publish(kind.path, kind.end.clone()).await;
        let query = format!("{}?lastEventId={last}", kind.stream());
        for wire in [server.resume(&kind.stream(), &last).await, server.follow(&query).await] {
            assert_eq!(wire.head.status, 204);
            assert_eq!(wire.end, Some(End::Clean));
            assert_eq!(wire.text(), "");
        }
    }
}

#[actix_web::test]
async fn heartbeats_come_by_themselves_in_the_words_of_each_kind() {
    let server = TestServer::with(|settings| {
        settings.hub.heartbeat_interval = Duration::from_millis(20);
    })
    .await;
    let mut debate = server.follow("/api/debates/d1/stream").await;
    debate.until("snapshot").await;
    let start = debate.text().len();
    debate.until_text(":heartbeat\n\n:heartbeat\n\n").await;
    assert!(debate.text()[start..].starts_with(":heartbeat\n\n"), "nothing comes in between");
    assert_eq!(debate.take_events(), [], "a comment is no event");

    let mut conversation = server.follow_live("/api/conversations/sessions/s1/stream").await;
    for _ in 0..2 {
        let beat = conversation.next().await;
        assert_eq!(beat.name, "connection_established");
        assert_eq!(beat.id, None, "it does not move the cursor");
        assert_eq!(
            beat.data,
            format!(r#"{{"type":"heartbeat","sessionId":"s1","timestamp":{NOW_MS}}}"#)
        );
    }
}

#[actix_web::test]
async fn retry_times_differ_from_connection_to_connection_within_their_range() {
    let server = TestServer::start().await;
    let mut retries = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let wire = server.follow_live("/api/debates/d1/stream").await;
        retries.insert(wire.retry().unwrap());
    }
    assert!(retries.len() > 25, "{retries:?}");
    assert!(*retries.first().unwrap() >= 1000, "{retries:?}");
    assert!(*retries.last().unwrap() <= 3000, "{retries:?}");
}

#[actix_web::test]
async fn data_of_any_kind_arrives_as_data_and_moves_no_cursor() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live("/api/debates/d1/stream").await;
    let texts = [
        "a\n\nid: 9\nevent: x",
        "lone \r return",
        "\u{2028}\u{2029}\u{85}",
        "\u{feff}first",
        "nul \u{0} and \u{1b}[2J",
        " leading and trailing ",
        "data: {}",
        ":comment",
        "",
        "👩‍👩‍👧 \u{202e}rtl",
    ];
    for (seq, text) in (1..).zip(texts) {
        let id = server.publish("/api/debates/d1", event("note", json!({ "text": text }))).await;
        let event = wire.next().await;
        assert_eq!((event.name.as_str(), event.seq()), ("note", Some(seq)));
        assert_eq!(event.last_event_id, id);
        assert_eq!(event.json(), json!({ "text": text }));
    }
    // A payload that is just a string, with real line ends around its tokens.
    let body = "{\"type\":\"note\",\r\n\"data\":\n\r{ \"a\"\r\n: 1,\n\n\"b\" :\r[2 ]}}";
    let answer =
        crate::helpers::post(server.address, "/api/debates/d1/events", body.as_bytes()).await;
    assert_eq!(answer.status(), 201);
    assert_eq!(wire.next().await.data, r#"{"a":1,"b":[2]}"#);
}
