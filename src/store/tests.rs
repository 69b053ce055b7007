//! The races of a store, each forced: commits that fail halfway, hubs that share it, clocks that are set.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use diesel::{
    Connection, QueryableByName, RunQueryDsl, connection::InstrumentationEvent, sql_types::Text,
};

use super::{
    append::{KNOWN_MAX, KNOWN_TEXT_MAX, KnownStreams},
    *,
};
use crate::event::{Event, EventId, IdempotencyKey, KeyedDigest, NewEvent};

const DAY: i64 = KEY_LIFETIME.as_millis() as i64;
const NOW: i64 = 1_700_000_000_000;

struct Setup {
    store: Store,
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::file(folder.path().join("test.db"))).unwrap();
        Self { store, folder }
    }

    fn connection(&self) -> SqliteConnection {
        connection::reopen(&DatabaseUrl::file(self.folder.path().join("test.db"))).unwrap()
    }

    fn sabotage(&self, statements: &str) {
        sabotage::execute(&self.folder.path().join("test.db"), statements);
    }

    /// One publish of these events, under this key, at this time of day.
    async fn publish(
        &self,
        names: &[&str],
        key: Option<&str>,
        now_ms: i64,
    ) -> Result<Outcome, StoreError> {
        Ok(self.store.append(append(names, key, now_ms)).await?.outcomes.remove(0))
    }

    async fn tail(&self) -> u64 {
        self.store.load(&stream()).await.unwrap().map_or(0, |stream| stream.tail.seq)
    }
}

fn stream() -> StreamKey {
    "debate/d1".parse().unwrap()
}

fn append(names: &[&str], key: Option<&str>, now_ms: i64) -> Append {
    let events: Arc<[_]> = names.iter().map(|name| event(name)).collect();
    let digest = |key: &str| KeyedDigest::new(key.parse::<IdempotencyKey>().unwrap(), &events);
    let publish = AppendPublish { key: key.map(digest), events: Arc::clone(&events) };
    Append { stream: stream(), publishes: vec![publish], now_ms, keys_expired_at_ms: now_ms - DAY }
}

fn event(name: &str) -> Event {
    Event::accept(StreamKind::Debate, &NewEvent::new(name, &1).unwrap()).unwrap()
}

/// Appends with nothing known of the stream.
fn append_anew(conn: &mut SqliteConnection, append: &Append) -> Appended {
    append::append(conn, &mut KnownStreams::default(), append).unwrap()
}

#[track_caller]
fn stored(outcome: Result<Outcome, StoreError>) -> u64 {
    match outcome.unwrap() {
        Outcome::Stored(id) => id.seq,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_publish_that_fails_halfway_leaves_neither_a_part_of_it_nor_a_hole() {
    let setup = Setup::new();
    assert_eq!(stored(setup.publish(&["note"], None, NOW).await), 1);
    setup.sabotage(
        "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.name = 'unlucky'
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    );
    for _ in 0..3 {
        let failed = setup.publish(&["note", "note", "unlucky"], Some("k"), NOW).await;
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
        assert_eq!(setup.tail().await, 1);
    }
    setup.sabotage("DROP TRIGGER full");
    assert_eq!(stored(setup.publish(&["note", "note", "unlucky"], Some("k"), NOW).await), 2);
    let cursor = EventId { seq: 0, ..setup.store.load(&stream()).await.unwrap().unwrap().tail };
    let limits = PageLimits { events: 100, bytes: usize::MAX };
    let page = setup.store.page(&stream(), cursor, limits).await.unwrap();
    let page: Vec<_> = page.iter().map(|event| (event.seq, event.name.as_str())).collect();
    assert_eq!(page, [(1, "note"), (2, "note"), (3, "note"), (4, "unlucky")]);
}

#[tokio::test]
async fn only_what_is_durable_is_stored_and_its_numbers_have_no_hole() {
    let setup = Setup::new();
    let token = NewEvent::new("token", &serde_json::json!({ "speaker": "s", "token": "t" }));
    let token = Event::accept(StreamKind::Debate, &token.unwrap()).unwrap();
    let mut append = append(&[], None, NOW);
    append.publishes =
        vec![AppendPublish { events: [event("a"), token, event("b")].into(), key: None }];
    let appended = setup.store.append(append).await.unwrap();
    let start = EventId { seq: 0, ..appended.tail };
    let limits = PageLimits { events: 10, bytes: usize::MAX };
    let page = setup.store.page(&stream(), start, limits).await.unwrap();
    let page: Vec<_> = page.iter().map(|event| (event.seq, event.name.as_str())).collect();
    assert_eq!(page, [(1, "a"), (2, "b")]);
}

#[tokio::test]
async fn a_database_is_one_stores_and_free_once_that_is_gone() {
    let Setup { store, folder } = Setup::new();
    let url = DatabaseUrl::file(folder.path().join("test.db"));
    let refused = Store::open(&url).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    let handle = store.clone();
    drop(store);
    assert!(Store::open(&url).is_err(), "one handle is left");
    drop(handle);
    Store::open(&url).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_is_one_stores_by_whatever_name_it_is_opened() {
    use std::{fs, os::unix::fs::symlink};

    let names = ["real/test.db", "folder/test.db", "link.db", "twice.db", "real/../link.db"];
    // The first time, whatever its name, there is no file yet.
    for first in names {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        symlink(at("real"), at("folder")).unwrap();
        symlink("real/test.db", at("link.db")).unwrap();
        symlink(at("link.db"), at("twice.db")).unwrap();
        symlink("loop.db", at("loop.db")).unwrap();
        let _store = Store::open(&DatabaseUrl::file(at(first))).unwrap();
        for second in names {
            let refused = Store::open(&DatabaseUrl::file(at(second))).unwrap_err();
            assert!(matches!(refused, StoreError::InUse { .. }), "{first}, {second}: {refused}");
        }
        for wrong in ["missing/test.db", "loop.db"] {
            let refused = Store::open(&DatabaseUrl::file(at(wrong))).unwrap_err();
            assert!(matches!(refused, StoreError::Open { .. }), "{wrong}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_key_is_kept_for_a_day_and_not_for_longer() {
    let setup = Setup::new();
    assert_eq!(stored(setup.publish(&["note"], Some("k"), NOW).await), 1);
    let repeated = setup.publish(&["note"], Some("k"), NOW + DAY - 1).await.unwrap();
    assert!(matches!(repeated, Outcome::Repeated(id) if id.seq == 1), "{repeated:?}");
    assert_eq!(stored(setup.publish(&["note"], Some("k"), NOW + DAY).await), 2);
    let repeated = setup.publish(&["note"], Some("k"), NOW + DAY).await.unwrap();
    assert!(matches!(repeated, Outcome::Repeated(id) if id.seq == 2), "{repeated:?}");
}

#[test]
fn each_query_is_a_look_up_in_an_index_and_none_scans_a_table() {
    #[derive(Debug, QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    let setup = Setup::new();
    let mut conn = setup.connection();
    let statements = watch(&mut conn);
    for _ in 0..2 {
        append_anew(&mut conn, &append(&["note"], Some("key"), NOW));
    }
    let tail = read::load(&mut conn, &stream()).unwrap().unwrap().tail;
    let limits = PageLimits { events: 10, bytes: 1000 };
    read::page(&mut conn, &stream(), EventId { seq: 0, ..tail }, limits).unwrap();
    read::list(&mut conn, StreamKind::Debate, None, 10).unwrap();

    let Statements { run, .. } = std::mem::take(&mut *statements.lock().unwrap());
    let plans: Vec<(&String, Vec<Step>)> = run
        .iter()
        .filter(|text| ["SELECT", "UPDATE", "DELETE"].iter().any(|verb| text.starts_with(verb)))
        .map(|text| {
            let explain = diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}"));
            (text, explain.load(&mut conn).unwrap())
        })
        .collect();
    assert!(plans.len() >= 6, "{plans:#?}");
    for (text, plan) in &plans {
        assert!(plan.iter().all(|step| step.detail.starts_with("SEARCH ")), "{text}: {plan:?}");
    }
}

#[test]
fn each_statement_of_an_append_is_parsed_once() {
    let setup = Setup::new();
    let mut conn = setup.connection();
    let statements = watch(&mut conn);
    for key in ["one", "two", "two"] {
        append_anew(&mut conn, &append(&["note", "pause"], Some(key), NOW));
    }
    let Statements { run, kept } = std::mem::take(&mut *statements.lock().unwrap());
    assert!(run.len() >= 6, "{run:#?}");
    for text in run {
        assert!(kept.iter().any(|kept| text.starts_with(kept)), "diesel does not keep {text}");
        assert!(!text.contains(" LIMIT "), "SQLite parses this again for each value: {text}");
    }
}

#[test]
fn a_stream_is_looked_up_once_unless_it_has_much_text() {
    let setup = Setup::new();
    let mut conn = setup.connection();
    let statements = watch(&mut conn);
    let looks_up = |conn: &mut SqliteConnection, known: &mut KnownStreams, append: &Append| {
        std::mem::take(&mut *statements.lock().unwrap());
        append::append(conn, known, append).unwrap();
        statements.lock().unwrap().run.iter().any(|text| text.starts_with("SELECT "))
    };
    let started = |stream: &str, title: &str| {
        let data = serde_json::json!({ "title": title });
        let event = NewEvent::new("debate_started", &data).unwrap();
        let events = [Event::accept(StreamKind::Debate, &event).unwrap()];
        let publishes = vec![AppendPublish { events: events.into(), key: None }];
        let stream = format!("debate/{stream}").parse().unwrap();
        Append { stream, publishes, now_ms: NOW, keys_expired_at_ms: NOW - DAY }
    };
    let mut known = KnownStreams::default();
    for (stream, len, at_each_append) in
        [("short", KNOWN_TEXT_MAX, false), ("long", KNOWN_TEXT_MAX + 1, true)]
    {
        let append = started(stream, &"t".repeat(len));
        assert!(looks_up(&mut conn, &mut known, &append));
        for _ in 0..2 {
            assert_eq!(looks_up(&mut conn, &mut known, &append), at_each_append, "{stream}");
        }
    }
    conn.transaction(|conn| {
        (0..KNOWN_MAX).try_for_each(|number| {
            append::append(conn, &mut known, &started(&number.to_string(), "t")).map(drop)
        })
    })
    .unwrap();
    let append = started("short", "t");
    assert!(looks_up(&mut conn, &mut known, &append), "only so many are known");
    assert!(!looks_up(&mut conn, &mut known, &append));
}

#[test]
fn what_is_known_of_a_stream_is_what_the_database_has() {
    let (knowing, asking) = (Setup::new(), Setup::new());
    let (mut knowing, mut asking) = (knowing.connection(), asking.connection());
    let mut known = KnownStreams::default();
    let together = |one: Append, other: Append| Append {
        publishes: one.publishes.into_iter().chain(other.publishes).collect(),
        ..one
    };
    let seen = |Appended { outcomes, tail, snapshot }: Appended| {
        let outcome = |outcome| match outcome {
            Outcome::Stored(id) => ("stored", id.seq),
            Outcome::Repeated(id) => ("repeated", id.seq),
            Outcome::KeyReused => ("reused", 0),
            Outcome::Completed => ("completed", 0),
        };
        (outcomes.into_iter().map(outcome).collect::<Vec<_>>(), tail.seq, snapshot)
    };
    for (number, append) in [
        append(&["note"], None, NOW),
        append(&["pause", "note"], Some("k"), NOW),
        append(&["pause", "note"], Some("k"), NOW + 1),
        append(&["note"], Some("k"), NOW + 2),
        together(append(&["resume"], Some("l"), NOW), append(&["resume"], Some("l"), NOW)),
        append(&["note"], Some("k"), NOW + DAY),
        together(append(&["note"], None, NOW), append(&["complete"], Some("end"), NOW)),
        append(&["note"], None, NOW),
        append(&["complete"], Some("end"), NOW),
    ]
    .iter()
    .enumerate()
    {
        let by_heart = append::append(&mut knowing, &mut known, append).unwrap();
        assert_eq!(seen(by_heart), seen(append_anew(&mut asking, append)), "{number}");
    }
}

#[tokio::test]
async fn a_row_that_has_become_another_streams_is_not_written() {
    let setup = Setup::new();
    assert_eq!(stored(setup.publish(&["note"], None, NOW).await), 1);
    setup.sabotage(
        "DELETE FROM events; DELETE FROM streams;
         INSERT INTO streams (id, kind, name, epoch, last_seq, status, turn_count, created_at, last_activity_at)
         VALUES (1, 'debate', 'other', 'aaaaaaaa', 0, 'waiting', 0, 0, 0)",
    );
    setup.publish(&["note"], None, NOW).await.unwrap_err();
    assert_eq!(stored(setup.publish(&["note"], None, NOW).await), 1, "it begins anew");
    let other = setup.store.load(&"debate/other".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(other.tail.seq, 0);
}

#[tokio::test]
async fn after_a_checkpoint_one_file_is_the_whole_history() {
    let setup = Setup::new();
    let (first, second) = (append(&["note"], None, NOW), append(&["note"], None, NOW));
    let (first, second, moved) = tokio::join!(
        setup.store.append(first),
        setup.store.append(second),
        setup.store.checkpoint()
    );
    first.unwrap();
    second.unwrap();
    moved.unwrap();
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("copy.db");
    std::fs::copy(setup.folder.path().join("test.db"), &file).unwrap();
    let copy = Store::open(&DatabaseUrl::file(file)).unwrap();
    assert_eq!(copy.load(&stream()).await.unwrap().unwrap().tail.seq, 2);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_gets_nowhere_is_not_waited_for() {
    let setup = Setup::new();
    let held = sabotage::Held::new(&setup.folder.path().join("test.db"));
    let error = setup.store.checkpoint().await.unwrap_err();
    assert!(error.to_string().contains("takes too long"), "{error}");
    drop(held);
}

#[test]
fn a_page_reads_no_event_that_is_not_on_it_and_leaves_the_database_alone_after() {
    let setup = Setup::new();
    let mut conn = setup.connection();
    let appended = append_anew(&mut conn, &append(&["note"; 4], None, NOW));
    // Who reads this one fails.
    setup.sabotage("UPDATE events SET data = x'ff' WHERE seq = 4");
    let page = |conn: &mut SqliteConnection, events, bytes| {
        let start = EventId { seq: 0, ..appended.tail };
        read::page(conn, &stream(), start, PageLimits { events, bytes }).map(|page| page.len()).ok()
    };
    assert_eq!(page(&mut conn, 4, usize::MAX), None);
    for (events, bytes, expected) in [(3, usize::MAX, 3), (4, 0, 1)] {
        assert_eq!(page(&mut conn, events, bytes), Some(expected));
        // A read that is not over would hold it back.
        assert!(connection::checkpoint(&mut setup.connection()).unwrap());
    }
}

/// The statements that a connection has run, with their values, and those that diesel keeps prepared.
#[derive(Default)]
struct Statements {
    run: BTreeSet<String>,
    kept: BTreeSet<String>,
}

fn watch(conn: &mut SqliteConnection) -> Arc<Mutex<Statements>> {
    let statements = Arc::<Mutex<Statements>>::default();
    let seen = Arc::clone(&statements);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let mut seen = seen.lock().unwrap();
        let _ = match event {
            InstrumentationEvent::StartQuery { query, .. } => seen.run.insert(query.to_string()),
            InstrumentationEvent::CacheQuery { sql, .. } => seen.kept.insert(sql.to_owned()),
            _ => false,
        };
    });
    statements
}
