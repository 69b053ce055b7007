//! What has been asked over HTTP/2, and has not gone out yet: actix-http has no bound on it, and no end for it.
//!
//! When the server stops, actix-http ends each HTTP/1.1 connection once it has nothing left to answer. HTTP/2
//! connections it leaves to their peers, and a browser keeps one for as long as a page is open: each stop would take
//! all the time that it may.
//!
//! And it takes any number of requests from a peer that takes none of the answers, and keeps these. Here a request
//! waits until there is room for its answer, which has its room until the last piece of it is written. Streams are not
//! among these answers: what a follower holds is the hub's to say. Brief answers have room of their own: a proxy brings
//! many clients over one connection, and who publishes or begins to follow does not wait for those who read.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::{HttpMessage, Request};
use actix_service::apply_fn_factory;
use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::{Response, Service},
    http::{Method, StatusCode},
};
use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::Application;
use crate::http::{headers_bytes, is_too_large};

/// Room for the answers of one connection, in KiB.
const ROOM_KIB: u32 = 8 * 1024;

/// Room for those that are brief, in KiB.
const BRIEF_ROOM_KIB: u32 = 4 * 1024;

/// What a page of history may have, in KiB, and so what an answer may have until it is known.
const PAGE_KIB: u32 = 1024;

/// What the answer to a publish may have, in KiB; the head of a stream has less.
const BRIEF_KIB: u32 = 16;

/// How many requests of one connection may be without a whole answer, streams aside; proxies have some hundreds. A
/// connection with more is ended: each takes some KiB, even if it only waits, and as much as its head.
const REQUESTS_MAX: usize = 4096;

/// How long the heads of those that wait for an answer may be in all.
const HEADS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much of an answer is a step forward.
const PIECE_BYTES: usize = 16 * 1024;

/// The requests of one connection.
#[derive(Clone)]
pub(super) struct InFlight {
    counts: Arc<watch::Sender<Counts>>,
    room: Arc<Semaphore>,
    brief_room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Requests without a whole answer.
    asked: usize,
    /// How many of them are answered with a stream.
    streams: usize,
    /// Bytes of the heads of those that are not answered.
    heads: usize,
    /// How many of them are answered, and their answers not all written.
    untaken: usize,
    /// Pieces that were written and were steps forward.
    taken: u64,
}

/// One request, until all of its answer is written.
struct Asked {
    in_flight: InFlight,
    kind: Kind,
    /// Bytes of its head, until it is answered.
    head: usize,
    room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unanswered,
    Stream,
    Whole,
}

impl Default for InFlight {
    fn default() -> Self {
        let room = |kib: u32| Arc::new(Semaphore::new(kib as usize));
        Self { counts: Arc::default(), room: room(ROOM_KIB), brief_room: room(BRIEF_ROOM_KIB) }
    }
}

impl InFlight {
    fn begin(&self, head: usize) -> Asked {
        self.counts.send_modify(|counts| {
            counts.asked += 1;
            counts.heads += head;
        });
        Asked { in_flight: self.clone(), kind: Kind::Unanswered, head, room: None }
    }

    /// The room for the answer to this request, and how much of it the answer may come to need.
    fn room_for(&self, request: &Request) -> (Arc<Semaphore>, u32) {
        let (room, kib) = if is_too_large(request.headers()) {
            // It is refused, and must not be kept until there is room.
            (&self.brief_room, 0)
        } else if is_brief(request) {
            (&self.brief_room, BRIEF_KIB)
        } else {
            (&self.room, PAGE_KIB)
        };
        (Arc::clone(room), kib)
    }

    /// Done when all is answered, and nothing has been asked for so long.
    pub(super) async fn settled(&self, quiet: Duration) {
        let mut counts = self.counts.subscribe();
        loop {
            let _ = counts.wait_for(|counts| counts.asked == 0).await;
            if timeout(quiet, counts.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Done when the peer has asked for too much, or has taken none of its answers for so long; says which.
    pub(super) async fn is_too_much(&self, stall: Duration) -> &'static str {
        tokio::select! {
            () = self.overrun() => "an HTTP/2 connection asks for too much at a time",
            () = self.stalled(stall) => "an HTTP/2 connection takes none of its answers",
        }
    }

    async fn overrun(&self) {
        let is_over = |counts: &Counts| {
            counts.asked - counts.streams > REQUESTS_MAX || counts.heads > HEADS_BYTES_MAX
        };
        let _ = self.counts.subscribe().wait_for(is_over).await;
    }

    async fn stalled(&self, stall: Duration) {
        let mut counts = self.counts.subscribe();
        loop {
            let Ok(taken) = counts.wait_for(|counts| counts.untaken > 0).await.map(|c| c.taken)
            else {
                return;
            };
            let step = counts.wait_for(|counts| counts.taken != taken || counts.untaken == 0);
            if timeout(stall, step).await.is_err() {
                return;
            }
        }
    }

    /// Lets nobody wait any more: there is no connection to answer on.
    pub(super) fn close(&self) {
        self.room.close();
        self.brief_room.close();
    }
}

impl Asked {
    /// The same with an answer, which keeps as much of the room as it takes; a stream keeps none.
    fn answered(mut self, size: BodySize, mut room: OwnedSemaphorePermit) -> Self {
        let head = mem::take(&mut self.head);
        self.in_flight.counts.send_modify(|counts| counts.heads -= head);
        if size == BodySize::Stream {
            self.kind = Kind::Stream;
            self.in_flight.counts.send_modify(|counts| counts.streams += 1);
            return self;
        }
        let bytes = if let BodySize::Sized(bytes) = size { bytes } else { 0 };
        let kib = usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX);
        drop(room.split(room.num_permits().saturating_sub(kib)));
        self.kind = Kind::Whole;
        self.in_flight.counts.send_modify(|counts| counts.untaken += 1);
        self.room = Some(room);
        self
    }

    /// Counts a piece that is written. While there is no room for another page, only what makes some is a step
    /// forward: else brief answers would keep a connection on which no page ever gets on.
    fn piece_taken(&self) {
        let all = &self.in_flight.room;
        let makes_room = self.room.as_ref().is_some_and(|own| Arc::ptr_eq(own.semaphore(), all));
        if makes_room || all.available_permits() >= PAGE_KIB as usize {
            self.in_flight.counts.send_modify(|counts| counts.taken += 1);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.in_flight.counts.send_modify(|counts| {
            counts.asked -= 1;
            counts.heads -= self.head;
            match self.kind {
                Kind::Unanswered => {}
                Kind::Stream => counts.streams -= 1,
                Kind::Whole => counts.untaken -= 1,
            }
        });
    }
}

fn head_bytes(request: &Request) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    target + headers_bytes(request.headers())
}

/// Whether little is answered, if anything but a stream: to a publish, a preflight, a follower, a health check.
fn is_brief(request: &Request) -> bool {
    let path = request.path();
    matches!(*request.method(), Method::POST | Method::OPTIONS)
        || path.ends_with("/stream")
        || path.starts_with("/health/")
}

/// An application that counts requests where their connection's data say so.
pub(super) fn counted<A, B>(app: A) -> impl Application<CountedBody> + use<A, B>
where
    A: Application<B>,
    B: MessageBody + 'static,
{
    apply_fn_factory(app, |request: Request, app: &A::Service| {
        let in_flight = request.conn_data::<InFlight>().cloned();
        let asked = in_flight.as_ref().map(|in_flight| in_flight.begin(head_bytes(&request)));
        let room = in_flight.as_ref().map(|in_flight| in_flight.room_for(&request));
        // What it does at once is little: a name for the request, the look for its route. The rest is done when it is polled.
        let answer = app.call(request);
        async move {
            let (Some((room, kib)), Some(asked)) = (room, asked) else {
                let answer: Response<B> = answer.await?.into();
                return Ok(answer.map_body(|_, body| CountedBody::of(body, None)));
            };
            let Ok(room) = room.acquire_many_owned(kib).await else {
                let gone = Response::new(StatusCode::SERVICE_UNAVAILABLE);
                return Ok(gone.map_body(|_, body: BoxBody| CountedBody::of(body, None)));
            };
            let answer: Response<B> = answer.await?.into();
            let asked = Arc::new(asked.answered(answer.body().size(), room));
            Ok(answer.map_body(|_, body| CountedBody::of(body, Some(asked))))
        }
    })
}

/// The body of an answer.
pub(super) struct CountedBody {
    body: BoxBody,
    /// What the body has given, and has not been asked for.
    rest: Bytes,
    asked: Option<Arc<Asked>>,
}

impl CountedBody {
    fn of(body: impl MessageBody + 'static, asked: Option<Arc<Asked>>) -> Self {
        Self { body: body.boxed(), rest: Bytes::new(), asked }
    }
}

impl MessageBody for CountedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let Some(asked) = this.asked.as_ref().filter(|asked| asked.kind == Kind::Whole) else {
            return Pin::new(&mut this.body).poll_next(cx);
        };
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                Some(Ok(bytes)) => this.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        let bytes = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        let piece = Piece { bytes, asked: Arc::clone(asked) };
        Poll::Ready(Some(Ok(Bytes::from_owner(piece))))
    }
}

/// A part of an answer, until it is written. What it was passed on to keeps it until then.
struct Piece {
    bytes: Bytes,
    asked: Arc<Asked>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.asked.piece_taken();
    }
}

#[cfg(test)]
mod tests;
