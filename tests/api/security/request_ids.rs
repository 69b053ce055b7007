//! The names of requests: on each answer, in each error, and in the log.

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Guarded, http2};
use crate::helpers::{Answer, Process, Wire, exchange, note, post, request};

const EVENTS: &str = "/api/debates/d1/events";
const FOLLOW: &str = "/api/debates/d1/stream";

/// The name that the server gave.
#[track_caller]
fn made(answer: &Answer, what: &str) -> String {
    let id = answer.header("x-request-id").unwrap_or_else(|| panic!("{what}: {answer:?}"));
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{what}: {id}");
    id.to_owned()
}

#[actix_web::test]
async fn every_answer_has_a_name_and_errors_say_it() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--cors-origin", "https://ok.example", "--h2c"];
    let server = Process::serve(folder.path(), 0, &args).await;
    assert_eq!(post(server.address, EVENTS, note(1).to_string().as_bytes()).await.status(), 201);
    let ok = ("Origin", "https://ok.example");
    let evil = ("Origin", "https://evil.example");
    let asks = ("Access-Control-Request-Method", "POST");
    let long = "x".repeat(9_000);
    let mut names = Vec::new();
    for (method, path, headers, status) in [
        ("GET", "/", &[][..], 200),
        ("HEAD", "/", &[], 200),
        ("GET", "/health/live", &[], 200),
        ("GET", EVENTS, &[], 200),
        ("HEAD", FOLLOW, &[], 200),
        ("OPTIONS", EVENTS, &[], 204),
        ("OPTIONS", EVENTS, &[ok, asks], 204),
        ("OPTIONS", EVENTS, &[evil, asks], 403),
        ("POST", EVENTS, &[evil], 403),
        ("POST", EVENTS, &[], 415),
        ("DELETE", EVENTS, &[], 405),
        ("GET", "/nothing", &[], 404),
        ("GET", "/api/debates/nobody", &[], 404),
        ("GET", "/api/debates/a%2fb", &[], 400),
        ("GET", "/", &[("Cookie", long.as_str())], 431),
    ] {
        let what = format!("{method} {path} {status}");
        let answer = request(server.address, method, path, headers, b"").await;
        assert_eq!(answer.status(), status, "{what}");
        let name = made(&answer, &what);
        if status >= 400 {
            assert_eq!(answer.json()["error"]["requestId"], name, "{what}");
        }
        names.push(name);
    }
    let stream = Wire::follow(server.address, FOLLOW, &[]).await;
    names.push(stream.head.header("x-request-id").unwrap().to_owned());
    let connection = http2::http2(TcpStream::connect(server.address).await.unwrap()).await;
    for path in ["/health/live", FOLLOW, "/nothing"] {
        let head = http2::head_of(&connection, path).await;
        names.push(head.headers()["x-request-id"].to_str().unwrap().to_owned());
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "no two requests have the same");
    // A page of another origin can read it.
    let answer = request(server.address, "GET", EVENTS, &[ok], b"").await;
    let mut exposed: Vec<_> =
        answer.header("access-control-expose-headers").unwrap().split(", ").collect();
    exposed.sort_unstable();
    assert_eq!(exposed, ["retry-after", "www-authenticate", "x-request-id"]);
}

#[actix_web::test]
async fn a_name_is_taken_over_if_it_is_one_and_never_repeated_if_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    let longest = "x".repeat(64);
    for given in ["a", "550e8400-e29b-41d4-a716-446655440000", "A.b_c-9", &longest] {
        for (path, status) in [("/health/live", 200), ("/nothing", 404)] {
            let answer =
                request(server.address, "GET", path, &[("X-Request-ID", given)], b"").await;
            assert_eq!((answer.status(), answer.header("x-request-id")), (status, Some(given)));
            if status == 404 {
                assert_eq!(answer.json()["error"]["requestId"], given);
            }
        }
    }
    let too_long = "marked".repeat(11);
    for given in [
        "marked marked",
        "marked,marked",
        "<marked>",
        "marked\"",
        "marked;a=b",
        "marked/../..",
        "m\u{e4}rked-marked",
        &too_long,
        "marked\r\nX-Request-Id: marked",
        "",
    ] {
        let bytes = format!(
            "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: {given}\r\n\r\n"
        );
        let answer = exchange(server.address, bytes.as_bytes()).await.unwrap();
        assert_eq!(answer.status(), 404, "{given:?}");
        assert_eq!(answer.json()["error"]["requestId"], made(&answer, given));
        let repeated = answer.text().contains("marked")
            || answer.head.headers.iter().any(|(_, value)| value.contains("marked"));
        assert!(!repeated, "{given:?}: {answer:?}");
    }
}

#[actix_web::test]
async fn what_is_logged_of_a_request_has_its_name() {
    let server = Guarded::start(&["--log-format", "json"]).await;
    let token = server.token(&json!({ "subscribe": ["*"] }));
    let answer = server.get("/api/debates/nobody", &token).await;
    assert_eq!(answer.status(), 404);
    let name = made(&answer, "not found");
    let mut server = server;
    let log = server.server.end_and_read_log();
    let of_it: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .filter(|line: &Value| line["request"] == name.as_str())
        .collect();
    let error = of_it.iter().find(|line| line["code"] == "not_found").expect(&log);
    assert_eq!((&error["status"], &error["level"]), (&json!(404), &json!("DEBUG")));
    assert!(log.lines().any(|line| !line.contains(r#""request":"#)), "not everything is of one");

    // People read it as well.
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--log-format", "text", "--log-filter", "clearside_sse=debug"];
    let mut server = Process::serve(folder.path(), 0, &settings).await;
    let headers = [("X-Request-Id", "from-a-proxy")];
    request(server.address, "GET", "/nothing", &headers, b"").await;
    let log = server.end_and_read_log();
    let line = log.lines().find(|line| line.contains("from-a-proxy")).expect(&log);
    assert!(line.contains("code=not_found") && line.contains("request=from-a-proxy"), "{line}");
}
