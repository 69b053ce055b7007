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
    body::{BodySize, BodyStream, BoxBody, EitherBody, MessageBody},
    dev::{Response, Service},
    http::{Method, Version},
};
use bytes::Bytes;
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Accepted, Application, Serves, stream_writer::StreamWriter};

/// The way out of a connection's dispatcher.
struct Exit<T> {
    /// What is to leave, as soon as the head of its answer is out.
    body: Cell<Option<BoxBody>>,
    left: Cell<Option<Stream<T>>>,
}

/// A connection, and what is still to be written to it.
type Stream<T> = (T, BoxBody);

/// A connection that is with its dispatcher until a stream takes it away.
pub(super) struct Lent<T> {
    io: Option<T>,
    exit: Rc<Exit<T>>,
}

/// What the dispatcher has in place of a body that leaves.
type Left = BodyStream<stream::Pending<Result<Bytes, Infallible>>>;

/// Serves connections by what serves them on loan, and then those that have left it as streams.
pub(super) fn until_it_streams<T, S>(service: S) -> impl Serves<Accepted<T>> + use<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Serves<Accepted<Lent<T>>>,
{
    apply_fn_factory(service, |(io, protocol, peer): Accepted<T>, service: &S::Service| {
        let exit = Rc::<Exit<T>>::default();
        let lent = Lent { io: Some(io), exit: Rc::clone(&exit) };
        let dispatcher = Box::pin(service.call((lent, protocol, peer)));
        Box::pin(Served::Lent { dispatcher, exit })
    })
}

/// A connection on its way. It is a piece of memory by itself, and without TLS one of some hundred bytes: thousands of
/// them take turns in the processor's cache.
enum Served<D, T> {
    Lent { dispatcher: Pin<Box<D>>, exit: Rc<Exit<T>> },
    Streams(StreamWriter<T>),
}

impl<D, T> Future for Served<D, T>
where
    D: Future<Output = Result<(), DispatchError>>,
    T: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Result<(), DispatchError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match this {
                Self::Streams(writer) => return Pin::new(writer).poll(cx).map_err(Into::into),
                Self::Lent { dispatcher, exit } => match dispatcher.as_mut().poll(cx) {
                    Poll::Ready(end) => return Poll::Ready(end),
                    Poll::Pending => match exit.left.take() {
                        Some((io, body)) => *this = Self::Streams(StreamWriter::new(io, body)),
                        None => return Poll::Pending,
                    },
                },
            }
        }
    }
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
        let exit = request.conn_data::<Rc<Exit<T>>>().filter(|_| may_leave).cloned();
        let answer = app.call(request);
        async move {
            let answer: Response<B> = answer.await?.into();
            Ok(match exit.filter(|_| answer.body().size() == BodySize::Stream) {
                Some(exit) => answer.map_body(|_, body| {
                    exit.body.set(Some(body.boxed()));
                    EitherBody::right(Left::new(stream::pending()))
                }),
                None => answer.map_body(|_, body| EitherBody::left(body)),
            })
        }
    })
}

impl<T> Default for Exit<T> {
    fn default() -> Self {
        Self { body: Cell::default(), left: Cell::default() }
    }
}

impl<T: 'static> Lent<T> {
    /// Adds to the connection's data what its answers leave by.
    pub(super) fn show_the_exit(&self, data: &mut Extensions) {
        data.insert(Rc::clone(&self.exit));
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
        // It does so once more if it had much: what has left needs no flush.
        let Some(io) = &mut this.io else { return Poll::Ready(Ok(())) };
        ready!(Pin::new(io).poll_flush(cx))?;
        if let Some(body) = this.exit.body.take() {
            this.exit.left.set(this.io.take().map(|io| (io, body)));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Weak, time::Duration};

    use actix_http::{HttpService, Protocol};
    use actix_service::{ServiceFactory, fn_service};
    use futures_util::{
        FutureExt, StreamExt,
        future::LocalBoxFuture,
        stream::{iter, pending},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{pause, timeout},
    };

    use super::*;

    struct Asked {
        client: DuplexStream,
        served: LocalBoxFuture<'static, ()>,
        /// The dispatcher has it, and nobody keeps it.
        exit: Rc<RefCell<Weak<Exit<DuplexStream>>>>,
    }

    /// Asks for an answer that has two pieces and then no end, over a line that holds so many bytes. If its path is
    /// a number, an answer has that many bytes.
    async fn ask(request: &str, line_bytes: usize) -> Asked {
        let app = fn_service(async |request: Request| {
            if let Ok(bytes) = request.path().trim_matches('/').parse() {
                return Ok(Response::ok().set_body(BoxBody::new("x".repeat(bytes))));
            }
            let pieces = iter(["one", "two"]).map(|piece| Ok::<_, Infallible>(piece.into()));
            let body = BodyStream::new(pieces.chain(pending()));
            Ok::<_, Response<BoxBody>>(Response::ok().set_body(BoxBody::new(body)))
        });
        let exit = Rc::<RefCell<Weak<_>>>::default();
        let seen = Rc::clone(&exit);
        let service = HttpService::build()
            .on_connect_ext(move |io: &Lent<DuplexStream>, data| {
                io.show_the_exit(data);
                seen.replace(Rc::downgrade(&io.exit));
            })
            .finish(leaving::<DuplexStream, _, _>(app));
        let (server, mut client) = duplex(line_bytes);
        let service = until_it_streams(service).new_service(()).await.unwrap();
        let mut served = service.call((server, Protocol::Http1, None)).map(drop).boxed_local();
        tokio::select! {
            () = &mut served => {}
            sent = client.write_all(request.as_bytes()) => sent.unwrap(),
        }
        Asked { client, served, exit }
    }

    impl Asked {
        fn is_with_its_dispatcher(&self) -> bool {
            self.exit.borrow().strong_count() > 0
        }

        /// All that comes.
        async fn answer(&mut self) -> String {
            let mut answer = Vec::new();
            let received = timeout(Duration::from_secs(1), self.client.read_to_end(&mut answer));
            tokio::select! {
                () = &mut self.served => {}
                _ = received => {}
            }
            String::from_utf8(answer).unwrap()
        }
    }

    const CHUNKS: &str = "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n";

    #[actix_web::test]
    async fn a_stream_leaves_its_dispatcher_when_its_head_is_out() {
        pause();
        let mut asked = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1024).await;
        assert!(asked.is_with_its_dispatcher());
        let answer = asked.answer().await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"),
            "{answer}"
        );
        assert!(answer.ends_with(CHUNKS), "{answer}");
        assert!(!asked.is_with_its_dispatcher());
    }

    #[actix_web::test]
    async fn a_stream_for_an_older_client_stays_and_so_does_one_without_a_body() {
        pause();
        // Who answers a client of HTTP/1.0 says that there are to be no chunks.
        for (request, end) in [
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", CHUNKS),
            ("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n"),
        ] {
            let mut asked = ask(request, 1024).await;
            let answer = asked.answer().await;
            assert!(answer.ends_with(end), "{answer}");
            assert!(asked.is_with_its_dispatcher());
        }
    }

    #[actix_web::test]
    async fn a_head_that_is_taken_little_by_little_goes_out_whole_before_the_stream() {
        pause();
        let mut asked = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 16).await;
        let answer = asked.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(CHUNKS), "{answer}");
        assert!(!asked.is_with_its_dispatcher());
    }

    #[actix_web::test]
    async fn a_stream_is_not_lost_behind_answers_that_fill_the_buffer() {
        pause();
        // Each leaves room for a part of the stream's head only.
        for bytes in [32_600, 32_640, 32_680] {
            let requests = format!(
                "GET /{bytes} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
            );
            let mut asked = ask(&requests, 64 * 1024).await;
            let answers = asked.answer().await;
            assert!(answers.ends_with(CHUNKS), "behind {bytes} bytes");
        }
    }
}
