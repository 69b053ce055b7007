//! What every request goes through on its way to a route, and every answer on its way back.
//!
//! These are two functions for `App::wrap_fn`, with CORS between them. Each calls what is next as it is:
//! `middleware::from_fn` would put what is next, and each of its futures, into a box.

use actix_web::{
    Error, ResponseError,
    body::EitherBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    error::ApiError,
    host::is_of_foreign_host,
    limits::{PATH_BYTES_MAX, is_too_large},
    preflight::{is_preflight, word_preflight},
    request_id::RequestId,
};

/// For whatever is no page: should a browser take it for one, nothing of it runs. The page has its own.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What each answer has, unless it has its own.
const USUAL_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

type Answered<B> = Result<ServiceResponse<B>, Error>;

/// The outer one: names the request, and completes whatever it is answered with.
pub(crate) fn complete_answers<S, B>(
    request: ServiceRequest,
    next: &S,
) -> impl Future<Output = Answered<EitherBody<B>>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let id = RequestId::of(request.headers());
    let is_preflight = is_preflight(&request);
    let answer = id.clone().scope(|| next.call(request));
    async move {
        let answer = answer.await?;
        let mut answer = match is_preflight {
            true => id.sync_scope(|| word_preflight(answer)),
            false => answer.map_into_left_body(),
        };
        add_usual_headers(answer.headers_mut());
        id.name(answer.headers_mut());
        Ok(answer)
    }
}

fn add_usual_headers(headers: &mut HeaderMap) {
    for (name, value) in USUAL_HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
}

/// The inner one: lets nothing through to a route that must not reach any.
pub(crate) fn refuse_strangers<S, B>(
    checks_hosts: bool,
    request: ServiceRequest,
    next: &S,
) -> impl Future<Output = Answered<EitherBody<B>>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let answer = match refusal(&request, checks_hosts) {
        None => Ok(next.call(request)),
        Some(error) => Err(request.into_response(error.error_response())),
    };
    async move {
        match answer {
            Ok(answer) => answer.await.map(ServiceResponse::map_into_left_body),
            // Not as an `Err`: that would go past what adds the usual headers.
            Err(refusal) => Ok(refusal.map_into_right_body()),
        }
    }
}

/// Why a request must not reach a route, whichever it is for.
fn refusal(request: &ServiceRequest, checks_hosts: bool) -> Option<ApiError> {
    if is_too_large(request.headers()) {
        Some(ApiError::headers_too_large())
    } else if request.path().len() > PATH_BYTES_MAX {
        Some(ApiError::path_too_long())
    } else if checks_hosts && is_of_foreign_host(request.request()) {
        Some(ApiError::foreign_host())
    } else {
        None
    }
}
