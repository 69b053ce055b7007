//! Following a stream. Whatever should come back is answered 200: any other status ends an `EventSource`.

use std::collections::HashMap;

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    http::{
        ConnectionType, Version,
        header::{self, ContentEncoding, HeaderName},
    },
    web::{Data, Query},
};
use bytes::Bytes;

use super::{
    ApiState, Connection,
    access::{Follow, May},
    error::ApiError,
};
use crate::{
    hub::Peer,
    sse::{Cursor, Frames},
};

pub(super) async fn follow(
    may: Result<May<Follow>, ApiError>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let may = match may {
        Ok(may) => may,
        Err(error) if error.is_rate_limited() => {
            return turn_away(&request, &state, "there are too many attempts", error);
        }
        Err(error) => return Err(error),
    };
    let address = match may.count(&request, &state, |rates| &rates.connects) {
        Ok(address) => address,
        Err(error) => return turn_away(&request, &state, "there are too many attempts", error),
    };
    let peer = Peer { address, subject: may.access.counted_by().cloned() };
    match state.hub.subscribe(&may.stream, cursor(&request), peer).await {
        Ok(Some(mut body)) => {
            if let Some(end) = may.access.expires_at() {
                body.end_at(end);
            }
            let body = match request.conn_data::<Connection>() {
                Some(connection) => BoxBody::new(connection.tie(body)),
                None => BoxBody::new(body),
            };
            Ok(event_stream(&request, body))
        }
        Ok(None) => Ok(HttpResponse::NoContent().finish()),
        Err(error) => turn_away(&request, &state, &error.to_string(), error),
    }
}

/// Makes an `EventSource` come back; whoever cannot be one is answered as usual.
fn turn_away(
    request: &HttpRequest,
    state: &ApiState,
    message: &str,
    error: impl Into<ApiError>,
) -> Result<HttpResponse, ApiError> {
    if !takes_events(request) {
        return Err(error.into());
    }
    let mut frames = Frames::default();
    frames.retry(state.hub.config().jittered_retry());
    let data = serde_json::json!({ "message": message });
    frames.event("busy", None, &data.to_string());
    Ok(event_stream(request, Bytes::from(frames)))
}

/// Whether the client may be an `EventSource`: it does not say that it wants something else.
fn takes_events(request: &HttpRequest) -> bool {
    let accepted =
        request.headers().get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    let is_event_stream = |accepted: &str| {
        ["text/event-stream", "text/*", "*/*"].iter().any(|range| accepted.contains(range))
    };
    accepted.is_none_or(is_event_stream)
}

pub(super) async fn head(
    may: May<Follow>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    may.count(&request, &state, |rates| &rates.connects)?;
    Ok(event_stream(&request, Bytes::new()))
}

fn event_stream(request: &HttpRequest, body: impl MessageBody + 'static) -> HttpResponse {
    let mut response = HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        // nginx would hold events back to fill its buffers.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        // An application's own compression would do the same.
        .insert_header(ContentEncoding::Identity)
        .body(body);
    if request.version() < Version::HTTP_11 {
        // It knows no chunks: the stream ends when the connection does.
        response.head_mut().no_chunking(true);
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

fn cursor(request: &HttpRequest) -> Cursor {
    let query = Query::<HashMap<String, String>>::from_query(request.query_string()).ok();
    let query = query.as_ref().and_then(|query| query.get("lastEventId")).map(String::as_str);
    let header = request.headers().get("last-event-id").map(|value| value.as_bytes());
    Cursor::from_request(header, query)
}
