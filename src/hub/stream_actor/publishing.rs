//! The way of an event: from the queue to the store, from the store to the subscribers.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture, fut};
use tokio::time::Instant;

use super::StreamActor;
use crate::{
    event::EventId,
    hub::{
        answer::Answer, broadcast::PublishError, delivery::Delivery, messages::Deliver,
        publish_queue::Batch, subscriber::Undelivered,
    },
    store::{Append, Appended, KEY_LIFETIME},
};

impl StreamActor {
    /// Looks at the queue once all mail is read, so that what comes together goes out together.
    pub(super) fn flush_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.is_flush_due {
            self.is_flush_due = true;
            ctx.spawn(fut::ready(()).map(|(), actor: &mut Self, ctx| {
                actor.is_flush_due = false;
                actor.flush(ctx);
            }));
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        while let Some(batch) = self.queue.next_batch() {
            if batch.is_durable() {
                self.store(batch, ctx);
            } else if self.state.is_completed() {
                batch.refuse(&PublishError::Completed);
            } else {
                self.release(batch, None);
            }
        }
    }

    fn store(&self, mut batch: Batch<Answer>, ctx: &mut Context<Self>) {
        let append = Append {
            stream: self.key.clone(),
            publishes: batch.take_appends(),
            now_ms: self.clock.now_ms(),
            keys_expired_at_ms: self.clock.surely_ago(KEY_LIFETIME),
        };
        let store = self.store.clone();
        let stored = async move { store.append(append).await };
        ctx.spawn(stored.into_actor(self).map(|outcome, actor, ctx| match outcome {
            Ok(appended) => {
                actor.release(batch, Some(appended));
                actor.queue.stored();
                actor.flush(ctx);
            }
            Err(_) => {
                batch.refuse(&PublishError::Unavailable);
                actor.look_again(ctx);
            }
        }));
    }

    /// Sends a batch to the subscribers and answers its publishers.
    fn release(&mut self, batch: Batch<Answer>, appended: Option<Appended>) {
        let (outcomes, tail, snapshot) = match appended {
            Some(Appended { outcomes, tail, snapshot }) => (outcomes, Some(tail), Some(snapshot)),
            None => (Vec::new(), None, None),
        };
        let mut outcomes = outcomes.into_iter();
        let settled: Vec<_> = batch
            .publishes
            .into_iter()
            .map(|publish| (publish.settle(outcomes.next()), publish))
            .collect();
        let new: Vec<_> = settled
            .iter()
            .filter_map(|(outcome, publish)| Some((outcome.as_ref().ok()?, publish)))
            .filter(|(published, _)| !published.is_repeat)
            .flat_map(|(published, publish)| {
                publish.events.iter().zip(published.ids.iter().copied())
            })
            .collect();
        // What the store refuses or has had before says, too, how far another hub has come.
        let first = new.iter().find_map(|(_, id)| *id);
        if let Some(next) = first.or(tail.map(after)) {
            self.catch_up_to(next);
        }
        let delivery = self.state.publish(&new, snapshot);
        if !new.is_empty() {
            self.deliver(delivery);
        }
        let now = Instant::now();
        for (outcome, publish) in settled {
            if let Ok(published) = &outcome {
                self.totals.published(published, now.duration_since(publish.accepted_at));
            }
            publish.answer.give(outcome);
        }
    }

    /// After a failed commit: it may have reached the disk all the same. Nothing else is stored before that
    /// is known, or cannot be known either: then the ids of the next commit tell.
    fn look_again(&self, ctx: &mut Context<Self>) {
        let (store, key) = (self.store.clone(), self.key.clone());
        let load = async move { store.load(&key).await };
        ctx.spawn(load.into_actor(self).map(|stored, actor, ctx| {
            if let Ok(Some(stored)) = stored {
                actor.catch_up_to(after(stored.tail));
                actor.state.restore(stored);
            }
            actor.queue.stored();
            actor.flush(ctx);
        }));
    }

    /// Sends live subscribers to the store if it has events before `next` that never came by here.
    fn catch_up_to(&mut self, next: EventId) {
        for subscriber in self.state.overtaken_by(next) {
            self.state.handle(subscriber).inspect(|handle| handle.fall_behind());
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let delivery = Deliver(Arc::new(delivery));
        let mut full = Vec::new();
        for (subscriber, handle) in self.state.live() {
            if handle.deliver(delivery.clone()) == Err(Undelivered::Full) {
                full.push(subscriber);
            }
        }
        for subscriber in full {
            if let Some(handle) = self.state.fall_behind(subscriber, delivery.0.after) {
                handle.fall_behind();
                self.totals.fell_behind();
                log::warn!(stream:% = self.key, subscriber:% = subscriber; "a subscriber fell behind");
            }
        }
    }
}

fn after(id: EventId) -> EventId {
    EventId { seq: id.seq + 1, ..id }
}

impl Batch<Answer> {
    fn refuse(self, error: &PublishError) {
        for publish in self.publishes {
            publish.answer.give(Err(error.clone()));
        }
    }
}
