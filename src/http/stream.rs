//! Following a stream. Whatever should come back is answered 200: any other status ends an `EventSource`.

use std::collections::HashMap;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        ConnectionType, Version,
        header::{self, ContentEncoding, HeaderName},
    },
    web::{Data, Query},
};

use super::{ApiState, error::ApiError, target::Target};
use crate::sse::{Cursor, Frames};

pub(super) async fn follow(
    Target(stream): Target,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let address = request.peer_addr().map(|peer| peer.ip());
    match state.hub.subscribe(&stream, cursor(&request), address).await {
        Ok(Some(body)) => Ok(framed_for(&request, event_stream().body(body))),
        Ok(None) => Ok(HttpResponse::NoContent().finish()),
        Err(error) => {
            let mut frames = Frames::default();
            frames.retry(state.hub.config().jittered_retry());
            frames.event(
                "busy",
                None,
                &serde_json::json!({ "message": error.to_string() }).to_string(),
            );
            Ok(event_stream().body(bytes::Bytes::from(frames)))
        }
    }
}

pub(super) async fn head(Target(_): Target) -> HttpResponse {
    event_stream().finish()
}

fn event_stream() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        // nginx would hold events back to fill its buffers.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        // An application's own compression would do the same.
        .insert_header(ContentEncoding::Identity);
    response
}

/// HTTP/1.0, which nginx speaks to us unless told otherwise, knows no chunks: such a body ends with its
/// connection.
fn framed_for(request: &HttpRequest, mut response: HttpResponse) -> HttpResponse {
    if request.version() < Version::HTTP_11 {
        let head = response.head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    response
}

fn cursor(request: &HttpRequest) -> Cursor {
    let query = Query::<HashMap<String, String>>::from_query(request.query_string()).ok();
    let query = query.as_ref().and_then(|query| query.get("lastEventId")).map(String::as_str);
    let header = request.headers().get("last-event-id").map(|value| value.as_bytes());
    Cursor::from_request(header, query)
}
