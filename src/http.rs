//! The HTTP API. Debates and conversations are the same routes, mounted twice.

mod body;
mod control;
mod error;
mod history;
mod publish;
mod status;
mod stream;
mod target;
#[cfg(feature = "server")]
mod viewer;

use std::{sync::Arc, time::Duration};

use actix::Addr;
use actix_cors::Cors;
use actix_web::{
    HttpRequest, HttpResponse, Resource, Route,
    http::{Method, header},
    web,
};

use self::{error::ApiError, target::Mounted};
use crate::{hub::Hub, orchestrator::Players, stream_key::StreamKind};

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
}

impl Api {
    /// How long a request's body may take, from its first byte to its last.
    const BODY_TIMEOUT: Duration = Duration::from_secs(10);

    /// The routes of this hub. `launch` and the other controls answer that nothing runs here.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self {
            state: Arc::new(ApiState {
                hub,
                players: None,
                body_timeout: Self::BODY_TIMEOUT,
            }),
        }
    }

    /// Lets `launch`, `pause`, `resume` and `stop` steer these players.
    #[must_use]
    pub fn with_players(mut self, players: Addr<Players>) -> Self {
        Arc::make_mut(&mut self.state).players = Some(players);
        self
    }

    /// Adds the routes to an application.
    pub fn configure(&self, app: &mut web::ServiceConfig) {
        app.app_data(web::Data::from(Arc::clone(&self.state)));
        for kind in StreamKind::ALL {
            app.service(
                web::scope(kind.base_path())
                    .app_data(Mounted(kind))
                    .service(resource("", [(Method::GET, web::to(status::list))]))
                    .service(resource("/{id}", [(Method::GET, web::to(status::show))]))
                    .service(resource(
                        "/{id}/stream",
                        [
                            (Method::GET, web::to(stream::follow)),
                            (Method::HEAD, web::to(stream::head)),
                        ],
                    ))
                    .service(resource(
                        "/{id}/events",
                        [
                            (Method::GET, web::to(history::page)),
                            (Method::POST, web::to(publish::publish)),
                        ],
                    ))
                    .service(resource(
                        "/{id}/clients/{client}/events",
                        [(Method::POST, web::to(publish::send_to_client))],
                    ))
                    .service(resource(
                        "/{id}/launch",
                        [(Method::POST, web::to(control::launch))],
                    ))
                    .service(resource(
                        "/{id}/pause",
                        [(Method::POST, web::to(control::pause))],
                    ))
                    .service(resource(
                        "/{id}/resume",
                        [(Method::POST, web::to(control::resume))],
                    ))
                    .service(resource(
                        "/{id}/stop",
                        [(Method::POST, web::to(control::stop))],
                    ))
                    .default_service(web::to(not_found)),
            );
        }
        app.service(resource(
            "/api/stats",
            [(Method::GET, web::to(status::stats))],
        ))
        .service(resource(
            "/health/live",
            [(Method::GET, web::to(status::live))],
        ))
        .service(resource(
            "/health/ready",
            [(Method::GET, web::to(status::ready))],
        ));
        #[cfg(feature = "server")]
        app.service(resource("/", [(Method::GET, web::to(viewer::page))]))
            .service(resource(
                "/assets/{file}",
                [(Method::GET, web::to(viewer::asset))],
            ));
        app.default_service(web::to(not_found));
    }
}

/// Lets pages of these origins, exactly as written, follow streams and publish.
pub fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::HeaderName::from_static("last-event-id"),
        ])
        .supports_credentials()
        .max_age(3600);
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// A resource that says which methods it has when it is asked for another one.
fn resource<const N: usize>(path: &str, routes: [(Method, Route); N]) -> Resource {
    let allow = routes
        .iter()
        .map(|(method, _)| method.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let resource = routes
        .into_iter()
        .fold(web::resource(path), |resource, (method, route)| {
            resource.route(route.method(method))
        });
    resource.default_service(web::to(move |request: HttpRequest| {
        let mut answer = match *request.method() {
            Method::OPTIONS => HttpResponse::NoContent(),
            _ => ApiError::method_not_allowed().builder(),
        };
        answer.insert_header((header::ALLOW, allow.clone()));
        let answer = match *request.method() {
            Method::OPTIONS => answer.finish(),
            _ => answer.json(ApiError::method_not_allowed().body()),
        };
        std::future::ready(answer)
    }))
}

async fn not_found() -> ApiError {
    ApiError::not_found("there is nothing at this address")
}
