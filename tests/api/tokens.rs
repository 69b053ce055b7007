//! Tokens: never stored, in order, never after the utterance that ends them.

use serde_json::json;

use crate::helpers::{
    SseEvent, TestServer, conversation_token, conversation_utterance, event, phase, token,
    utterance,
};

const STREAM: &str = "/api/debates/d1";
const FOLLOW: &str = "/api/debates/d1/stream";

#[actix_web::test]
async fn tokens_are_in_no_history() {
    let server = TestServer::start().await;
    let first = server.publish(STREAM, phase("Opening")).await;
    server.publish(STREAM, json!([token("Pro", "ab"), token("Con", "x"), token("Pro", "c")])).await;
    let mut wire = server.resume(FOLLOW, &first).await;
    let events = wire.until("snapshot").await;
    assert_eq!(events.iter().filter(|event| event.name == "token").count(), 0);
    let history = server.get(&format!("{STREAM}/events")).await.json();
    assert_eq!(history["events"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn the_history_of_a_stream_of_tokens_only_is_an_empty_page() {
    for (stream, token) in [
        (STREAM, token("Pro", "a")),
        ("/api/conversations/sessions/s1", conversation_token("ada", "a")),
    ] {
        let server = TestServer::start().await;
        server.publish(stream, token).await;
        let history = server.get(&format!("{stream}/events")).await;
        assert_eq!(history.status(), 200);
        assert_eq!(history.json(), json!({ "events": [], "next": null }));
        let after = server.get(&format!("{stream}/events?after=k3v9x2a7-1")).await;
        assert_eq!(after.json()["events"], json!([]), "{}", after.text());
        // It is not stored: after a restart nobody has published to it.
        let server = TestServer::on(server.stop().await).await;
        assert_eq!(server.get(&format!("{stream}/events")).await.status(), 404);
    }
}

#[actix_web::test]
async fn whoever_joins_at_whatever_moment_can_put_the_utterance_together() {
    const UTTERANCES: usize = 30;
    let server = TestServer::start().await;
    server.publish(STREAM, phase("Opening")).await;
    let publish = async {
        for number in 0..UTTERANCES {
            let words: Vec<_> = (0..8).map(|word| format!("{number}.{word} ")).collect();
            for word in &words {
                server.publish(STREAM, token("Pro", word)).await;
            }
            server.publish(STREAM, utterance("Pro", &words.concat())).await;
        }
        server.publish(STREAM, event("complete", json!({}))).await;
    };
    let follow = async {
        let mut joined = Vec::new();
        loop {
            let mut wire = server.follow(FOLLOW).await;
            let events = wire.until("snapshot").await;
            let is_over = events.last().unwrap().text("status") == "completed";
            joined.push(actix_web::rt::spawn(async move {
                let rest = wire.until_end().await;
                events.into_iter().chain(rest).collect::<Vec<_>>()
            }));
            if is_over {
                break joined;
            }
        }
    };
    let ((), joined) = tokio::join!(publish, follow);
    let mut in_mid_utterance = 0;
    for events in joined {
        in_mid_utterance += usize::from(assert_texts_add_up(&events.await.unwrap()));
    }
    assert!(in_mid_utterance > 0, "nobody joined in the middle of an utterance");
}

/// The snapshot's open text and the tokens after it are the utterance. Answers whether there was open text.
#[track_caller]
fn assert_texts_add_up(events: &[SseEvent]) -> bool {
    let mut text = String::new();
    let mut had_open_text = false;
    for event in events {
        match event.name.as_str() {
            "snapshot" => {
                let open = event.json()["open"][0]["text"].as_str().unwrap_or_default().to_owned();
                had_open_text |= !open.is_empty();
                text = open;
            }
            "token" => text.push_str(&event.text("token")),
            "utterance" => assert_eq!(std::mem::take(&mut text), event.text("content")),
            _ => {}
        }
    }
    assert_eq!(text, "", "no token came after its utterance");
    had_open_text
}

#[actix_web::test]
async fn the_snapshot_tells_the_voices_and_their_segments_apart() {
    let server = TestServer::start().await;
    let segment = |speaker: &str, segment: &str, text: &str| {
        event("token", json!({ "speaker": speaker, "token": text, "segment": segment }))
    };
    server
        .publish(
            STREAM,
            json!([
                segment("Pro", "a", "1"),
                token("Con", "x"),
                segment("Pro", "b", "2"),
                segment("Pro", "a", "3"),
                token("Con", "y"),
            ]),
        )
        .await;
    let open = |shown: serde_json::Value| {
        let open = shown["open"].as_array().unwrap().clone();
        open.iter()
            .map(|open| {
                [&open["participant"], &open["segment"], &open["text"]]
                    .map(|v| v.to_string())
                    .join(" ")
            })
            .collect::<Vec<_>>()
    };
    let shown = server.get(STREAM).await.json();
    assert_eq!(open(shown), [r#""Pro" "a" "13""#, r#""Con" null "xy""#, r#""Pro" "b" "2""#]);
    server.publish(STREAM, utterance("Pro", "whatever")).await;
    assert_eq!(open(server.get(STREAM).await.json()), [r#""Con" null "xy""#]);

    let talk = "/api/conversations/sessions/s1";
    server.publish(talk, conversation_token("ada", "Hi")).await;
    server.publish(talk, conversation_token("ben", "Oh")).await;
    server.publish(talk, conversation_utterance("ada", "Hi", 1)).await;
    let shown = server.get(talk).await.json();
    assert_eq!(
        shown["open"],
        json!([{ "participant": "ben", "persona": "ben", "name": "ben", "segment": "s", "text": "Oh" }])
    );
}

#[actix_web::test]
async fn tokens_keep_their_place_among_durable_events() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live(FOLLOW).await;
    let mut expected = Vec::new();
    for number in 0..50 {
        let text = number.to_string();
        let batch = json!([token("Pro", &text), utterance("Pro", &text), token("Con", &text)]);
        server.publish(STREAM, batch).await;
        expected.extend([
            format!("token {text}"),
            format!("utterance {text}"),
            format!("token {text}"),
        ]);
    }
    for expected in expected {
        let seen = wire.next().await;
        let said = if seen.name == "token" { seen.text("token") } else { seen.text("content") };
        assert_eq!(format!("{} {said}", seen.name), expected);
    }
}
