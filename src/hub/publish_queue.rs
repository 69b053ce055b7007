//! The order of a stream: what waits to be stored, and what goes into the next batch.
//!
//! One batch is being stored at a time; whatever comes meanwhile is the next one. Tokens never touch the
//! store, but wait their turn behind durable events that came before them: one order, for everyone.

use std::{collections::VecDeque, sync::Arc};

use tokio::time::Instant;

use super::{
    broadcast::{PublishError, Published},
    budget::{Budget, Reserved},
};
use crate::{
    event::{Event, EventId, KeyedDigest},
    store::{AppendPublish, Outcome},
};

/// How many events go into one batch at most; a publish is never split.
const BATCH_EVENTS: usize = 1024;

/// How many bytes go into one batch at most; a publish is never split.
const BATCH_BYTES: usize = 1024 * 1024;

/// What an event takes in memory beside its payload, more or less: many small ones are much, too.
const EVENT_BYTES: usize = 128;

/// Events that were published together, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Publish<A> {
    pub(crate) events: Arc<[Event]>,
    pub(crate) key: Option<KeyedDigest>,
    pub(crate) accepted_at: Instant,
    pub(crate) answer: A,
}

impl<A> Publish<A> {
    fn is_durable(&self) -> bool {
        self.events.iter().any(|event| !event.is_transient())
    }

    fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.bytes() + EVENT_BYTES).sum()
    }

    /// What the publisher is answered, given what the store has made of the durable events.
    pub(crate) fn settle(&self, outcome: Option<Outcome>) -> Result<Published, PublishError> {
        let (mut next, is_repeat) = match outcome {
            None => (None, false),
            Some(Outcome::Stored(first)) => (Some(first), false),
            Some(Outcome::Repeated(first)) => (Some(first), true),
            Some(Outcome::KeyReused) => return Err(PublishError::KeyReused),
            Some(Outcome::Completed) => return Err(PublishError::Completed),
        };
        let mut take_id = |event: &Event| {
            let id = next.filter(|_| !event.is_transient())?;
            next = Some(EventId { seq: id.seq + 1, ..id });
            Some(id)
        };
        Ok(Published { ids: self.events.iter().map(&mut take_id).collect(), is_repeat })
    }
}

/// Publishes that become visible together.
#[derive(Debug)]
pub(crate) struct Batch<A> {
    pub(crate) publishes: Vec<Publish<A>>,
    /// The room that they take until they are settled.
    _reserved: Vec<Reserved>,
}

impl<A> Batch<A> {
    /// Whether anything has to be stored before anyone sees the batch.
    pub(crate) fn is_durable(&self) -> bool {
        self.publishes.iter().any(Publish::is_durable)
    }

    /// What the store is to append.
    pub(crate) fn take_appends(&mut self) -> Vec<AppendPublish> {
        let take = |publish: &mut Publish<A>| AppendPublish {
            events: Arc::clone(&publish.events),
            // There is nothing about tokens that could be repeated.
            key: publish.key.take().filter(|_| publish.is_durable()),
        };
        self.publishes.iter_mut().map(take).collect()
    }
}

#[derive(Debug)]
pub(crate) struct PublishQueue<A> {
    waiting: VecDeque<(Publish<A>, Reserved)>,
    waiting_max: usize,
    /// Bytes of data that wait, or are being stored.
    budget: Budget,
    is_storing: bool,
}

impl<A> PublishQueue<A> {
    pub(crate) fn new(waiting_max: usize, budget: Budget) -> Self {
        Self { waiting: VecDeque::new(), waiting_max, budget, is_storing: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.is_storing
    }

    /// Adds a publish, or hands it back if too many are waiting.
    pub(crate) fn push(&mut self, publish: Publish<A>) -> Result<(), Publish<A>> {
        if self.waiting.len() >= self.waiting_max {
            return Err(publish);
        }
        let Some(reserved) = self.budget.reserve(publish.bytes()) else {
            return Err(publish);
        };
        self.waiting.push_back((publish, reserved));
        Ok(())
    }

    /// The next batch, unless one is still being stored. After a batch with durable events nothing more
    /// comes until [`stored`](Self::stored).
    pub(crate) fn next_batch(&mut self) -> Option<Batch<A>> {
        if self.is_storing {
            return None;
        }
        let (mut publishes, mut reservations) = (Vec::new(), Vec::new());
        let (mut events, mut bytes) = (0, 0);
        while let Some((next, _)) = self.waiting.front() {
            events += next.events.len();
            bytes += next.bytes();
            if !publishes.is_empty() && (events > BATCH_EVENTS || bytes > BATCH_BYTES) {
                break;
            }
            // What comes after the end has to see whether it was stored.
            let is_final = next.events.iter().any(Event::is_final);
            let (next, reserved) = self.waiting.pop_front().unzip();
            publishes.extend(next);
            reservations.extend(reserved);
            if is_final {
                break;
            }
        }
        let is_empty = publishes.is_empty();
        let batch = (!is_empty).then_some(Batch { publishes, _reserved: reservations })?;
        self.is_storing = batch.is_durable();
        Some(batch)
    }

    /// The batch that was being stored is settled, one way or the other.
    pub(crate) fn stored(&mut self) {
        self.is_storing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::NewEvent, stream_key::StreamKind};

    fn publish(answer: u32, names: &[&str]) -> Publish<u32> {
        let event = |name: &&str| {
            let data = serde_json::json!({"speaker": "s", "token": "t"});
            Event::accept(StreamKind::Debate, &NewEvent::new(*name, &data).unwrap()).unwrap()
        };
        Publish {
            events: names.iter().map(event).collect(),
            key: None,
            accepted_at: Instant::now(),
            answer,
        }
    }

    fn next(queue: &mut PublishQueue<u32>) -> Option<Vec<u32>> {
        queue
            .next_batch()
            .map(|batch| batch.publishes.iter().map(|publish| publish.answer).collect())
    }

    #[test]
    fn what_comes_while_a_batch_is_stored_is_the_next_batch() {
        let mut queue = PublishQueue::new(100, Budget::new(10_000));
        queue.push(publish(1, &["note"])).unwrap();
        assert_eq!(next(&mut queue), Some(vec![1]));
        queue.push(publish(2, &["note", "note"])).unwrap();
        queue.push(publish(3, &["token"])).unwrap();
        queue.push(publish(4, &["note"])).unwrap();
        assert_eq!(next(&mut queue), None);
        queue.stored();
        assert_eq!(next(&mut queue), Some(vec![2, 3, 4]));
        queue.stored();
        assert!(queue.is_empty());
    }

    #[test]
    fn tokens_alone_wait_for_nothing() {
        let mut queue = PublishQueue::new(100, Budget::new(10_000));
        queue.push(publish(1, &["token"])).unwrap();
        assert_eq!(next(&mut queue), Some(vec![1]));
        queue.push(publish(2, &["token"])).unwrap();
        assert_eq!(next(&mut queue), Some(vec![2]));
    }

    #[test]
    fn what_comes_after_the_end_waits_for_the_end() {
        let mut queue = PublishQueue::new(100, Budget::new(10_000));
        queue.push(publish(1, &["note", "complete"])).unwrap();
        queue.push(publish(2, &["note"])).unwrap();
        assert_eq!(next(&mut queue), Some(vec![1]));
        assert_eq!(next(&mut queue), None);
        queue.stored();
        assert_eq!(next(&mut queue), Some(vec![2]));
    }

    #[test]
    fn a_key_is_stored_with_what_is_durable_only() {
        let mut queue = PublishQueue::new(100, Budget::new(10_000));
        for (answer, name) in [(1, "note"), (2, "token")] {
            let mut publish = publish(answer, &[name]);
            publish.key = Some(KeyedDigest::new("k".parse().unwrap(), &publish.events));
            queue.push(publish).unwrap();
        }
        let appended = queue.next_batch().unwrap().take_appends();
        let keyed: Vec<_> = appended.iter().map(|publish| publish.key.is_some()).collect();
        assert_eq!(keyed, [true, false]);
    }

    #[test]
    fn queues_are_bounded_in_bytes_each_and_together_and_take_more_once_they_are_gone() {
        let bytes = publish(0, &["note"]).bytes();
        let known = publish(0, &["token"]).bytes() - bytes;
        assert!(known > 0, "what is known of an event is in memory, too");
        let hub = Budget::new(3 * bytes);
        let queue = || PublishQueue::new(100, hub.part(2 * bytes));
        let (mut queue, mut other) = (queue(), queue());
        queue.push(publish(1, &["note"])).unwrap();
        queue.push(publish(2, &["note"])).unwrap();
        assert_eq!(queue.push(publish(3, &["note"])).unwrap_err().answer, 3, "the stream's bound");
        other.push(publish(4, &["note"])).unwrap();
        assert_eq!(other.push(publish(5, &["note"])).unwrap_err().answer, 5, "the hub's bound");
        let batch = queue.next_batch().unwrap();
        assert_eq!(batch.publishes.len(), 2);
        assert!(
            queue.push(publish(6, &["note"])).is_err(),
            "what is being stored is in memory, too"
        );
        drop(batch);
        queue.push(publish(7, &["note", "note"])).unwrap();
        drop(queue);
        other.push(publish(8, &["note"])).unwrap();
    }

    #[test]
    fn the_queue_and_its_batches_are_bounded() {
        let mut queue = PublishQueue::new(30, Budget::new(1_000_000));
        for answer in 0..30 {
            queue.push(publish(answer, &["note"; 100])).unwrap();
        }
        assert_eq!(queue.push(publish(30, &["note"])).unwrap_err().answer, 30);
        assert_eq!(next(&mut queue).unwrap().len(), 10);
    }
}
