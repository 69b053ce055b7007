//! What there is to follow, how it stands, and how the server fares.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::{Deserialize, Serialize};

use super::{
    ApiState,
    access::{Caller, May, Read},
    error::ApiError,
    query::{limit, query},
    target::Mounted,
};
use crate::{
    auth::Action,
    event::EventId,
    hub::{SnapshotView, StreamDescription},
};

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;

/// How often a list looks for more streams that the caller may read.
const LOOKS_MAX: usize = 20;

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

/// A page of the streams that the caller may read. To find few among many, it looks through a bounded number of
/// them and may come back with fewer than were asked for, and with a `next` all the same.
pub(super) async fn list(
    Mounted(kind): Mounted,
    Caller(access): Caller,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let query = query::<ListQuery>(&request)?;
    let limit = limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    if !access.allows_some(Action::Subscribe, kind) {
        return Err(ApiError::forbidden());
    }
    let mut page = ListBody { streams: Vec::new(), next: query.before };
    for _ in 0..LOOKS_MAX {
        let wanted = limit - page.streams.len();
        let streams = state.hub.list(kind, page.next, wanted).await?;
        let is_full = streams.len() == wanted;
        let last = streams.last().and_then(|last| last.stored.as_ref()).map(|stored| stored.row);
        page.next = last.filter(|_| is_full);
        let readable = streams.into_iter().filter(|s| access.allows(Action::Subscribe, &s.key));
        page.streams.extend(readable.map(StreamBody::from));
        if page.next.is_none() || page.streams.len() == limit {
            break;
        }
    }
    Ok(HttpResponse::Ok().json(page))
}

pub(super) async fn show(
    May { stream, .. }: May<Read>,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let stream = state.hub.describe(&stream).await?.ok_or_else(ApiError::no_such_stream)?;
    Ok(HttpResponse::Ok().json(StreamBody::from(stream)))
}

pub(super) async fn stats(
    Caller(access): Caller,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    if !access.allows_stats() {
        return Err(ApiError::forbidden());
    }
    Ok(HttpResponse::Ok().json(state.hub.stats().await))
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
