//! What there is to follow, how it stands, and how the server fares.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::{Deserialize, Serialize};

use super::{
    ApiState,
    access::{Caller, May, Read, forbidden},
    error::ApiError,
    query::{limit, query},
    target::Mounted,
};
use crate::{
    auth::{Access, Action},
    event::EventId,
    hub::{Hub, SnapshotView, StreamDescription},
    stream_key::{StreamKey, StreamKind},
};

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;

/// How many streams a list looks at together, and how often, for some that the caller may read.
const LOOK: usize = 200;
const LOOKS_MAX: usize = 50;

/// How long the hub may take to say how it is before it counts as unwell.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    before: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct ListBody {
    streams: Vec<StreamBody>,
    /// What to ask for as `before` to get the next page; none at the end. It is the last stream of this page: a
    /// number would tell how many there are that the caller may not read.
    next: Option<String>,
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

/// A page of the streams that the caller may read, and of nothing else a hint.
pub(super) async fn list(
    Mounted(kind): Mounted,
    Caller(access): Caller,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let query = query::<ListQuery>(&request)?;
    let limit = limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    if !access.allows_some(Action::Subscribe, kind) {
        return Err(forbidden(&request));
    }
    let before = match query.before {
        Some(id) => Some(row_of(kind, &id, &access, &state.hub).await?),
        None => None,
    };
    // One more than fits tells whether there is another page.
    let mut streams = match access.grants().and_then(|grants| grants.subscribe_only(kind)) {
        Some(named) => look_up(named, before, &state.hub).await?,
        None => look_through(kind, before, limit + 1, &access, &state.hub).await?,
    };
    let is_last = streams.len() <= limit;
    streams.truncate(limit);
    let last = streams.last().map(|stream| stream.key.id().to_string());
    let streams = streams.into_iter().map(StreamBody::from).collect();
    Ok(HttpResponse::Ok().json(ListBody { streams, next: last.filter(|_| !is_last) }))
}

/// Where a stream stands in the order of lists. The answer is the same for one that is not there and for one that
/// the caller may not read.
async fn row_of(kind: StreamKind, id: &str, access: &Access, hub: &Hub) -> Result<i64, ApiError> {
    let stream = id.parse().map(|id| StreamKey::new(kind, id)).ok();
    let known = match stream.filter(|stream| access.allows(Action::Subscribe, stream)) {
        Some(stream) => hub.describe(&stream).await?,
        None => None,
    };
    let unknown = || ApiError::bad_request("invalid_query", "'before' is no stream of this list");
    Ok(known.and_then(|stream| stream.stored).ok_or_else(unknown)?.row)
}

/// Those of these streams that there are, newest first.
async fn look_up(
    named: BTreeSet<StreamKey>,
    before: Option<i64>,
    hub: &Hub,
) -> Result<Vec<StreamDescription>, ApiError> {
    let mut found = Vec::new();
    for stream in named {
        let Some(mut stream) = hub.describe(&stream).await? else { continue };
        let Some(row) = stream.stored.as_ref().map(|stored| stored.row) else { continue };
        if before.is_none_or(|before| row < before) {
            // As in all lists.
            stream.view.open.clear();
            found.push((row, stream));
        }
    }
    found.sort_unstable_by_key(|(row, _)| Reverse(*row));
    Ok(found.into_iter().map(|(_, stream)| stream).collect())
}

/// As many as are wanted of the streams that the caller may read, newest first, among a bounded number of all.
async fn look_through(
    kind: StreamKind,
    mut before: Option<i64>,
    wanted: usize,
    access: &Access,
    hub: &Hub,
) -> Result<Vec<StreamDescription>, ApiError> {
    let mut found = Vec::new();
    let look = if access.grants().is_none() { wanted } else { LOOK.max(wanted) };
    for _ in 0..LOOKS_MAX {
        let streams = hub.list(kind, before, look).await?;
        let is_end = streams.len() < look;
        before = streams.last().and_then(|last| last.stored.as_ref()).map(|stored| stored.row);
        found.extend(streams.into_iter().filter(|s| access.allows(Action::Subscribe, &s.key)));
        if is_end || before.is_none() || found.len() >= wanted {
            break;
        }
    }
    Ok(found)
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
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    if !access.allows_stats() {
        return Err(forbidden(&request));
    }
    Ok(HttpResponse::Ok().json(state.hub.stats().await))
}

pub(super) async fn live(state: Data<ApiState>) -> HttpResponse {
    health(state.hub.is_alive()).await
}

pub(super) async fn ready(state: Data<ApiState>) -> HttpResponse {
    health(state.hub.is_ready()).await
}

async fn health(is_well: impl Future<Output = bool>) -> HttpResponse {
    let is_well = tokio::time::timeout(HEALTH_TIMEOUT, is_well).await;
    let (mut answer, status) = match is_well.unwrap_or(false) {
        true => (HttpResponse::Ok(), "ok"),
        false => (HttpResponse::ServiceUnavailable(), "unavailable"),
    };
    answer.json(serde_json::json!({ "status": status }))
}

#[cfg(test)]
mod tests {
    use actix::{AsyncContext, Handler, Message, fut};
    use actix_web::http::StatusCode;

    use super::*;
    use crate::{Api, DatabaseUrl, HubConfig, Store, hub::Registry};

    /// Keeps the registry from reading any more mail.
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Stall;

    impl Handler<Stall> for Registry {
        type Result = ();

        fn handle(&mut self, _: Stall, ctx: &mut Self::Context) {
            ctx.wait(fut::wrap_future(std::future::pending()));
        }
    }

    #[actix_web::test]
    async fn a_hub_that_does_not_answer_is_neither_alive_nor_ready() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::file(folder.path().join("test.db"))).unwrap();
        let hub = Hub::start(&actix::Arbiter::current(), store, HubConfig::default());
        let state = Data::from(Api::new(hub.clone()).state);
        let both = async || {
            let (live, ready) = tokio::join!(live(state.clone()), ready(state.clone()));
            (live.status(), ready.status())
        };
        assert_eq!(both().await, (StatusCode::OK, StatusCode::OK));
        hub.registry().send(Stall).await.unwrap();
        tokio::time::pause();
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let answers = tokio::time::timeout(Duration::from_secs(600), both()).await;
        assert_eq!(answers, Ok((unavailable, unavailable)));
    }
}
