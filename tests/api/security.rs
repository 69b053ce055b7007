//! Only those who belong: the security table, row by row, against the real binary.
//!
//! Every server with keys logs all it can, and its log is searched for secrets when it ends; `start` has a server
//! without keys that is searched, too.
//!
//! | row | tests |
//! |---|---|
//! | events forged by type, id or data | `what_would_forge_an_event_or_a_stream_is_refused_in_one_shape`, `data_cannot_leave_its_field`, `nobody_can_say_that_a_token_has_expired_but_the_server` |
//! | stream ids: traversal, `%2f`, `%00`, `%0a`, bidi, overlong | `what_would_forge_an_event_or_a_stream_is_refused_in_one_shape` |
//! | open by default | `without_keys_nothing_but_this_machine_is_served_unless_it_is_asked_for`, `the_start_says_who_may_do_what`, `keys_that_cannot_be_used_keep_the_server_from_starting`, `numbers_of_the_whole_server_need_a_grant_of_their_own`, `a_server_without_keys_answers_to_the_names_of_this_machine_only` |
//! | tokens | `a_token_is_taken_only_if_its_claims_are_as_they_have_to_be`, `nothing_in_a_header_makes_a_key_or_changes_what_it_is_for`, `each_public_key_is_for_one_algorithm_and_no_secret`, `audience_and_issuer_have_to_be_named_where_they_are_set`, `the_header_wins_over_the_cookie_and_is_not_made_up_for_by_it`, `every_route_asks_for_its_own_grant_on_its_own_stream` |
//! | expiry while open, and age | `a_stream_ends_with_its_token_and_the_token_does_not_open_it_again`, `a_connection_ends_with_its_token_and_says_so`, `connections_end_between_54_and_66_minutes_each_at_its_own_time` |
//! | a token in the URL | `a_ticket_opens_one_stream_for_reading_and_nothing_else`, `a_server_without_keys_logs_no_token_that_it_is_sent_either`, `health_and_the_page_need_no_token` |
//! | CORS | `a_preflight_is_answered_without_a_body_and_names_what_is_allowed`, `a_page_may_read_why_it_is_refused_if_its_origin_is_named`, `origins_are_exact` |
//! | CSRF, JSON only | `a_cookie_changes_something_only_for_a_page_that_belongs_here`, `only_json_is_taken_and_only_plain`, `without_keys_pages_of_other_origins_change_nothing_either`, `a_known_path_with_another_method_says_which_it_has` |
//! | leaks between streams | `every_route_asks_for_its_own_grant_on_its_own_stream`, `a_list_has_what_the_token_may_read_and_hints_at_nothing_else`, `the_ids_of_one_stream_tell_nothing_on_another_and_a_client_id_opens_nothing` |
//! | enumeration | `every_route_asks_for_its_own_grant_on_its_own_stream`, `a_list_does_not_tell_how_many_streams_of_others_there_are`, `what_is_sent_to_a_stream_that_has_ended_needs_the_grant_all_the_same` |
//! | floods of connections | `whoever_is_one_too_many_is_told_to_come_back_and_let_in_once_one_leaves`, `a_name_has_so_many_connections_whatever_its_tokens_and_addresses_are`, `tickets_are_counted_with_the_token_that_they_come_from`, `an_address_of_our_own_network_is_not_counted_unless_that_is_asked_for`, `our_own_network_is_counted_only_if_it_is_asked_for`, `a_server_that_is_full_says_so_with_503_to_what_is_no_event_source`, `nobody_is_believed_who_is_no_trusted_proxy`, `connections_of_any_kind_leave_descriptors_for_the_database`, `who_says_nothing_in_a_tls_handshake_is_let_go_and_keeps_nobody_out_meanwhile` |
//! | floods of requests | `an_address_that_publishes_too_often_has_to_wait_and_others_do_not`, `a_token_is_counted_wherever_it_is_used`, `tickets_and_looks_at_a_stream_are_counted_as_connections`, `whoever_is_refused_too_often_has_to_wait`, `whoever_floods_with_bad_tokens_has_none_of_them_looked_at_for_a_while` |
//! | slow heads, bodies and readers | `what_is_no_proper_request_gets_a_bare_status_and_the_end_of_the_connection`, `a_body_that_is_too_slow_is_answered_in_the_same_shape_and_stores_nothing`, `a_client_that_does_not_read_delays_nobody_and_misses_nothing`, `a_follower_that_takes_nothing_any_more_is_found_out`, `answers_that_nobody_takes_have_so_much_room_and_no_more`, `whoever_takes_none_of_its_answers_is_let_go_and_a_slow_follower_is_not`, `whoever_asks_for_too_much_without_taking_it_is_let_go` |
//! | bodies that are huge or hostile | `what_is_nested_too_deeply_or_too_long_stores_nothing`, `only_json_is_taken_and_only_plain`, `bodies_are_bounded_before_they_are_read` |
//! | header bombs | `what_is_no_proper_request_gets_a_bare_status_and_the_end_of_the_connection`, `http1_works_over_tls_and_the_limits_hold_there_too`, `a_head_has_so_many_headers_and_no_more`, `a_cookie_in_pieces_is_one_header_and_as_long_as_all_of_them` |
//! | replay bombs | `chunks_are_small_but_never_empty`, `a_late_joiner_gets_a_long_history_in_order_while_live_events_go_on`, `a_backlog_is_bounded_in_bytes_and_whoever_exceeds_it_misses_nothing` |
//! | forged lines of the log | `nothing_that_a_stranger_sends_can_forge_a_line_of_the_log` |
//! | timing | nothing to test: signatures are compared by the cryptographic library, and there are no passwords |
//! | errors | `assert_refused`, for every refusal here; `every_answer_has_a_name_and_errors_say_it`, `a_name_is_taken_over_if_it_is_one_and_never_repeated_if_not`, `what_is_logged_of_a_request_has_its_name`, `a_page_that_is_refused_is_no_page`, `bad_input_gets_a_clear_answer_stores_nothing_and_disturbs_nobody` |
//! | smuggling | `what_is_no_proper_request_gets_a_bare_status_and_the_end_of_the_connection` |
//! | supply chain | `nothing_that_is_used_is_below_its_floor_or_banned`; `scripts/deny.sh` |
//! | TLS, HTTP/2 | `http1_works_over_tls_and_the_limits_hold_there_too`, `a_certificate_is_renewed_without_a_restart`, `a_follower_that_answers_no_ping_is_dead_and_one_that_does_is_not`, `a_connection_that_is_closed_takes_its_quiet_streams_with_it_at_once`, `a_connection_that_is_merely_open_does_not_hold_up_a_stop_and_what_is_asked_is_answered`, `a_server_is_believed_only_if_an_authority_that_is_believed_vouches_for_it` |

mod answers;
mod browsers;
mod caps;
mod expiry;
mod gone;
mod http2;
mod https;
mod limits;
mod request_ids;
mod start;
mod streams;
mod tokens;
mod untaken;

use std::{
    cell::RefCell,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clearside_sse::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helpers::{Answer, Process, Wire, exchange, request, within};

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

/// The answer to these bytes, however slowly they come.
async fn answer_to(address: SocketAddr, bytes: &[u8]) -> Answer {
    let what = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    within(&what, exchange(address, bytes)).await.unwrap()
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
    let expected = vec!["code", "message", "requestId"];
    assert_eq!((json.as_object().unwrap().len(), fields), (1, expected), "{what}");
    assert_eq!(json["error"]["requestId"].as_str(), answer.header("x-request-id"), "{what}");
}

#[test]
fn every_test_that_the_table_names_exists() {
    fn sources(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => sources(&path, all),
                false => all.push_str(&fs::read_to_string(path).unwrap_or_default()),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&root.join("src"), &mut all);
    sources(&root.join("tests/api"), &mut all);
    all.push_str(&fs::read_to_string(root.join("tests/floors.rs")).unwrap());
    let rows = include_str!("security.rs").lines().filter(|line| line.starts_with("//! | "));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let names: Vec<_> = words.filter(|word| word.matches('_').count() > 1).collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        assert!(all.contains(&format!("fn {name}(")), "there is no {name}");
    }
}

const NO_TOKEN: (u16, &str, Option<&str>) = (401, "unauthorized", Some("Bearer"));
const NO_GRANT: (u16, &str, Option<&str>) =
    (403, "forbidden", Some(r#"Bearer error="insufficient_scope""#));

fn invalid(reason: &str) -> String {
    format!(r#"Bearer error="invalid_token", error_description="{reason}""#)
}
