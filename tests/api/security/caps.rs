//! How many connections an address and a name may have, and how many bad tokens an address may show.

use std::net::IpAddr;

use actix::Arbiter;
use clearside_sse::{ConnectError, Cursor, DatabaseUrl, Hub, HubConfig, Peer, Store};
use serde_json::json;

use super::{Guarded, assert_refused, hs256, now_secs};
use crate::helpers::{Answer, Wire, eventually};

const FOLLOW: &str = "/api/debates/d1/stream";

impl Guarded {
    /// A token of this subject; another for each number.
    fn token_of(&self, subject: Option<&str>, number: i64) -> String {
        let exp = now_secs() + 3600 + number;
        let mut claims = json!({ "exp": exp, "clearside": { "subscribe": ["*"] } });
        if let Some(subject) = subject {
            claims["sub"] = json!(subject);
        }
        self.keep_secret(hs256(&claims))
    }

    async fn follow_from(&self, address: &str, token: &str) -> Wire {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("X-Forwarded-For", address),
            ("Connection", "close"),
        ];
        Wire::follow(self.server.address, FOLLOW, &headers).await
    }

    async fn read_from(&self, address: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("X-Forwarded-For", address)];
        self.send("GET", "/api/debates", &headers, "").await
    }
}

#[actix_web::test]
async fn a_name_has_so_many_connections_whatever_its_tokens_and_addresses_are() {
    let args = ["--max-clients-per-subject", "2", "--trusted-proxy", "127.0.0.1"];
    let server = Guarded::start(&args).await;
    for subject in [Some("viewer-1"), None] {
        // Whoever has no name is counted by the token itself.
        let token = |number: i64| match subject {
            Some(_) => server.token_of(subject, number),
            None => server.token_of(None, 1),
        };
        let mut one = server.follow_from("198.51.100.1", &token(1)).await;
        one.until("snapshot").await;
        let mut two = server.follow_from("198.51.100.2", &token(2)).await;
        two.until("snapshot").await;
        let mut three = server.follow_from("198.51.100.3", &token(3)).await;
        assert_eq!(three.head.status, 200, "else an EventSource would not come back");
        assert_eq!(three.until_end().await[0].name, "busy");
        let bearer = format!("Bearer {}", token(4));
        let headers = [("Authorization", bearer.as_str()), ("Accept", "application/json")];
        let answer = server.send("GET", FOLLOW, &headers, "").await;
        assert_refused(&answer, 503, "busy", None, "no EventSource");
        let other = server.token_of(Some("viewer-2"), 1);
        let mut other = server.follow_from("198.51.100.1", &other).await;
        other.until("snapshot").await;

        drop(one);
        eventually("room for another", async || {
            server.follow_from("198.51.100.3", &token(5)).await.next().await.name != "busy"
        })
        .await;
    }
}

#[actix_web::test]
async fn tickets_are_counted_with_the_token_that_they_come_from() {
    let server = Guarded::start(&["--max-clients-per-subject", "1"]).await;
    for subject in [Some("viewer-1"), None] {
        let token = server.token_of(subject, 1);
        let mut first = server.follow(FOLLOW, &token).await;
        first.until("snapshot").await;
        let ticket = server.ticket("/api/debates/d1", &token).await;
        let path = format!("{FOLLOW}?ticket={ticket}");
        let mut second = Wire::follow(server.server.address, &path, &[]).await;
        assert_eq!(second.next().await.name, "busy", "{subject:?}");
    }
}

#[actix_web::test]
async fn an_address_of_our_own_network_is_not_counted_unless_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for counts_own_network in [false, true] {
        let path = folder.path().join(format!("{counts_own_network}.db"));
        let store = Store::open(&DatabaseUrl::file(path)).unwrap();
        let config =
            HubConfig { clients_per_address_max: 1, counts_own_network, ..HubConfig::default() };
        let hub = Hub::start(&Arbiter::current(), store, config);
        for (address, is_own) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.17.0.1", true),
            ("192.168.0.7", true),
            ("169.254.1.1", true),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("172.32.0.1", false),
            ("198.51.100.1", false),
            ("2001:db8::", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let peer = Peer { address: Some(address), subject: None };
            let stream = "debate/d1".parse().unwrap();
            let _first = hub.subscribe(&stream, Cursor::Now, peer.clone()).await.unwrap();
            let second = hub.subscribe(&stream, Cursor::Now, peer).await;
            let expected = (counts_own_network || !is_own).then_some(ConnectError::Full);
            assert_eq!(second.err(), expected, "{address}, {counts_own_network}");
        }
    }
}

/// Not even a good one: to tell them apart is what costs.
#[actix_web::test]
async fn whoever_floods_with_bad_tokens_has_none_of_them_looked_at_for_a_while() {
    let args = ["--connect-rate", "1", "--trusted-proxy", "127.0.0.1"];
    let server = Guarded::start(&args).await;
    let good = server.token(&json!({ "subscribe": ["*"] }));
    let mut answer = None;
    for _ in 0..200 {
        let bad = server.read_from("198.51.100.1", "x").await;
        assert!([401, 429].contains(&bad.status()), "{}", bad.text());
        let good = server.read_from("198.51.100.1", &good).await;
        if good.status() != 200 {
            answer = Some(good);
            break;
        }
    }
    let answer = answer.expect("200 at 1 a second");
    assert_refused(&answer, 429, "rate_limited", None, "a good token");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(server.read_from("198.51.100.2", &good).await.status(), 200, "another address");
    // An `EventSource` must come back.
    let mut event_source = None;
    for _ in 0..200 {
        server.read_from("198.51.100.1", "x").await;
        let mut wire = server.follow_from("198.51.100.1", "x").await;
        if wire.head.status == 200 {
            event_source = Some(wire.until_end().await);
            break;
        }
    }
    assert_eq!(event_source.expect("200 at 1 a second")[0].name, "busy");
    eventually("that it has waited", async || {
        server.read_from("198.51.100.1", &good).await.status() == 200
    })
    .await;
}
