//! What a player says, and when.

use serde_json::{Value, json};

use super::*;
use crate::{event::Event, stream_key::StreamKind};

fn perform(kind: StreamKind, transcript: Transcript) -> Vec<Step> {
    let stream = StreamKey::new(kind, "s1".parse().unwrap());
    let mut script = Script::new(stream, transcript, Pace::default());
    let steps = std::iter::from_fn(|| script.next(7)).collect();
    assert_eq!(script.progress().0, script.progress().1, "all has been spoken");
    steps
}

fn data(step: &Step) -> Value {
    serde_json::from_str(step.event.data.get()).unwrap()
}

/// The names of the events, a run of tokens written once.
fn names(steps: &[Step]) -> Vec<&str> {
    let mut names: Vec<_> = steps.iter().map(|step| step.event.name.as_str()).collect();
    names.dedup_by(|a, b| a == b && a.ends_with("token"));
    names
}

const TALK: &str = r#"{"title": "T", "speakers": [
        {"id": "a", "name": "Ada", "host": true}, {"id": "b", "name": "Ben", "persona": "ben-p"}],
    "script": [{"phase": "One"}, {"speaker": "a", "text": "Hi, *you*.", "manner": "interrupted"},
        {"silence_ms": 5000}, {"speaker": "b", "text": "Oh", "manner": "interjection"},
        {"summary": "So far."}, {"speaker": "b", "text": "and so on"}]}"#;

#[test]
fn a_debate_is_performed_in_the_words_of_debates() {
    let steps = perform(StreamKind::Debate, TALK.parse().unwrap());
    assert_eq!(
        names(&steps),
        [
            "debate_started",
            "phase_transition",
            "token",
            "utterance",
            "token",
            "utterance",
            "summary",
            "token",
            "utterance",
            "complete"
        ]
    );
    let said: Vec<_> =
        steps.iter().filter(|step| step.event.name == "utterance").map(data).collect();
    assert_eq!(
        said[0],
        json!({"id": said[0]["id"], "timestamp": 7, "phase": "One", "speaker": "Ada",
            "content": "Hi, *you*.", "interrupted": true})
    );
    assert_eq!(said[1]["interjection"], json!(true));
    assert_eq!(said[2].get("interjection"), None);
}

#[test]
fn a_conversation_is_performed_in_the_words_of_conversations() {
    let steps = perform(StreamKind::Conversation, TALK.parse().unwrap());
    assert_eq!(
        names(&steps),
        [
            "conversation_started",
            "phase_transition",
            "conversation_speaker_changed",
            "conversation_token",
            "conversation_utterance",
            "conversation_speaker_changed",
            "conversation_token",
            "conversation_utterance",
            "conversation_context_updated",
            "conversation_token",
            "conversation_utterance",
            "conversation_completed"
        ]
    );
    let said = steps.iter().find(|step| step.event.name == "conversation_utterance").map(data);
    assert_eq!(
        said.unwrap(),
        json!({"sessionId": "s1", "speakerName": "Ada", "personaSlug": "a", "content": "Hi, *you*.",
            "isHost": true, "turnCount": 1, "timestamp": 7, "interrupted": true})
    );
}

#[test]
fn every_event_is_accepted_and_the_tokens_are_the_text() {
    for kind in StreamKind::ALL {
        let mut text = String::new();
        let mut utterances = 0;
        for step in perform(kind, Transcript::sample(kind).unwrap()) {
            let event = Event::accept(kind, &step.event).unwrap();
            if event.is_transient() {
                text.push_str(data(&step)["token"].as_str().unwrap());
            } else if event.name().ends_with("utterance") {
                assert_eq!(data(&step)["content"], json!(std::mem::take(&mut text)));
                utterances += 1;
            }
        }
        assert!(utterances > 0);
    }
}

#[test]
fn the_pace_is_a_readers_and_scales() {
    let natural: Duration =
        perform(StreamKind::Debate, Transcript::sample(StreamKind::Debate).unwrap())
            .iter()
            .map(|step| step.wait)
            .sum();
    assert!((120..600).contains(&natural.as_secs()), "{natural:?}");
    for (speed, is_valid) in [
        (1.0, true),
        (0.01, true),
        (1000.0, true),
        (0.0, false),
        (-1.0, false),
        (f64::NAN, false),
        (1e9, false),
    ] {
        assert_eq!(Pace::at_speed(speed).is_some(), is_valid, "{speed}");
    }
    let fast = Pace::at_speed(10.0).unwrap();
    assert_eq!(fast.scaled(Duration::from_secs(1)), Duration::from_millis(100));
}

/// Texts, names and ids that are as long as they may be, or longer than anybody's.
fn unwieldy(speakers: usize, name: usize, phase: usize, text: usize) -> Transcript {
    let id = |number: usize| format!("{number:0>64}");
    let speakers: Vec<_> = (0..speakers)
        .map(|number| json!({ "id": id(number), "name": "\"".repeat(name), "host": false }))
        .collect();
    let script = json!([
        {"phase": "\u{1}".repeat(phase)},
        {"speaker": id(0), "text": "é\n\u{2}".repeat(text), "manner": "interjection"},
        {"summary": "s".repeat(text)},
    ]);
    json!({ "title": "t".repeat(name), "speakers": speakers, "script": script })
        .to_string()
        .parse()
        .unwrap()
}

#[test]
fn no_event_is_longer_than_the_transcript_says_and_none_is_thought_much_longer() {
    for (speakers, name, phase, text) in [
        (1, 1, 1, 1),
        (1, 500, 1, 1),
        (1, 1, 500, 1),
        (1, 1, 1, 500),
        (300, 9, 1, 1),
        (2, 300, 300, 300),
    ] {
        let transcript = unwieldy(speakers, name, phase, text);
        let counted = transcript.longest_event();
        let mut longest = 0;
        for kind in StreamKind::ALL {
            let stream = StreamKey::new(kind, "x".repeat(64).parse().unwrap());
            let mut script = Script::new(stream, transcript.clone(), Pace::default());
            let steps = std::iter::from_fn(|| script.next(i64::MAX));
            longest = longest.max(steps.map(|step| step.event.data.get().len()).max().unwrap());
        }
        let what = format!("{speakers} {name} {phase} {text}: {longest}, {counted}");
        assert!(longest <= counted, "{what}");
        assert!(counted <= longest + 512 + 32 * speakers, "{what}");
    }
}
