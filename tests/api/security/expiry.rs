//! What happens to a stream whose token ends while it is open.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Guarded, assert_refused, hs256, invalid, now_secs};
use crate::helpers::{End, Wire, note};

const STREAM: &str = "/api/debates/d1";
const FOLLOW: &str = "/api/debates/d1/stream";

#[actix_web::test]
async fn a_stream_ends_with_its_token_and_the_token_does_not_open_it_again() {
    let server = Guarded::start(&[]).await;
    let publisher = server.token(&json!({ "publish": ["*"] }));
    server.post(&format!("{STREAM}/events"), &publisher, &note(1)).await;
    let ends_at = now_secs() + 3;
    let claims = json!({ "exp": ends_at, "clearside": { "subscribe": ["debates/d1"] } });
    let token = server.keep_secret(hs256(&claims));
    let ticket = server.ticket(STREAM, &token).await;
    let mut by_token = server.follow(FOLLOW, &token).await;
    let path = format!("{FOLLOW}?ticket={ticket}");
    let mut by_ticket = Wire::follow(server.server.address, &path, &[]).await;
    for wire in [&mut by_token, &mut by_ticket] {
        assert_eq!(wire.head.status, 200);
        let events = wire.until_end().await;
        let last = events.last().unwrap();
        assert_eq!(last.name, "auth_expired", "{}", wire.text());
        assert!(!last.is_durable(), "it has no id, and moves no cursor");
        assert!(
            wire.text()
                .contains("event: auth_expired\ndata: {\"message\":\"the token has expired\"}\n\n")
        );
        assert_eq!(wire.end, Some(End::Clean));
        let after = now_secs() - ends_at;
        assert!((0..20).contains(&after), "{after} s after the token's end");
    }
    let reason = "the token has expired";
    let answer = server.get(FOLLOW, &token).await;
    assert_refused(&answer, 401, "invalid_token", Some(&invalid(reason)), "the old token");
    let answer = server.send("GET", &path, &[], "").await;
    assert_refused(&answer, 401, "invalid_token", Some(&invalid(reason)), "the old ticket");
    // Another one goes on.
    let reader = server.token(&json!({ "subscribe": ["*"] }));
    let mut wire = server.follow(FOLLOW, &reader).await;
    wire.until("snapshot").await;
    let started = Instant::now();
    server.post(&format!("{STREAM}/events"), &publisher, &note(2)).await;
    wire.until("note").await;
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[actix_web::test]
async fn nobody_can_say_that_a_token_has_expired_but_the_server() {
    let server = Guarded::start(&[]).await;
    let publisher = server.token(&json!({ "publish": ["*"] }));
    let event = json!({ "type": "auth_expired", "data": {} });
    let answer = server.post(&format!("{STREAM}/events"), &publisher, &event).await;
    assert_eq!((answer.status(), answer.code().as_str()), (400, "reserved_type"));
}
