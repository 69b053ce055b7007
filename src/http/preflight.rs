//! Answers to preflights as they should be: actix-cors decides, and says it in plain text with 200 or 400.

use actix_web::{
    Error, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
};

use super::error::ApiError;

/// What the answer to a preflight goes by: a cache must not give it to another origin.
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// A middleware around [`cors`](super::cors).
pub(crate) async fn word_preflights(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let is_preflight = *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut answer = next.call(request).await?;
    if is_preflight && answer.status() == StatusCode::OK {
        *answer.response_mut().status_mut() = StatusCode::NO_CONTENT;
    } else if is_preflight && answer.status().is_client_error() {
        let mut refusal = ApiError::cors_refused().error_response();
        refusal.headers_mut().insert(header::VARY, HeaderValue::from_static(VARY));
        return Ok(answer.into_response(refusal).map_into_right_body());
    }
    Ok(answer.map_into_left_body())
}
