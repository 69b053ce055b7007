//! Request bodies, bounded in bytes and in time: actix-web bounds neither the length of a raw payload nor
//! how slowly it may come.

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{self, HeaderMap},
    web::Payload,
};
use futures_util::StreamExt;
use serde::Deserialize;

use super::{ApiState, error::ApiError};
use crate::event::{read, reason};

/// How many bytes a body may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) array: usize,
    /// Also for whatever else is no array.
    pub(super) object: usize,
}

/// Reads a whole body as text, unless it is longer than it may be: its declared length and its first
/// character tell before the rest of it comes.
pub(super) async fn text(
    request: &HttpRequest,
    mut payload: Payload,
    limits: Limits,
    state: &ApiState,
) -> Result<String, ApiError> {
    let declared = declared_length(request.headers()).unwrap_or(0);
    let within = |length: u64, limit: usize| match length > limit as u64 {
        true => Err(ApiError::too_large(limit)),
        false => Ok(()),
    };
    let mut limit = limits.array.max(limits.object);
    within(declared, limit)?;
    let read = async {
        let (mut body, mut has_begun) = (Vec::new(), false);
        while let Some(chunk) = payload.next().await {
            let chunk = chunk
                .map_err(|_| ApiError::bad_request("invalid_body", "the body is cut short"))?;
            if !has_begun && let Some(first) = chunk.trim_ascii_start().first() {
                has_begun = true;
                limit = if *first == b'[' { limits.array } else { limits.object };
                within(declared, limit)?;
            }
            within((body.len() + chunk.len()) as u64, limit)?;
            body.extend_from_slice(&chunk);
        }
        Ok::<_, ApiError>(body)
    };
    let body = tokio::time::timeout(state.body_timeout, read)
        .await
        .map_err(|_| ApiError::too_slow())??;
    String::from_utf8(body)
        .map_err(|_| ApiError::bad_request("invalid_json", "the body is not UTF-8"))
}

/// Refuses a body that does not say it is JSON, or is compressed.
pub(super) fn require_json(request: &HttpRequest) -> Result<(), ApiError> {
    let is_plain = request
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_plain && request.content_type().eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::media_type())
    }
}

/// Reads JSON into its shape: 400 if it is no JSON at all, 422 and this `code` if it is JSON
/// of another shape.
pub(super) fn parse<'a, T: Deserialize<'a>>(
    json: &'a str,
    code: &'static str,
) -> Result<T, ApiError> {
    read(json).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        if error.is_data() {
            let path = if path.starts_with(['.', '[']) { path } else { format!(".{path}") };
            let path = path.trim_end_matches('.');
            return ApiError::unprocessable(code, format!("${path}: {}", reason(&error)));
        }
        let (line, column) = (error.line(), error.column());
        let message = format!("the body is no JSON: line {line}, column {column}");
        ApiError::bad_request("invalid_json", message)
    })
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
