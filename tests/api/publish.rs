//! Publishing over HTTP: what is accepted, what is refused, and what is then stored.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::helpers::{
    TestServer, complete, event, note, phase, post, request, token, utterance, within,
};

const STREAM: &str = "/api/debates/d1";
const EVENTS: &str = "/api/debates/d1/events";
const FOLLOW: &str = "/api/debates/d1/stream";

#[actix_web::test]
async fn one_event_is_answered_with_its_id_and_several_with_theirs() {
    let server = TestServer::start().await;
    let one = server.post(EVENTS, &phase("Opening")).await;
    assert_eq!(one.status(), 201);
    let first = one.ids()[0].clone().unwrap();
    assert!(first.ends_with("-1"), "{first}");
    let several = json!([token("Pro", "a"), utterance("Pro", "a"), token("Pro", "b"), note(1)]);
    let several = server.post(EVENTS, &several).await;
    assert_eq!(several.status(), 201);
    let id = |seq| Some(first.replace("-1", &format!("-{seq}")));
    assert_eq!(several.ids(), [None, id(2), None, id(3)]);
}

#[actix_web::test]
async fn transient_events_are_accepted_and_not_created() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live(FOLLOW).await;
    let asked = json!({ "type": "note", "data": {}, "transient": true });
    for body in [token("Pro", "a"), json!([token("Pro", "b"), token("Pro", "c")]), asked] {
        let answer = server.post(EVENTS, &body).await;
        assert_eq!(answer.status(), 202);
        assert!(answer.ids().iter().all(Option::is_none), "{}", answer.text());
    }
    for name in ["token", "token", "token", "note"] {
        let event = wire.next().await;
        assert_eq!((event.name.as_str(), event.id), (name, None));
    }
    let history = server.get(EVENTS).await.json();
    assert_eq!(history, json!({ "events": [], "next": null }), "nothing is stored");
    let listed = server.get("/api/debates").await.json();
    assert_eq!(listed["streams"], json!([]));
}

#[actix_web::test]
async fn an_array_with_one_bad_event_stores_none_of_it() {
    let server = TestServer::start().await;
    server.publish(STREAM, note(1)).await;
    let mut wire = server.follow_live(FOLLOW).await;
    for (bad, status, code, message) in [
        (phase("x")["data"].clone(), 422, "invalid_event", "$[1]"),
        (event("utterance", json!({})), 422, "invalid_event", "event 1: $.data.id: is missing"),
        (event("gap", json!({})), 400, "reserved_type", "event 1: "),
        (event("a b", json!({})), 400, "invalid_type", "event 1: "),
    ] {
        let answer = server.post(EVENTS, &json!([note(2), bad, note(3)])).await;
        assert_eq!(answer.status(), status, "{}", answer.text());
        assert_eq!(answer.code(), code);
        assert!(answer.message().starts_with(message), "{}", answer.text());
    }
    let after_the_end = json!([note(2), complete(), note(3)]);
    assert_eq!(server.post(EVENTS, &after_the_end).await.status(), 422);
    let last = server.publish(STREAM, note(9)).await;
    assert!(last.ends_with("-2"), "nothing else was stored: {last}");
    assert_eq!(wire.next().await.json(), json!({ "n": 9 }), "and nobody saw it");
}

#[actix_web::test]
async fn an_array_holds_one_to_a_hundred_events() {
    let server = TestServer::start().await;
    for (count, status) in [(0, 400), (1, 201), (100, 201), (101, 400)] {
        let body: Value = (0..count).map(note).collect();
        let answer = server.post(EVENTS, &body).await;
        assert_eq!(answer.status(), status, "{count}: {}", answer.text());
    }
}

#[actix_web::test]
async fn nothing_is_published_after_the_end() {
    let server = TestServer::start().await;
    server.publish(STREAM, phase("Opening")).await;
    let end = server.publish(STREAM, complete()).await;
    for body in [note(1), token("Pro", "a"), complete(), json!([note(1), note(2)])] {
        let answer = server.post(EVENTS, &body).await;
        assert_eq!(answer.status(), 409, "{body}");
        assert_eq!(answer.code(), "completed");
    }
    let history = server.get(EVENTS).await.json();
    assert_eq!(history["events"].as_array().unwrap().len(), 2);
    let server = TestServer::on(server.stop().await).await;
    assert_eq!(server.post(EVENTS, &note(1)).await.status(), 409, "nor after a restart");
    assert_eq!(server.get(STREAM).await.json()["lastEventId"], json!(end));
}

#[actix_web::test]
async fn publishing_and_completing_at_once_leaves_nothing_after_the_end() {
    let server = TestServer::start().await;
    let round = |round: usize| {
        let server = &server;
        async move {
            let stream = format!("/api/debates/d{round}");
            let events = format!("{stream}/events");
            let mut wire = server.follow_live(&format!("{stream}/stream")).await;
            let bodies =
                [note(1), token("Pro", "a"), complete(), note(2), json!([note(3), note(4)])];
            let answers = join_all(bodies.iter().map(|body| server.post(&events, body))).await;
            let ids = |answer: &crate::helpers::Answer| match answer.status() {
                201 => answer.ids().into_iter().flatten().collect(),
                202 | 409 => Vec::new(),
                status => panic!("{status}"),
            };
            let mut acknowledged: Vec<String> = answers.iter().flat_map(ids).collect();
            let seq = |id: &String| id.split_once('-').unwrap().1.parse::<u64>().unwrap();
            acknowledged.sort_by_key(seq);
            let end = answers[2].ids()[0].clone().unwrap();
            assert_eq!(acknowledged.last(), Some(&end), "nothing is after the end");
            let events = wire.until_end().await;
            assert_eq!(events.last().unwrap().id.as_ref(), Some(&end));
            let seen: Vec<_> = events.into_iter().filter_map(|event| event.id).collect();
            assert_eq!(seen, acknowledged, "all see what was acknowledged");
        }
    };
    for tens in 0..10 {
        join_all((tens * 10..tens * 10 + 10).map(round)).await;
    }
}

#[actix_web::test]
async fn a_client_that_stops_in_mid_body_is_timed_out_and_stores_nothing() {
    let server = TestServer::with(|settings| {
        settings.body_timeout = Some(Duration::from_millis(50));
    })
    .await;
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let half = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    tcp.write_all(half.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("the answer", tcp.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#"{"error":{"code":"timeout","#), "{answer}");
    assert_eq!(server.get(STREAM).await.status(), 404);
}

#[actix_web::test]
async fn a_client_that_goes_away_in_mid_body_stores_nothing() {
    let server = TestServer::start().await;
    let body = note(1).to_string();
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    for cut in [0, 1, body.len() - 1] {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        tcp.write_all(head.as_bytes()).await.unwrap();
        tcp.write_all(&body.as_bytes()[..cut]).await.unwrap();
        drop(tcp);
    }
    let id = server.publish(STREAM, note(2)).await;
    assert!(id.ends_with("-1"), "{id}");
}

#[actix_web::test]
async fn bodies_are_bounded_before_they_are_read() {
    let server = TestServer::with(|settings| settings.hub.event_bytes_max = 1000).await;
    let text = |bytes: usize| event("note", json!("x".repeat(bytes - 2)));
    assert_eq!(server.post(EVENTS, &text(1000)).await.status(), 201);
    let answer = server.post(EVENTS, &text(1001)).await;
    assert_eq!((answer.status(), answer.code().as_str()), (413, "too_large"));
    let answer = server.post(EVENTS, &json!([note(1), text(1001)])).await;
    assert_eq!(answer.status(), 413);

    // White space counts for the body, not for the event.
    let padded = text(1000).to_string() + &" ".repeat(10_000);
    assert_eq!(post(server.address, EVENTS, padded.as_bytes()).await.status(), 201);

    // Declared too long: refused although nothing of it is ever sent, or only as much as tells what it is.
    for (length, beginning) in [
        ("10000000000", ""),
        ("1064961", ""),
        ("1064961", "["),
        ("17385", "{"),
        ("17385", "\r\n \t{"),
        ("17385", "\"a"),
    ] {
        let head = format!(
            "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{beginning}"
        );
        let answer = crate::helpers::exchange(server.address, head.as_bytes());
        assert_eq!(within(length, answer).await.unwrap().status(), 413, "{length} {beginning:?}");
    }
    // As long as may be.
    for (beginning, length) in [("{", 17_384), ("[", 1_064_960)] {
        let fits = format!(r#"{}{{"type":"note"}}"#, if beginning == "[" { "[" } else { "" });
        let end = if beginning == "[" { "]" } else { "" };
        let padding = " ".repeat(length - fits.len() - end.len());
        let body = format!("{fits}{padding}{end}");
        assert_eq!(post(server.address, EVENTS, body.as_bytes()).await.status(), 201);
    }
    // Not declared, and without end: refused at the limit.
    let chunk = format!("{:x}\r\n{}\r\n", 8192, " ".repeat(8192));
    let endless = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(200)
    );
    let answer = crate::helpers::exchange(server.address, endless.as_bytes());
    assert_eq!(within("the answer", answer).await.unwrap().status(), 413);
    assert_eq!(server.get(EVENTS).await.json()["events"].as_array().unwrap().len(), 4);
}

#[actix_web::test]
async fn a_publish_is_bounded_in_all_and_not_only_in_each_of_its_events() {
    const MIB: usize = 1024 * 1024;
    let server = TestServer::start().await;
    let mut wire = server.follow_live(FOLLOW).await;
    let of = |bytes: usize| event("note", json!("x".repeat(bytes - 2)));
    let sixteen = |last: usize| -> Value {
        (0..15).map(|_| of(MIB / 16)).chain(std::iter::once(of(last))).collect()
    };
    let tokens: Value = (0..18).map(|_| token("Pro", &"x".repeat(60_000))).collect();
    let mut one_more = sixteen(MIB / 16);
    one_more.as_array_mut().unwrap().push(note(1));
    for body in [one_more, tokens] {
        let answer = server.post(EVENTS, &body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (413, "too_large"));
        assert_eq!(server.get(STREAM).await.status(), 404, "nothing of it is stored");
    }
    let answer = server.post(EVENTS, &sixteen(MIB / 16)).await;
    assert_eq!(answer.status(), 201, "{}", answer.text());
    assert_eq!(wire.next().await.seq(), Some(1), "and nobody saw what was refused");
    let tail = server.get(STREAM).await.json()["lastEventId"].as_str().unwrap().to_owned();
    assert!(tail.ends_with("-16"), "{tail}");
}

#[actix_web::test]
async fn only_json_is_taken() {
    let server = TestServer::start().await;
    let body = note(1).to_string();
    for (content_type, encoding, status) in [
        (Some("application/json"), None, 201),
        (Some("application/json; charset=utf-8"), None, 201),
        (Some("Application/JSON"), Some("identity"), 201),
        (None, None, 415),
        (Some("text/json"), None, 415),
        (Some("text/plain"), None, 415),
        (Some("application/x-www-form-urlencoded"), None, 415),
        (Some("application/jsonp"), None, 415),
        (Some("application/json"), Some("gzip"), 415),
    ] {
        let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
        let headers: Vec<_> =
            headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let answer = request(server.address, "POST", EVENTS, &headers, body.as_bytes()).await;
        assert_eq!(answer.status(), status, "{headers:?}");
        if status != 201 {
            assert_eq!(answer.code(), "unsupported_media_type");
        }
    }
}

#[actix_web::test]
async fn a_publish_to_one_client_reaches_it_alone_and_is_not_stored() {
    let server = TestServer::start().await;
    for (stream, name, greeting) in [
        ("/api/debates/d1", "note", "connected"),
        ("/api/conversations/sessions/s1", "note", "connection_established"),
    ] {
        let follow = format!("{stream}/stream");
        let mut chosen = server.follow(&follow).await;
        let events = chosen.until("snapshot").await;
        assert_eq!(events[0].name, greeting);
        let client = events[0].text("clientId");
        let mut other = server.follow_live(&follow).await;
        let path = format!("{stream}/clients/{client}/events");
        let answer = server.post(&path, &event(name, json!({ "for": "you" }))).await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
        let received = chosen.next().await;
        assert_eq!((received.name.as_str(), received.id.clone()), (name, None));
        assert_eq!(received.text("for"), "you");
        assert_eq!(server.get(&format!("{stream}/events")).await.status(), 404);

        server.publish(stream, event("after", json!({}))).await;
        assert_eq!(other.next().await.name, "after", "the other saw nothing");
        assert_eq!(chosen.next().await.name, "after");

        drop(chosen);
        crate::helpers::eventually("the client to be gone", || async {
            server.post(&path, &event(name, json!({}))).await.status() == 404
        })
        .await;
    }
    let nobody = "/api/debates/d1/clients/6f1c2b4e-0d3a-4c55-9e1f-7a8b9c0d1e2f/events";
    let of = |bytes: usize| event("note", json!("x".repeat(bytes - 2)));
    for (path, body, status) in [
        (nobody, note(1), 404),
        ("/api/debates/none/clients/6f1c2b4e-0d3a-4c55-9e1f-7a8b9c0d1e2f/events", note(1), 404),
        ("/api/debates/d1/clients/me/events", note(1), 400),
        (nobody, complete(), 422),
        (nobody, event("gap", json!({})), 400),
        (nobody, json!([note(1)]), 422),
        (nobody, of(65_536), 404),
        (nobody, of(65_537), 413),
    ] {
        let answer = server.post(path, &body).await;
        let beginning: String = body.to_string().chars().take(100).collect();
        assert_eq!(answer.status(), status, "{path} {beginning}: {}", answer.text());
    }
}
