//! Request bodies, bounded in bytes and in time: actix-web bounds neither the length of a raw payload nor
//! how slowly it may come.

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{self, HeaderMap},
    web::Payload,
};
use bytes::BytesMut;
use futures_util::StreamExt;
use serde::Deserialize;

use super::{ApiState, error::ApiError};
use crate::event::reason;

/// Reads a whole body as text, at most `limit` bytes of it.
pub(super) async fn text(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
    state: &ApiState,
) -> Result<String, ApiError> {
    if declared_length(request.headers()).is_some_and(|length| length > limit as u64) {
        return Err(ApiError::too_large(limit));
    }
    let read = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk
                .map_err(|_| ApiError::bad_request("invalid_body", "the body is cut short"))?;
            if body.len() + chunk.len() > limit {
                return Err(ApiError::too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    };
    let body = tokio::time::timeout(state.body_timeout, read)
        .await
        .map_err(|_| ApiError::too_slow())??;
    String::from_utf8(body.into())
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
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let parsed = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| (error.path().to_string(), error.into_inner()))
        .and_then(|value| {
            deserializer.end().map(|()| value).map_err(|error| (".".to_owned(), error))
        });
    parsed.map_err(|(path, error)| {
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
