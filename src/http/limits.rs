//! Bounds on request heads: actix-http takes up to 96 headers, but as long as they like.

use actix_web::{
    Error, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use super::error::ApiError;

/// The longest header, name and value, in bytes.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// All headers together, in bytes.
const HEADERS_BYTES_MAX: usize = 32 * 1024;

/// A middleware that answers 431 to a head that is too long.
pub(crate) async fn limit_heads(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let mut all = 0;
    for (name, value) in request.headers() {
        let len = name.as_str().len() + value.len();
        all += len;
        // A cursor is never refused, whatever it is: an `EventSource` would not come back.
        let is_cursor = name.as_str() == "last-event-id";
        if all > HEADERS_BYTES_MAX || (len > HEADER_BYTES_MAX && !is_cursor) {
            // Not as an `Err`: that would go past the middleware that adds the usual headers.
            let refusal = ApiError::headers_too_large().error_response();
            return Ok(request.into_response(refusal).map_into_right_body());
        }
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}
