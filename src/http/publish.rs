//! Publishing: to all who follow a stream, or to one of them.

mod promptly;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{HeaderMap, HeaderName},
    web::{Data, Path, Payload},
};
use serde::Serialize;
use uuid::Uuid;

use self::promptly::promptly;
use super::{
    ApiState,
    access::{May, Publish},
    body,
    error::ApiError,
};
use crate::{
    event::{EventId, IdempotencyKey, NewEvent},
    hub::{Broadcast, PublishError, SendToClient},
};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a request may hold beside the payloads of its events.
const OVERHEAD_BYTES: usize = 16 * 1024;

/// The code for a body of the wrong shape.
const INVALID: &str = "invalid_event";

#[derive(Serialize)]
struct PublishedBody {
    ids: Vec<Option<EventId>>,
}

pub(super) async fn publish(
    may: May<Publish>,
    request: HttpRequest,
    payload: Payload,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    may.count(&request, &state, |rates| &rates.publishes)?;
    body::require_json(&request)?;
    let limits = body::Limits {
        array: state.hub.config().publish_bytes_max() + OVERHEAD_BYTES,
        object: state.hub.config().event_bytes_max + OVERHEAD_BYTES,
    };
    let json = body::text(&request, payload, limits, &state).await?;
    let events = if json.trim_start().starts_with('[') {
        body::parse::<Vec<NewEvent>>(&json, INVALID)?
    } else {
        vec![body::parse::<NewEvent>(&json, INVALID)?]
    };
    let mut broadcast = Broadcast::new(may.stream, &events)?;
    if let Some(key) = idempotency_key(request.headers())? {
        broadcast = broadcast.with_idempotency_key(key);
    }
    let published = promptly(state.hub.broadcast(broadcast));
    let published = published.await.unwrap_or(Err(PublishError::Unavailable))?;
    let mut answer = match published.last_id() {
        Some(_) if published.is_repeat => HttpResponse::Ok(),
        Some(_) => HttpResponse::Created(),
        None => HttpResponse::Accepted(),
    };
    Ok(answer.json(PublishedBody { ids: published.ids }))
}

pub(super) async fn send_to_client(
    may: May<Publish>,
    client: Path<String>,
    request: HttpRequest,
    payload: Payload,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    may.count(&request, &state, |rates| &rates.publishes)?;
    body::require_json(&request)?;
    let client: Uuid = client
        .parse()
        .map_err(|_| ApiError::bad_request("invalid_client_id", "a client id is a UUID"))?;
    let limit = state.hub.config().event_bytes_max + OVERHEAD_BYTES;
    let limits = body::Limits { array: limit, object: limit };
    let json = body::text(&request, payload, limits, &state).await?;
    let event = body::parse::<NewEvent>(&json, INVALID)?;
    state.hub.send_to_client(SendToClient::new(may.stream, client, event)?).await?;
    Ok(HttpResponse::Accepted().json(PublishedBody { ids: vec![None] }))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY);
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().ok().and_then(|key| key.parse().ok()).filter(|_| keys.next().is_none());
    let message = "Idempotency-Key must be sent once, as 1 to 255 visible ASCII characters";
    key.map(Some).ok_or_else(|| ApiError::bad_request("invalid_idempotency_key", message))
}
