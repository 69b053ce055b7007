//! Following a stream. Whatever should come back is answered 200: any other status ends an `EventSource`.

use std::collections::HashMap;

use actix_web::{
    HttpRequest, HttpResponse,
    body::MessageBody,
    http::{
        ConnectionType, Version,
        header::{self, ContentEncoding, HeaderName},
    },
    web::{Data, Query},
};
use bytes::Bytes;

use super::{ApiState, error::ApiError, target::Target};
use crate::sse::{Cursor, Frames};

pub(super) async fn follow(
    Target(stream): Target,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let address = request.peer_addr().map(|peer| peer.ip());
    match state.hub.subscribe(&stream, cursor(&request), address).await {
        Ok(Some(body)) => Ok(event_stream(&request, body)),
        Ok(None) => Ok(HttpResponse::NoContent().finish()),
        Err(error) => {
            let mut frames = Frames::default();
            frames.retry(state.hub.config().jittered_retry());
            let data = serde_json::json!({ "message": error.to_string() });
            frames.event("busy", None, &data.to_string());
            Ok(event_stream(&request, Bytes::from(frames)))
        }
    }
}

pub(super) async fn head(Target(_): Target, request: HttpRequest) -> HttpResponse {
    event_stream(&request, Bytes::new())
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
