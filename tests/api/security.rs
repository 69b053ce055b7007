//! Only those who belong: the security table, row by row, against the real binary.
//!
//! Every server with keys logs all it can, and its log is searched for secrets when it ends; `start` has a server
//! without keys that is searched, too.
//!
//! | row | tests |
//! |---|---|
//! | injection by type, id, stream id | `bad_input`, `publish`: names, ids, data with line ends |
//! | ids: traversal, `%00`, bidi | `bad_input` |
//! | open by default | `start` |
//! | tokens | `tokens` |
//! | expiry while open | `expiry`, and on the paused clock in `src/hub/tests.rs` |
//! | a token in the URL | `streams`: tickets |
//! | CORS, CSRF, JSON only | `browsers`; `process`: exact headers |
//! | leaks between streams, enumeration | `streams` |
//! | floods, slow heads and bodies, hostile bodies, header bombs, smuggling | `limits`; `publish`, `overload`, `bad_input` |
//! | replay bombs | `life_cycle`; `src/hub/stream_state` |
//! | errors | `assert_refused`, for every refusal here |
//! | TLS, HTTP/2 | `http2` |

mod answers;
mod browsers;
mod caps;
mod expiry;
mod gone;
mod http2;
mod https;
mod limits;
mod start;
mod streams;
mod tokens;

use std::{cell::RefCell, fs, path::PathBuf};

use clearside_sse::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helpers::{Answer, Process, Wire, request};

const SECRET: &str = "correct horse battery staple, and then some";

fn now_secs() -> i64 {
    Clock::system().now_ms() / 1000
}

/// Claims that are good for an hour.
fn claims(grants: &Value) -> Value {
    json!({ "sub": "tester", "exp": now_secs() + 3600, "clearside": grants })
}

fn hs256(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

/// A server with keys.
struct Guarded {
    server: Process,
    folder: TempDir,
    /// What must not be in its log.
    secrets: RefCell<Vec<String>>,
}

impl Guarded {
    /// One with [`SECRET`], and these settings.
    async fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = file(&folder, "secret", SECRET);
        let args = [&["--jwt-secret-file", secret.to_str().unwrap()], args].concat();
        Self::start_with(folder, &args).await
    }

    async fn start_with(folder: TempDir, args: &[&str]) -> Self {
        let args = [&["--log-filter", "trace"], args].concat();
        let server = Process::serve(folder.path(), 0, &args).await;
        Self { server, folder, secrets: RefCell::new(vec![SECRET.to_owned()]) }
    }

    /// A token that grants this for an hour.
    fn token(&self, grants: &Value) -> String {
        self.keep_secret(hs256(&claims(grants)))
    }

    fn keep_secret(&self, secret: String) -> String {
        self.secrets.borrow_mut().push(secret.clone());
        secret
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        request(self.server.address, method, path, headers, body.as_bytes()).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.send("GET", path, &[("Authorization", &format!("Bearer {token}"))], "").await
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let token = format!("Bearer {token}");
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        self.send("POST", path, &headers, &body.to_string()).await
    }

    async fn follow(&self, path: &str, token: &str) -> Wire {
        let token = format!("Bearer {token}");
        Wire::follow(self.server.address, path, &[("Authorization", &token)]).await
    }

    /// A ticket for this stream, such as /api/debates/d1.
    async fn ticket(&self, stream: &str, token: &str) -> String {
        let answer = self.post(&format!("{stream}/ticket"), token, &Value::Null).await;
        assert_eq!(answer.status(), 201, "{}", answer.text());
        self.keep_secret(answer.json()["ticket"].as_str().unwrap().to_owned())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let log = self.server.end_and_read_log();
        if std::thread::panicking() {
            return;
        }
        assert!(!log.is_empty(), "a log that says nothing proves nothing");
        for secret in self.secrets.borrow().iter() {
            // A part of it would be one too many as well: its signature is what makes a token.
            let secret = secret.rsplit('.').next().unwrap();
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret in the log");
        }
    }
}

fn file(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

/// Refused, and in these words.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, challenge: Option<&str>, what: &str) {
    assert_eq!(answer.status(), status, "{what}: {}", answer.text());
    assert_eq!(answer.code(), code, "{what}");
    assert_eq!(answer.header("www-authenticate"), challenge, "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{what}");
    let policy = "default-src 'none'; frame-ancestors 'none'";
    assert_eq!(answer.header("content-security-policy"), Some(policy), "{what}");
    let json = answer.json();
    let fields: Vec<_> = json["error"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((json.as_object().unwrap().len(), fields), (1, vec!["code", "message"]), "{what}");
}

const NO_TOKEN: (u16, &str, Option<&str>) = (401, "unauthorized", Some("Bearer"));
const NO_GRANT: (u16, &str, Option<&str>) =
    (403, "forbidden", Some(r#"Bearer error="insufficient_scope""#));

fn invalid(reason: &str) -> String {
    format!(r#"Bearer error="invalid_token", error_description="{reason}""#)
}
