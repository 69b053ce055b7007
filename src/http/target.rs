//! The stream that a request is about, from where its route is mounted and the id in its path.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};

use super::error::ApiError;
use crate::stream_key::{StreamKey, StreamKind};

/// The kind of stream that a scope serves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mounted(pub(super) StreamKind);

impl FromRequest for Mounted {
    type Error = ApiError;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.app_data().copied().ok_or_else(ApiError::internal))
    }
}

/// The stream that the path names; its id has been checked.
#[derive(Debug, Clone)]
pub(super) struct Target(pub(super) StreamKey);

impl FromRequest for Target {
    type Error = ApiError;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let target = || {
            let Mounted(kind) = request.app_data().copied().ok_or_else(ApiError::internal)?;
            let id = request.match_info().query("id").parse().map_err(ApiError::bad_stream_id)?;
            Ok(Self(StreamKey::new(kind, id)))
        };
        ready(target())
    }
}
