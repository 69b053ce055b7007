//! Bounds on request heads: actix-http takes headers as long as they like, and over HTTP/2 as many.

use actix_web::{
    Error, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use super::error::ApiError;

/// How many headers a request may have; over HTTP/1.1, actix-http has the same limit.
const HEADERS_MAX: usize = 96;

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
    for (count, (name, value)) in (1..).zip(request.headers()) {
        let len = name.as_str().len() + value.len();
        all += len;
        // A cursor is never refused, whatever it is: an `EventSource` would not come back.
        let is_cursor = name.as_str() == "last-event-id";
        if count > HEADERS_MAX || all > HEADERS_BYTES_MAX || (len > HEADER_BYTES_MAX && !is_cursor)
        {
            // Not as an `Err`: that would go past the middleware that adds the usual headers.
            let refusal = ApiError::headers_too_large().error_response();
            return Ok(request.into_response(refusal).map_into_right_body());
        }
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}
