//! The composition root: opens the store, starts the hub, serves HTTP, and takes it all down in order.

mod files;
mod tls;

use std::{
    any::Any,
    io,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    sync::Arc,
    thread,
    time::Duration,
};

use actix::{Actor, Addr, Arbiter};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    http::header,
    middleware::{Condition, DefaultHeaders, from_fn},
    rt::net::TcpStream,
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{
    auth::Keys,
    config::{self, ServerConfig, SettingsError},
    http::{self, Api},
    hub::Hub,
    orchestrator::Players,
    store::{Store, StoreError},
};

/// How many connections the kernel holds while we are busy: all browsers come back at once.
const BACKLOG: i32 = 4096;

/// How much the kernel may hold for one connection: a client that never reads would pin 4 MB.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// How much is gathered for one write: with what a body adds at a time it fits into the 8 KiB that a
/// connection's buffer has from the beginning, and would keep at any larger size.
const WRITE_BUFFER_BYTES: usize = 7 * 1024;

/// For whatever is no page: should a browser take it for one, nothing of it runs. The page has its own.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// How many TLS handshakes go on at a time, for each worker. Who connects and is silent holds one until
/// [`HANDSHAKE_TIMEOUT`]; at actix's 256, three thousand of these kept everybody else out.
const HANDSHAKES_MAX: usize = 16 * 1024;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection of a publisher is kept; proxies keep theirs for 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A server that accepts connections.
pub(crate) struct Application {
    pub(crate) hub: Hub,
    pub(crate) players: Addr<Players>,
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    /// Whether everybody who reaches it may do everything.
    pub(crate) is_open: bool,
    server: Server,
    drain: Duration,
    // The hub's thread ends with it.
    _arbiter: Arbiter,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
}

impl Application {
    /// Takes the port, then opens the database, then starts to serve.
    pub(crate) fn start(config: &ServerConfig) -> Result<Self, StartError> {
        let keys = config.keys()?.map(Arc::new);
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(tls::server_config(cert, key)?),
            _ => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = listen(config.listen).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let is_open = keys.is_none();
        if is_open && !config.is_loopback() {
            log::warn!(address:% = address; "whoever reaches this address can publish, launch and stop");
        }
        // Raises the soft limit as far as we may; what is left is what we have.
        let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
        let hub_config = config.hub.to_hub_config(descriptors)?;
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        let connections_max =
            config::connections_per_worker(hub_config.clients_max, descriptors, workers);
        let store = Store::open(&config.database)?;

        let arbiter = Arbiter::new();
        let hub = Hub::start(&arbiter.handle(), store, hub_config);
        let publisher = hub.registry().clone().recipient();
        let players =
            Players::start_in_arbiter(&arbiter.handle(), move |_| Players::new(publisher));

        let mut api = Api::new(hub.clone())
            .with_players(players.clone())
            .with_origins(&config.cors_origins)
            .with_rate_limits(config.rate_limits())
            .with_trusted_proxies(&config.trusted_proxies);
        if let Some(keys) = keys {
            reload_key_set(config, &keys);
            api = api.with_authority(keys, &config.keys.jwt_cookie);
        }
        let origins = config.cors_origins.clone();
        let checks_hosts = is_open && !config.open;
        let stall = config.stall;
        let server = HttpServer::new(move || {
            App::new()
                .configure(|app| api.configure(app))
                .configure(Api::configure_page)
                .wrap(from_fn(http::refuse_foreign_pages))
                .wrap(Condition::new(checks_hosts, from_fn(http::refuse_foreign_hosts)))
                .wrap(from_fn(http::limit_heads))
                .wrap(Condition::new(!origins.is_empty(), http::cors(&origins)))
                .wrap(from_fn(http::word_preflights))
                .wrap(
                    DefaultHeaders::new()
                        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                        .add((header::REFERRER_POLICY, "no-referrer"))
                        .add((header::CONTENT_SECURITY_POLICY, POLICY))
                        .add((header::CACHE_CONTROL, "no-store")),
                )
        })
        .on_connect(move |io, _| prepare(io, stall))
        // Else a closed tab is noticed at the second write only.
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .h1_write_buffer_size(WRITE_BUFFER_BYTES)
        .keep_alive(KEEP_ALIVE)
        .workers(workers)
        // Our own limit comes first: at this one, actix stops to accept, health checks included.
        .max_connections(connections_max)
        .max_connection_rate(HANDSHAKES_MAX)
        .tls_handshake_timeout(HANDSHAKE_TIMEOUT)
        .shutdown_timeout(config.drain.as_secs())
        .disable_signals();
        let server = match tls {
            Some(tls) => server.listen_rustls_0_23(listener, tls),
            // It waits for a connection's first bytes without a limit.
            None if config.h2c => server.listen_auto_h2c(listener),
            None => server.listen(listener),
        };
        let server = server.map_err(listen_error)?.run();
        let url = format!("{scheme}://{address}");
        Ok(Self {
            hub,
            players,
            address,
            url,
            is_open,
            server,
            drain: config.drain,
            _arbiter: arbiter,
        })
    }

    /// Serves until `stop` is done, then lets every client go, answers what was asked, and ends.
    pub(crate) async fn run_until(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let Self { hub, server, drain, .. } = self;
        let handle = server.handle();
        let server = actix_web::rt::spawn(server);
        tokio::select! {
            () = stop => {}
            () = hub.lost() => {
                // A supervisor that starts us anew does more good than a server that answers nobody.
                handle.stop(false).await;
                return Err(io::Error::other("the hub's registry has panicked"));
            }
        }
        tokio::select! {
            () = shut_down(&hub, &handle, drain) => {}
            () = tokio::time::sleep(drain) => {
                log::warn!("the shutdown took too long; what is left is cut off");
                handle.stop(false).await;
            }
        }
        server.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

fn reload_key_set(config: &ServerConfig, keys: &Arc<Keys>) {
    if let Some(path) = config.keys.jwks.clone() {
        let keys = Arc::clone(keys);
        files::on_change("--jwks", vec![path.clone()], move || -> Result<(), StartError> {
            Ok(keys
                .set_key_set(&config::read("--jwks", &path)?)
                .map_err(config::wrong("--jwks", &path))?)
        });
    }
}

async fn shut_down(hub: &Hub, handle: &ServerHandle, drain: Duration) {
    let stats = hub.stats().await;
    let clients = stats.debates.clients + stats.conversations.clients;
    // A thousand a second, so that they do not all come to the next server at once.
    let spread = Duration::from_millis(clients as u64).min(drain / 2);
    log::info!(clients; "shutting down");
    // The last ones may be blocked and never end by themselves.
    let ended = tokio::time::timeout(drain.mul_f64(0.8), hub.shutdown(spread)).await;
    handle.stop(ended.is_ok()).await;
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A peer that takes nothing for this long is gone, or as good as gone; only the kernel can tell.
fn prepare(io: &dyn Any, stall: Duration) {
    let tcp = io.downcast_ref::<TcpStream>().or_else(|| {
        let tls = io.downcast_ref::<TlsStream<TcpStream>>()?;
        Some(tls.get_ref().0)
    });
    if let Some(tcp) = tcp
        && let Err(error) = SockRef::from(tcp).set_tcp_user_timeout(Some(stall))
    {
        log::debug!(error:% = error; "TCP_USER_TIMEOUT cannot be set");
    }
}
