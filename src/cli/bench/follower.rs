//! One client of a run: a connection that follows a stream and looks closely at what arrives.

use std::{
    cell::RefCell,
    fmt::Write as _,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use awc::http::{Uri, header::HeaderValue};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    ledger::Ledger,
    run::Run,
    stream::{BenchStream, EVENT_NAME, Payload},
    wire::{Wire, WireError},
};
use crate::{
    cli::client::{ServerArgs, detail},
    stream_key::StreamKey,
};

/// How long a server may take until a client is at the live edge: many come at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Where clients connect to, and what they say.
pub(super) struct Target {
    url: String,
    address: SocketAddr,
    /// The server's name and how to speak to it, if that is by TLS.
    tls: Option<(ServerName<'static>, TlsConnector)>,
    /// What comes before the stream's path: a proxy may serve it below one of its own.
    prefix: String,
    /// The headers of each request.
    headers: String,
}

impl Target {
    pub(super) async fn find(server: &ServerArgs) -> anyhow::Result<Self> {
        let url = &server.url;
        let uri: Uri = url.parse().with_context(|| format!("{url} is no address"))?;
        let authority = uri.authority().with_context(|| format!("{url} names no server"))?;
        let host = authority.host().trim_matches(['[', ']']);
        let tls = match server.tls()? {
            Some(config) => Some((ServerName::try_from(host)?.to_owned(), config.into())),
            None => None,
        };
        let usual_port = if tls.is_some() { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(usual_port);
        let mut addresses = tokio::net::lookup_host((host, port))
            .await
            .with_context(|| format!("cannot find {host}"))?;
        let mut headers = format!("Host: {authority}\r\nAccept: text/event-stream\r\n");
        if let Some(token) = server.token()? {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let value = value.context("the token is no token")?;
            write!(headers, "Authorization: {}\r\n", value.to_str()?)?;
        }
        Ok(Self {
            url: url.clone(),
            address: addresses.next().with_context(|| format!("{host} has no address"))?,
            tls,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            headers,
        })
    }

    fn request(&self, stream: &StreamKey) -> String {
        let Self { prefix, headers, .. } = self;
        format!("GET {prefix}{}/stream HTTP/1.1\r\n{headers}\r\n", stream.path())
    }

    async fn connect(&self) -> anyhow::Result<Socket> {
        let unreachable = || format!("cannot reach {}", self.url);
        let tcp = TcpStream::connect(self.address).await.with_context(unreachable)?;
        let Some((name, connector)) = &self.tls else { return Ok(Socket::Plain(tcp)) };
        let tls = connector.connect(name.clone(), tcp).await.with_context(unreachable)?;
        Ok(Socket::Tls(Box::new(tls)))
    }
}

/// A connection to the server.
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.write_all(bytes).await,
            Self::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await
            }
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

/// The data of the event `busy`.
#[derive(Deserialize)]
struct Busy {
    message: String,
}

/// What a client knows of itself; the report reads it when the run is over.
pub(super) type SharedLedger = Rc<RefCell<Ledger>>;

/// One connection.
pub(super) struct Follower {
    socket: Socket,
    wire: Wire,
    stream: Rc<BenchStream>,
    payload: Rc<Payload>,
    run: Rc<Run>,
    ledger: SharedLedger,
    /// Whatever is published from now on will be received.
    is_live: bool,
    /// Why the server wants it to come back another time.
    busy: Option<String>,
}

impl Follower {
    /// Connects, and waits until the client is at the live edge.
    pub(super) async fn connect(
        target: &Target,
        stream: Rc<BenchStream>,
        payload: Rc<Payload>,
        run: Rc<Run>,
    ) -> anyhow::Result<Self> {
        let connected = async {
            let started = Instant::now();
            let mut socket = target.connect().await?;
            socket.write_all(target.request(&stream.key).as_bytes()).await?;
            let (wire, ledger) = (Wire::default(), SharedLedger::default());
            let mut follower =
                Self { socket, wire, stream, payload, run, ledger, is_live: false, busy: None };
            while !follower.is_live {
                let goes_on = follower.read().await?;
                if let Some(message) = &follower.busy {
                    bail!("the server is busy: {message}");
                }
                if !goes_on && !follower.is_live {
                    bail!("the server has ended the connection");
                }
            }
            follower.run.connecting.record(started.elapsed());
            Ok(follower)
        };
        let timeout = tokio::time::timeout(CONNECT_TIMEOUT, connected);
        timeout.await.context("the server sends no snapshot")?
    }

    pub(super) fn ledger(&self) -> SharedLedger {
        Rc::clone(&self.ledger)
    }

    /// Reads until the connection ends.
    pub(super) async fn follow(mut self) {
        while self.read().await.unwrap_or(false) {}
        self.run.lost.set(self.run.lost.get() + 1);
    }

    /// Reads once. False: the response has ended.
    async fn read(&mut self) -> anyhow::Result<bool> {
        std::future::poll_fn(|cx| self.poll_read(cx)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<anyhow::Result<bool>> {
        let run = Rc::clone(&self.run);
        let mut scratch = run.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(self.socket.poll_read(cx, &mut buffer))?;
        Poll::Ready(self.take(buffer.filled()))
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        let now = Instant::now();
        let Self { wire, stream, payload, run, ledger, is_live, busy, .. } = self;
        let taken = wire.push(bytes, |frame| match frame.name {
            name if name == EVENT_NAME.as_bytes() => {
                let mark = payload.read(frame.data);
                match mark.and_then(|mark| Some((mark, stream.sent_at(mark)?))) {
                    Some((mark, sent_at)) if ledger.borrow_mut().receive(mark) => {
                        stream.receive(mark);
                        run.receive(sent_at, now);
                    }
                    Some(_) => {}
                    None => run.altered.set(run.altered.get() + 1),
                }
            }
            b"snapshot" => *is_live = true,
            b"busy" => {
                let told = serde_json::from_slice::<Busy>(frame.data);
                *busy = Some(told.map_or_else(|_| "it does not say why".into(), |it| it.message));
            }
            _ => {}
        });
        match taken {
            Ok(()) => Ok(!bytes.is_empty() && !wire.has_ended()),
            Err(WireError::Refused { status, body }) => {
                bail!("the server refuses ({status}): {}", detail(&body))
            }
            Err(WireError::Malformed) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP").into())
            }
        }
    }
}
