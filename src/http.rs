//! The HTTP API. Debates and conversations are the same routes, mounted twice.

mod access;
mod body;
mod connection;
mod control;
mod error;
mod history;
#[cfg(feature = "server")]
mod host;
#[cfg(feature = "server")]
mod limits;
#[cfg(feature = "server")]
mod middleware;
mod origin;
mod peer;
#[cfg(feature = "server")]
mod preflight;
mod publish;
mod query;
mod rate;
mod request_id;
mod status;
mod stream;
mod target;
mod ticket;
#[cfg(feature = "server")]
mod viewer;

use std::{sync::Arc, time::Duration};

use actix::Addr;
use actix_cors::Cors;
use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, ResponseError, Route,
    dev::HttpServiceFactory,
    http::{Method, header},
    web,
};
use ipnet::IpNet;

use self::{access::Guard, error::ApiError, rate::Rates, target::Mounted};
pub use self::{
    connection::Connection,
    rate::{RateLimit, RateLimits},
};
#[cfg(feature = "server")]
pub(crate) use self::{
    host::is_loopback,
    limits::{headers_bytes, is_too_large},
    middleware::{complete_answers, refuse_strangers},
    request_id::RequestId,
};
use crate::{auth::Authority, hub::Hub, orchestrator::Players, stream_key::StreamKind};

/// The routes of one hub, for an actix-web application.
///
/// ```no_run
/// use actix_web::{App, HttpServer};
/// use clearside_sse::{Api, Hub};
///
/// # async fn serve(hub: Hub) -> std::io::Result<()> {
/// let api = Api::new(hub);
/// HttpServer::new(move || App::new().configure(|app| api.configure(app)))
///     .h1_allow_half_closed(false) // else a closed tab is noticed only at the next write
///     .tcp_nodelay(true)
///     .bind(("127.0.0.1", 3000))?
///     .run()
///     .await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Api {
    state: Arc<ApiState>,
}

#[derive(Debug, Clone)]
struct ApiState {
    hub: Hub,
    players: Option<Addr<Players>>,
    body_timeout: Duration,
    /// None: everybody may do everything.
    guard: Option<Guard>,
    /// None: as often as they like.
    rates: Option<Arc<Rates>>,
    /// Proxies that say where they have a request from.
    trusted_proxies: Vec<IpNet>,
    /// Other origins whose pages may change something.
    origins: Vec<String>,
}

impl Api {
    /// How long a request's body may take, from its first byte to its last.
    const BODY_TIMEOUT: Duration = Duration::from_secs(10);

    /// The cookie that a token is looked for in.
    pub const COOKIE: &str = "clearside_token";

    /// The routes of this hub. `launch` and the other controls answer that nothing runs here, and everybody may
    /// do everything, but for web pages of other origins, which change nothing.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        let state = ApiState {
            hub,
            players: None,
            body_timeout: Self::BODY_TIMEOUT,
            guard: None,
            rates: None,
            trusted_proxies: Vec::new(),
            origins: Vec::new(),
        };
        Self { state: Arc::new(state) }
    }

    /// Lets nobody in without a token that this authority knows: in `Authorization: Bearer`, in the cookie of
    /// this name, or, to follow a stream, as a ticket in the query.
    #[must_use]
    pub fn with_authority(mut self, authority: Arc<dyn Authority>, cookie: &str) -> Self {
        let guard = Guard { authority, cookie: cookie.to_owned() };
        Arc::make_mut(&mut self.state).guard = Some(guard);
        self
    }

    /// Lets pages of these origins, exactly as browsers send them, change something. They need [`cors`], too.
    #[must_use]
    pub fn with_origins(mut self, origins: &[String]) -> Self {
        origins.clone_into(&mut Arc::make_mut(&mut self.state).origins);
        self
    }

    /// Lets `launch`, `pause`, `resume` and `stop` steer these players.
    #[must_use]
    pub fn with_players(mut self, players: Addr<Players>) -> Self {
        Arc::make_mut(&mut self.state).players = Some(players);
        self
    }

    /// Gives a request's body this long, from its first byte to its last. Default 10 s.
    #[must_use]
    pub fn with_body_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.state).body_timeout = timeout;
        self
    }

    /// Limits how often one token, and one address, may publish and connect.
    #[must_use]
    pub fn with_rate_limits(mut self, limits: RateLimits) -> Self {
        Arc::make_mut(&mut self.state).rates = Some(Arc::new(limits.into()));
        self
    }

    /// Believes `X-Forwarded-For` if it comes from these proxies.
    #[must_use]
    pub fn with_trusted_proxies(mut self, proxies: &[IpNet]) -> Self {
        proxies.clone_into(&mut Arc::make_mut(&mut self.state).trusted_proxies);
        self
    }

    /// Adds the routes to an application.
    pub fn configure(&self, app: &mut web::ServiceConfig) {
        app.app_data(web::Data::from(Arc::clone(&self.state)));
        for kind in StreamKind::ALL {
            app.service(get(kind.base_path(), status::list).app_data(Mounted(kind)))
                .service(Self::streams(kind));
        }
        app.service(get("/api/stats", status::stats))
            .service(get("/health/live", status::live))
            .service(get("/health/ready", status::ready));
    }

    /// Adds the page on which people watch, at `/`, and answers whatever has no route.
    #[cfg(feature = "server")]
    pub(crate) fn configure_page(app: &mut web::ServiceConfig) {
        app.service(get("/", viewer::page))
            .service(get("/assets/{file}", viewer::asset))
            .default_service(web::to(not_found));
    }

    fn streams(kind: StreamKind) -> impl HttpServiceFactory {
        let follow = [web::get().to(stream::follow), web::head().to(stream::head)];
        let events = [
            web::post().to(publish::publish),
            web::get().to(history::page),
            web::head().to(history::page),
        ];
        web::scope(kind.base_path())
            .app_data(Mounted(kind))
            .wrap_fn(target::take_id)
            // They are tried in this order: what is asked for most comes first.
            .service(resource("/events", "GET, HEAD, POST", events))
            .service(resource("/stream", "GET, HEAD", follow))
            .service(get("", status::show))
            .service(post("/ticket", ticket::issue))
            .service(post("/launch", control::launch))
            .service(post("/pause", control::pause))
            .service(post("/resume", control::resume))
            .service(post("/stop", control::stop))
            .service(post("/clients/{client}/events", publish::send_to_client))
            .default_service(web::to(not_found))
    }
}

/// Lets pages of these origins, exactly as written, follow streams, and publish if [`Api::with_origins`] names them.
pub fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            publish::IDEMPOTENCY_KEY,
            header::HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            header::HeaderName::from_static("x-request-id"),
        ])
        .supports_credentials()
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

fn get<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args, Output: Responder + 'static>,
    Args: FromRequest + 'static,
{
    resource(path, "GET, HEAD", [web::get().to(handler.clone()), web::head().to(handler)])
}

fn post<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args, Output: Responder + 'static>,
    Args: FromRequest + 'static,
{
    resource(path, "POST", [web::post().to(handler)])
}

/// A resource that says which methods it has when it is asked for another one.
fn resource(path: &str, allow: &'static str, routes: impl IntoIterator<Item = Route>) -> Resource {
    let other = move |request: HttpRequest| async move {
        let mut answer = match *request.method() {
            Method::OPTIONS => HttpResponse::NoContent().finish(),
            _ => ApiError::method_not_allowed().error_response(),
        };
        answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
        answer
    };
    routes.into_iter().fold(web::resource(path), Resource::route).default_service(web::to(other))
}

async fn not_found() -> ApiError {
    ApiError::not_found("there is nothing at this address")
}
