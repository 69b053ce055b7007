//! Publishing again what may have been published: stored once, seen once, and answered alike.

use std::net::SocketAddr;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::helpers::{Answer, Process, TestServer, complete, note, request, token, within};

const STREAM: &str = "/api/debates/d1";
const EVENTS: &str = "/api/debates/d1/events";
const FOLLOW: &str = "/api/debates/d1/stream";

async fn publish(address: SocketAddr, key: &str, body: &Value) -> Answer {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    request(address, "POST", EVENTS, &headers, body.to_string().as_bytes()).await
}

/// How many events of the stream are stored.
async fn stored(address: SocketAddr) -> usize {
    let history = crate::helpers::get(address, EVENTS).await.json();
    history["events"].as_array().unwrap().len()
}

#[actix_web::test]
async fn fifty_publishes_at_once_under_one_key_are_one() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live(FOLLOW).await;
    let body = note(1);
    let publishes = (0..50).map(|_| publish(server.address, "once", &body));
    let answers = join_all(publishes).await;
    let with = |status| answers.iter().filter(|answer| answer.status() == status).count();
    assert_eq!((with(201), with(200)), (1, 49));
    let ids = answers[0].ids();
    assert!(ids[0].is_some());
    assert!(answers.iter().all(|answer| answer.ids() == ids), "all are told the one id");
    assert_eq!(stored(server.address).await, 1);
    let last = server.publish(STREAM, note(2)).await;
    assert_eq!(wire.next().await.id, ids[0]);
    assert_eq!(wire.next().await.id, Some(last), "it was seen once");
}

#[actix_web::test]
async fn a_key_is_good_for_one_publish_on_one_stream() {
    let server = TestServer::start().await;
    let address = server.address;
    let first = publish(address, "k", &note(1)).await;
    assert_eq!(first.status(), 201);
    for other in [note(2), json!([note(1), note(1)]), complete()] {
        let answer = publish(address, "k", &other).await;
        assert_eq!((answer.status(), answer.code().as_str()), (409, "idempotency_key_reused"));
    }
    // The same, however it is written.
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k")];
    let spaced = br#" [ { "data" : { "n" : 1 } , "type" : "note" } ] "#;
    let again = request(address, "POST", EVENTS, &headers, spaced).await;
    assert_eq!((again.status(), again.ids()), (200, first.ids()));
    let body = note(2).to_string();
    for elsewhere in ["/api/debates/d2/events", "/api/conversations/sessions/d1/events"] {
        let answer = request(address, "POST", elsewhere, &headers, body.as_bytes()).await;
        assert_eq!(answer.status(), 201, "{elsewhere}: {}", answer.text());
    }
    assert_eq!(publish(address, "K", &note(1)).await.status(), 201, "keys are exact");
    assert_eq!(stored(address).await, 2);
}

#[actix_web::test]
async fn a_key_is_remembered_across_a_sudden_death() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), 0, &[]).await;
    let body = json!([note(1), token("Pro", "a"), note(2)]);
    let first = publish(server.address, "k", &body).await;
    assert_eq!(first.status(), 201);
    server.kill();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let again = publish(server.address, "k", &body).await;
    assert_eq!((again.status(), again.ids()), (200, first.ids()));
    assert_eq!(publish(server.address, "k", &note(1)).await.status(), 409);
    assert_eq!(stored(server.address).await, 2);
}

#[actix_web::test]
async fn whoever_lost_the_answer_to_the_end_can_ask_again() {
    let server = TestServer::start().await;
    let end = publish(server.address, "end", &json!([note(1), complete()])).await;
    assert_eq!(end.status(), 201);
    let again = publish(server.address, "end", &json!([note(1), complete()])).await;
    assert_eq!((again.status(), again.ids()), (200, end.ids()));
    for (key, body) in [("another", complete()), ("another", note(1))] {
        let answer = publish(server.address, key, &body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (409, "completed"));
    }
    let server = TestServer::on(server.stop().await).await;
    let again = publish(server.address, "end", &json!([note(1), complete()])).await;
    assert_eq!((again.status(), again.ids()), (200, end.ids()), "also after a restart");
}

#[actix_web::test]
async fn a_key_that_makes_no_sense_is_refused_and_nothing_is_stored() {
    let server = TestServer::start().await;
    let long = "x".repeat(256);
    for keys in [vec![""], vec!["a b"], vec!["\u{e9}"], vec![&long], vec!["a", "b"], vec!["a", "a"]]
    {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(keys.iter().map(|key| ("Idempotency-Key", *key)));
        let body = note(1).to_string();
        let answer = request(server.address, "POST", EVENTS, &headers, body.as_bytes()).await;
        assert_eq!(answer.status(), 400, "{keys:?}: {}", answer.text());
        assert_eq!(answer.code(), "invalid_idempotency_key", "{keys:?}");
    }
    assert_eq!(server.get(EVENTS).await.status(), 404);
    let longest = "x".repeat(255);
    assert_eq!(publish(server.address, &longest, &note(1)).await.status(), 201);
    assert_eq!(publish(server.address, &longest, &note(1)).await.status(), 200);
}

#[actix_web::test]
async fn a_batch_of_tokens_and_more_that_is_repeated_reaches_nobody_twice() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live(FOLLOW).await;
    let body = json!([token("Pro", "a"), note(1), token("Pro", "b")]);
    let first = publish(server.address, "k", &body).await;
    for _ in 0..3 {
        let again = publish(server.address, "k", &body).await;
        assert_eq!((again.status(), again.ids()), (200, first.ids()));
    }
    server.publish(STREAM, note(2)).await;
    let seen = wire.until_seq(2).await;
    let names: Vec<_> = seen.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["token", "note", "token", "note"]);
    let shown = server.get(STREAM).await.json();
    assert_eq!(shown["open"][0]["text"], "ab", "nor the snapshot");
}

#[actix_web::test]
async fn an_answer_that_was_lost_on_the_way_is_settled_by_a_repeat() {
    let server = TestServer::start().await;
    let mut wire = server.follow_live(FOLLOW).await;
    let (mut ids, mut were_stored) = (Vec::new(), 0);
    for number in 1..=20 {
        let (key, body) = (format!("k{number}"), note(number));
        let text = body.to_string();
        let request = format!(
            "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        let mut tcp = within("a connection", TcpStream::connect(server.address)).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        // Every other one hangs up at once; the rest when all the world has seen the event.
        let seen = if number % 2 == 0 { wire.next().await.id } else { None };
        drop(tcp);
        let repeat = publish(server.address, &key, &body).await;
        assert!(
            seen.is_none() || (repeat.status(), repeat.ids()[0].clone()) == (200, seen.clone())
        );
        were_stored += usize::from(repeat.status() == 200);
        ids.push(repeat.ids()[0].clone());
        if seen.is_none() {
            assert_eq!(wire.next().await.id, repeat.ids()[0]);
        }
    }
    assert!(were_stored >= 10, "{were_stored}");
    assert_eq!(stored(server.address).await, 20, "each once");
    let last = server.publish(STREAM, note(0)).await;
    assert_eq!(wire.next().await.id, Some(last), "and seen once");
    ids.dedup();
    assert_eq!(ids.len(), 20);
}
