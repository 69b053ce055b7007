//! Isolation: what a token does not grant is the same 403, whether or not there is such a stream.

use std::sync::Arc;

use clearside_sse::{Access, Authority, Grants, Rejected, StreamKey, Ticket};
use serde_json::{Value, json};

use super::{Guarded, NO_GRANT, NO_TOKEN, assert_refused};
use crate::helpers::{Answer, Wire, complete, note, request};

const GRANTED: &str = "/api/debates/mine";
const OTHERS: &str = "/api/debates/theirs";
const NOBODYS: &str = "/api/debates/nobodys";
const CLIENT: &str = "3a5954fb-e5e1-490d-a2f5-2641115923f5";

/// Every route of a stream, with the grant that it needs, and what it answers to whoever has it.
fn routes() -> [(&'static str, String, Value, &'static str, u16); 11] {
    let (get, post) = ("GET", "POST");
    let (subscribe, publish, control) = ("subscribe", "publish", "control");
    [
        (get, "/stream".into(), Value::Null, subscribe, 200),
        ("HEAD", "/stream".into(), Value::Null, subscribe, 200),
        (get, String::new(), Value::Null, subscribe, 200),
        (get, "/events".into(), Value::Null, subscribe, 200),
        (post, "/ticket".into(), Value::Null, subscribe, 201),
        (post, "/events".into(), note(1), publish, 201),
        (post, format!("/clients/{CLIENT}/events"), note(1), publish, 404),
        (post, "/launch".into(), Value::Null, control, 202),
        (post, "/pause".into(), Value::Null, control, 202),
        (post, "/resume".into(), Value::Null, control, 202),
        (post, "/stop".into(), Value::Null, control, 202),
    ]
}

async fn ask(
    server: &Guarded,
    method: &str,
    path: &str,
    body: &Value,
    token: Option<&str>,
) -> Answer {
    let token = token.map(|token| format!("Bearer {token}"));
    // All have the same name, so that there is no other difference between refusals.
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Connection", "close"),
        ("X-Request-Id", "asked"),
    ];
    headers.extend(token.as_deref().map(|token| ("Authorization", token)));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    if method == "GET" && path.ends_with("/stream") {
        // Its head, and what stands in for an event stream if there is none.
        let wire = Wire::follow(server.server.address, path, &headers[1..]).await;
        if wire.head.status == 200 {
            return Answer { head: wire.head, body: Vec::new() };
        }
    }
    request(server.server.address, method, path, &headers, body.as_bytes()).await
}

#[actix_web::test]
async fn every_route_asks_for_its_own_grant_on_its_own_stream() {
    let server = Guarded::start(&[]).await;
    let all = server.token(&json!({ "publish": ["*"] }));
    for stream in [GRANTED, OTHERS] {
        assert_eq!(server.post(&format!("{stream}/events"), &all, &note(0)).await.status(), 201);
    }
    for (method, rest, body, grant, status) in routes() {
        let mut grants = json!({ grant: ["debates/mine"] });
        let right = server.token(&grants);
        // All but what it takes, and all of what it takes but the right stream.
        for other in ["subscribe", "publish", "control"] {
            grants[other] = json!([if other == grant { "debates/mine2" } else { "*" }]);
        }
        grants["stats"] = json!(true);
        let wrong = server.token(&grants);
        let mut refusals = Vec::new();
        for stream in [GRANTED, OTHERS, NOBODYS] {
            let (path, what) = (format!("{stream}{rest}"), format!("{method} {stream}{rest}"));
            let (refused, code, challenge) = NO_TOKEN;
            let answer = ask(&server, method, &path, &body, None).await;
            assert_eq!(answer.status(), refused, "{what}");
            if method != "HEAD" {
                assert_refused(&answer, refused, code, challenge, &what);
            }
            let tokens = if stream == GRANTED { vec![&wrong] } else { vec![&wrong, &right] };
            for token in tokens {
                let answer = ask(&server, method, &path, &body, Some(token)).await;
                let (refused, code, challenge) = NO_GRANT;
                assert_eq!(answer.status(), refused, "{what}");
                if method != "HEAD" {
                    assert_refused(&answer, refused, code, challenge, &what);
                }
                let mut head = answer.head;
                head.headers.retain(|(name, _)| name != "date");
                refusals.push((head.headers, answer.body));
            }
        }
        refusals.dedup();
        assert_eq!(refusals.len(), 1, "{method} {rest}: the same, whatever there is");
        let answer = ask(&server, method, &format!("{GRANTED}{rest}"), &body, Some(&right)).await;
        assert_eq!(answer.status(), status, "{method} {rest}: {}", answer.text());
    }
    let untouched = server.token(&json!({ "subscribe": ["debates/theirs", "debates/nobodys"] }));
    let theirs = server.get(&format!("{OTHERS}/events"), &untouched).await.json();
    assert_eq!(theirs["events"].as_array().unwrap().len(), 1, "{theirs}");
    assert_eq!(server.get(NOBODYS, &untouched).await.status(), 404, "nothing was stored");
}

#[actix_web::test]
async fn numbers_of_the_whole_server_need_a_grant_of_their_own() {
    let server = Guarded::start(&[]).await;
    let everything = json!({ "subscribe": ["*"], "publish": ["*"], "control": ["*"] });
    let (status, code, challenge) = NO_GRANT;
    let answer = server.get("/api/stats", &server.token(&everything)).await;
    assert_refused(&answer, status, code, challenge, "stats");
    let answer = server.get("/api/stats", &server.token(&json!({ "stats": true }))).await;
    assert_eq!(answer.status(), 200);
}

#[actix_web::test]
async fn a_list_has_what_the_token_may_read_and_hints_at_nothing_else() {
    let server = Guarded::start(&[]).await;
    let publisher = server.token(&json!({ "publish": ["*"] }));
    for number in 0..45 {
        let id =
            if number % 15 == 7 { format!("mine-{number}") } else { format!("other-{number}") };
        let answer = server.post(&format!("/api/debates/{id}/events"), &publisher, &note(0)).await;
        assert_eq!(answer.status(), 201);
    }
    let reader = server.token(&json!({ "subscribe": ["debates/mine-*", "debates/other-44"] }));
    let list = async |query: &str, token: &str| {
        let answer = server.get(&format!("/api/debates{query}"), token).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let list = answer.json();
        let streams = list["streams"].as_array().unwrap().clone();
        let ids: Vec<_> = streams.iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect();
        (ids, list["next"].clone())
    };
    let (ids, next) = list("", &reader).await;
    assert_eq!(ids, ["other-44", "mine-37", "mine-22", "mine-7"]);
    assert_eq!(next, Value::Null);

    // In pages: none is longer than asked for, and nothing is lost or doubled.
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let (ids, next) = list(&query, &reader).await;
        assert!(ids.len() <= 2, "{ids:?}");
        seen.extend(ids);
        if next.is_null() {
            break;
        }
        query = format!("?limit=2&before={}", next.as_str().unwrap());
    }
    assert_eq!(seen, ["other-44", "mine-37", "mine-22", "mine-7"]);

    let (status, code, challenge) = NO_GRANT;
    let answer = server.get("/api/conversations/sessions", &reader).await;
    assert_refused(&answer, status, code, challenge, "no grant for this kind");
    let answer = server.send("GET", "/api/debates", &[], "").await;
    let (status, code, challenge) = NO_TOKEN;
    assert_refused(&answer, status, code, challenge, "no token");
}

#[actix_web::test]
async fn a_list_does_not_tell_how_many_streams_of_others_there_are() {
    let server = Guarded::start(&[]).await;
    let publisher = server.token(&json!({ "publish": ["*"] }));
    let ids = (0..31).map(|number| match number {
        5 => "mine-5".to_owned(),
        20 => "mine-20".to_owned(),
        _ => format!("other-{number}"),
    });
    for id in ids {
        let path = format!("/api/debates/{id}/events");
        assert_eq!(server.post(&path, &publisher, &note(0)).await.status(), 201);
    }
    let page = async |grants: &[&str], query: &str| {
        let reader = server.token(&json!({ "subscribe": grants }));
        let page = server.get(&format!("/api/debates{query}"), &reader).await.json();
        let ids = page["streams"].as_array().unwrap().iter().map(|stream| stream["id"].clone());
        (ids.collect::<Vec<_>>(), page["next"].clone())
    };
    for grants in [&["debates/nothing"][..], &["debates/nothing*"]] {
        assert_eq!(page(grants, "?limit=1").await, (vec![], Value::Null), "{grants:?}");
    }
    for grants in [&["debates/mine-5", "debates/mine-20", "debates/no"][..], &["debates/mine*"]] {
        let (first, next) = page(grants, "?limit=1").await;
        assert_eq!((first, next), (vec![json!("mine-20")], json!("mine-20")), "{grants:?}");
        let second = page(grants, "?limit=1&before=mine-20").await;
        assert_eq!(second, (vec![json!("mine-5")], Value::Null), "{grants:?}");
    }
    let reader = server.token(&json!({ "subscribe": ["debates/mine*"] }));
    let [theirs, nobodys, own] = ["other-6", "nobodys", "mine-nobodys"].map(|before| {
        let path = format!("/api/debates?before={before}");
        let server = &server;
        let bearer = format!("Bearer {reader}");
        async move {
            let headers = [("Authorization", bearer.as_str()), ("X-Request-Id", "asked")];
            server.send("GET", &path, &headers, "").await
        }
    });
    let (theirs, nobodys, own) = tokio::join!(theirs, nobodys, own);
    assert_eq!((theirs.status(), theirs.text()), (400, nobodys.text()), "{}", theirs.text());
    assert_eq!((nobodys.status(), nobodys.text()), (400, own.text()));
}

#[actix_web::test]
async fn the_ids_of_one_stream_tell_nothing_on_another_and_a_client_id_opens_nothing() {
    let server = Guarded::start(&[]).await;
    let publisher = server.token(&json!({ "publish": ["*"] }));
    let theirs = server.post(&format!("{OTHERS}/events"), &publisher, &note(1)).await.ids();
    server.post(&format!("{GRANTED}/events"), &publisher, &note(1)).await;
    let reader = server.token(&json!({ "subscribe": ["debates/mine"] }));
    let mut gaps = Vec::new();
    for cursor in [theirs[0].as_deref().unwrap(), "zzzzzzzz-1"] {
        let token = format!("Bearer {reader}");
        let headers = [("Authorization", token.as_str()), ("Last-Event-ID", cursor)];
        let mut wire =
            Wire::follow(server.server.address, &format!("{GRANTED}/stream"), &headers).await;
        let events = wire.until("snapshot").await;
        let gap = events.iter().find(|event| event.name == "gap").unwrap();
        gaps.push(gap.data.replace(cursor, "…"));
    }
    assert_eq!(gaps[0], gaps[1], "an id that is another stream's is like one that is nobody's");

    // A client id is what others see, perhaps; it is no credential, and cannot be guessed.
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut wire = server.follow(&format!("{GRANTED}/stream"), &reader).await;
        let greeting = wire.until("connected").await;
        let data: Value = serde_json::from_str(&greeting.last().unwrap().data).unwrap();
        ids.push(data["clientId"].as_str().unwrap().to_owned());
        let path = format!("{GRANTED}/clients/{}/events", ids.last().unwrap());
        let (status, code, challenge) = NO_GRANT;
        let answer = server.post(&path, &reader, &note(1)).await;
        assert_refused(&answer, status, code, challenge, "a reader sends");
        // Nor does it lead from a stream that may be published on to one that may not.
        let elsewhere = server.token(&json!({ "publish": ["debates/theirs"] }));
        let path = path.replace("mine", "theirs");
        assert_eq!(server.post(&path, &elsewhere, &note(1)).await.status(), 404);
    }
    for id in &ids {
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "a random UUID");
    }
    assert_ne!(ids[0], ids[1]);
}

#[actix_web::test]
async fn a_ticket_opens_one_stream_for_reading_and_nothing_else() {
    let server = Guarded::start(&["--ticket-ttl", "1h"]).await;
    let token = server.token(&json!({ "subscribe": ["debates/*"], "publish": ["debates/*"] }));
    server.post(&format!("{GRANTED}/events"), &token, &note(1)).await;
    let ticket = server.ticket(GRANTED, &token).await;
    // It can be used again: an `EventSource` reconnects with the same address.
    for _ in 0..2 {
        let path = format!("{GRANTED}/stream?lastEventId=earliest&ticket={ticket}");
        let mut wire = Wire::follow(server.server.address, &path, &[]).await;
        assert_eq!(wire.head.status, 200);
        let events = wire.until("snapshot").await;
        assert!(events.iter().any(|event| event.name == "note"));
    }
    let refused =
        async |what: &str, method: &str, path: String, expected: (u16, &str, Option<&str>)| {
            let json = [("Content-Type", "application/json")];
            let answer = server.send(method, &path, &json, &note(1).to_string()).await;
            assert_refused(&answer, expected.0, expected.1, expected.2, what);
        };
    refused("another stream", "GET", format!("{OTHERS}/stream?ticket={ticket}"), NO_GRANT).await;
    refused("publish", "POST", format!("{GRANTED}/events?ticket={ticket}"), NO_TOKEN).await;
    refused("history", "GET", format!("{GRANTED}/events?ticket={ticket}"), NO_TOKEN).await;
    refused("another ticket", "POST", format!("{GRANTED}/ticket?ticket={ticket}"), NO_TOKEN).await;
    refused(
        "a token in its place",
        "GET",
        format!("{GRANTED}/stream?ticket={token}"),
        (
            401,
            "invalid_token",
            Some(&super::invalid("the token is not signed by a key of this server")),
        ),
    )
    .await;
    let answer = server.get(&format!("{GRANTED}/stream"), &ticket).await;
    assert_eq!(
        (answer.status(), answer.code().as_str()),
        (401, "invalid_token"),
        "nor is it a token"
    );
    // The header wins, and is not made up for.
    let path = format!("{GRANTED}/stream?ticket={ticket}");
    assert_eq!(server.get(&path, "x").await.status(), 401);

    // One whose time is over, and one that outlives its token, are none.
    let short = super::hs256(
        &json!({ "exp": super::now_secs() + 2, "clearside": { "subscribe": ["debates/mine"] } }),
    );
    let answer = server.post(&format!("{GRANTED}/ticket"), &short, &Value::Null).await;
    assert!(answer.json()["expiresInMs"].as_u64().unwrap() <= 2000, "{}", answer.text());
}

#[actix_web::test]
async fn where_nobody_is_asked_for_a_token_there_are_no_tickets() {
    let server = crate::helpers::TestServer::start().await;
    let answer = server.post(&format!("{GRANTED}/ticket"), &Value::Null).await;
    assert_eq!((answer.status(), answer.code().as_str()), (404, "not_found"));
}

/// An application's own idea of who may do what.
#[derive(Debug)]
struct Sesame;

impl Authority for Sesame {
    fn access(&self, token: &str) -> Result<Access, Rejected> {
        let mine = vec!["debates/mine".parse().unwrap()];
        let grants = Grants { subscribe: mine, ..Grants::default() };
        if token == "sesame" { Ok(Access::granted(grants)) } else { Err(Rejected::Malformed) }
    }

    fn ticket_access(&self, _: &str) -> Result<Access, Rejected> {
        Err(Rejected::Malformed)
    }

    fn issue_ticket(&self, _: &StreamKey, _: &Access) -> Option<Ticket> {
        None
    }
}

#[actix_web::test]
async fn an_application_may_bring_an_authority_of_its_own() {
    let server = crate::helpers::TestServer::with(|settings| {
        settings.api = Box::new(|api| api.with_authority(Arc::new(Sesame), "own"));
    })
    .await;
    let ask = async |method, path: &str, token: &str| {
        let cookie = format!("own={token}");
        let headers = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
        request(server.address, method, path, &headers, b"").await.status()
    };
    assert_eq!(ask("GET", GRANTED, "sesame").await, 404, "nothing is there, and that may be known");
    assert_eq!(ask("GET", OTHERS, "sesame").await, 403);
    assert_eq!(ask("GET", GRANTED, "barley").await, 401);
    assert_eq!(ask("POST", &format!("{GRANTED}/stop"), "sesame").await, 403);
    assert_eq!(ask("POST", &format!("{GRANTED}/ticket"), "sesame").await, 404);
    assert_eq!(server.get(GRANTED).await.status(), 401);
}

/// Everybody may do everything.
#[derive(Debug)]
struct Everybody;

impl Authority for Everybody {
    fn access(&self, _: &str) -> Result<Access, Rejected> {
        Ok(Access::everything())
    }

    fn ticket_access(&self, _: &str) -> Result<Access, Rejected> {
        Ok(Access::everything())
    }

    fn issue_ticket(&self, _: &StreamKey, _: &Access) -> Option<Ticket> {
        None
    }
}

#[actix_web::test]
async fn in_an_application_pages_of_other_origins_change_nothing_either() {
    let ok = "https://ok.example";
    for wants_token in [false, true] {
        let server = crate::helpers::TestServer::with(|settings| {
            settings.api = Box::new(move |api| {
                let api = api.with_origins(&[ok.to_owned()]);
                if wants_token { api.with_authority(Arc::new(Everybody), "own") } else { api }
            });
        })
        .await;
        let body = note(1).to_string();
        let ask = async |method, path: &str, header: (&str, &str)| {
            let token = ("Authorization", "Bearer x");
            let headers = [("Content-Type", "application/json"), token, header];
            let path = format!("{GRANTED}{path}");
            request(server.address, method, &path, &headers, body.as_bytes()).await
        };
        assert_eq!(ask("POST", "/events", ("Origin", ok)).await.status(), 201);
        for header in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Referer", "https://evil.example/"),
        ] {
            for (_, path, ..) in routes().into_iter().filter(|(method, ..)| *method == "POST") {
                let answer = ask("POST", &path, header).await;
                let refused = (403, "foreign_origin");
                assert_eq!((answer.status(), answer.code().as_str()), refused, "{path} {header:?}");
            }
        }
        let shown = ask("GET", "", ("Origin", "https://evil.example")).await.json();
        assert_eq!(shown["status"], "live", "nobody has stopped it");
        assert!(shown["lastEventId"].as_str().unwrap().ends_with("-1"), "{shown}");
    }
}

#[actix_web::test]
async fn what_is_sent_to_a_stream_that_has_ended_needs_the_grant_all_the_same() {
    let server = Guarded::start(&[]).await;
    let publisher = server.token(&json!({ "publish": ["debates/theirs"] }));
    assert_eq!(
        server.post(&format!("{OTHERS}/events"), &publisher, &complete()).await.status(),
        201
    );
    let other = server.token(&json!({ "publish": ["debates/mine"] }));
    let answer = server.post(&format!("{OTHERS}/events"), &other, &note(1)).await;
    assert_eq!(answer.status(), 403, "not 409: {}", answer.text());
    assert_eq!(server.post(&format!("{OTHERS}/events"), &publisher, &note(1)).await.status(), 409);
}
