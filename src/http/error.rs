//! Every error answer: one JSON shape, and nothing in it that a client could not have known.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use serde::Serialize;

use super::{rate::TooOften, request_id::RequestId};
use crate::{
    auth::Rejected,
    event::{EventError, JsonError},
    hub::{BroadcastError, ConnectError, PublishError, SendToClientError},
    orchestrator::{ControlError, TranscriptError},
    store::StoreError,
    stream_key::InvalidStreamKey,
};

/// An error as a client sees it: `{"error":{"code","message","requestId"}}`, the last where requests have names.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What the status calls for.
    header: Option<(HeaderName, String)>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: BodyError<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BodyError<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), header: None }
    }

    fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn bad_stream_id(error: InvalidStreamKey) -> Self {
        Self::bad_request("invalid_stream_id", error.to_string())
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn no_such_stream() -> Self {
        Self::not_found("nobody has published to this stream")
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "this address does not take that method; see the Allow header";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(super) fn media_type() -> Self {
        let message = "the body must be sent as Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the body is longer than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// There is no token.
    pub(super) fn unauthorized() -> Self {
        let message = "this needs a token; see docs/security.md";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with_header(header::WWW_AUTHENTICATE, "Bearer")
    }

    pub(super) fn two_tokens() -> Self {
        let message = "Authorization must be sent once";
        Self::bad_request("invalid_request", message)
            .with_header(header::WWW_AUTHENTICATE, r#"Bearer error="invalid_request""#)
    }

    /// The same whether or not there is such a stream.
    pub(super) fn forbidden() -> Self {
        let message = "the token does not grant this";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
            .with_header(header::WWW_AUTHENTICATE, r#"Bearer error="insufficient_scope""#)
    }

    pub(super) fn foreign_origin() -> Self {
        let message = "pages of this origin may not change anything here; see docs/security.md";
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", message)
    }

    #[cfg(feature = "server")]
    pub(super) fn cors_refused() -> Self {
        let message = "pages of this origin may not send this; see --cors-origin";
        Self::new(StatusCode::FORBIDDEN, "cors_refused", message)
    }

    #[cfg(feature = "server")]
    pub(super) fn foreign_host() -> Self {
        let message = "without keys, this server answers to localhost only; see --open";
        Self::new(StatusCode::FORBIDDEN, "foreign_host", message)
    }

    #[cfg(feature = "server")]
    pub(super) fn headers_too_large() -> Self {
        let (status, code) = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large");
        Self::new(status, code, "the request's headers are too long")
    }

    #[cfg(feature = "server")]
    pub(super) fn path_too_long() -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "path_too_long", "the request's path is too long")
    }

    /// Whether the same may be right a little later.
    pub(super) fn is_rate_limited(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }

    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long to arrive")
    }

    pub(super) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    fn invalid_event(message: impl Into<String>) -> Self {
        Self::unprocessable("invalid_event", message)
    }

    pub(super) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the server cannot do this now; try again",
        )
    }

    fn overloaded(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server has made a mistake")
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.insert_header((header::RETRY_AFTER, "1"));
        }
        if let Some((name, value)) = &self.header {
            answer.insert_header((name.clone(), value.as_str()));
        }
        log::debug!(status = self.status.as_u16(), code = self.code; "answered with an error");
        let request_id = RequestId::current();
        let request_id = request_id.as_ref().map(RequestId::as_str);
        let error = BodyError { code: self.code, message: &self.message, request_id };
        answer.json(Body { error })
    }
}

impl actix_web::Responder for ApiError {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        let challenge = format!(r#"Bearer error="invalid_token", error_description="{rejected}""#);
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", rejected.to_string())
            .with_header(header::WWW_AUTHENTICATE, challenge)
    }
}

impl From<TooOften> for ApiError {
    fn from(TooOften { wait }: TooOften) -> Self {
        let message = "too many requests in too short a time; see the Retry-After header";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
            .with_header(header::RETRY_AFTER, (wait.as_secs() + 1).to_string())
    }
}

impl From<ConnectError> for ApiError {
    fn from(error: ConnectError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string())
    }
}

impl From<EventError> for ApiError {
    fn from(error: EventError) -> Self {
        event_error(&error, error.to_string())
    }
}

impl From<BroadcastError> for ApiError {
    fn from(error: BroadcastError) -> Self {
        let message = error.to_string();
        match &error {
            BroadcastError::Count(_) => Self::bad_request("invalid_batch", message),
            BroadcastError::Event { reason, .. } => event_error(reason, message),
            BroadcastError::AfterTheEnd => Self::invalid_event(message),
        }
    }
}

fn event_error(error: &EventError, message: String) -> ApiError {
    match error {
        EventError::Name => ApiError::bad_request("invalid_type", message),
        EventError::Reserved(_) => ApiError::bad_request("reserved_type", message),
        EventError::Json(JsonError::TooDeep | JsonError::LoneSurrogate) => {
            ApiError::bad_request("invalid_json", message)
        }
        EventError::Payload(_) | EventError::TransientFinal => ApiError::invalid_event(message),
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let message = error.to_string();
        match error {
            PublishError::Broadcast(error) => error.into(),
            PublishError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
            }
            PublishError::Completed => Self::new(StatusCode::CONFLICT, "completed", message),
            PublishError::KeyReused => {
                Self::new(StatusCode::CONFLICT, "idempotency_key_reused", message)
            }
            // Only clients of another server say these.
            PublishError::Refused(_) | PublishError::Unreachable(_) => Self::unavailable(),
            PublishError::Overloaded => Self::overloaded(message),
            PublishError::Unavailable => Self::unavailable(),
        }
    }
}

impl From<SendToClientError> for ApiError {
    fn from(error: SendToClientError) -> Self {
        match error {
            SendToClientError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error.to_string())
            }
            SendToClientError::Unknown => Self::not_found(error.to_string()),
            SendToClientError::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "client_busy", error.to_string())
            }
            SendToClientError::Unavailable => Self::unavailable(),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        match error {
            ControlError::Running => Self::new(StatusCode::CONFLICT, "already_running", message),
            ControlError::NotRunning => Self::new(StatusCode::CONFLICT, "not_running", message),
            ControlError::TooMany => Self::overloaded(message),
            ControlError::Publish(error) => error.into(),
        }
    }
}

impl From<TranscriptError> for ApiError {
    fn from(error: TranscriptError) -> Self {
        Self::unprocessable("invalid_transcript", error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        log::error!(error:% = error; "the store failed");
        Self::unavailable()
    }
}
