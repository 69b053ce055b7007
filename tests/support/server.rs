//! A server in this process, on a thread of its own, with the hub in reach.

use std::{net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use actix::Actor;
use actix_web::{App, HttpServer, dev::ServerHandle};
use clearside_sse::{
    Api, Clock, DatabaseUrl, Hub, HubConfig, HubStats, Players, Store, StoreError,
};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{Answer, Follower, Wire, get, post};

/// What the servers' clocks show.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

pub(crate) struct TestServer {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    pub(crate) folder: Arc<TempDir>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// What a test may have otherwise.
pub(crate) struct Settings {
    pub(crate) hub: HubConfig,
    pub(crate) body_timeout: Option<Duration>,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) has_players: bool,
    /// What an application adds to the routes.
    pub(crate) api: Box<dyn FnOnce(Api) -> Api + Send>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            hub: HubConfig::default(),
            body_timeout: None,
            folder: Arc::new(tempfile::tempdir().unwrap()),
            has_players: true,
            api: Box::new(|api| api),
        };
        change(&mut settings);
        let (started, start) = oneshot::channel();
        let folder = Arc::clone(&settings.folder);
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(serve(settings, started));
        });
        let (hub, address, handle) = start.await.expect("the server has started");
        Self { hub, address, folder, handle, thread: Some(thread) }
    }

    /// A fresh server on the database of one that has been stopped.
    pub(crate) async fn on(folder: Arc<TempDir>) -> Self {
        Self::with(|settings| settings.folder = folder).await
    }

    pub(crate) async fn follow(&self, path: &str) -> Wire {
        Wire::follow(self.address, path, &[]).await
    }

    pub(crate) async fn resume(&self, path: &str, last_event_id: &str) -> Wire {
        Wire::follow(self.address, path, &[("Last-Event-ID", last_event_id)]).await
    }

    /// Follows until the snapshot has come: whatever is published from now on is seen.
    pub(crate) async fn follow_live(&self, path: &str) -> Wire {
        let mut wire = self.follow(path).await;
        wire.until("snapshot").await;
        wire
    }

    /// An EventSource, from the beginning.
    pub(crate) fn follower(&self, path: &str) -> Follower {
        Follower::new(self.address, path, Some("earliest"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        get(self.address, path).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        post(self.address, path, body.to_string().as_bytes()).await
    }

    /// Publishes what must be accepted; answers the last id.
    #[track_caller]
    pub(crate) fn publish(
        &self,
        stream: &str,
        body: Value,
    ) -> impl Future<Output = String> + use<> {
        let path = format!("{stream}/events");
        let address = self.address;
        async move {
            let answer = post(address, &path, body.to_string().as_bytes()).await;
            assert!(matches!(answer.status(), 201 | 202), "{body}: {}", answer.text());
            answer.ids().pop().flatten().unwrap_or_default()
        }
    }

    /// Waits until this many follow anything.
    pub(crate) async fn until_clients(&self, clients: usize) {
        super::eventually(&format!("{clients} clients"), || async {
            self.clients().await == clients
        })
        .await;
    }

    pub(crate) async fn clients(&self) -> usize {
        clients(self.hub.stats().await)
    }

    /// Stops as the real server does: every client is let go, what was asked is answered.
    pub(crate) async fn stop(self) -> Arc<TempDir> {
        super::within("shutdown", self.hub.shutdown(Duration::ZERO)).await;
        Arc::clone(&self.folder)
    }
}

fn clients(stats: HubStats) -> usize {
    stats.debates.clients + stats.conversations.clients
}

type Started = (Hub, SocketAddr, ServerHandle);

async fn serve(settings: Settings, started: oneshot::Sender<Started>) {
    let database = settings.folder.path().join("clearside.db");
    let store = open(&DatabaseUrl::file(database)).await;
    let arbiter = actix::Arbiter::current();
    let hub = Hub::start_with_clock(&arbiter, store, settings.hub, Clock::stopped_at(NOW_MS));
    let mut api = Api::new(hub.clone());
    if settings.has_players {
        api = api.with_players(Players::new(hub.registry().clone().recipient()).start());
    }
    api = (settings.api)(api);
    if let Some(timeout) = settings.body_timeout {
        api = api.with_body_timeout(timeout);
    }
    let server = HttpServer::new(move || App::new().configure(|app| api.configure(app)))
        .workers(1)
        .disable_signals()
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .shutdown_timeout(1)
        .listen(listener())
        .expect("a free port");
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let _ = started.send((hub, address, handle));
    server.await.expect("the server ends well");
}

/// Opens a database that the last server may have just let go: a process that another test is starting holds
/// all that is open here, locks included, until it has become another program.
async fn open(url: &DatabaseUrl) -> Store {
    let opened = async {
        loop {
            match Store::open(url) {
                Err(StoreError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                opened => break opened.expect("the database opens"),
            }
        }
    };
    super::within("the database", opened).await
}

/// The kernel holds as little for a connection as in the real server.
fn listener() -> std::net::TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_send_buffer_size(32 * 1024).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1024).unwrap();
    socket.into()
}

impl Drop for TestServer {
    /// Whoever was connected is gone by now, so nothing may be left of them.
    fn drop(&mut self) {
        let (hub, handle) = (self.hub.clone(), self.handle.clone());
        let wait = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let is_quiet = async {
                    while clients(hub.stats().await) > 0 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                let is_quiet = tokio::time::timeout(Duration::from_secs(20), is_quiet).await;
                handle.stop(false).await;
                is_quiet.is_ok()
            })
        };
        let is_quiet = std::thread::spawn(wait).join().unwrap();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server's thread ends well");
                assert!(is_quiet, "clients were leaked: nobody is connected any more");
            }
        }
    }
}
