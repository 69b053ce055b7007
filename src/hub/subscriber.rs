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

use actix::{Actor, ActorFutureExt, AsyncContext, Handler, Recipient, WrapFuture, dev::Mailbox};
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

/// What is known of a connection from its beginning on. Little of it is looked at before its end.
struct Connection {
    hub: Arc<Surroundings>,
    stream: StreamKey,
    subscriber: Uuid,
    connected_at: Instant,
    expires_at: Instant,
}

/// One connected `EventSource`.
pub(crate) struct SubscriberActor {
    connection: Box<Connection>,
    backlog: Arc<Backlog>,
    /// Bytes of the deliveries that it has had.
    opened_bytes: usize,
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
        frames.retry(self.connection.hub.config.jittered_retry());
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
        if self.connection.hub.is_shutting_down.load(Ordering::Relaxed) {
            return Some(EndReason::ShuttingDown);
        }
        (Instant::now() >= self.connection.expires_at).then_some(EndReason::AgeLimit)
    }

    /// Asks for the next chunk. No mail is opened until it is here: what comes after it stays after it.
    fn ask_for_more(&mut self, ctx: &mut SubscriberContext) {
        let Connection { hub, stream, subscriber, .. } = &*self.connection;
        let question = NextChunk { stream: stream.clone(), subscriber: *subscriber };
        let asked = hub.next_chunk.send(question);
        ctx.wait(asked.into_actor(self).map(|answer, actor, ctx| match answer {
            Ok(Some(chunk)) => actor.on_chunk(chunk, ctx),
            Ok(None) | Err(_) => actor.end_to_reconnect(EndReason::Unavailable, ctx),
        }));
    }
}

impl Handler<Deliver> for SubscriberActor {
    type Result = ();

    fn handle(&mut self, Deliver(delivery): Deliver, ctx: &mut Self::Context) {
        self.opened_bytes = self.opened_bytes.wrapping_add(delivery.bytes.len());
        self.backlog.set_opened(self.opened_bytes);
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
    ctx: SubscriberContext,
    actor: SubscriberActor,
    mailbox: Mailbox<SubscriberActor>,
    has_started: bool,
    polls: PollWatch,
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
        let handle =
            SubscriberHandle::new(mailbox.address(), &hub.config, connected_at, expires_at);
        let ctx = SubscriberContext::new(&mailbox);
        let connection = Connection { hub, stream, subscriber, connected_at, expires_at };
        let actor = SubscriberActor {
            connection: Box::new(connection),
            backlog: Arc::clone(handle.backlog()),
            opened_bytes: 0,
        };
        let body = Self { ctx, actor, mailbox, has_started: false, polls: PollWatch::default() };
        (body, handle)
    }

    /// Puts in what the stream says first.
    pub(crate) fn begin(&mut self, head: Chunk) {
        self.ctx.put_head(head);
    }

    /// Ends the response at this moment, with the event that says that the client's token has expired.
    pub fn end_at(&mut self, end: Instant) {
        self.ctx.set_authorized_until(end);
    }

    /// What has not been sent is not for this client any more, history included.
    fn expire(&mut self) {
        let mut frames = Frames::default();
        frames.event("auth_expired", None, r#"{"message":"the token has expired"}"#);
        frames.retry(self.actor.connection.hub.config.jittered_retry());
        self.ctx.discard();
        self.ctx.write(frames.into());
        self.ctx.end(EndReason::AuthExpired);
    }

    /// Lets the actor do what there is to do.
    fn run(&mut self, cx: &mut task::Context<'_>) {
        let Self { ctx, actor, mailbox, .. } = self;
        if !self.has_started {
            self.has_started = true;
            actor.started(ctx);
        }
        while ctx.poll_awaited(actor, cx).is_ready() {
            mailbox.poll(actor, ctx, cx);
            if !ctx.poll_spawned(actor, cx) && !ctx.waiting() {
                break;
            }
        }
        // Nobody can send to this actor any more: its stream's actor is gone, and with it the future.
        if !mailbox.connected() {
            ctx.end(EndReason::Unavailable);
        }
    }

    fn next(&mut self, cx: &mut task::Context<'_>) -> Poll<Option<Bytes>> {
        if self.ctx.is_overdue() {
            self.expire();
        }
        if let Some(bytes) = self.ctx.take(PIECE_BYTES) {
            return Poll::Ready(Some(bytes));
        }
        if self.ctx.ended().is_none() {
            self.run(cx);
        }
        match self.ctx.take(PIECE_BYTES) {
            Some(bytes) => Poll::Ready(Some(bytes)),
            None if self.ctx.ended().is_some() => Poll::Ready(None),
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
            this.ctx.end(EndReason::PollStorm);
            return Poll::Ready(None);
        }
        polled.map(|bytes| bytes.map(Ok))
    }
}

impl Drop for SubscriberBody {
    #[expect(clippy::disallowed_methods, reason = "once for each connection, and must not be lost")]
    fn drop(&mut self) {
        let Connection { hub, stream, subscriber, connected_at, .. } = &*self.actor.connection;
        self.actor.backlog.leave();
        hub.disconnect.do_send(Disconnect {
            stream: stream.clone(),
            subscriber: *subscriber,
            reason: self.ctx.ended().unwrap_or(EndReason::ClosedByClient),
            lasted: connected_at.elapsed(),
        });
    }
}

impl std::fmt::Debug for SubscriberBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscriberBody")
            .field("stream", &self.actor.connection.stream)
            .field("subscriber", &self.actor.connection.subscriber)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
