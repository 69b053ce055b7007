//! What pages of other origins may do: read and change nothing, unless they are named.

use serde_json::json;

use super::{Guarded, assert_refused};
use crate::helpers::{Process, note, request};

const EVENTS: &str = "/api/debates/d1/events";
const OK: &str = "https://ok.example";

#[actix_web::test]
async fn a_cookie_changes_something_only_for_a_page_that_belongs_here() {
    let server = Guarded::start(&["--cors-origin", OK]).await;
    let everything = json!({ "publish": ["*"], "control": ["*"], "subscribe": ["*"] });
    let token = server.token(&everything);
    let (cookie, bearer) = (format!("clearside_token={token}"), format!("Bearer {token}"));
    let own = format!("http://{}", server.server.address);
    let own_page = format!("{own}/?debate=d1");
    for (what, headers, is_trusted) in [
        ("its own origin", &[("Origin", own.as_str())][..], true),
        ("an origin that is named", &[("Origin", OK)], true),
        ("its own page, without an origin", &[("Referer", &own_page)], true),
        ("what the browser says", &[("Sec-Fetch-Site", "same-origin")], true),
        ("nothing to go by", &[], false),
        ("another origin", &[("Origin", "https://evil.example")], false),
        ("null", &[("Origin", "null")], false),
        ("a near miss", &[("Origin", "https://ok.example.evil")], false),
        ("another port", &[("Origin", "https://ok.example:8443")], false),
        ("another scheme", &[("Origin", "http://ok.example")], false),
        ("another page", &[("Referer", "https://evil.example/https://ok.example/")], false),
        ("from elsewhere", &[("Sec-Fetch-Site", "cross-site")], false),
        ("from next door", &[("Sec-Fetch-Site", "same-site")], false),
    ] {
        for path in
            [EVENTS, "/api/debates/d1/launch", "/api/debates/d1/stop", "/api/debates/d1/ticket"]
        {
            let headers =
                [headers, &[("Cookie", &cookie), ("Content-Type", "application/json")]].concat();
            let body = if path == EVENTS { note(1).to_string() } else { String::new() };
            // What they have ended cannot be published on; what matters is who is let in.
            let answer = server.send("POST", path, &headers, &body).await;
            match is_trusted {
                true => assert_ne!(answer.status(), 403, "{what}: {}", answer.text()),
                false => assert_refused(&answer, 403, "foreign_origin", None, what),
            }
        }
        // Reading changes nothing, and CORS keeps the answer from the page.
        let headers = [headers, &[("Cookie", &cookie)]].concat();
        let answer = server.send("GET", "/api/debates", &headers, "").await;
        assert_eq!(answer.status(), 200, "{what}");
    }
    // What is no browser shows a token of its own, and needs no origin.
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let answer =
        server.send("POST", "/api/debates/d2/events", &headers, &note(1).to_string()).await;
    assert_eq!(answer.status(), 201);
}

#[actix_web::test]
async fn only_json_is_taken_and_only_plain() {
    let server = Guarded::start(&[]).await;
    let bearer = format!("Bearer {}", server.token(&json!({ "publish": ["*"], "control": ["*"] })));
    for (content_type, encoding, status) in [
        (Some("application/json"), None, 201),
        (Some("application/json; charset=utf-8"), Some("identity"), 201),
        (Some("application/json"), Some("gzip"), 415),
        (Some("application/json"), Some("br"), 415),
        (Some("text/plain"), None, 415),
        (Some("text/json"), None, 415),
        (Some("application/x-www-form-urlencoded"), None, 415),
        (Some("multipart/form-data; boundary=x"), None, 415),
        (None, None, 415),
    ] {
        for path in [
            EVENTS,
            "/api/debates/d1/clients/3a5954fb-e5e1-490d-a2f5-2641115923f5/events",
            "/api/debates/d1/launch",
        ] {
            let mut headers = vec![("Authorization", bearer.as_str())];
            headers.extend(content_type.map(|value| ("Content-Type", value)));
            headers.extend(encoding.map(|value| ("Content-Encoding", value)));
            let body = if path.ends_with("launch") { json!({ "speed": 0 }) } else { note(1) };
            let answer = server.send("POST", path, &headers, &body.to_string()).await;
            let what = format!("{path} {content_type:?} {encoding:?}");
            match status {
                415 => assert_refused(&answer, 415, "unsupported_media_type", None, &what),
                _ => assert_ne!(answer.status(), 415, "{what}"),
            }
        }
    }
}

#[actix_web::test]
async fn a_preflight_is_answered_without_a_body_and_names_what_is_allowed() {
    let server = Guarded::start(&["--cors-origin", OK]).await;
    let preflight = async |origin: &str, method: &str, headers: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", headers),
        ];
        server.send("OPTIONS", EVENTS, &headers, "").await
    };
    let answer =
        preflight(OK, "POST", "authorization, content-type, idempotency-key, last-event-id").await;
    assert_eq!((answer.status(), answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some(OK));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    let listed = |name: &str| {
        let mut all: Vec<_> =
            answer.header(name).unwrap().split(", ").map(str::to_ascii_lowercase).collect();
        all.sort();
        all
    };
    assert_eq!(listed("access-control-allow-methods"), ["get", "post"]);
    assert_eq!(
        listed("access-control-allow-headers"),
        ["authorization", "content-type", "idempotency-key", "last-event-id"]
    );
    assert!(listed("vary").contains(&"origin".to_owned()));
    for (origin, method, headers) in [
        ("https://evil.example", "POST", "content-type"),
        ("null", "POST", "content-type"),
        ("https://ok.example.evil", "POST", "content-type"),
        ("https://OK.example", "POST", "content-type"),
        (OK, "DELETE", "content-type"),
        (OK, "POST", "x-anything"),
    ] {
        let answer = preflight(origin, method, headers).await;
        let what = format!("{origin} {method} {headers}");
        assert_refused(&answer, 403, "cors_refused", None, &what);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{what}");
        let vary = answer.header("vary").unwrap_or_default().to_ascii_lowercase();
        assert!(vary.contains("origin"), "{what}: a cache must not mix them up: {vary}");
    }
}

#[actix_web::test]
async fn a_page_may_read_why_it_is_refused_if_its_origin_is_named() {
    let server = Guarded::start(&["--cors-origin", OK]).await;
    for (origin, allowed) in [(OK, Some(OK)), ("https://evil.example", None), ("null", None)] {
        for path in ["/api/debates/d1/stream", EVENTS, "/api/stats", "/nothing"] {
            let answer = server.send("GET", path, &[("Origin", origin)], "").await;
            assert!(answer.status() == 401 || answer.status() == 404, "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), allowed, "{path} {origin}");
            let exposed =
                answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
            for header in ["retry-after", "www-authenticate"] {
                let may_read = exposed.contains(header);
                assert!(may_read || allowed.is_none(), "{path} {origin}: {header}");
            }
            let vary = answer.header("vary").unwrap_or_default().to_ascii_lowercase();
            assert!(vary.contains("origin"), "{path} {origin}: a cache must not mix them up");
        }
    }
}

#[actix_web::test]
async fn without_keys_pages_of_other_origins_change_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &[]).await;
    for headers in [
        &[("Origin", "https://evil.example")][..],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Referer", "https://evil.example/")],
    ] {
        let answer = request(server.address, "POST", "/api/debates/d1/launch", headers, b"").await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (403, "foreign_origin"),
            "{headers:?}"
        );
    }
    let answer = request(server.address, "GET", "/api/debates/d1", &[], b"").await;
    assert_eq!(answer.status(), 404, "nothing was launched");
}
