//! Transcripts, in both of their forms.

use std::{collections::HashSet, time::Duration};

use clearside_sse::{Cue, Manner, Transcript, tokens};
use serde_json::{Value, json};

/// A transcript, in Markdown or in JSON: what is taken can be performed, and written down and read again.
pub fn transcript(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let transcript: Transcript = match text.parse() {
        Ok(transcript) => transcript,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let ids: HashSet<_> = transcript.speakers.iter().map(|speaker| speaker.id.as_str()).collect();
    assert_eq!(ids.len(), transcript.speakers.len(), "each id is one speaker's");
    assert!(transcript.speakers.iter().all(|speaker| !speaker.name.trim().is_empty()));
    let mut speeches = 0;
    for cue in &transcript.cues {
        match cue {
            Cue::Speech(speech) => {
                speeches += 1;
                assert!(!speech.text.trim().is_empty());
                assert!(ids.contains(speech.speaker.id.as_str()));
                assert!(tokens(&speech.text).all(|token| !token.is_empty()));
                assert_eq!(tokens(&speech.text).collect::<String>(), speech.text);
            }
            Cue::Phase(text) | Cue::Summary(text) => assert!(!text.trim().is_empty()),
            Cue::Silence(silence) => assert!(*silence <= Duration::from_secs(600)),
        }
    }
    assert!(speeches > 0, "somebody speaks");

    let mut expected = transcript;
    for cue in &mut expected.cues {
        if let Cue::Speech(speech) = cue {
            speech.at = None; // The JSON form does not tell.
        }
    }
    let again: Transcript = written(&expected).to_string().parse().unwrap();
    assert_eq!(again, expected);
}

/// The JSON form.
fn written(transcript: &Transcript) -> Value {
    let speakers: Vec<_> = transcript
        .speakers
        .iter()
        .map(|speaker| {
            let mut json =
                json!({ "id": speaker.id, "name": speaker.name, "host": speaker.is_host });
            if let Some(persona) = &speaker.persona {
                json["persona"] = json!(persona);
            }
            json
        })
        .collect();
    let script: Vec<_> = transcript
        .cues
        .iter()
        .map(|cue| match cue {
            Cue::Phase(phase) => json!({ "phase": phase }),
            Cue::Summary(summary) => json!({ "summary": summary }),
            Cue::Silence(silence) => json!({ "silence_ms": silence.as_millis() as u64 }),
            Cue::Speech(speech) => {
                let manner = match speech.manner {
                    Manner::Ordinary => "ordinary",
                    Manner::Interjection => "interjection",
                    Manner::Interrupted => "interrupted",
                };
                json!({ "speaker": speech.speaker.id, "text": speech.text, "manner": manner })
            }
        })
        .collect();
    let mut json = json!({ "speakers": speakers, "script": script });
    if let Some(title) = &transcript.title {
        json["title"] = json!(title);
    }
    json
}
