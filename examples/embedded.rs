//! The hub inside an actix-web application that has routes, and a CORS policy, of its own.
//!
//! `cargo run --example embedded`, then open <http://127.0.0.1:8080/hello>, and follow with
//! `curl -N http://127.0.0.1:8080/api/debates/d1/stream` while you publish with
//! `curl -X POST http://127.0.0.1:8080/say/anything`.

use std::{error::Error, time::Duration};

use actix::Arbiter;
use actix_web::{
    App, HttpResponse, HttpServer, Responder,
    middleware::Logger,
    rt::signal::unix::{SignalKind, signal},
    web,
};
use clearside_sse::{Api, DatabaseUrl, Hub, HubConfig, NewEvent, Store, StreamKey, cors};

async fn hello(hub: web::Data<Hub>) -> impl Responder {
    let stats = hub.stats().await;
    format!("{} people follow {} debates\n", stats.debates.clients, stats.debates.count)
}

/// A handler of the application publishes like anyone else.
async fn say(
    words: web::Path<String>,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, Box<dyn Error>> {
    let debate: StreamKey = "debate/d1".parse()?;
    let event = NewEvent::new("said", &serde_json::json!({ "words": words.as_str() }))?;
    let id = hub.publish(&debate, event).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "id": id })))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Store::open(&"sqlite://embedded.db".parse::<DatabaseUrl>()?)?;
    // Streams have a thread of their own, beside the workers'.
    let arbiter = Arbiter::new();
    let hub = Hub::start(&arbiter.handle(), store.clone(), HubConfig::default());
    // Whose pages may publish, too, beside the application's own.
    let origins = ["http://localhost:5173".to_owned()];
    let api = Api::new(hub.clone()).with_origins(&origins);

    let mut terminate = signal(SignalKind::terminate())?;
    let ending = hub.clone();
    HttpServer::new(move || {
        App::new()
            .wrap(cors(&origins))
            .wrap(Logger::default())
            .app_data(web::Data::new(hub.clone()))
            .route("/hello", web::get().to(hello))
            .route("/say/{words}", web::post().to(say))
            .configure(|app| api.configure(app))
    })
    .tcp_nodelay(true)
    .h1_allow_half_closed(false)
    // Else the server waits for all followers, and cuts them off in the end. Told so, they come back by themselves.
    .shutdown_signal(async move {
        terminate.recv().await;
        ending.shutdown(Duration::from_millis(500)).await;
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await?;
    // The database is one file then, which can be copied.
    store.checkpoint().await?;
    Ok(())
}
