//! The races of a stream, each forced into its worst order. What holds a commit back is another connection
//! that has the database locked.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use actix::Arbiter;
use futures_util::{FutureExt, future::join_all};
use serde_json::json;
use tokio::time::Duration;

use super::{Panic, Setup, read};
use crate::{
    Broadcast, Clock, DatabaseUrl, Hub, HubConfig, IdempotencyKey, NewEvent, Peer, PublishError,
    Published, Store,
    hub::tests::settle,
    sse::Cursor,
    store::sabotage::{self, Held},
};

/// The events of a response in short: `note 3`, `snapshot`, `gap 2`.
fn words(text: &str) -> Vec<String> {
    let word = |frame: &str| {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        let name = field("event: ")?;
        let seq = field("id: ").and_then(|id| id.split_once('-')).filter(|_| name != "snapshot");
        Some(seq.map_or_else(|| name.to_owned(), |(_, seq)| format!("{name} {seq}")))
    };
    text.split_terminator("\n\n").filter_map(word).collect()
}

impl Setup {
    /// A repeatable publish.
    async fn publish_keyed(&self, key: &str) -> Result<Published, PublishError> {
        let note = NewEvent::new("note", &json!({})).unwrap();
        let broadcast = Broadcast::one(self.stream.clone(), note).unwrap();
        let key: IdempotencyKey = key.parse().unwrap();
        self.hub.broadcast(broadcast.with_idempotency_key(key)).await
    }

    async fn token(&self) -> Result<Option<crate::EventId>, PublishError> {
        let token = NewEvent::new("token", &json!({ "speaker": "s", "token": "t" })).unwrap();
        self.hub.publish(&self.stream, token).await
    }

    /// Everything there is, as a client sees it that comes now.
    async fn replay(&self) -> Vec<String> {
        let mut body = self.follow(Cursor::Earliest).await;
        let mut replay = words(&read(&mut body, "event: snapshot").await);
        replay.retain(|word| word != "connected" && word != "snapshot");
        replay
    }
}

fn notes(seqs: impl IntoIterator<Item = u64>) -> Vec<String> {
    seqs.into_iter().map(|seq| format!("note {seq}")).collect()
}

#[actix::test]
async fn one_that_replays_while_more_is_published_than_its_mailbox_holds_catches_up_all_the_same() {
    const STORED: u64 = 600;
    const AT_A_TIME: u64 = 20;
    const BUFFER_BYTES: usize = 8 * 1024;
    let config = HubConfig { mailbox_capacity: 2, history_events: 8, ..HubConfig::default() };
    let setup = Setup::with(config, Clock::system());
    for _ in 0..STORED / 100 {
        let note = NewEvent::new("note", &json!("x".repeat(200))).unwrap();
        let hundred = Broadcast::new(setup.stream.clone(), &vec![note; 100]).unwrap();
        setup.hub.broadcast(hundred).await.unwrap();
    }
    let mut body = setup.follow(Cursor::Earliest).await;
    let mut text = String::new();
    let mut reads = 0;
    // More than its mailbox takes, each time that it has taken something.
    while !text.contains("event: snapshot") {
        reads += 1;
        assert!(reads < 50, "it never catches up: {:?}", words(&text).last());
        let mut taken = 0;
        while taken < BUFFER_BYTES && !text.contains("event: snapshot") {
            let piece = read(&mut body, "\n\n").await;
            taken += piece.len();
            text.push_str(&piece);
        }
        for _ in 0..AT_A_TIME {
            setup.publish().await.unwrap();
        }
    }
    assert!(reads > 5, "it was no long replay");
    // Live, with a mailbox that is full already: it falls behind once more, and loses nothing.
    let last = setup.publish_event("last", &1).await.unwrap();
    while !text.contains("event: last") {
        text.push_str(&read(&mut body, "\n\n").await);
    }
    let mut seen = words(&text);
    seen.retain(|word| word != "connected" && word != "snapshot");
    let expected = notes(1..last).into_iter().chain([format!("last {last}")]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
}

#[actix::test]
async fn what_a_publish_took_goes_from_its_coming_to_the_end_of_its_commit() {
    let setup = Setup::new();
    setup.publish().await.unwrap();
    let held = Held::new(&setup.database());
    let (published, ()) = tokio::join!(setup.publish(), async {
        settle().await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(40 * 60)).await;
        tokio::time::resume();
        drop(held);
    });
    assert_eq!(published, Ok(2));
    setup.token().await.unwrap();
    let times = setup.hub.stats().await.totals.publish_ms;
    assert_eq!(times.values().sum::<u64>(), 2, "{times:?}");
    // Forty minutes are 2.4 million milliseconds.
    assert_eq!(times.get(&(1 << 22)), Some(&1), "{times:?}");
}

#[actix::test]
async fn two_hubs_on_one_store_give_no_id_twice_and_show_each_other_nothing_late() {
    let setup = Setup::new();
    let store = Store::open(&DatabaseUrl::file(setup.folder.path().join("shared.db"))).unwrap();
    let start = || Hub::start(&Arbiter::current(), store.clone(), HubConfig::default());
    let hubs = [start(), start()];
    let note = || NewEvent::new("note", &json!({})).unwrap();
    let mut bodies = Vec::new();
    for hub in &hubs {
        bodies.push(
            hub.subscribe(&setup.stream, Cursor::Earliest, Peer::default()).await.unwrap().unwrap(),
        );
    }
    let publishes = (0..100).map(|n| hubs[n % 2].publish(&setup.stream, note()));
    let ids = join_all(publishes).await;
    let mut seqs: Vec<_> = ids.into_iter().map(|id| id.unwrap().unwrap().seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    for (hub, body) in hubs.iter().zip(&mut bodies) {
        // It learns of what the other has stored by its own next event.
        let name = "event: last";
        hub.publish(&setup.stream, NewEvent::new("last", &1).unwrap()).await.unwrap();
        let mut text = String::new();
        while !text.contains(name) {
            text.push_str(&read(body, "\n\n").await);
        }
        let mut seen = words(&text);
        seen.retain(|word| word.starts_with("note") || word.starts_with("gap"));
        assert_eq!(seen, notes(1..=100));
    }
}

#[actix::test]
async fn what_a_store_refuses_or_has_had_before_tells_a_hub_what_another_one_has_stored() {
    let mut setup = Setup::new();
    let store = Store::open(&DatabaseUrl::file(setup.folder.path().join("shared.db"))).unwrap();
    let start = || Hub::start(&Arbiter::current(), store.clone(), HubConfig::default());
    let hub = start();
    setup.hub = hub.clone();
    let mut body = setup.follow(Cursor::Now).await;
    read(&mut body, "event: snapshot").await;
    let first = setup.publish_keyed("first").await.unwrap();
    assert_eq!(words(&read(&mut body, "\n\n").await), notes([1]));

    setup.hub = start();
    setup.publish_keyed("k").await.unwrap();
    setup.publish().await.unwrap();
    setup.hub = hub.clone();
    // It says nothing of the other events, nor of an id that is new here.
    let repeat = setup.publish_keyed("first").await.unwrap();
    assert_eq!((repeat.is_repeat, repeat.ids), (true, first.ids));
    assert_eq!(words(&read(&mut body, "snapshot").await), ["note 2", "note 3", "snapshot"]);
    assert!(setup.publish_keyed("k").await.unwrap().is_repeat);
    assert!(setup.token().await.is_ok());
    assert_eq!(words(&read(&mut body, "\n\n").await), ["token"], "nothing is sent again");

    setup.hub = start();
    assert_eq!(setup.publish_event("complete", &1).await, Ok(4));
    setup.hub = hub;
    assert_eq!(setup.publish().await, Err(PublishError::Completed));
    assert_eq!(setup.token().await, Err(PublishError::Completed));
    let seen = read(&mut body, "no such text").await;
    assert_eq!(words(&seen), ["snapshot", "complete 4"]);
    assert!(seen.ends_with("<end>"));
}

#[actix::test]
async fn a_publish_whose_publisher_has_gone_is_stored_once_however_often_it_is_repeated() {
    let setup = Setup::new();
    let mut body = setup.follow(Cursor::Now).await;
    read(&mut body, "snapshot").await;
    let held = Held::new(&setup.database());
    let mut lost = Box::pin(setup.publish_keyed("k"));
    assert!(lost.as_mut().now_or_never().is_none());
    settle().await;
    // Its commit is under way; nobody will hear the answer.
    drop(lost);
    let repeats = join_all((0..3).map(|_| setup.publish_keyed("k")));
    let (repeats, ()) = tokio::join!(repeats, async {
        settle().await;
        drop(held);
    });
    for repeat in repeats {
        let repeat = repeat.unwrap();
        assert!(repeat.is_repeat);
        assert_eq!(repeat.last_id().unwrap().seq, 1);
    }
    assert_eq!(setup.publish().await, Ok(2));
    assert_eq!(words(&read(&mut body, "-2\n").await), notes(1..=2));
}

#[actix::test]
async fn a_client_that_is_ahead_of_a_database_that_was_set_back_is_told_so_and_sees_what_is_new() {
    let mut setup = Setup::new();
    for _ in 0..5 {
        setup.publish().await.unwrap();
    }
    let cursor = Cursor::After(setup.publish_keyed("six").await.unwrap().last_id().unwrap());
    let set_back = "DELETE FROM events WHERE seq > 3; UPDATE streams SET last_seq = 3";
    sabotage::execute(&setup.database(), set_back);
    // The same database in a hub that knows nothing of what was.
    let backup = setup.folder.path().join("backup.db");
    sabotage::execute(&setup.database(), &format!("VACUUM INTO '{}'", backup.display()));
    let store = Store::open(&DatabaseUrl::file(backup)).unwrap();
    setup.hub = Hub::start(&Arbiter::current(), store, HubConfig::default());
    let mut body = setup.follow(cursor).await;
    let text = read(&mut body, "event: snapshot").await;
    assert!(text.contains(r#""reason":"ahead""#), "{text}");
    assert_eq!(words(&text)[1..], ["gap 0", "note 1", "note 2", "note 3", "snapshot"]);
    assert_eq!(setup.publish().await, Ok(4));
    assert_eq!(words(&read(&mut body, "event: note").await), ["note 4"], "it is not filtered");
}

#[actix::test]
async fn rows_that_go_between_a_cursor_and_its_page_are_a_gap_wherever_they_were() {
    for (gone, expected) in [
        ("seq <= 3", vec!["gap 3", "note 4", "note 5", "note 6", "snapshot"]),
        ("seq = 2", vec!["note 1", "gap 2", "note 3", "note 4", "note 5", "note 6", "snapshot"]),
        ("seq IN (1, 4, 5)", vec!["gap 1", "note 2", "note 3", "gap 5", "note 6", "snapshot"]),
        ("seq >= 5", vec!["note 1", "note 2", "note 3", "note 4", "gap 6", "snapshot"]),
        ("seq > 0", vec!["gap 6", "snapshot"]),
    ] {
        let config = HubConfig { history_bytes: 0, ..HubConfig::default() };
        let setup = Setup::with(config, Clock::system());
        for _ in 0..6 {
            setup.publish().await.unwrap();
        }
        // The cursor is good; nothing has been read for it yet.
        let mut body = setup.follow(Cursor::Earliest).await;
        sabotage::execute(&setup.database(), &format!("DELETE FROM events WHERE {gone}"));
        let text = read(&mut body, "event: snapshot").await;
        assert_eq!(words(&text)[1..], expected, "{gone}");
        for gap in text.split("\n\n").filter(|frame| frame.starts_with("event: gap")) {
            assert!(gap.contains(r#""reason":"expired","missed":"#), "{gap}");
        }
        assert_eq!(setup.publish().await, Ok(7), "{gone}");
        assert_eq!(words(&read(&mut body, "event: note").await), ["note 7"], "{gone}");
    }
}

#[actix::test]
async fn a_page_that_was_read_for_one_is_read_anew_for_whoever_comes_later() {
    let config = HubConfig { history_bytes: 0, ..HubConfig::default() };
    let setup = Setup::with(config, Clock::system());
    for _ in 0..3 {
        setup.publish().await.unwrap();
    }
    assert_eq!(setup.replay().await, notes(1..=3));
    sabotage::execute(&setup.database(), "DELETE FROM events WHERE seq = 1");
    assert_eq!(setup.replay().await, ["gap 1", "note 2", "note 3"]);
}

#[actix::test]
async fn one_read_serves_all_who_ask_for_the_same_page_meanwhile() {
    const CLIENTS: usize = 50;
    let mut setup = Setup::new();
    let store = Store::open(&DatabaseUrl::file(setup.folder.path().join("other.db"))).unwrap();
    let config = HubConfig { history_bytes: 0, ..HubConfig::default() };
    setup.hub = Hub::start(&Arbiter::current(), store.clone(), config);
    for _ in 0..3 {
        setup.publish().await.unwrap();
    }
    let mut bodies = Vec::new();
    for _ in 0..CLIENTS {
        bodies.push(setup.follow(Cursor::Earliest).await);
    }
    let before = sabotage::pages_read(&store);
    let held = sabotage::hold_reads(&store);
    let replays = join_all(bodies.iter_mut().map(|body| read(body, "event: snapshot")));
    let (replays, ()) = tokio::join!(replays, async {
        settle().await;
        drop(held);
    });
    for replay in replays {
        assert_eq!(words(&replay)[1..], ["note 1", "note 2", "note 3", "snapshot"]);
    }
    assert_eq!(sabotage::pages_read(&store) - before, 1);
}

#[actix::test]
async fn nothing_gets_past_an_end_that_is_just_being_stored() {
    // Tokens alone are not the store's business.
    for (waits_for_the_commit, notes) in [(false, 50), (true, 50), (false, 0), (true, 0)] {
        let setup = Setup::new();
        setup.publish().await.unwrap();
        let mut body = setup.follow(Cursor::Now).await;
        read(&mut body, "snapshot").await;
        let held = Held::new(&setup.database());
        let mut end = Box::pin(setup.publish_event("complete", &1));
        assert!(end.as_mut().now_or_never().is_none());
        if waits_for_the_commit {
            settle().await;
        }
        let notes = join_all((0..notes).map(|_| setup.publish()));
        let tokens = join_all((0..50).map(|_| setup.token()));
        let (end, notes, tokens, ()) = tokio::join!(end, notes, tokens, async {
            settle().await;
            drop(held);
        });
        assert_eq!(end, Ok(2));
        assert!(notes.iter().all(|note| *note == Err(PublishError::Completed)), "{notes:?}");
        assert!(tokens.iter().all(|token| *token == Err(PublishError::Completed)), "{tokens:?}");
        let again = setup.publish_event("complete", &1).await;
        assert_eq!(again, Err(PublishError::Completed));
        let seen = read(&mut body, "no such text").await;
        assert_eq!(words(&seen), ["complete 2"]);
        let mut late = setup.follow(Cursor::Earliest).await;
        let seen = words(&read(&mut late, "no such text").await);
        assert_eq!(seen, ["connected", "note 1", "snapshot", "complete 2"]);
    }
}

#[actix::test]
async fn a_shutdown_meets_whoever_comes_before_it_and_turns_away_whoever_comes_after() {
    let setup = Setup::new();
    let held = Held::new(&setup.database());
    let mut publish = Box::pin(setup.publish());
    assert!(publish.as_mut().now_or_never().is_none());
    // All three are in the registry's mailbox before it reads any.
    let mut before = Box::pin(setup.hub.subscribe(&setup.stream, Cursor::Now, Peer::default()));
    let mut shutdown = Box::pin(setup.hub.shutdown(Duration::ZERO));
    let mut after = Box::pin(setup.hub.subscribe(&setup.stream, Cursor::Now, Peer::default()));
    assert!(before.as_mut().now_or_never().is_none());
    assert!(shutdown.as_mut().now_or_never().is_none());
    assert!(after.as_mut().now_or_never().is_none());
    assert_eq!(after.await.unwrap_err(), crate::ConnectError::ShuttingDown);
    let mut body = before.await.unwrap().unwrap();
    let text = read(&mut body, "no such text").await;
    let retry = text.trim_end_matches("<end>").trim_end().rsplit("\n\n").next().unwrap();
    assert!(retry.starts_with("retry: "), "{text}");
    assert!(shutdown.as_mut().now_or_never().is_none(), "one has not ended yet");
    drop(body);
    shutdown.await;
    // What was asked before is answered, and stored.
    drop(held);
    assert_eq!(publish.await, Ok(1));
    assert_eq!(setup.publish().await, Ok(2), "until the very end");
}

#[actix::test]
async fn an_end_that_comes_in_the_middle_of_an_event_lets_it_finish() {
    let long = "x".repeat(60_000);
    for is_panic in [false, true] {
        let setup = Setup::new();
        let mut body = setup.follow(Cursor::Now).await;
        read(&mut body, "snapshot").await;
        setup.publish_event("note", &long).await.unwrap();
        let first = read(&mut body, "xxx").await;
        assert!(first.contains("id: ") && !first.ends_with("\n\n"), "a part of the event");
        let (hub, stream) = (setup.hub.clone(), setup.stream.clone());
        if is_panic {
            hub.registry().send(Panic(stream)).await.unwrap();
        } else {
            actix::spawn(async move { hub.shutdown(Duration::ZERO).await });
        }
        settle().await;
        let rest = read(&mut body, "no such text").await;
        let whole = [first, rest].concat();
        let (event, last) = whole.split_once("\n\n").unwrap();
        assert_eq!(event.split_once("data: ").unwrap().1, format!("\"{long}\""));
        assert_eq!(last.starts_with("retry: "), !is_panic, "{last}");
        assert!(last.ends_with("<end>"));
    }
    // Nor is the event cut off that is the end itself.
    let setup = Setup::new();
    let mut body = setup.follow(Cursor::Now).await;
    read(&mut body, "snapshot").await;
    setup.publish_event("complete", &long).await.unwrap();
    let text = read(&mut body, "no such text").await;
    assert_eq!(text.split_once("data: ").unwrap().1, format!("\"{long}\"\n\n<end>"));
}

#[actix::test]
async fn a_clock_that_is_set_forgets_no_key_and_no_event() {
    const HOUR: i64 = 60 * 60 * 1000;
    const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
    let shown = Arc::new(AtomicI64::new(0));
    let setup = Setup::with(HubConfig::default(), {
        let shown = Arc::clone(&shown);
        // A machine that does not know the time yet starts in 1970.
        Clock::showing(move || shown.load(Ordering::Relaxed))
    });
    let mut body = setup.follow(Cursor::Now).await;
    read(&mut body, "snapshot").await;
    let first = setup.publish_keyed("k").await.unwrap();
    for (seq, set_to) in (2..).zip([50 * TEN_YEARS / 10, 49 * TEN_YEARS / 10, -HOUR, TEN_YEARS, 0])
    {
        shown.store(set_to, Ordering::Relaxed);
        let again = setup.publish_keyed("k").await.unwrap();
        assert_eq!((again.is_repeat, again.ids), (true, first.ids.clone()), "at {set_to}");
        assert_eq!(setup.publish().await, Ok(seq), "at {set_to}");
        assert_eq!(words(&read(&mut body, &format!("-{seq}\n")).await).last(), notes([seq]).last());
    }
    assert_eq!(setup.replay().await, notes(1..=6));
    // A day that has really gone by is another matter.
    tokio::time::pause();
    tokio::time::advance(Duration::from_hours(24)).await;
    tokio::time::resume();
    shown.store(24 * HOUR, Ordering::Relaxed);
    assert!(!setup.publish_keyed("k").await.unwrap().is_repeat);
}
