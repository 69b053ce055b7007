//! What lies between a listener and the application: TLS, and which HTTP is spoken.
//!
//! actix-web's `HttpServer` has one `keep_alive` for two things: how long an idle HTTP/1.1 connection is kept,
//! which must be longer than a proxy keeps it, and how often an HTTP/2 peer is asked whether it is still there,
//! which must be shorter than a heartbeat. So the services that it would put together are put together here.

mod by_protocol;
mod in_flight;
mod leaving;
mod stream_writer;

use std::{
    cell::RefCell,
    fmt, io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    time::Duration,
};

use actix_http::{HttpService, Protocol, Request, error::DispatchError};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{ServiceFactoryExt, apply_fn_factory};
use actix_tls::accept::{
    TlsError, max_concurrent_tls_connect,
    rustls_0_23::{Acceptor, TlsStream},
};
use actix_web::{
    body::{BoxBody, MessageBody},
    dev::{Response, Service, ServiceFactory, fn_service},
    rt::net::{ActixStream, TcpStream},
};
use rustls::ServerConfig;
use socket2::SockRef;

use self::{
    by_protocol::ByProtocol,
    in_flight::{InFlight, counted},
    leaving::{Lent, leaving, until_it_streams},
};
use crate::http::Connection;

const NAME: &str = "clearside-sse";

/// How many TLS handshakes go on at a time, for each worker. Who connects and is silent holds one until
/// [`HANDSHAKE_TIMEOUT`]; at actix's 256, three thousand of these kept everybody else out.
const HANDSHAKES_MAX: usize = 16 * 1024;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may take to show which HTTP it speaks, and the head of a request to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection that is to be closed may take for its last words.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an idle HTTP/1.1 connection is kept; proxies keep theirs for 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The shortest time that an HTTP/2 peer has to answer a ping: a line that is lost for less is no dead peer.
const PONG_TIMEOUT_MIN: Duration = Duration::from_secs(5);

/// How HTTP comes in.
pub(super) enum Transport {
    /// HTTP/1.1 alone.
    Plain,
    /// HTTP/1.1, and HTTP/2 from whoever begins with it.
    H2c,
    /// Either, as the TLS handshake says.
    Tls(Acceptor),
}

/// What ends a connection whose peer is gone, or as good as gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Liveness {
    /// How long a peer may take nothing; only the kernel can tell.
    pub(super) stall: Duration,
    pub(super) heartbeat: Duration,
}

impl Liveness {
    /// How long an HTTP/2 peer is left alone before it is pinged, and how long it then has to answer: half of a
    /// heartbeat each, so that one that died right after a ping is found out within a heartbeat.
    fn ping_interval(self) -> Duration {
        (self.heartbeat / 2).max(PONG_TIMEOUT_MIN)
    }
}

/// What answers requests, with bodies of this kind.
pub(super) trait Application<B>:
    ServiceFactory<
        Request,
        Config = (),
        Response: Into<Response<B>> + 'static,
        Error: Into<Response<BoxBody>> + 'static,
        InitError: fmt::Debug,
        Service: Service<Request, Future: 'static> + 'static,
        Future: 'static,
    > + 'static
{
}

impl<B, A> Application<B> for A where
    A: ServiceFactory<
            Request,
            Config = (),
            Response: Into<Response<B>> + 'static,
            Error: Into<Response<BoxBody>> + 'static,
            InitError: fmt::Debug,
            Service: Service<Request, Future: 'static> + 'static,
            Future: 'static,
        > + 'static
{
}

/// A connection, the HTTP that it speaks, and where it is from.
type Accepted<T> = (T, Protocol, Option<SocketAddr>);

/// What serves connections, each to its end.
trait Serves<T>:
    ServiceFactory<
        T,
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
        Future: 'static,
    > + 'static
{
}

impl<T, S> Serves<T> for S where
    S: ServiceFactory<
            T,
            Config = (),
            Response = (),
            Error = DispatchError,
            InitError = (),
            Future: 'static,
        > + 'static
{
}

impl Transport {
    pub(super) fn tls(mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut acceptor = Acceptor::new(config);
        acceptor.set_handshake_timeout(HANDSHAKE_TIMEOUT);
        Self::Tls(acceptor)
    }

    /// Serves an application on this listener; each worker makes its own.
    pub(super) fn serve<A, B>(
        self,
        builder: ServerBuilder,
        listener: TcpListener,
        liveness: Liveness,
        app: impl Fn() -> A + Send + Clone + 'static,
    ) -> io::Result<ServerBuilder>
    where
        A: Application<B>,
        B: MessageBody + 'static,
    {
        let stopping = builder.graceful_shutdown_signal();
        match self {
            Self::Plain => builder.listen(NAME, listener, move || {
                apply_fn_factory(http1(app(), &stopping), move |io: TcpStream, http: &_| {
                    http.call(accepted(io, Protocol::Http1, liveness))
                })
            }),
            Self::H2c => builder.listen(NAME, listener, move || {
                let accept_stopping = stopping.clone();
                let accept = move |io: TcpStream| {
                    let stopping = accept_stopping.clone();
                    async move {
                        let protocol = protocol_of(&io, &stopping).await?;
                        Ok(accepted(io, protocol, liveness))
                    }
                };
                fn_service(accept).and_then(ByProtocol {
                    http1: http1(app(), &stopping),
                    http2: http2(app(), liveness, &stopping),
                })
            }),
            Self::Tls(acceptor) => {
                max_concurrent_tls_connect(HANDSHAKES_MAX);
                builder.listen(NAME, listener, move || {
                    let accept = acceptor.clone().map_err(TlsError::into_service_error);
                    let accept = accept.map(move |io: TlsStream<TcpStream>| {
                        let is_http2 = io.get_ref().1.alpn_protocol() == Some(b"h2");
                        let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
                        accepted(io, protocol, liveness)
                    });
                    let http = ByProtocol {
                        http1: http1(app(), &stopping),
                        http2: http2(app(), liveness, &stopping),
                    };
                    accept.and_then(http.map_err(TlsError::Service))
                })
            }
        }
    }
}

/// A TCP connection, bare or within TLS.
trait Socket: ActixStream + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

fn accepted<T: Socket>(io: T, protocol: Protocol, liveness: Liveness) -> Accepted<T> {
    prepare(io.tcp(), liveness);
    let peer = io.tcp().peer_addr().ok();
    (io, protocol, peer)
}

/// What its first bytes say, which stay where they are. A stop waits for nobody who says nothing.
async fn protocol_of(
    io: &TcpStream,
    stopping: &GracefulShutdownSignal,
) -> Result<Protocol, DispatchError> {
    const PREFACE: &[u8] = b"PRI * HTTP/2";
    let mut first = [0; PREFACE.len()];
    tokio::select! {
        biased;
        peeked = io.peek(&mut first) => peeked?,
        () = stopping.notified() => return Err(DispatchError::DisconnectTimeout),
        () = tokio::time::sleep(HEAD_TIMEOUT) => return Err(DispatchError::SlowRequestTimeout),
    };
    Ok(if first == PREFACE { Protocol::Http2 } else { Protocol::Http1 })
}

fn http1<T, A, B>(
    app: A,
    stopping: &GracefulShutdownSignal,
) -> impl Serves<Accepted<T>> + use<T, A, B>
where
    T: Socket,
    A: Application<B>,
    B: MessageBody + 'static,
{
    let stopping = stopping.clone();
    let service = HttpService::build()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        // Else a closed tab is noticed at the second write only.
        .h1_allow_half_closed(false)
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .on_connect_ext(|io: &Lent<T>, data| io.show_the_exit(data))
        .finish(leaving::<T, _, _>(app));
    until_it_streams(service)
}

fn http2<T, A, B>(
    app: A,
    liveness: Liveness,
    stopping: &GracefulShutdownSignal,
) -> impl Serves<Accepted<T>> + use<T, A, B>
where
    T: Socket,
    A: Application<B>,
    B: MessageBody + 'static,
{
    // The next connection's. Its data are made within the call that begins to serve it.
    let next = Rc::new(RefCell::new(InFlight::default()));
    let (in_flight, stopping) = (Rc::clone(&next), stopping.clone());
    let service = HttpService::build()
        .keep_alive(liveness.ping_interval())
        .client_request_timeout(HEAD_TIMEOUT)
        .on_connect_ext(move |_: &T, extensions| {
            // Its streams are tasks of their own, which would not hear of its end before they next write.
            extensions.insert(Connection::default());
            extensions.insert(in_flight.borrow().clone());
        })
        .finish(counted(app));
    apply_fn_factory(service, move |accepted: Accepted<T>, service: &_| {
        let peer = accepted.2;
        let connection = service.call(accepted);
        let (in_flight, stopping) = (next.take(), stopping.clone());
        async move {
            let stop = async {
                stopping.notified().await;
                in_flight.settled(DISCONNECT_TIMEOUT).await;
            };
            let end = tokio::select! {
                end = connection => end,
                () = stop => Ok(()),
                why = in_flight.is_too_much(liveness.stall) => {
                    let address = peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
                    log::warn!(address; "{why}");
                    Ok(())
                }
            };
            in_flight.close();
            end
        }
    })
}

fn prepare(tcp: &TcpStream, liveness: Liveness) {
    let set = tcp
        .set_nodelay(true)
        .and_then(|()| SockRef::from(tcp).set_tcp_user_timeout(Some(liveness.stall)));
    if let Err(error) = set {
        log::debug!(error:% = error; "a connection cannot be prepared");
    }
}
