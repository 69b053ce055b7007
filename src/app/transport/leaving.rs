//! Streams leave actix-http.
//!
//! For the requests that may still come, its dispatcher holds two buffers of 8 KiB, timers and a parser, and looks
//! after all of them whenever it is woken. A stream's connection has no use for them: nothing more is asked of it.
//! So, once the head of an endless answer is out, the connection and the body leave the dispatcher, which ends,
//! and a [`StreamWriter`] of a few hundred bytes goes on. The connection ends with the stream.

use std::{
    cell::Cell,
    convert::Infallible,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_http::{Extensions, Request, error::DispatchError};
use actix_service::apply_fn_factory;
use actix_web::{
    body::{BodySize, BoxBody, EitherBody, MessageBody},
    dev::{Response, Service},
    http::{Method, Version},
};
use bytes::Bytes;
use futures_util::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Accepted, Application, Serves, stream_writer::StreamWriter};

/// The way out of a connection's dispatcher.
struct Exit<T>(Rc<Leaving<T>>);

struct Leaving<T> {
    /// What is to leave, as soon as the head of its answer is out.
    body: Cell<Option<BoxBody>>,
    left: Cell<Option<Stream<T>>>,
}

/// A connection, and what is still to be written to it.
type Stream<T> = (T, BoxBody);

/// A connection that is with its dispatcher until a stream takes it away.
pub(super) struct Lent<T> {
    io: Option<T>,
    exit: Exit<T>,
}

/// What the dispatcher has in place of a body that leaves.
pub(super) struct Left;

/// Serves connections by what serves them on loan, and then those that have left it as streams.
pub(super) fn until_it_streams<T, S>(service: S) -> impl Serves<Accepted<T>> + use<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Serves<Accepted<Lent<T>>>,
{
    apply_fn_factory(service, |(io, protocol, peer): Accepted<T>, service: &S::Service| {
        let exit = Exit::default();
        let lent = Lent { io: Some(io), exit: exit.clone() };
        // Apart, so that a stream's task has no room for it.
        let dispatcher = Box::pin(service.call((lent, protocol, peer)));
        async move {
            match exit.wait(dispatcher).await? {
                Some((io, body)) => Ok(StreamWriter::new(io, body).await?),
                None => Ok(()),
            }
        }
    })
}

/// An application whose endless answers take their connections away.
pub(super) fn leaving<T, A, B>(app: A) -> impl Application<EitherBody<B, Left>> + use<T, A, B>
where
    T: 'static,
    A: Application<B>,
    B: MessageBody + 'static,
{
    apply_fn_factory(app, |request: Request, app: &A::Service| {
        // An older client knows no chunks, and to HEAD there is no body.
        let may_leave = request.version() == Version::HTTP_11 && request.method() == Method::GET;
        let exit = request.conn_data::<Exit<T>>().filter(|_| may_leave).cloned();
        let answer = app.call(request);
        async move {
            let answer: Response<B> = answer.await?.into();
            Ok(match exit.filter(|_| answer.body().size() == BodySize::Stream) {
                Some(exit) => answer.map_body(|_, body| {
                    exit.0.body.set(Some(body.boxed()));
                    EitherBody::right(Left)
                }),
                None => answer.map_body(|_, body| EitherBody::left(body)),
            })
        }
    })
}

impl<T> Clone for Exit<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Default for Exit<T> {
    fn default() -> Self {
        Self(Rc::new(Leaving { body: Cell::default(), left: Cell::default() }))
    }
}

impl<T> Exit<T> {
    /// Lets the dispatcher work until it has done its work, or somebody leaves.
    async fn wait<D>(&self, mut dispatcher: Pin<Box<D>>) -> Result<Option<Stream<T>>, DispatchError>
    where
        D: Future<Output = Result<(), DispatchError>>,
    {
        poll_fn(|cx| match dispatcher.as_mut().poll(cx) {
            Poll::Ready(end) => Poll::Ready(end.map(|()| None)),
            Poll::Pending => match self.0.left.take() {
                Some(stream) => Poll::Ready(Ok(Some(stream))),
                None => Poll::Pending,
            },
        })
        .await
    }
}

impl<T: 'static> Lent<T> {
    /// Adds to the connection's data what its answers leave by.
    pub(super) fn show_the_exit(&self, data: &mut Extensions) {
        data.insert(self.exit.clone());
    }
}

impl<T: Unpin> Lent<T> {
    fn io(&mut self) -> io::Result<Pin<&mut T>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lent<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Lent<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().io()?.poll_write(cx, bytes)
    }

    /// The dispatcher flushes when all that it had has been written.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.io()?.poll_flush(cx))?;
        if let Some(body) = this.exit.0.body.take() {
            this.exit.0.left.set(this.io.take().map(|io| (io, body)));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_shutdown(cx)
    }
}

impl MessageBody for Left {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Pending
    }
}
