//! One service for connections of either kind.

use std::task::{Context, Poll, ready};

use actix_http::{Protocol, error::DispatchError};
use actix_web::dev::{Service, ServiceFactory};
use futures_util::{
    TryFutureExt,
    future::{self, Either, LocalBoxFuture},
};

use super::{Accepted, Serves};

/// Two services, for the two kinds of HTTP.
pub(super) struct ByProtocol<One, Two> {
    pub(super) http1: One,
    pub(super) http2: Two,
}

impl<T, One, Two> ServiceFactory<Accepted<T>> for ByProtocol<One, Two>
where
    One: Serves<Accepted<T>>,
    Two: Serves<Accepted<T>>,
{
    type Response = ();
    type Error = DispatchError;
    type Config = ();
    type Service = ByProtocol<One::Service, Two::Service>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let both = future::try_join(self.http1.new_service(()), self.http2.new_service(()));
        Box::pin(both.map_ok(|(http1, http2)| ByProtocol { http1, http2 }))
    }
}

impl<T, One, Two> Service<Accepted<T>> for ByProtocol<One, Two>
where
    One: Service<Accepted<T>>,
    Two: Service<Accepted<T>, Response = One::Response, Error = One::Error>,
{
    type Response = One::Response;
    type Error = One::Error;
    type Future = Either<One::Future, Two::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.http1.poll_ready(cx))?;
        self.http2.poll_ready(cx)
    }

    fn call(&self, accepted: Accepted<T>) -> Self::Future {
        match accepted.1 {
            Protocol::Http2 => Either::Right(self.http2.call(accepted)),
            _ => Either::Left(self.http1.call(accepted)),
        }
    }
}
