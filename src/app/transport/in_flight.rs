//! What has been asked over HTTP/2, and has not gone out yet: actix-http has no bound on it, and no end for it.
//!
//! When the server stops, actix-http ends each HTTP/1.1 connection once it has nothing left to answer. HTTP/2
//! connections it leaves to their peers, and a browser keeps one for as long as a page is open: each stop would take
//! all the time that it may.
//!
//! And it takes any number of requests from a peer that takes none of the answers, and keeps these. Here a request
//! waits until there is room for its answer, which has its room until the last piece of it is written. Streams are not
//! among these answers: what a follower holds is the hub's to say.

use std::{
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
use crate::http::is_too_large;

/// Room for the answers of one connection, in KiB.
const ROOM_KIB: u32 = 8 * 1024;

/// What a page of history may have, in KiB, and so what any answer may have until it is known.
const PAGE_KIB: u32 = 1024;

/// What the answer to a publish may have, in KiB.
const RECEIPT_KIB: u32 = 16;

/// How many requests of one connection may be without a whole answer, streams aside; proxies have some hundreds. A
/// connection with more is ended: each takes some KiB, even if it only waits.
const REQUESTS_MAX: usize = 4096;

/// How much of an answer is a step forward.
const PIECE_BYTES: usize = 16 * 1024;

/// The requests of one connection.
#[derive(Clone)]
pub(super) struct InFlight {
    counts: Arc<watch::Sender<Counts>>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Requests without a whole answer.
    asked: usize,
    /// How many of them are answered with a stream.
    streams: usize,
    /// How many of them are answered, and their answers not all written.
    untaken: usize,
    /// Pieces that were written.
    taken: u64,
}

/// One request, until all of its answer is written.
struct Asked {
    counts: Arc<watch::Sender<Counts>>,
    kind: Kind,
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unanswered,
    Stream,
    Whole,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { counts: Arc::default(), room: Arc::new(Semaphore::new(ROOM_KIB as usize)) }
    }
}

impl InFlight {
    fn begin(&self) -> Asked {
        self.counts.send_modify(|counts| counts.asked += 1);
        Asked { counts: Arc::clone(&self.counts), kind: Kind::Unanswered, _room: None }
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

    /// Done when the peer has asked for too much, or has taken none of its answers for so long.
    pub(super) async fn is_too_much(&self, stall: Duration) {
        tokio::select! {
            () = self.overrun() => {}
            () = self.stalled(stall) => {}
        }
    }

    async fn overrun(&self) {
        let is_over = |counts: &Counts| counts.asked - counts.streams > REQUESTS_MAX;
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
    }
}

impl Asked {
    /// The same with an answer, which keeps as much of the room as it takes; a stream keeps none.
    fn answered(mut self, size: BodySize, mut room: OwnedSemaphorePermit) -> Self {
        if size == BodySize::Stream {
            self.kind = Kind::Stream;
            self.counts.send_modify(|counts| counts.streams += 1);
            return self;
        }
        let bytes = if let BodySize::Sized(bytes) = size { bytes } else { 0 };
        let kib = usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX);
        drop(room.split(room.num_permits().saturating_sub(kib)));
        self.kind = Kind::Whole;
        self.counts.send_modify(|counts| counts.untaken += 1);
        self._room = Some(room);
        self
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| {
            counts.asked -= 1;
            match self.kind {
                Kind::Unanswered => {}
                Kind::Stream => counts.streams -= 1,
                Kind::Whole => counts.untaken -= 1,
            }
        });
    }
}

/// An application that counts requests where their connection's data say so.
pub(super) fn counted<A, B>(app: A) -> impl Application<Answer> + use<A, B>
where
    A: Application<B>,
    B: MessageBody + 'static,
{
    apply_fn_factory(app, |request: Request, app: &A::Service| {
        let in_flight = request.conn_data::<InFlight>().cloned();
        let asked = in_flight.as_ref().map(InFlight::begin);
        let reserved = match *request.method() {
            // It is refused, and must not be kept until there is room.
            _ if is_too_large(request.headers()) => 0,
            Method::POST => RECEIPT_KIB,
            _ => PAGE_KIB,
        };
        // Nothing of it happens before it is polled.
        let answer = app.call(request);
        async move {
            let (Some(in_flight), Some(asked)) = (in_flight, asked) else {
                let answer: Response<B> = answer.await?.into();
                return Ok(answer.map_body(|_, body| Answer::of(body, None)));
            };
            let Ok(room) = in_flight.room.acquire_many_owned(reserved).await else {
                let gone = Response::new(StatusCode::SERVICE_UNAVAILABLE);
                return Ok(gone.map_body(|_, body: BoxBody| Answer::of(body, None)));
            };
            let answer: Response<B> = answer.await?.into();
            let asked = Arc::new(asked.answered(answer.body().size(), room));
            Ok(answer.map_body(|_, body| Answer::of(body, Some(asked))))
        }
    })
}

/// The body of an answer.
pub(super) struct Answer {
    body: BoxBody,
    /// What the body has given, and has not been asked for.
    rest: Bytes,
    asked: Option<Arc<Asked>>,
}

impl Answer {
    fn of(body: impl MessageBody + 'static, asked: Option<Arc<Asked>>) -> Self {
        Self { body: body.boxed(), rest: Bytes::new(), asked }
    }
}

impl MessageBody for Answer {
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
        self.asked.counts.send_modify(|counts| counts.taken += 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    const QUIET: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_is_waited_for_however_long_it_takes() {
        let in_flight = InFlight::default();
        let (one, other) = (in_flight.begin(), in_flight.begin());
        let mut settled = in_flight.settled(QUIET).boxed_local();
        for asked in [one, other] {
            assert!((&mut settled).now_or_never().is_none());
            advance(10 * QUIET).await;
            assert!((&mut settled).now_or_never().is_none());
            drop(asked);
        }
        assert!((&mut settled).now_or_never().is_none(), "the last words have to be sent, too");
        advance(QUIET).await;
        assert!((&mut settled).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_at_the_last_moment_is_answered_too() {
        let in_flight = InFlight::default();
        let mut settled = in_flight.settled(QUIET).boxed_local();
        assert!((&mut settled).now_or_never().is_none());
        advance(QUIET / 2).await;
        let late = in_flight.begin();
        assert!((&mut settled).now_or_never().is_none());
        advance(QUIET).await;
        assert!((&mut settled).now_or_never().is_none());
        drop(late);
        assert!((&mut settled).now_or_never().is_none());
        advance(QUIET).await;
        assert!((&mut settled).now_or_never().is_some());
    }

    /// An answer of so many bytes, or without an end.
    async fn answer(in_flight: &InFlight, bytes: Option<usize>) -> Answer {
        let room = Arc::clone(&in_flight.room).acquire_many_owned(PAGE_KIB).await.unwrap();
        let size = bytes.map_or(BodySize::Stream, |bytes| BodySize::Sized(bytes as u64));
        let asked = Arc::new(in_flight.begin().answered(size, room));
        Answer::of(vec![0; bytes.unwrap_or(1)], Some(asked))
    }

    fn next(answer: &mut Answer) -> Option<Bytes> {
        let next = std::future::poll_fn(|cx| Pin::new(&mut *answer).poll_next(cx));
        next.now_or_never().unwrap().map(Result::unwrap)
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_now_and_then_is_enough_and_a_stream_owes_none() {
        let in_flight = InFlight::default();
        let stall = QUIET;
        let _stream = answer(&in_flight, None).await;
        let mut end = in_flight.is_too_much(stall).boxed_local();
        assert!((&mut end).now_or_never().is_none());
        advance(10 * stall).await;
        assert!((&mut end).now_or_never().is_none(), "nothing is owed by a stream");
        let mut long = answer(&in_flight, Some(3 * PIECE_BYTES)).await;
        for _ in 0..3 {
            let piece = next(&mut long).unwrap();
            assert_eq!(piece.len(), PIECE_BYTES);
            assert!((&mut end).now_or_never().is_none());
            advance(stall * 9 / 10).await;
            assert!((&mut end).now_or_never().is_none());
            drop(piece);
        }
        assert_eq!(next(&mut long), None);
        drop(long);
        assert!((&mut end).now_or_never().is_none());
        advance(10 * stall).await;
        assert!((&mut end).now_or_never().is_none(), "all is taken");
        let _untaken = answer(&in_flight, Some(1)).await;
        assert!((&mut end).now_or_never().is_none());
        advance(stall).await;
        assert!((&mut end).now_or_never().is_some());
    }

    #[tokio::test]
    async fn an_answer_has_its_room_until_the_last_piece_of_it_is_written() {
        let in_flight = InFlight::default();
        let used = || ROOM_KIB as usize - in_flight.room.available_permits();
        let mut whole = answer(&in_flight, Some(100 * 1024)).await;
        assert_eq!(used(), 100, "and no more than it has come to need");
        let _stream = answer(&in_flight, None).await;
        assert_eq!(used(), 100, "a stream has none");
        let mut pieces = Vec::new();
        while let Some(piece) = next(&mut whole) {
            pieces.push(piece);
        }
        drop(whole);
        assert_eq!(used(), 100);
        let last = pieces.pop().map(|mut piece| piece.split_off(1));
        drop(pieces);
        assert_eq!(used(), 100, "a part of a piece is one, too");
        drop(last);
        assert_eq!(used(), 0);
    }
}
