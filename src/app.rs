//! The composition root: opens the store, starts the hub, serves HTTP, and takes it all down in order.

mod files;
mod tls;
mod transport;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    sync::Arc,
    thread,
    time::Duration,
};

use actix::{Actor, Addr, Arbiter};
use actix_server::ServerBuilder;
use actix_service::map_config;
use actix_web::{
    App,
    dev::{AppConfig, Server, ServerHandle},
    middleware::Condition,
};
use socket2::{Domain, Protocol, Socket, Type};

use self::transport::{Liveness, Transport};
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

/// A server that accepts connections.
pub(crate) struct Application {
    pub(crate) hub: Hub,
    store: Store,
    pub(crate) players: Addr<Players>,
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    /// Whether everybody who reaches it may do everything.
    pub(crate) is_open: bool,
    server: Server,
    drain: Duration,
    // The hub's thread.
    arbiter: Arbiter,
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
        let hub = Hub::start(&arbiter.handle(), store.clone(), hub_config);
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
        let app = move || {
            let app = App::new()
                .configure(|app| api.configure(app))
                .configure(Api::configure_page)
                .wrap_fn(move |request, next| http::refuse_strangers(checks_hosts, request, next))
                .wrap(Condition::new(!origins.is_empty(), http::cors(&origins)))
                .wrap_fn(http::complete_answers);
            map_config(app, |()| AppConfig::default())
        };
        let transport = match tls {
            Some(tls) => Transport::tls(tls),
            None if config.h2c => Transport::H2c,
            None => Transport::Plain,
        };
        let builder = ServerBuilder::new()
            .workers(workers)
            // Our own limit comes first: at this one, actix stops to accept, health checks included.
            .max_concurrent_connections(connections_max)
            .shutdown_timeout(whole_secs(config.drain))
            .disable_signals();
        let liveness = Liveness { stall: config.stall, heartbeat: config.hub.heartbeat };
        let server = transport.serve(builder, listener, liveness, app).map_err(listen_error)?.run();
        let url = format!("{scheme}://{address}");
        Ok(Self {
            hub,
            store,
            players,
            address,
            url,
            is_open,
            server,
            drain: config.drain,
            arbiter,
        })
    }

    /// Serves until `stop` is done, then lets every client go, answers what was asked, and ends.
    pub(crate) async fn run_until(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let Self { hub, store, server, drain, arbiter, .. } = self;
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
        let ended = server.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        // What is still performed would go on being stored.
        arbiter.stop();
        if let Err(error) = store.checkpoint().await {
            log::warn!(error:% = error; "the write-ahead log stays: it belongs to the database");
        }
        ended
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

/// No fewer than this: what is cut off at the end of the drain is cut off by us, at the millisecond.
const fn whole_secs(duration: Duration) -> u64 {
    duration.as_secs() + (duration.subsec_nanos() > 0) as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_never_cut_to_the_second_below() {
        for (millis, secs) in [(1, 1), (900, 1), (1000, 1), (1001, 2), (10_000, 10)] {
            assert_eq!(whole_secs(Duration::from_millis(millis)), secs, "{millis} ms");
        }
    }
}
