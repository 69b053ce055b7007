//! The stream that a request is about, from where its route is mounted and the id in its path.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::{Payload, Service, ServiceRequest},
};

use super::error::ApiError;
use crate::stream_key::{StreamKey, StreamKind};

/// What [`take_id`] has taken, as it stands in the path.
struct TakenId(String);

/// Takes the stream's id from the path, of which the routes of its scope see what is left.
///
/// Each route's own `{id}` would make it a regular expression, which takes longer than all else that is looked at.
pub(super) fn take_id<S: Service<ServiceRequest>>(
    mut request: ServiceRequest,
    routes: &S,
) -> S::Future {
    let path = request.match_info_mut();
    let id = path.unprocessed().strip_prefix('/').and_then(|rest| rest.split('/').next());
    if let Some(id) = id.filter(|id| !id.is_empty()).map(str::to_owned)
        && let Ok(taken) = u16::try_from(1 + id.len())
    {
        path.skip(taken);
        request.extensions_mut().insert(TakenId(id));
    }
    routes.call(request)
}

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
            let extensions = request.extensions();
            let id = extensions.get::<TakenId>().map_or("", |TakenId(id)| id);
            Ok(Self(StreamKey::new(kind, id.parse().map_err(ApiError::bad_stream_id)?)))
        };
        ready(target())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{dev::fn_service, test::TestRequest};

    use super::*;

    #[actix_web::test]
    async fn the_first_segment_is_the_id_and_the_routes_see_what_is_left() {
        let routes = fn_service(async |mut request: ServiceRequest| {
            let id = request.extensions_mut().remove::<TakenId>().map(|TakenId(id)| id);
            Ok::<_, ()>((id, request.match_info_mut().unprocessed().to_owned()))
        });
        for (path, id, left) in [
            ("/d1", Some("d1"), ""),
            ("/d1/events", Some("d1"), "/events"),
            ("/d1/clients/c1/events", Some("d1"), "/clients/c1/events"),
            ("/d%31/", Some("d1"), "/"),
            ("/a%2fb/events", Some("a%2fb"), "/events"),
            ("/%c3%a9/stream", Some("é"), "/stream"),
            ("/", None, "/"),
            ("//events", None, "//events"),
        ] {
            let request = TestRequest::with_uri(path).to_srv_request();
            let seen = take_id(request, &routes).await.unwrap();
            assert_eq!(seen, (id.map(str::to_owned), left.to_owned()), "{path}");
        }
    }
}
