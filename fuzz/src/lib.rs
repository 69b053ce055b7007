//! What must hold for any input: each function here is a fuzz target, and panics when it does not.
//!
//! `scripts/fuzz.sh` runs them under libFuzzer; the test suite runs the kept inputs and mutations of them
//! (`tests/api/fuzz.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests, in a crate of their own and as a module of another"
)]

mod server;
mod transcripts;

use actix_web::http::StatusCode;
use clearside_sse::{
    Broadcast, Cursor, Event, EventId, HubConfig, NewEvent, StreamKey, StreamKind,
};
use serde_json::{Value, value::RawValue};

pub use self::{server::Server, transcripts::transcript};

/// `Last-Event-ID`: whatever is taken for an id is that id, letter for letter.
pub fn cursor(input: &[u8]) {
    let text = std::str::from_utf8(input).ok();
    let by_header = Cursor::from_request(Some(input), None);
    match by_header {
        Cursor::Now => assert!(input.is_empty()),
        Cursor::Earliest => assert_eq!(input, b"earliest"),
        Cursor::After(id) => {
            assert_eq!(id.to_string().as_bytes(), input);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        Cursor::Malformed => assert!(text.is_none_or(|text| text.parse::<EventId>().is_err())),
    }
    if let Some(text) = text {
        assert_eq!(Cursor::from_request(None, Some(text)), by_header, "the query says the same");
        assert_eq!(Cursor::from_request(Some(b""), Some(text)), by_header);
    }
    // A path of a stream is read as strictly.
    if let Some(key) = text.and_then(|text| text.parse::<StreamKey>().ok()) {
        assert_eq!(key.to_string().as_bytes(), input);
    }
}

/// A query string of any route: an answer or a clear no, and never an error for an `EventSource`.
pub fn query(server: &Server, input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    for (path, is_strict) in [
        ("/api/debates/d1/events", true),
        ("/api/debates", true),
        ("/api/debates/d1/stream", false),
    ] {
        let Some((status, body)) = server.get(&format!("{path}?{query}")) else { return };
        match status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST if is_strict => assert_error(&body),
            other => panic!("{path}?{query:?}: {other}"),
        }
    }
}

/// The body of a publish: what is taken keeps its meaning; what is not gets a clear no.
pub fn publish(server: &Server, input: &[u8]) {
    // Nobody of that id is there, so that whatever would be sent is 404.
    let (status, body) = server.post_to_nobody(input);
    assert!(status.is_client_error(), "{status}");
    assert_error(&body);

    let one = serde_json::from_slice::<NewEvent>(input).map(|event| vec![event]);
    let Ok(events) = one.or_else(|_| serde_json::from_slice::<Vec<NewEvent>>(input)) else {
        assert_ne!(status, StatusCode::NOT_FOUND, "it is no event");
        return;
    };
    if let [event] = &*events
        && input.first() == Some(&b'{')
        && input.len() < HubConfig::default().event_bytes_max
    {
        let is_event = Event::accept(StreamKind::Debate, &event.clone().transient()).is_ok();
        assert_eq!(status == StatusCode::NOT_FOUND, is_event, "{status}");
    }
    for kind in StreamKind::ALL {
        let accepted: Vec<_> = events.iter().map(|new| (new, Event::accept(kind, new))).collect();
        for (new, event) in &accepted {
            match event {
                Ok(event) => assert_kept(kind, new, event),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        let stream: StreamKey = format!("{kind}/s1").parse().unwrap();
        match Broadcast::new(stream, &events) {
            Ok(broadcast) => {
                let expected: Vec<_> = accepted.into_iter().map(|it| it.1.unwrap()).collect();
                assert_eq!(broadcast.events(), expected);
                assert!((1..=clearside_sse::BATCH_MAX).contains(&expected.len()));
                assert!(expected.iter().rev().skip(1).all(|event| !event.is_final()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// An event that was accepted is the one that was published, on one line, and would be accepted again.
fn assert_kept(kind: StreamKind, new: &NewEvent, event: &Event) {
    assert_eq!(event.name(), new.name);
    assert!(!event.data().contains(['\r', '\n']), "{:?}", event.data());
    // A number that is out of range for others is kept, too.
    let value = |json: &str| serde_json::from_str::<Value>(json).ok();
    assert_eq!(value(event.data()), value(new.data.get()));
    let digits = |json: &str| json.bytes().filter(u8::is_ascii_digit).collect::<Vec<_>>();
    assert_eq!(digits(event.data()), digits(new.data.get()), "nothing is rounded");
    let data = RawValue::from_string(event.data().to_owned()).unwrap();
    let again = NewEvent { data, name: new.name.clone(), transient: event.is_transient() };
    assert_eq!(Event::accept(kind, &again).as_ref(), Ok(event));
}

/// An error's body has the one shape that they all have, and nothing of the server's inside.
fn assert_error(body: &[u8]) {
    let json: Value = serde_json::from_slice(body).expect("an error is JSON");
    let error = json["error"].as_object().expect("an error has its shape");
    assert!(error["code"].as_str().is_some_and(|code| !code.is_empty()));
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert_eq!((json.as_object().unwrap().len(), error.len()), (1, 2));
}
