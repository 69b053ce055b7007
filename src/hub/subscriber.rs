//! One connection: an actor that lives inside the response body it feeds.
//!
//! actix-web polls the body while there is room to write, and the body polls the actor, so a delivery is
//! one wake-up of one task and a client that does not read lets its mailbox fill up. While the socket is
//! blocked the actor does not run at all: the stream's actor, not this one, notices who falls behind.

mod context;
mod poll_watch;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{self, Poll},
    time::Duration,
};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Handler, Recipient, WrapFuture,
    dev::{ContextFut, Mailbox, SendError},
};
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use self::{context::SubscriberContext, poll_watch::PollWatch};
use super::{
    config::HubConfig,
    delivery::{Chunk, PIECE_BYTES, Then},
    messages::{Deliver, Disconnect, End, EndReason, FallBehind, NextChunk},
};
use crate::{
    clock::Clock,
    event::{Heartbeat, vocabulary},
    sse::Frames,
    stream_key::StreamKey,
};

/// What all connections of a hub share.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) config: Arc<HubConfig>,
    pub(crate) clock: Clock,
    pub(crate) next_chunk: Recipient<NextChunk>,
    pub(crate) disconnect: Recipient<Disconnect>,
    pub(crate) is_shutting_down: AtomicBool,
}

/// One connected `EventSource`.
pub(crate) struct SubscriberActor {
    id: Uuid,
    stream: StreamKey,
    hub: Arc<Surroundings>,
    backlog: Arc<Backlog>,
    next_heartbeat: Instant,
    expires_at: Instant,
}

/// What reaches a subscriber, for the stream's actor.
#[derive(Debug)]
pub(crate) struct SubscriberHandle {
    address: Addr<SubscriberActor>,
    backlog: Arc<Backlog>,
    backlog_bytes_max: usize,
}

/// What both ends of a subscriber's mailbox know of it.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// Deliveries pass the subscriber by, as they do before its first chunk: what is transient in its
    /// mailbox is not worth sending.
    is_behind: AtomicBool,
    /// Bytes of the deliveries in the mailbox.
    bytes: AtomicUsize,
}

/// A delivery was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// The mailbox is full.
    Full,
    /// The connection is gone; its `Disconnect` is on its way.
    Gone,
}

impl Backlog {
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Acquire)
    }
}

impl SubscriberHandle {
    pub(crate) const fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.address.connected()
    }

    pub(crate) fn deliver(&self, delivery: Deliver) -> Result<(), Undelivered> {
        let bytes = delivery.0.bytes.len();
        let waiting = self.backlog.bytes.load(Ordering::Relaxed);
        // One that waits for nothing gets a delivery of any length.
        if waiting > 0 && waiting + bytes > self.backlog_bytes_max {
            return Err(Undelivered::Full);
        }
        self.backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.address.try_send(delivery).map_err(|error| {
            self.backlog.bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                SendError::Full(_) => Undelivered::Full,
                SendError::Closed(_) => Undelivered::Gone,
            }
        })
    }

    pub(crate) fn end(&self, after: Duration) -> Result<(), Undelivered> {
        self.address.try_send(End { after }).map_err(|_| Undelivered::Full)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "once for each time that the mailbox was found full"
    )]
    pub(crate) fn fall_behind(&self) {
        self.backlog.is_behind.store(true, Ordering::Release);
        self.address.do_send(FallBehind);
    }

    pub(crate) fn catch_up(&self) {
        self.backlog.is_behind.store(false, Ordering::Release);
    }
}

impl Actor for SubscriberActor {
    type Context = SubscriberContext;

    fn started(&mut self, ctx: &mut Self::Context) {
        let now = Instant::now();
        self.next_heartbeat = now + self.hub.config.heartbeat_interval;
        self.expires_at = now + self.hub.config.jittered_connection_age();
        self.arm_timer(ctx);
        if let Some(head) = ctx.take_head() {
            self.on_chunk(head, ctx);
        }
    }
}

impl SubscriberActor {
    /// One timer serves all deadlines: an idle connection is to cost little.
    fn arm_timer(&self, ctx: &mut SubscriberContext) {
        let deadline = self.next_heartbeat.min(self.expires_at);
        let deadline = ctx.authorized_until().map_or(deadline, |end| deadline.min(end));
        let delay = deadline.saturating_duration_since(Instant::now());
        // What a token's end is to it, the body sees: this wakes it.
        ctx.run_later(delay, |actor, ctx| actor.on_timer(ctx));
    }

    fn on_timer(&mut self, ctx: &mut SubscriberContext) {
        let now = Instant::now();
        if now >= self.expires_at {
            return self.end_to_reconnect(EndReason::AgeLimit, ctx);
        }
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + self.hub.config.heartbeat_interval;
            let mut frames = Frames::default();
            match vocabulary(self.stream.kind())
                .heartbeat(self.stream.id(), self.hub.clock.now_ms())
            {
                Heartbeat::Comment(text) => frames.comment(text),
                Heartbeat::Event(name, data) => frames.event(name, None, &data),
            }
            ctx.write(frames.into());
        }
        self.arm_timer(ctx);
    }

    /// Ends the response in a way that makes the client come back, at a time of its own.
    fn end_to_reconnect(&self, reason: EndReason, ctx: &mut SubscriberContext) {
        let mut frames = Frames::default();
        frames.retry(self.hub.config.jittered_retry());
        ctx.write(frames.into());
        ctx.end(reason);
    }

    fn on_chunk(&mut self, chunk: Chunk, ctx: &mut SubscriberContext) {
        ctx.write(chunk.bytes);
        match chunk.then {
            Then::More => match self.reason_to_leave() {
                Some(reason) => self.end_to_reconnect(reason, ctx),
                None => self.ask_for_more(ctx),
            },
            Then::Live => {}
            Then::End => ctx.end(EndReason::Completed),
        }
    }

    /// Why one that still has history to read is let go: no timer runs meanwhile, and no mail is opened.
    fn reason_to_leave(&self) -> Option<EndReason> {
        if self.hub.is_shutting_down.load(Ordering::Relaxed) {
            return Some(EndReason::ShuttingDown);
        }
        (Instant::now() >= self.expires_at).then_some(EndReason::AgeLimit)
    }

    /// Asks for the next chunk. No mail is opened until it is here: what comes after it stays after it.
    fn ask_for_more(&mut self, ctx: &mut SubscriberContext) {
        let question = NextChunk { stream: self.stream.clone(), subscriber: self.id };
        let asked = self.hub.next_chunk.send(question);
        ctx.wait(asked.into_actor(self).map(|answer, actor, ctx| match answer {
            Ok(Some(chunk)) => actor.on_chunk(chunk, ctx),
            Ok(None) | Err(_) => actor.end_to_reconnect(EndReason::Unavailable, ctx),
        }));
    }
}

impl Handler<Deliver> for SubscriberActor {
    type Result = ();

    fn handle(&mut self, Deliver(delivery): Deliver, ctx: &mut Self::Context) {
        self.backlog.bytes.fetch_sub(delivery.bytes.len(), Ordering::Relaxed);
        if delivery.is_durable || !self.backlog.is_behind() {
            ctx.write(delivery.bytes.clone());
        }
        if delivery.is_final {
            ctx.end(EndReason::Completed);
        }
    }
}

impl Handler<FallBehind> for SubscriberActor {
    type Result = ();

    fn handle(&mut self, _: FallBehind, ctx: &mut Self::Context) {
        self.ask_for_more(ctx);
    }
}

impl Handler<End> for SubscriberActor {
    type Result = ();

    fn handle(&mut self, End { after }: End, ctx: &mut Self::Context) {
        ctx.run_later(after, |actor, ctx| actor.end_to_reconnect(EndReason::ShuttingDown, ctx));
    }
}

/// The body of a streaming response, and the actor that feeds it.
///
/// However it ends, dropping it tells the registry.
pub struct SubscriberBody {
    actor: ContextFut<SubscriberActor, SubscriberContext>,
    polls: PollWatch,
    // What the registry is told when this is dropped.
    hub: Arc<Surroundings>,
    stream: StreamKey,
    subscriber: Uuid,
    connected_at: Instant,
}

impl SubscriberBody {
    /// A body for a subscriber that is not connected yet, and the handle to connect it by.
    pub(crate) fn new(
        stream: StreamKey,
        subscriber: Uuid,
        hub: Arc<Surroundings>,
    ) -> (Self, SubscriberHandle) {
        let mut mailbox = Mailbox::default();
        mailbox.set_capacity(hub.config.mailbox_capacity);
        let backlog = Arc::new(Backlog { is_behind: true.into(), bytes: 0.into() });
        let handle = SubscriberHandle {
            address: mailbox.address(),
            backlog: Arc::clone(&backlog),
            backlog_bytes_max: hub.config.backlog_bytes_max,
        };
        let connected_at = Instant::now();
        let actor = SubscriberActor {
            id: subscriber,
            stream: stream.clone(),
            hub: Arc::clone(&hub),
            backlog,
            // Both are set when the actor starts.
            next_heartbeat: connected_at,
            expires_at: connected_at,
        };
        let context = SubscriberContext::new(&mailbox);
        let actor = ContextFut::new(context, actor, mailbox);
        (Self { actor, polls: PollWatch::default(), hub, stream, subscriber, connected_at }, handle)
    }

    /// Puts in what the stream says first.
    pub(crate) fn begin(&mut self, head: Chunk) {
        self.actor.ctx().put_head(head);
    }

    /// Ends the response at this moment, with the event that says that the client's token has expired.
    pub fn end_at(&mut self, end: Instant) {
        self.actor.ctx().set_authorized_until(end);
    }

    /// What has not been sent is not for this client any more, history included.
    fn expire(&mut self) {
        let mut frames = Frames::default();
        frames.event("auth_expired", None, r#"{"message":"the token has expired"}"#);
        frames.retry(self.hub.config.jittered_retry());
        let ctx = self.actor.ctx();
        ctx.discard();
        ctx.write(frames.into());
        ctx.end(EndReason::AuthExpired);
    }

    fn next(&mut self, cx: &mut task::Context<'_>) -> Poll<Option<Bytes>> {
        if self.actor.ctx().is_overdue() {
            self.expire();
        }
        if let Some(bytes) = self.actor.ctx().take(PIECE_BYTES) {
            return Poll::Ready(Some(bytes));
        }
        if self.actor.ctx().ended().is_none() && Pin::new(&mut self.actor).poll(cx).is_ready() {
            self.actor.ctx().end(EndReason::Unavailable);
        }
        // Nobody can send to this actor any more: its stream's actor is gone, and with it the future.
        if !self.actor.ctx().is_reachable() {
            self.actor.ctx().end(EndReason::Unavailable);
        }
        match self.actor.ctx().take(PIECE_BYTES) {
            Some(bytes) => Poll::Ready(Some(bytes)),
            None if self.actor.ctx().ended().is_some() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl MessageBody for SubscriberBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let polled = this.next(cx);
        if polled.is_ready() {
            this.polls.yielded();
        } else if this.polls.is_storm() {
            this.actor.ctx().end(EndReason::PollStorm);
            return Poll::Ready(None);
        }
        polled.map(|bytes| bytes.map(Ok))
    }
}

impl Drop for SubscriberBody {
    #[expect(clippy::disallowed_methods, reason = "once for each connection, and must not be lost")]
    fn drop(&mut self) {
        self.hub.disconnect.do_send(Disconnect {
            stream: self.stream.clone(),
            subscriber: self.subscriber,
            reason: self.actor.ctx().ended().unwrap_or(EndReason::ClosedByClient),
            lasted: self.connected_at.elapsed(),
        });
    }
}

impl std::fmt::Debug for SubscriberBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscriberBody")
            .field("stream", &self.stream)
            .field("subscriber", &self.subscriber)
            .finish_non_exhaustive()
    }
}
