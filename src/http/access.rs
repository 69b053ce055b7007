//! Whose request it is, and whether they may do what it asks for.
//!
//! A handler gets a stream only as [`May`] do something with it, so none can forget to ask. The answer is
//! the same whether or not there is such a stream.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    marker::PhantomData,
    net::IpAddr,
    sync::Arc,
};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderValue},
    web::{Data, Query},
};

use super::{
    ApiState,
    error::ApiError,
    origin,
    peer::client_address,
    rate::{Rate, Rates, TooOften},
    target::Target,
};
use crate::{
    auth::{Access, Action, Authority, Rejected},
    stream_key::StreamKey,
};

/// Whom an [`Api`](super::Api) asks, and where browsers keep the token.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) authority: Arc<dyn Authority>,
    pub(super) cookie: String,
}

/// What a route does with a stream.
pub(super) trait Purpose {
    const ACTION: Action;
    /// Whether a ticket in the query will do.
    const TAKES_TICKETS: bool = false;
}

/// To follow it with an `EventSource`, which cannot send headers.
pub(super) struct Follow;
/// To read it.
pub(super) struct Read;
/// To publish on it.
pub(super) struct Publish;
/// To steer what is performed on it.
pub(super) struct Steer;

impl Purpose for Follow {
    const ACTION: Action = Action::Subscribe;
    const TAKES_TICKETS: bool = true;
}

impl Purpose for Read {
    const ACTION: Action = Action::Subscribe;
}

impl Purpose for Publish {
    const ACTION: Action = Action::Publish;
}

impl Purpose for Steer {
    const ACTION: Action = Action::Control;
}

/// The stream that the path names, for somebody who may do this with it.
pub(super) struct May<P> {
    pub(super) stream: StreamKey,
    pub(super) access: Access,
    purpose: PhantomData<P>,
}

impl<P> May<P> {
    /// Where the request comes from, once it has been counted as one more of its kind.
    pub(super) fn count(
        &self,
        request: &HttpRequest,
        state: &ApiState,
        rate: impl FnOnce(&Rates) -> &Rate,
    ) -> Result<Option<IpAddr>, TooOften> {
        let address = client_address(request, &state.trusted_proxies);
        let rates = state.rates.as_deref();
        rates.map_or(Ok(()), |rates| rate(rates).count(&self.access, address))?;
        Ok(address)
    }
}

impl<P: Purpose> FromRequest for May<P> {
    type Error = ApiError;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let may = |Target(stream): Target| {
            let access = access(request, P::TAKES_TICKETS)?;
            if !access.allows(P::ACTION, &stream) {
                return Err(forbidden(request));
            }
            Ok(Self { stream, access, purpose: PhantomData })
        };
        ready(Target::from_request(request, payload).into_inner().and_then(may))
    }
}

/// Whoever asks, with what they may do.
pub(super) struct Caller(pub(super) Access);

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(access(request, false).map(Self))
    }
}

/// What the request's token allows; nothing, if a page would change something that does not belong here, whatever
/// token it has. To see that costs a signature: whoever has shown one bad token after another waits first.
fn access(request: &HttpRequest, takes_tickets: bool) -> Result<Access, ApiError> {
    let state = request.app_data::<Data<ApiState>>().ok_or_else(ApiError::internal)?;
    if origin::is_of_foreign_page(request, &state.origins) {
        return Err(ApiError::foreign_origin());
    }
    let Some(guard) = &state.guard else {
        return Ok(Access::everything());
    };
    if let Some(rates) = &state.rates {
        rates.refusals.check_address(client_address(request, &state.trusted_proxies))?;
    }
    authenticate(request, state, guard, takes_tickets).map_err(|error| refusal(request, error))
}

/// Says that the token does not grant this, and counts it.
pub(super) fn forbidden(request: &HttpRequest) -> ApiError {
    refusal(request, ApiError::forbidden())
}

/// Counts one more that is refused: whoever tries token after token has to wait.
fn refusal(request: &HttpRequest, error: ApiError) -> ApiError {
    let counted = request.app_data::<Data<ApiState>>().and_then(|state| {
        let address = client_address(request, &state.trusted_proxies);
        state.rates.as_ref().map(|rates| rates.refusals.count_address(address))
    });
    match counted {
        Some(Err(too_often)) => too_often.into(),
        _ => error,
    }
}

/// The first of header, ticket and cookie that is there decides: one that is bad
/// is never made up for by another.
fn authenticate(
    request: &HttpRequest,
    state: &ApiState,
    Guard { authority, cookie }: &Guard,
    takes_tickets: bool,
) -> Result<Access, ApiError> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    if let Some(header) = headers.next() {
        if headers.next().is_some() {
            return Err(ApiError::two_tokens());
        }
        let token = bearer(header).ok_or(Rejected::Malformed)?;
        return Ok(authority.access(token)?.by(token));
    }
    if takes_tickets && let Some(ticket) = ticket(request) {
        return Ok(authority.ticket_access(&ticket)?.by(&ticket));
    }
    let token = cookie_value(request, cookie).ok_or_else(ApiError::unauthorized)?;
    // A browser sends it along whatever page it is that asks.
    if !origin::is_reading(request) && !origin::is_trusted(request, &state.origins) {
        return Err(ApiError::foreign_origin());
    }
    Ok(authority.access(token)?.by(token))
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn ticket(request: &HttpRequest) -> Option<String> {
    let query = Query::<HashMap<String, String>>::from_query(request.query_string()).ok()?;
    query.into_inner().remove("ticket")
}

/// The first cookie of this name; others may be as malformed as they like.
fn cookie_value<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let headers = request.headers().get_all(header::COOKIE);
    let mut cookies =
        headers.filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(';'));
    cookies.find_map(|cookie| {
        let (own, value) = cookie.trim().split_once('=')?;
        (own == name).then_some(value)
    })
}
