//! Whether an HTTP/2 connection is still there.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::{FutureExt, future::Shared};
use tokio::sync::oneshot;

/// Makes the streams of an HTTP/2 connection end with it.
///
/// Each of them is a task of its own, which learns of the connection's end when it next has something to write:
/// on a quiet stream, at the next heartbeat. A server that puts one of these into each connection's data lets
/// them know at once. Over HTTP/1.1 the two are one anyway.
///
/// ```no_run
/// use actix_web::{App, HttpServer};
/// use clearside_sse::Connection;
///
/// HttpServer::new(App::new).on_connect(|_, data| {
///     data.insert(Connection::default());
/// });
/// ```
pub struct Connection {
    // Nothing is ever sent: that it is dropped is what is to be known.
    _alive: oneshot::Sender<Infallible>,
    end: End,
}

type End = Shared<oneshot::Receiver<Infallible>>;

impl Default for Connection {
    fn default() -> Self {
        let (_alive, end) = oneshot::channel();
        Self { _alive, end: end.shared() }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// A body that ends with this connection, if not before.
    pub(super) fn tie<B>(&self, body: B) -> Tied<B> {
        Tied { body, end: self.end.clone() }
    }
}

pub(super) struct Tied<B> {
    body: B,
    end: End,
}

impl<B: MessageBody + Unpin> MessageBody for Tied<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        match this.end.poll_unpin(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Pin::new(&mut this.body).poll_next(cx),
        }
    }
}
