//! The rules of a stream, as tables and short stories: no runtime, no clock, no network.

use std::ops::RangeInclusive;

use super::*;
use crate::event::{Epoch, NewEvent};

/// One subscriber of a stream, and everything that it has been sent.
struct Story {
    state: StreamState<&'static str>,
    /// What has been stored: frames of this many events.
    stored: Vec<Event>,
    snapshot: Snapshot,
    epoch: Epoch,
}

/// Events that are stored and not yet published.
struct Committed {
    events: Vec<Event>,
    ids: Vec<Option<EventId>>,
    snapshot: Option<Snapshot>,
}

fn event(name: &str, data: &str) -> Event {
    let new = NewEvent {
        name: name.into(),
        data: serde_json::value::RawValue::from_string(data.into()).unwrap(),
        transient: false,
    };
    Event::accept(crate::stream_key::StreamKind::Debate, &new).unwrap()
}

fn token(text: &str) -> Event {
    event("token", &format!(r#"{{"speaker":"Pro","token":"{text}"}}"#))
}

fn utterance(text: &str) -> Event {
    event(
        "utterance",
        &format!(r#"{{"id":"u","timestamp":1,"phase":"One","speaker":"Pro","content":"{text}"}}"#),
    )
}

/// A frame as a short word: `note 3`, `snapshot live 3`, `gap expired 2`.
fn words(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let frames = text.split_terminator("\n\n");
    frames
        .map(|frame| {
            let field =
                |name: &str| frame.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            let Some(name) = field("event") else {
                return field("retry").map_or("?", |_| "retry").to_owned();
            };
            let data: serde_json::Value = serde_json::from_str(field("data").unwrap()).unwrap();
            let said = match name {
                "snapshot" => data["status"].as_str(),
                "gap" => data["reason"].as_str(),
                "token" => data["token"].as_str(),
                _ => None,
            };
            let seq = field("id").map(|id| id.split_once('-').map_or(id, |(_, seq)| seq));
            [Some(name), said, seq].into_iter().flatten().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

impl Story {
    /// A stream whose ring holds this many events.
    fn new(ring: usize) -> Self {
        Self {
            state: StreamState::new("debate/d1".parse().unwrap(), History::new(ring, 1 << 20)),
            stored: Vec::new(),
            snapshot: Snapshot::default(),
            epoch: "k3v9x2a7".parse().unwrap(),
        }
    }

    /// The same stream after a restart: the store has everything, the ring nothing.
    fn restarted(&self, ring: usize) -> Self {
        let mut story = Self::new(ring);
        story.stored.clone_from(&self.stored);
        story.snapshot.clone_from(&self.snapshot);
        if !self.stored.is_empty() {
            story.state.restore(StoredStream {
                row: 1,
                key: "debate/d1".parse().unwrap(),
                tail: self.id(self.stored.len() as u64),
                snapshot: self.snapshot.clone(),
                created_at: 0,
                last_activity_at: 0,
            });
        }
        story
    }

    fn id(&self, seq: u64) -> EventId {
        EventId { epoch: self.epoch, seq }
    }

    fn with_notes(mut self, count: usize) -> Self {
        for _ in 0..count {
            self.publish(&[event("note", "{}")]);
        }
        self
    }

    /// Stores the durable events and gives them their ids; they are not yet published.
    fn commit(&mut self, events: &[Event]) -> Committed {
        let mut ids = Vec::new();
        for event in events {
            if event.is_transient() {
                ids.push(None);
                continue;
            }
            self.snapshot.apply(event.change());
            self.stored.push(event.clone());
            ids.push(Some(self.id(self.stored.len() as u64)));
        }
        let snapshot = ids.iter().any(Option::is_some).then(|| self.snapshot.clone());
        Committed { events: events.to_vec(), ids, snapshot }
    }

    fn release(&mut self, committed: Committed) -> Delivery {
        let Committed { events, ids, snapshot } = committed;
        let events: Vec<_> = events.iter().zip(ids).collect();
        self.state.publish(&events, snapshot)
    }

    fn publish(&mut self, events: &[Event]) -> Delivery {
        let committed = self.commit(events);
        self.release(committed)
    }

    /// Joins with this cursor; `None`: it was told to stay away.
    fn join(&mut self, subscriber: Uuid, cursor: Cursor) -> Option<Vec<String>> {
        let retry = Duration::from_secs(2);
        let frames = self.state.join(subscriber, "a", cursor, retry, 0)?;
        Some(words(&Bytes::from(frames)))
    }

    /// The stored events in this range, as the store answers a page.
    fn stored(&self, range: RangeInclusive<u64>) -> Vec<StoredEvent> {
        let stored = |seq: u64| {
            let event = self.stored.get(usize::try_from(seq).unwrap() - 1)?;
            Some(StoredEvent {
                seq,
                name: event.name().to_owned(),
                data: event.data().to_owned(),
                published_at: 0,
            })
        };
        range.map_while(stored).collect()
    }

    /// Asks for chunks, pages of two events among them, until the subscriber has caught up.
    fn catch_up(&mut self, subscriber: Uuid) -> (Vec<String>, Then) {
        let mut seen = Vec::new();
        for _ in 0..1000 {
            let chunk = match self.state.next(subscriber).expect("it is behind") {
                Next::Chunk(chunk) => chunk,
                Next::Read(cursor) => {
                    let page = self.stored(cursor.seq + 1..=cursor.seq + 2);
                    self.state.page(subscriber, &page).expect("it is behind")
                }
            };
            seen.extend(words(&chunk.bytes));
            if chunk.then != Then::More {
                return (seen, chunk.then);
            }
        }
        panic!("it never catches up: {seen:?}");
    }
}

const SUBSCRIBER: Uuid = Uuid::from_u128(1);

fn notes(range: RangeInclusive<u64>) -> Vec<String> {
    range.map(|seq| format!("note {seq}")).collect()
}

#[test]
fn every_cursor_is_caught_up_from_the_ring_and_from_the_store_alike() {
    let whole = Story::new(100).with_notes(7);
    let after = |seq| Cursor::After(EventId { seq, epoch: "k3v9x2a7".parse().unwrap() });
    let foreign = Cursor::After("zzzzzzzz-3".parse().unwrap());
    for (cursor, head, first) in [
        (Cursor::Now, vec![], 8),
        (Cursor::Earliest, vec![], 1),
        (after(0), vec![], 1),
        (after(3), vec![], 4),
        (after(6), vec![], 7),
        (after(7), vec![], 8),
        (after(8), vec!["gap ahead 0"], 1),
        (foreign, vec!["gap unknown 0"], 1),
        (Cursor::Malformed, vec!["gap malformed 0"], 1),
    ] {
        for mut story in [
            Story::new(100).with_notes(7),
            Story::new(3).with_notes(7),
            Story::new(1).with_notes(7),
            whole.restarted(100),
        ] {
            let greeting = [vec!["retry", "connected"], head.clone()].concat();
            assert_eq!(story.join(SUBSCRIBER, cursor).unwrap(), greeting, "{cursor:?}");
            assert!(!story.state.is_live(SUBSCRIBER));
            let (seen, then) = story.catch_up(SUBSCRIBER);
            let expected = [notes(first..=7), vec!["snapshot live 7".into()]].concat();
            assert_eq!((seen, then), (expected, Then::Live), "{cursor:?}");
            assert!(story.state.is_live(SUBSCRIBER));
            assert_eq!(story.state.next(SUBSCRIBER), None, "it asks for nothing more");
            assert_eq!(story.state.take_gaps(), head.len() as u64, "{cursor:?}");
            assert_eq!(story.state.take_gaps(), 0, "each is counted once");
        }
    }
}

#[test]
fn a_completed_stream_ends_after_what_the_cursor_asks_for() {
    let after = |seq| Cursor::After(EventId { seq, epoch: "k3v9x2a7".parse().unwrap() });
    for (cursor, first) in [
        (Cursor::Now, 4),
        (Cursor::Earliest, 1),
        (after(2), 3),
        (after(3), 4),
        (after(9), 1),
        (Cursor::Malformed, 1),
    ] {
        let mut whole = Story::new(100).with_notes(3);
        whole.publish(&[event("complete", "{}")]);
        for mut story in [whole.restarted(100), whole] {
            story.join(SUBSCRIBER, cursor).unwrap();
            let (seen, then) = story.catch_up(SUBSCRIBER);
            let end = ["snapshot completed 3", "complete 4"].map(str::to_owned);
            let expected = [notes(first..=3), end.to_vec()].concat();
            assert_eq!((seen, then), (expected, Then::End), "{cursor:?}");
            assert!(!story.state.is_live(SUBSCRIBER), "nothing more is delivered");
        }
    }
    let mut story = Story::new(100).with_notes(3);
    story.publish(&[event("complete", "{}")]);
    assert_eq!(story.join(SUBSCRIBER, after(4)), None, "it stays away");
    assert_eq!(story.state.subscriber_count(), 0);
}

#[test]
fn an_event_published_between_two_chunks_is_neither_lost_nor_doubled() {
    // Published before the first chunk, between the chunks, or after the last.
    for published_after in 0..=4 {
        for mut story in [
            Story::new(100).with_notes(5),
            Story::new(2).with_notes(5),
            Story::new(100).with_notes(5).restarted(100),
        ] {
            story.join(SUBSCRIBER, Cursor::Earliest).unwrap();
            let mut seen = Vec::new();
            let mut chunks = 0;
            loop {
                if chunks == published_after {
                    let delivery = story.publish(&[event("note", "{}")]);
                    if story.state.is_live(SUBSCRIBER) {
                        seen.extend(words(&delivery.bytes));
                    }
                }
                chunks += 1;
                if chunks > 10 {
                    break;
                }
                if story.state.is_live(SUBSCRIBER) {
                    continue;
                }
                let chunk = match story.state.next(SUBSCRIBER).unwrap() {
                    Next::Chunk(chunk) => chunk,
                    Next::Read(cursor) => {
                        let page = story.stored(cursor.seq + 1..=cursor.seq + 2);
                        story.state.page(SUBSCRIBER, &page).unwrap()
                    }
                };
                seen.extend(words(&chunk.bytes));
            }
            seen.retain(|frame| frame.starts_with("note"));
            assert_eq!(seen, notes(1..=6), "published after {published_after} chunks");
        }
    }
}

#[test]
fn what_is_committed_but_not_yet_published_is_left_to_the_publish() {
    let mut story = Story::new(100).with_notes(3).restarted(100);
    story.join(SUBSCRIBER, Cursor::Earliest).unwrap();
    let Some(Next::Read(cursor)) = story.state.next(SUBSCRIBER) else {
        panic!("the ring is empty")
    };
    // The store has the event; its answer has not come.
    let fourth = event("note", "{}");
    let committed = story.commit(std::slice::from_ref(&fourth));
    let page = story.stored(cursor.seq + 1..=10);
    assert_eq!(page.len(), 4);
    let chunk = story.state.page(SUBSCRIBER, &page).unwrap();
    let expected = [notes(1..=3), vec!["snapshot live 3".into()]].concat();
    assert_eq!((words(&chunk.bytes), chunk.then), (expected, Then::Live));
    let delivery = story.release(committed);
    assert_eq!(words(&delivery.bytes), notes(4..=4));

    // So too for the event that ends the stream.
    let mut story = Story::new(100).with_notes(3).restarted(100);
    story.join(SUBSCRIBER, Cursor::Earliest).unwrap();
    let end = event("complete", "{}");
    let committed = story.commit(std::slice::from_ref(&end));
    let chunk = story.state.page(SUBSCRIBER, &story.stored(1..=10)).unwrap();
    assert_eq!(chunk.then, Then::Live);
    let delivery = story.release(committed);
    assert!(delivery.is_final);
    assert_eq!(words(&delivery.bytes), ["complete 4"]);
}

#[test]
fn a_subscriber_that_falls_behind_goes_on_where_its_mailbox_ends() {
    for ring in [100, 2, 1] {
        let mut story = Story::new(ring).with_notes(2);
        story.join(SUBSCRIBER, Cursor::Now).unwrap();
        story.catch_up(SUBSCRIBER);
        let taken = story.publish(&[event("note", "{}"), event("note", "{}")]);
        assert_eq!(words(&taken.bytes), notes(3..=4));
        let refused = story.publish(&[token("x"), event("note", "{}"), token("y")]);
        assert_eq!(refused.after, 4);
        assert_eq!(story.state.fall_behind(SUBSCRIBER, refused.after), Some(&"a"));
        assert_eq!(story.state.live().count(), 0, "it is passed by");
        story.publish(&[event("note", "{}"), token("z")]);
        let (seen, then) = story.catch_up(SUBSCRIBER);
        let expected = [notes(5..=6), vec!["snapshot live 6".into()]].concat();
        assert_eq!((seen, then), (expected, Then::Live), "ring of {ring}");
        let open = &story.state.view().open;
        assert_eq!(open.len(), 1);
        assert_eq!(open.first().unwrap().text, "xyz", "its tokens are in the snapshot");
    }
}

#[test]
fn one_that_is_behind_when_the_stream_completes_gets_all_of_it_and_the_end() {
    for ring in [100, 1] {
        let mut story = Story::new(ring).with_notes(2);
        story.join(SUBSCRIBER, Cursor::Now).unwrap();
        story.catch_up(SUBSCRIBER);
        let refused = story.publish(&[event("note", "{}")]);
        story.state.fall_behind(SUBSCRIBER, refused.after);
        let end = story.publish(&[event("note", "{}"), event("complete", "{}")]);
        assert!(end.is_final);
        let (seen, then) = story.catch_up(SUBSCRIBER);
        let end = ["snapshot completed 4", "complete 5"].map(str::to_owned);
        assert_eq!(seen, [notes(3..=4), end.to_vec()].concat(), "ring of {ring}");
        assert_eq!(then, Then::End);
    }
}

#[test]
fn what_the_store_no_longer_has_is_a_gap_and_what_follows_is_replayed() {
    // (what the store still has, what is seen)
    for (has, expected) in [
        (4..=6, vec!["gap expired 3", "note 4", "note 5", "note 6", "snapshot live 6"]),
        (7..=7, vec!["gap expired 6", "snapshot live 6"]),
    ] {
        let mut story = Story::new(100).with_notes(6).restarted(100);
        story.join(SUBSCRIBER, Cursor::Earliest).unwrap();
        assert!(matches!(story.state.next(SUBSCRIBER), Some(Next::Read(_))));
        let page = story.stored(has);
        let chunk = story.state.page(SUBSCRIBER, &page).unwrap();
        assert_eq!(
            (words(&chunk.bytes), chunk.then),
            (expected.iter().map(|s| s.to_string()).collect(), Then::Live)
        );
        assert_eq!(story.state.take_gaps(), 1);
        let text = String::from_utf8(chunk.bytes.to_vec()).unwrap();
        assert!(text.contains(r#""requested":"k3v9x2a7-0","reason":"expired","missed":"#));
    }
}

#[test]
fn chunks_are_small_but_never_empty() {
    let mut story = Story::new(1000);
    let large = format!("\"{}\"", "x".repeat(CHUNK_BYTES));
    let small = format!("\"{}\"", "x".repeat(CHUNK_BYTES / 5));
    for data in [&large, &small, &small, &small, &small, &small, &large, &large] {
        story.publish(&[event("note", data)]);
    }
    story.join(SUBSCRIBER, Cursor::Earliest).unwrap();
    let mut sizes = Vec::new();
    loop {
        let Some(Next::Chunk(chunk)) = story.state.next(SUBSCRIBER) else {
            panic!("the ring has it all")
        };
        sizes.push(words(&chunk.bytes).len());
        if chunk.then == Then::Live {
            break;
        }
    }
    assert_eq!(sizes, [1, 4, 1, 1, 2], "the last one has the snapshot, too");
}

#[test]
fn the_ring_keeps_no_delivery_in_memory_for_a_small_part_of_it() {
    let token = token(&"x".repeat(1000));
    let note = event("note", &format!("\"{}\"", "x".repeat(1000)));
    for (notes, tokens, is_shared) in
        [(1, 0, true), (100, 0, true), (99, 1, true), (50, 50, false), (1, 99, false)]
    {
        let mut story = Story::new(256);
        let events = [vec![note.clone(); notes], vec![token.clone(); tokens]].concat();
        let delivery = story.publish(&events);
        let case = format!("{notes} notes and {tokens} tokens");
        assert_eq!(!delivery.bytes.is_unique(), is_shared, "{case}");
        let kept: Vec<_> = story.state.history.after(0).unwrap().collect();
        assert_eq!(kept.len(), notes, "{case}");
        for frame in kept {
            assert_eq!(words(&frame.bytes), [format!("note {}", frame.seq)], "{case}");
        }
    }
}

#[test]
fn tokens_have_no_id_and_do_not_move_the_tail() {
    let mut story = Story::new(100).with_notes(1);
    let delivery = story.publish(&[token("a"), utterance("a"), token("b")]);
    assert_eq!(words(&delivery.bytes), ["token a", "utterance 2", "token b"]);
    assert_eq!((delivery.is_durable, delivery.after), (true, 1));
    let delivery = story.publish(&[token("c")]);
    assert_eq!((delivery.is_durable, delivery.after), (false, 2));
    assert_eq!(story.state.view().open.first().unwrap().text, "bc");
    story.publish(&[utterance("bc")]);
    assert!(story.state.view().open.is_empty());
    assert_eq!(story.state.view().snapshot.turn_count, 2);
}

#[test]
fn a_stream_of_nothing_but_tokens_is_live_and_not_stored() {
    let mut story = Story::new(100);
    assert!(!story.state.has_begun());
    story.publish(&[token("a")]);
    assert!(story.state.has_begun() && !story.state.is_stored());
    assert!(story.state.is_being_spoken());
    story.join(SUBSCRIBER, Cursor::Now).unwrap();
    let (seen, then) = story.catch_up(SUBSCRIBER);
    assert_eq!((seen, then), (vec!["snapshot live earliest".into()], Then::Live));
}

#[test]
fn one_that_has_left_gets_nothing_and_counts_for_nothing() {
    let mut story = Story::new(100).with_notes(1);
    story.join(SUBSCRIBER, Cursor::Now).unwrap();
    let other = Uuid::from_u128(2);
    story.join(other, Cursor::Earliest).unwrap();
    story.catch_up(SUBSCRIBER);
    assert_eq!(story.state.subscriber_count(), 2);
    assert_eq!(story.state.view().subscribers, 2);
    assert_eq!(story.state.live().count(), 1);
    assert_eq!(story.state.handles().count(), 2);
    assert_eq!(story.state.leave(SUBSCRIBER), Some("a"));
    assert_eq!(story.state.leave(SUBSCRIBER), None);
    assert_eq!(story.state.live().count(), 0);
    assert_eq!(story.state.next(SUBSCRIBER), None);
    assert_eq!(story.state.page(SUBSCRIBER, &story.stored(1..=1)), None);
    assert_eq!(story.state.fall_behind(SUBSCRIBER, 0), None);
    story.state.leave(other);
    assert_eq!(story.state.subscriber_count(), 0);
}

#[test]
fn whoever_is_live_reads_what_another_node_has_stored() {
    for (stored_elsewhere, expected) in [
        (0, vec![]),
        (1, vec!["note 4", "note 5", "snapshot live 5"]),
        (3, vec!["note 4", "note 5", "note 6", "note 7", "snapshot live 7"]),
    ] {
        let mut story = Story::new(100).with_notes(3);
        story.join(SUBSCRIBER, Cursor::Now).unwrap();
        story.catch_up(SUBSCRIBER);
        for _ in 0..stored_elsewhere {
            story.commit(&[event("note", "{}")]);
        }
        let ours = story.commit(&[event("note", "{}")]);
        let first = ours.ids.first().unwrap().unwrap();
        let live = story.state.overtaken_by(first);
        assert_eq!(live.is_empty(), stored_elsewhere == 0);
        let delivery = story.release(ours);
        if stored_elsewhere == 0 {
            assert!(story.state.is_live(SUBSCRIBER));
            assert_eq!(words(&delivery.bytes), ["note 4"]);
        } else {
            let (seen, then) = story.catch_up(SUBSCRIBER);
            assert_eq!(
                (seen, then),
                (expected.iter().map(|s| s.to_string()).collect(), Then::Live)
            );
        }
    }
}
