//! Every type of both vocabularies, over HTTP to a subscriber.

use serde_json::{Value, json};

use crate::helpers::{NOW_MS, TestServer, event};

/// What is published, and whether it is stored.
fn debate() -> Vec<(&'static str, Value, bool)> {
    vec![
        ("debate_started", json!({ "title": "Why?", "proposition": "Because" }), true),
        ("phase_transition", json!({ "phase": "Opening", "timestamp": 1 }), true),
        ("token", json!({ "speaker": "Pro", "token": " so" }), false),
        ("token", json!({ "speaker": "Pro", "token": "", "segment": "b" }), false),
        (
            "utterance",
            json!({ "id": "u1", "timestamp": 1.5, "phase": "Opening", "speaker": "Pro",
                "content": "**So**\n", "more": [null] }),
            true,
        ),
        ("intervention_response", json!({ "interventionId": "i", "content": "c" }), true),
        ("pause", json!({}), true),
        ("resume", json!({}), true),
        ("error", json!({ "message": "m" }), true),
        ("agent.step:1-b", json!([1, "two", null]), true),
        ("conversation_started", json!("a debate has no such word, so it may be anything"), true),
        ("complete", json!({ "winner": null }), true),
    ]
}

fn conversation() -> Vec<(&'static str, Value, bool)> {
    vec![
        (
            "conversation_started",
            json!({ "title": "Tides", "participants": [{ "id": "a", "name": "Ada", "isHost": true }] }),
            true,
        ),
        (
            "conversation_speaker_changed",
            json!({ "sessionId": "s1", "speakerId": "a", "speakerName": "Ada", "personaSlug": "ada" }),
            true,
        ),
        (
            "conversation_token",
            json!({ "participantId": "a", "personaSlug": "ada", "personaName": "Ada", "segment": "1", "token": "Hi" }),
            false,
        ),
        (
            "conversation_utterance",
            json!({ "sessionId": "s1", "speakerName": "Ada", "personaSlug": "ada", "content": "Hi",
                "isHost": true, "turnCount": 1, "timestamp": 5 }),
            true,
        ),
        (
            "conversation_context_updated",
            json!({ "sessionId": "s1", "summary": "Hello.", "turnCount": 1 }),
            true,
        ),
        ("conversation_paused", json!({ "sessionId": "s1" }), true),
        ("conversation_resumed", json!({ "sessionId": "s1" }), true),
        (
            "conversation_error",
            json!({ "message": "m", "type": "mine", "timestamp": "mine" }),
            true,
        ),
        ("phase_transition", json!({ "x": 1 }), true),
        ("token", json!({ "durable": "in a conversation it is no word" }), true),
        ("conversation_completed", json!({}), true),
    ]
}

#[actix_web::test]
async fn every_type_of_a_debate_goes_out_as_it_was_published() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live("/api/debates/d1/stream").await;
    let mut seq = 0;
    for (name, data, is_durable) in debate() {
        let published = event(name, data.clone());
        server.publish("/api/debates/d1", published).await;
        seq += u64::from(is_durable);
        let seen = wire.next().await;
        assert_eq!(seen.name, name);
        assert_eq!(seen.seq(), is_durable.then_some(seq), "{name}");
        assert_eq!(seen.data, data.to_string(), "{name}");
    }
    wire.until_end().await;
}

#[actix_web::test]
async fn every_type_of_a_conversation_goes_out_in_its_envelope() {
    let server = TestServer::start().await;
    let stream = "/api/conversations/sessions/s1";
    let mut wire = server.follow_live(&format!("{stream}/stream")).await;
    let mut seq = 0;
    for (name, data, is_durable) in conversation() {
        server.publish(stream, event(name, data.clone())).await;
        seq += u64::from(is_durable);
        let seen = wire.next().await;
        assert_eq!(seen.name, name);
        assert_eq!(seen.seq(), is_durable.then_some(seq), "{name}");
        let mut expected = serde_json::Map::from_iter([("type".to_owned(), json!(name))]);
        for (field, value) in data.as_object().unwrap() {
            if field != "type" && field != "timestamp" {
                expected.insert(field.clone(), value.clone());
            }
        }
        expected.insert("timestamp".into(), json!(NOW_MS));
        assert_eq!(seen.data, Value::Object(expected).to_string(), "{name}");
    }
    wire.until_end().await;
}

#[actix_web::test]
async fn a_payload_that_its_type_does_not_allow_is_refused_with_the_path_to_what_is_wrong() {
    let server = TestServer::start().await;
    let debate = |name, data, message| ("/api/debates/d1", name, data, message);
    let conversation =
        |name, data, message| ("/api/conversations/sessions/s1", name, data, message);
    for (stream, name, data, message) in [
        debate("utterance", json!({}), "$.data.id: is missing"),
        debate(
            "utterance",
            json!({"id": "1", "timestamp": 1, "phase": "p", "speaker": "s"}),
            "$.data.content: is missing",
        ),
        debate(
            "utterance",
            json!({"id": "1", "timestamp": "now", "phase": "p", "speaker": "s", "content": "c"}),
            "$.data.timestamp: ",
        ),
        debate("utterance", json!([]), "$.data: "),
        debate("phase_transition", json!({"phase": 1, "timestamp": 1}), "$.data.phase: "),
        debate("phase_transition", json!({"phase": "p"}), "$.data.timestamp: is missing"),
        debate("token", json!({"speaker": "s"}), "$.data.token: is missing"),
        debate("debate_started", json!({}), "$.data.title: is missing"),
        conversation(
            "conversation_utterance",
            json!({"sessionId": "s1"}),
            "$.data.speakerName: is missing",
        ),
        conversation(
            "conversation_started",
            json!({"participants": [{"id": "a", "name": "A"}, {"id": "b"}]}),
            "$.data.participants[1].name: is missing",
        ),
        conversation(
            "conversation_token",
            json!({"participantId": "a"}),
            "$.data.personaSlug: is missing",
        ),
        conversation(
            "conversation_speaker_changed",
            json!({"sessionId": "s1", "speakerId": "a"}),
            "$.data.speakerName: is missing",
        ),
        conversation(
            "conversation_context_updated",
            json!({"sessionId": "s1", "summary": "x", "turnCount": "1"}),
            "$.data.turnCount: ",
        ),
        conversation("conversation_paused", json!(null), "$.data: "),
        conversation("anything", json!([1]), "$.data: "),
    ] {
        let answer = server.post(&format!("{stream}/events"), &event(name, data.clone())).await;
        assert_eq!(answer.status(), 422, "{name} {data}");
        assert_eq!(answer.code(), "invalid_event");
        assert!(answer.message().starts_with(message), "{name} {data}: {}", answer.text());
        assert!(!answer.message().contains(" at line "), "{}", answer.text());
    }
    for stream in ["/api/debates/d1", "/api/conversations/sessions/s1"] {
        assert_eq!(server.get(stream).await.status(), 404, "nothing is stored");
    }
}

#[actix_web::test]
async fn a_phase_is_told_to_whoever_joins_later_whatever_the_kind() {
    for stream in ["/api/debates/d1", "/api/conversations/sessions/s1"] {
        let server = TestServer::start().await;
        let mut early = server.follow_live(&format!("{stream}/stream")).await;
        for phase in ["Opening", "Rebuttals"] {
            server.publish(stream, crate::helpers::phase(phase)).await;
            assert_eq!(early.next().await.text("phase"), phase);
            let mut late = server.follow(&format!("{stream}/stream")).await;
            let snapshot = late.until("snapshot").await.pop().unwrap();
            assert_eq!(snapshot.text("phase"), phase, "{stream}");
            assert_eq!(server.get(stream).await.json()["phase"], phase, "{stream}");
        }
    }
}
