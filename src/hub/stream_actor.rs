//! The actor around one stream's state: it moves messages, bytes and store calls, and decides nothing.

mod publishing;
mod rounds;

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, ResponseActFuture,
    SpawnHandle, WrapFuture, fut,
};
use futures_util::future::{FutureExt, LocalBoxFuture, Shared};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    answer::Answer,
    broadcast::{Broadcast, PublishError},
    budget::Budget,
    config::HubConfig,
    delivery::{CHUNK_BYTES, Chunk, Delivery, Then},
    history::History,
    messages::{
        Connect, ConnectError, Deliver, Disconnect, EndReason, Inspect, Inspection, NextChunk,
        PassOn, RegistryAddr, Retire, SendToClient, SendToClientError, Shutdown, StreamGone,
        StreamIdle,
    },
    publish_queue::{Publish, PublishQueue},
    stream_state::{Next, StreamState},
    subscriber::{SubscriberHandle, Undelivered},
    totals::StreamTotals,
};
use crate::{
    clock::Clock,
    event::{Event, EventId},
    store::{PageLimits, Store, StoredEvent},
    stream_key::StreamKey,
};

/// How many publishes, joins and questions may wait for a stream.
const MAILBOX_CAPACITY: usize = 4096;

/// How many events are read from the store at a time.
const PAGE_EVENTS: usize = 256;

/// How many idle periods an unfinished utterance outlasts: its orchestrator may have paused.
const IDLE_PERIODS_SPOKEN: u32 = 10;

/// A page that is being read, perhaps for many.
type PageRead = Shared<LocalBoxFuture<'static, Option<Arc<[StoredEvent]>>>>;

/// One stream that is being followed or published to.
pub(crate) struct StreamActor {
    key: StreamKey,
    config: Arc<HubConfig>,
    clock: Clock,
    store: Store,
    registry: RegistryAddr,
    totals: Arc<StreamTotals>,
    state: StreamState<SubscriberHandle>,
    queue: PublishQueue<Answer>,
    /// The pages that are being read, by the sequence number before them.
    reads: HashMap<u64, PageRead>,
    /// Whether the queue will be looked at once all mail is read.
    is_flush_due: bool,
    /// When the subscribers are next looked after, and the timer for it.
    next_round: Option<(Instant, SpawnHandle)>,
    last_activity: Instant,
    /// Messages that came by way of the registry.
    handled: u64,
}

impl StreamActor {
    pub(crate) fn new(
        key: StreamKey,
        config: Arc<HubConfig>,
        clock: Clock,
        store: Store,
        registry: RegistryAddr,
        totals: Arc<StreamTotals>,
        pending: &Budget,
    ) -> Self {
        let history = History::new(config.history_events, config.history_bytes);
        let pending = pending.part(config.pending_bytes_max);
        let queue = PublishQueue::new(config.pending_publishes_max, pending);
        Self {
            state: StreamState::new(key.clone(), history),
            key,
            config,
            clock,
            store,
            registry,
            totals,
            queue,
            reads: HashMap::new(),
            is_flush_due: false,
            next_round: None,
            last_activity: Instant::now(),
            handled: 0,
        }
    }

    /// Starts the actor. Its mailbox has all its room at once, not only when it is first looked into.
    pub(super) fn launch(self) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX_CAPACITY.max(self.config.pending_publishes_max));
            self
        })
    }
}

impl Actor for StreamActor {
    type Context = Context<Self>;

    /// Reads what is stored of the stream before any mail.
    fn started(&mut self, ctx: &mut Self::Context) {
        let (store, key) = (self.store.clone(), self.key.clone());
        let load = async move { store.load(&key).await };
        ctx.wait(load.into_actor(self).map(|stored, actor, ctx| match stored {
            Ok(Some(stored)) => actor.state.restore(stored),
            Ok(None) => {}
            Err(error) => {
                // Whoever waits for an answer is told that the stream is unavailable; the next one to ask
                // starts another actor.
                log::error!(stream:% = actor.key, error:% = error; "the stream could not be loaded");
                ctx.terminate();
            }
        }));
        ctx.run_interval(self.config.idle_after / 2, |actor, ctx| actor.check_idle(ctx));
    }
}

impl Drop for StreamActor {
    #[expect(clippy::disallowed_methods, reason = "once for each actor, and must not be lost")]
    fn drop(&mut self) {
        self.registry.do_send(StreamGone(self.key.clone()));
    }
}

impl StreamActor {
    fn touch(&mut self) {
        self.handled += 1;
        self.last_activity = Instant::now();
    }

    /// The next chunk for a subscriber, from the ring or from the store.
    fn next_chunk(&mut self, subscriber: Uuid) -> ResponseActFuture<Self, Option<Chunk>> {
        match self.state.next(subscriber) {
            None => Box::pin(fut::ready(None)),
            Some(Next::Chunk(chunk)) => {
                Box::pin(fut::ready(Some(self.hand_over(subscriber, chunk))))
            }
            Some(Next::Read(cursor)) => {
                Box::pin(self.read(cursor).into_actor(self).map(move |page, actor, _| {
                    actor.reads.remove(&cursor.seq);
                    let chunk = actor.state.page(subscriber, &page?)?;
                    Some(actor.hand_over(subscriber, chunk))
                }))
            }
        }
    }

    /// Reads a page. One read serves all who ask for the same page meanwhile: after a restart, many do.
    fn read(&mut self, cursor: EventId) -> PageRead {
        let read = self.reads.entry(cursor.seq).or_insert_with(|| {
            let (store, key) = (self.store.clone(), self.key.clone());
            let limits = PageLimits { events: PAGE_EVENTS, bytes: CHUNK_BYTES };
            let read = async move {
                let page = store.page(&key, cursor, limits).await;
                let log = |error| log::error!(stream:% = key, error:% = error; "the history could not be read");
                page.map(Arc::from).map_err(log).ok()
            };
            read.boxed_local().shared()
        });
        read.clone()
    }

    fn hand_over(&mut self, subscriber: Uuid, chunk: Chunk) -> Chunk {
        self.totals.told_gaps(self.state.take_gaps());
        if chunk.then == Then::Live {
            self.state.handle(subscriber).inspect(|handle| handle.catch_up());
        }
        chunk
    }

    /// Tells the registry when there is nothing left to do. It may know better: a message may be on its way.
    fn check_idle(&mut self, ctx: &mut Context<Self>) {
        let idle_after = self.config.idle_after;
        let periods = if self.state.is_being_spoken() { IDLE_PERIODS_SPOKEN } else { 1 };
        if self.last_activity.elapsed() >= idle_after * periods {
            self.report_idle(ctx);
        }
    }

    fn report_idle(&self, ctx: &mut Context<Self>) {
        if self.state.subscriber_count() == 0 && self.queue.is_empty() {
            let idle = StreamIdle {
                stream: self.key.clone(),
                address: ctx.address(),
                handled: self.handled,
            };
            // If the registry is busy there will be another time.
            let _ = self.registry.try_send(idle);
        }
    }
}

impl Handler<Connect> for StreamActor {
    type Result = Result<Option<Chunk>, ConnectError>;

    fn handle(&mut self, connect: Connect, ctx: &mut Self::Context) -> Self::Result {
        self.touch();
        let Connect { subscriber, handle, cursor, peer, .. } = connect;
        let due_at = handle.due_at();
        // One that has gone meanwhile is not taken in: its end may have been looked at, and not been counted.
        if !handle.is_connected() {
            return Ok(None);
        }
        let (retry, now_ms) = (self.config.jittered_retry(), self.clock.now_ms());
        let Some(head) = self.state.join(subscriber, handle, cursor, retry, now_ms) else {
            return Ok(None);
        };
        self.state.handle(subscriber).inspect(|handle| handle.backlog().join());
        self.totals.connected();
        self.look_after_them_at(due_at, ctx);
        self.totals.told_gaps(self.state.take_gaps());
        let clients = self.state.subscriber_count();
        log::info!(
            stream:% = self.key, subscriber:% = subscriber, address:serde = peer.address, clients;
            "subscriber connected"
        );
        // What the ring can answer goes out with the head; a page is only read for a client that reads.
        let chunk = match self.state.next(subscriber) {
            Some(Next::Chunk(chunk)) => self.hand_over(subscriber, chunk).after_head(head),
            Some(Next::Read(_)) | None => Chunk { bytes: head.into(), then: Then::More },
        };
        Ok(Some(chunk))
    }
}

impl Handler<Disconnect> for StreamActor {
    type Result = ();

    fn handle(&mut self, gone: Disconnect, ctx: &mut Self::Context) {
        self.touch();
        if self.state.leave(gone.subscriber).is_some() {
            log::info!(
                stream:% = self.key,
                subscriber:% = gone.subscriber,
                reason = gone.reason.as_str(),
                elapsed_ms = u64::try_from(gone.lasted.as_millis()).unwrap_or(u64::MAX),
                clients = self.state.subscriber_count();
                "subscriber disconnected"
            );
        }
        // A stream nobody has published to is nothing but its subscribers.
        if !self.state.is_stored() && !self.state.is_being_spoken() {
            self.report_idle(ctx);
        }
    }
}

impl Handler<NextChunk> for StreamActor {
    type Result = ResponseActFuture<Self, Option<Chunk>>;

    fn handle(
        &mut self,
        NextChunk { subscriber, .. }: NextChunk,
        _: &mut Self::Context,
    ) -> Self::Result {
        self.touch();
        self.next_chunk(subscriber)
    }
}

impl Handler<PassOn> for StreamActor {
    type Result = ();

    fn handle(&mut self, PassOn { broadcast, answer }: PassOn, ctx: &mut Self::Context) {
        self.touch();
        let Broadcast { stream, events, key } = broadcast;
        let now_ms = self.clock.now_ms();
        let wire = |event: Event| event.into_wire(stream.kind(), now_ms);
        let events = events.into_iter().map(wire).collect();
        let accepted_at = self.last_activity;
        if let Err(refused) = self.queue.push(Publish { events, key, accepted_at, answer }) {
            refused.answer.give(Err(PublishError::Overloaded));
        }
        self.flush_soon(ctx);
    }
}

impl Handler<SendToClient> for StreamActor {
    type Result = Result<(), SendToClientError>;

    fn handle(&mut self, message: SendToClient, _: &mut Self::Context) -> Self::Result {
        self.touch();
        // One that is behind cannot be sent what it would get before its snapshot.
        let handle = self.state.handle(message.client).ok_or(SendToClientError::Unknown)?;
        if !self.state.is_live(message.client) {
            return Err(SendToClientError::Busy);
        }
        let event = message.event.into_wire(self.key.kind(), self.clock.now_ms());
        handle.deliver(Deliver(Arc::new(Delivery::single(&event)))).map_err(|undelivered| {
            match undelivered {
                Undelivered::Full => SendToClientError::Busy,
                Undelivered::Gone => SendToClientError::Unknown,
            }
        })
    }
}

impl Handler<Inspect> for StreamActor {
    type Result = actix::MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> Self::Result {
        self.handled += 1;
        let inspect = || Inspection { view: self.state.view(), tail: self.state.tail() };
        actix::MessageResult(self.state.has_begun().then(inspect))
    }
}

impl Handler<Shutdown> for StreamActor {
    type Result = ();

    fn handle(&mut self, Shutdown { spread }: Shutdown, _: &mut Self::Context) {
        self.handled += 1;
        for handle in self.state.handles() {
            let after: Duration = spread.mul_f64(fastrand::f64());
            // One that cannot take even this ends when the server closes its connection.
            let _ = handle.end(after, EndReason::ShuttingDown);
        }
    }
}

impl Handler<Retire> for StreamActor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
mod tests;
