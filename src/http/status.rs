//! What there is to follow, how it stands, and how the server fares.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::{Deserialize, Serialize};

use super::{
    ApiState,
    error::ApiError,
    query::{limit, query},
    target::{Mounted, Target},
};
use crate::{
    event::EventId,
    hub::{SnapshotView, StreamDescription},
};

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;

/// How long the hub may take to answer before it counts as dead.
const LIVE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    before: Option<i64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct ListBody {
    streams: Vec<StreamBody>,
    /// What to ask for as `before` to get the next page; none at the end.
    next: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamBody {
    id: String,
    #[serde(flatten)]
    view: SnapshotView,
    last_event_id: Option<EventId>,
    /// Milliseconds since the Unix epoch.
    created_at: Option<i64>,
    /// Milliseconds since the Unix epoch.
    last_activity_at: Option<i64>,
}

impl From<StreamDescription> for StreamBody {
    fn from(stream: StreamDescription) -> Self {
        let stored = stream.stored.as_ref();
        Self {
            id: stream.key.id().to_string(),
            view: stream.view,
            last_event_id: stream.tail,
            created_at: stored.map(|stored| stored.created_at),
            last_activity_at: stored.map(|stored| stored.last_activity_at),
        }
    }
}

pub(super) async fn list(
    Mounted(kind): Mounted,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let query = query::<ListQuery>(&request)?;
    let limit = limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let streams = state.hub.list(kind, query.before, limit).await?;
    let is_full = streams.len() == limit;
    let next = streams.last().and_then(|last| last.stored.as_ref()).map(|stored| stored.row);
    let streams = streams.into_iter().map(StreamBody::from).collect();
    Ok(HttpResponse::Ok().json(ListBody { streams, next: next.filter(|_| is_full) }))
}

pub(super) async fn show(
    Target(stream): Target,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let stream = state.hub.describe(&stream).await?.ok_or_else(ApiError::no_such_stream)?;
    Ok(HttpResponse::Ok().json(StreamBody::from(stream)))
}

pub(super) async fn stats(state: Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok().json(state.hub.stats().await)
}

pub(super) async fn live(state: Data<ApiState>) -> HttpResponse {
    let answered = tokio::time::timeout(LIVE_TIMEOUT, state.hub.is_alive()).await;
    health(answered.unwrap_or(false))
}

pub(super) async fn ready(state: Data<ApiState>) -> HttpResponse {
    health(state.hub.is_ready().await)
}

fn health(is_well: bool) -> HttpResponse {
    let (mut answer, status) = match is_well {
        true => (HttpResponse::Ok(), "ok"),
        false => (HttpResponse::ServiceUnavailable(), "unavailable"),
    };
    answer.json(serde_json::json!({ "status": status }))
}
