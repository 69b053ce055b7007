//! A stream's rules against a small model: whatever happens in whatever order, each subscriber gets every
//! durable event after its cursor, once and in order, and a snapshot where it becomes live.

use std::collections::VecDeque;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::{
    event::{Epoch, NewEvent},
    hub::{
        budget::Budget,
        publish_queue::{Batch, Publish, PublishQueue},
    },
    stream_key::StreamKind,
};

const CLIENTS: usize = 4;
const EPOCH: &str = "k3v9x2a7";

/// What may happen next.
#[derive(Debug, Clone)]
enum Step {
    /// A publish of so many durable events, and so many tokens among them.
    Publish {
        durable: usize,
        tokens: usize,
    },
    Complete,
    /// The batch that waits reaches the disk; its answer is still on the way.
    Commit,
    /// The answer comes. Those subscribers of whom the mask says so have no room for the delivery.
    Answer {
        full: u8,
    },
    /// The commit fails, and may have reached the disk.
    Fail {
        has_landed: bool,
    },
    /// Another process stores some.
    Elsewhere {
        events: usize,
    },
    Join {
        client: usize,
        from: Origin,
    },
    /// Asks for a chunk; the store answers with so many events at most.
    Ask {
        client: usize,
        page: usize,
    },
    /// Reads one delivery from its mailbox.
    Read {
        client: usize,
    },
    Leave {
        client: usize,
    },
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Origin {
    Now,
    Earliest,
    /// Where it left off.
    Resume,
    Malformed,
    Ahead,
    Foreign,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let from = prop::sample::select(
        &[
            Origin::Now,
            Origin::Earliest,
            Origin::Resume,
            Origin::Malformed,
            Origin::Ahead,
            Origin::Foreign,
        ][..],
    );
    prop_oneof![
        8 => (0..4_usize, 0..3_usize)
            .prop_map(|(durable, tokens)| Step::Publish { durable, tokens }),
        1 => Just(Step::Complete),
        8 => Just(Step::Commit),
        // Most deliveries find room.
        8 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| Step::Answer { full: a & b }),
        2 => any::<bool>().prop_map(|has_landed| Step::Fail { has_landed }),
        1 => (1..3_usize).prop_map(|events| Step::Elsewhere { events }),
        6 => (client.clone(), from).prop_map(|(client, from)| Step::Join { client, from }),
        16 => (client.clone(), 1..5_usize).prop_map(|(client, page)| Step::Ask { client, page }),
        8 => client.clone().prop_map(|client| Step::Read { client }),
        2 => client.prop_map(|client| Step::Leave { client }),
        1 => Just(Step::Restart),
    ]
}

/// One connection, as its far end sees it.
#[derive(Debug)]
struct Client {
    id: Uuid,
    /// The last durable event it has, or the place where it was told to begin.
    last: u64,
    /// It has had the snapshot, and nothing has overtaken it since.
    is_live: bool,
    has_ended: bool,
    /// Deliveries that it has not read.
    mailbox: VecDeque<Bytes>,
}

struct World {
    state: StreamState<usize>,
    queue: PublishQueue<u32>,
    /// What the store has.
    disk: Vec<Event>,
    folded: Snapshot,
    ring: usize,
    under_way: Option<UnderWay>,
    clients: [Option<Client>; CLIENTS],
    /// What each client has come to over all of its connections, to resume from.
    cursors: [u64; CLIENTS],
    connections: u128,
    tokens: u64,
}

/// A batch that is with the store.
struct UnderWay {
    batch: Batch<u32>,
    /// Its durable events have these ids.
    ids: Option<Vec<EventId>>,
    snapshot: Snapshot,
}

fn event(name: &str, data: &str) -> Event {
    let data = serde_json::value::RawValue::from_string(data.into()).unwrap();
    let new = NewEvent { name: name.into(), data, transient: false };
    Event::accept(StreamKind::Debate, &new).unwrap()
}

fn id(seq: u64) -> EventId {
    EventId { epoch: EPOCH.parse::<Epoch>().unwrap(), seq }
}

fn fresh(ring: usize) -> StreamState<usize> {
    StreamState::new("debate/d1".parse().unwrap(), History::new(ring, 1 << 20))
}

impl World {
    fn new(ring: usize) -> Self {
        Self {
            state: fresh(ring),
            queue: PublishQueue::new(100, Budget::new(1 << 20)),
            disk: Vec::new(),
            folded: Snapshot::default(),
            ring,
            under_way: None,
            clients: [const { None }; CLIENTS],
            cursors: [0; CLIENTS],
            connections: 0,
            tokens: 0,
        }
    }

    fn tail(&self) -> u64 {
        self.disk.len() as u64
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Publish { durable, tokens } => self.publish(durable, tokens),
            Step::Complete => self.push(vec![event("complete", "{}")]),
            Step::Commit => self.commit(),
            Step::Answer { full } => self.answer(full),
            Step::Fail { has_landed } => self.fail(has_landed),
            Step::Elsewhere { events } => {
                for _ in 0..events {
                    self.store(&event("note", "{}"));
                }
            }
            Step::Join { client, from } => self.join(client, from),
            Step::Ask { client, page } => self.ask(client, page),
            Step::Read { client } => self.read(client),
            Step::Leave { client } => self.leave(client),
            Step::Restart => self.restart(),
        }
    }

    fn publish(&mut self, durable: usize, tokens: usize) {
        let mut events = vec![event("note", "{}"); durable];
        for _ in 0..tokens {
            self.tokens += 1;
            let token = format!(r#"{{"speaker":"s","token":"{}"}}"#, self.tokens);
            events.insert(events.len() / 2, event("token", &token));
        }
        if !events.is_empty() {
            self.push(events);
        }
    }

    fn push(&mut self, events: Vec<Event>) {
        // Full is as good as refused.
        let _ = self.queue.push(Publish {
            events: events.into(),
            key: None,
            accepted_at: Instant::now(),
            answer: 0,
        });
    }

    /// Stores one event, unless the stream has ended.
    fn store(&mut self, event: &Event) -> Option<EventId> {
        if self.folded.status == Status::Completed {
            return None;
        }
        self.disk.push(event.clone());
        self.folded.apply(event.change());
        Some(id(self.tail()))
    }

    fn commit(&mut self) {
        if self.under_way.is_none() {
            let Some(batch) = self.queue.next_batch() else { return };
            if !batch.is_durable() {
                if !self.state.is_completed() {
                    self.release(&batch, Vec::new(), None, 0);
                }
                return;
            }
            let snapshot = Snapshot::default();
            self.under_way = Some(UnderWay { batch, ids: None, snapshot });
        }
        let Some(mut under_way) = self.under_way.take() else { return };
        if under_way.ids.is_none() {
            let durable: Vec<_> = under_way
                .batch
                .publishes
                .iter()
                .flat_map(|publish| publish.events.iter())
                .filter(|event| !event.is_transient())
                .collect();
            under_way.ids = Some(durable.iter().map_while(|event| self.store(event)).collect());
            under_way.snapshot = self.folded.clone();
        }
        self.under_way = Some(under_way);
    }

    fn answer(&mut self, full: u8) {
        let Some(UnderWay { batch, ids: Some(ids), snapshot }) =
            self.under_way.take_if(|under_way| under_way.ids.is_some())
        else {
            return;
        };
        if let Some(first) = ids.first() {
            self.catch_up_to(*first);
            self.release(&batch, ids, Some(snapshot), full);
        }
        self.queue.stored();
    }

    fn fail(&mut self, has_landed: bool) {
        if has_landed {
            self.commit();
        }
        if self.under_way.take().is_none() {
            return;
        }
        if self.tail() > 0 {
            self.catch_up_to(id(self.tail() + 1));
            self.state.restore(self.stored());
        }
        self.queue.stored();
    }

    /// Those who were live are told to read on from the store, after what is in their mailboxes.
    fn catch_up_to(&mut self, next: EventId) {
        for subscriber in self.state.overtaken_by(next) {
            assert!(!self.state.is_live(subscriber));
        }
    }

    fn release(
        &mut self,
        batch: &Batch<u32>,
        ids: Vec<EventId>,
        snapshot: Option<Snapshot>,
        full: u8,
    ) {
        let mut ids = ids.into_iter();
        let mut events = Vec::new();
        for event in batch.publishes.iter().flat_map(|publish| publish.events.iter()) {
            if event.is_transient() {
                events.push((event, None));
            } else if let Some(id) = ids.next() {
                events.push((event, Some(id)));
            }
        }
        let delivery = self.state.publish(&events, snapshot);
        let live: Vec<_> = self.state.live().map(|(id, client)| (id, *client)).collect();
        for (subscriber, client) in live {
            if full & (1 << client) == 0 {
                let client = self.clients[client].as_mut().unwrap();
                client.mailbox.push_back(delivery.bytes.clone());
            } else {
                self.state.fall_behind(subscriber, delivery.after);
            }
        }
    }

    fn join(&mut self, client: usize, from: Origin) {
        self.leave(client);
        let known = self.state.tail().map_or(0, |tail| tail.seq);
        let (is_over, has_any) = (self.state.is_completed(), known > 0);
        let resumed = self.cursors[client];
        let (cursor, last) = match from {
            Origin::Now => (Cursor::Now, known - u64::from(is_over)),
            Origin::Earliest => (Cursor::Earliest, 0),
            Origin::Resume if resumed > known => (Cursor::After(id(resumed)), 0),
            Origin::Resume => (Cursor::After(id(resumed)), resumed),
            Origin::Malformed => (Cursor::Malformed, 0),
            Origin::Ahead => (Cursor::After(id(known + 7)), 0),
            Origin::Foreign => (Cursor::After("zzzzzzzz-1".parse().unwrap()), 0),
        };
        self.connections += 1;
        let subscriber = Uuid::from_u128(self.connections);
        let greeting = self.state.join(subscriber, client, cursor, Duration::from_secs(1), 0);
        let Some(greeting) = greeting else {
            assert!(
                is_over && resumed == known && matches!(from, Origin::Resume),
                "told to stay away"
            );
            return;
        };
        let greeting = Bytes::from(greeting);
        let has_gap = frames(&greeting).iter().any(|frame| frame.name == "gap");
        let is_told = matches!(from, Origin::Malformed | Origin::Ahead | Origin::Foreign)
            || (matches!(from, Origin::Resume) && (resumed > known || !has_any));
        assert_eq!(has_gap, is_told, "{from:?}");
        self.clients[client] = Some(Client {
            id: subscriber,
            last,
            is_live: false,
            has_ended: false,
            mailbox: VecDeque::new(),
        });
    }

    /// As the actor does: what is in the mailbox is read first.
    fn ask(&mut self, client: usize, page: usize) {
        while self.clients[client].as_ref().is_some_and(|client| !client.mailbox.is_empty()) {
            self.read(client);
        }
        let Some(id) = self.clients[client].as_ref().map(|client| client.id) else { return };
        let chunk = match self.state.next(id) {
            None => return,
            Some(Next::Chunk(chunk)) => chunk,
            Some(Next::Read(after)) => {
                let page = self.page(after.seq, page);
                self.state.page(id, &page).unwrap()
            }
        };
        let client_state = self.clients[client].as_mut().unwrap();
        client_state.is_live = false;
        client_state.receive(&chunk.bytes, false);
        match chunk.then {
            Then::More => assert!(!client_state.has_ended),
            Then::Live => {
                assert!(client_state.is_live, "the snapshot is the last of it");
                assert!(self.state.is_live(id));
            }
            Then::End => assert!(client_state.has_ended, "the end is the last of it"),
        }
        self.cursors[client] = client_state.last;
        if chunk.then == Then::End {
            self.leave(client);
        }
    }

    fn read(&mut self, client: usize) {
        let Some(client_state) = self.clients[client].as_mut() else { return };
        let Some(delivery) = client_state.mailbox.pop_front() else { return };
        client_state.receive(&delivery, true);
        self.cursors[client] = client_state.last;
        if client_state.has_ended {
            self.leave(client);
        }
    }

    fn leave(&mut self, client: usize) {
        if let Some(client) = self.clients[client].take() {
            assert!(self.state.leave(client.id).is_some());
        }
    }

    fn restart(&mut self) {
        self.clients = [const { None }; CLIENTS];
        self.under_way = None;
        self.queue = PublishQueue::new(100, Budget::new(1 << 20));
        self.state = fresh(self.ring);
        if self.tail() > 0 {
            self.state.restore(self.stored());
        }
    }

    fn stored(&self) -> StoredStream {
        StoredStream {
            row: 1,
            key: "debate/d1".parse().unwrap(),
            tail: id(self.tail()),
            snapshot: self.folded.clone(),
            created_at: 0,
            last_activity_at: 0,
        }
    }

    /// What the store has after this event.
    fn page(&self, after: u64, events: usize) -> Vec<StoredEvent> {
        let stored = |(event, seq): (&Event, u64)| StoredEvent {
            seq,
            name: event.name().to_owned(),
            data: event.data().to_owned(),
            published_at: 0,
        };
        self.disk.iter().zip(1..).filter(|(_, seq)| *seq > after).take(events).map(stored).collect()
    }

    /// In the end all is quiet, and everyone who is still there has everything.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.commit();
            self.answer(0);
        }
        assert!(self.queue.is_empty(), "nothing waits for ever");
        let known = self.state.tail().map_or(0, |tail| tail.seq);
        for client in 0..CLIENTS {
            for _ in 0..200 {
                self.ask(client, 3);
            }
            if let Some(client) = &self.clients[client] {
                assert!(client.is_live && self.state.is_live(client.id), "{client:?}");
                assert_eq!(client.last, known, "{client:?}");
            }
        }
    }
}

#[derive(Debug)]
struct Seen {
    name: String,
    seq: Option<u64>,
    data: serde_json::Value,
}

fn frames(bytes: &[u8]) -> Vec<Seen> {
    let text = std::str::from_utf8(bytes).unwrap();
    let frame = |frame: &str| {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        let seq = field("id: ").map(|id| match id.split_once('-') {
            Some((epoch, seq)) => {
                assert_eq!(epoch, EPOCH);
                seq.parse().unwrap()
            }
            None => 0,
        });
        let data = serde_json::from_str(field("data: ")?).unwrap();
        Some(Seen { name: field("event: ")?.to_owned(), seq, data })
    };
    text.split_terminator("\n\n").filter_map(frame).collect()
}

impl Client {
    fn receive(&mut self, bytes: &[u8], is_delivery: bool) {
        for seen in frames(bytes) {
            assert!(!self.has_ended, "nothing follows the end: {seen:?}");
            match (seen.name.as_str(), seen.seq) {
                ("snapshot", seq) => {
                    assert!(!is_delivery, "snapshots come with chunks");
                    assert_eq!(seq, Some(self.last), "it stands where its reader is");
                    self.is_live = seen.data["status"] != "completed";
                }
                ("gap", _) => panic!("nothing is missing: {seen:?}"),
                ("token", None) => assert!(self.is_live, "tokens are for the live"),
                (name, Some(seq)) => {
                    assert_eq!(seq, self.last + 1, "each once and in order: {name}");
                    self.last = seq;
                    self.has_ended = name == "complete";
                }
                (name, None) => panic!("{name} has no id"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_everyone_gets_everything_once_and_in_order(
        ring in 1..6_usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(ring);
        for step in &steps {
            world.take(step);
        }
        world.settle();
    }
}
