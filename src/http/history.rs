//! The durable history as JSON, a page at a time.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    ApiState,
    access::{May, Read},
    error::ApiError,
    query::{limit, query},
};
use crate::{event::EventId, store::PageLimits};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// How many bytes of data a page holds at most, unless its first event alone has more.
const PAGE_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct PageBody {
    events: Vec<EventBody>,
    /// The cursor for the next page; none at the end.
    next: Option<EventId>,
}

#[derive(Serialize)]
struct EventBody {
    id: EventId,
    #[serde(rename = "type")]
    name: String,
    data: Box<RawValue>,
    /// When it was stored, in milliseconds since the Unix epoch.
    timestamp: i64,
}

pub(super) async fn page(
    May { stream, .. }: May<Read>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let query = query::<PageQuery>(&request)?;
    let limit = limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let description = state.hub.describe(&stream).await?.ok_or_else(ApiError::no_such_stream)?;
    let Some(tail) = description.tail else {
        // Tokens are all there has been.
        return Ok(HttpResponse::Ok().json(PageBody { events: Vec::new(), next: None }));
    };
    let after = match query.after {
        Some(after) => after.parse().ok().filter(|after: &EventId| after.epoch == tail.epoch),
        None => Some(EventId { seq: 0, ..tail }),
    };
    let after = after.ok_or_else(|| {
        ApiError::bad_request("invalid_cursor", "'after' must be the id of an event of this stream")
    })?;
    let stored =
        state.hub.page(&stream, after, PageLimits { events: limit, bytes: PAGE_BYTES }).await?;
    let next = stored
        .last()
        .filter(|event| event.seq < tail.seq)
        .map(|last| EventId { seq: last.seq, ..tail });
    let events = stored
        .into_iter()
        .map(|event| {
            let id = EventId { seq: event.seq, ..tail };
            let data = RawValue::from_string(event.data).map_err(|_| ApiError::internal())?;
            Ok(EventBody { id, name: event.name, data, timestamp: event.published_at })
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(HttpResponse::Ok().json(PageBody { events, next }))
}
