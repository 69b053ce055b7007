//! Answers to preflights as they should be: actix-cors decides, and says it in plain text with 200 or 400.

use actix_web::{
    ResponseError,
    body::EitherBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
};

use super::error::ApiError;

/// What the answer to a preflight goes by: a cache must not give it to another origin.
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// Whether a browser asks if a page may ask.
pub(super) fn is_preflight(request: &ServiceRequest) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Says in our own words what a preflight was answered.
pub(super) fn word_preflight<B>(mut answer: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    if answer.status().is_client_error() {
        let mut refusal = ApiError::cors_refused().error_response();
        refusal.headers_mut().insert(header::VARY, HeaderValue::from_static(VARY));
        return answer.into_response(refusal).map_into_right_body();
    }
    if answer.status() == StatusCode::OK {
        *answer.response_mut().status_mut() = StatusCode::NO_CONTENT;
    }
    answer.map_into_left_body()
}
