//! One connection: an actor that lives inside the response body it feeds.
//!
//! actix-web polls the body while there is room to write, and the body polls the actor, so a delivery is
//! one wake-up of one task and a client that does not read lets its mailbox fill up. While the socket is
//! blocked the actor does not run at all: the stream's actor, not this one, notices who falls behind.

mod context;
mod handle;
mod poll_watch;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{self, Poll},
};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Handler, Recipient, WrapFuture,
    dev::{ContextFut, Mailbox},
};
use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use self::handle::{Backlog, SubscriberHandle, Undelivered};
use self::{context::SubscriberContext, poll_watch::PollWatch};
use super::{
    config::HubConfig,
    delivery::{Chunk, PIECE_BYTES, Then},
    messages::{Deliver, Disconnect, End, EndReason, FallBehind, NextChunk},
};
use crate::{sse::Frames, stream_key::StreamKey};

/// What all connections of a hub share.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) config: Arc<HubConfig>,
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
    expires_at: Instant,
}

impl Actor for SubscriberActor {
    type Context = SubscriberContext;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(end) = ctx.authorized_until() {
            // The body sees that it is over: this wakes it.
            ctx.run_later(end.saturating_duration_since(Instant::now()), |_, _| {});
        }
        if let Some(head) = ctx.take_head() {
            self.on_chunk(head, ctx);
        }
    }
}

impl SubscriberActor {
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

    /// Why one that still has history to read is let go: no mail is opened meanwhile.
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
        self.backlog.opened(delivery.bytes.len());
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

    fn handle(&mut self, End { after, reason }: End, ctx: &mut Self::Context) {
        ctx.run_later(after, move |actor, ctx| actor.end_to_reconnect(reason, ctx));
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
        let connected_at = Instant::now();
        let expires_at = connected_at + hub.config.jittered_connection_age();
        let address = mailbox.address();
        let handle = SubscriberHandle::new(address, &hub.config, connected_at, expires_at);
        let actor = SubscriberActor {
            id: subscriber,
            stream: stream.clone(),
            hub: Arc::clone(&hub),
            backlog: Arc::clone(handle.backlog()),
            expires_at,
        };
        let context = SubscriberContext::new(&mailbox);
        let actor = ContextFut::new(context, actor, mailbox);
        let body =
            Self { actor, polls: PollWatch::default(), hub, stream, subscriber, connected_at };
        (body, handle)
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
