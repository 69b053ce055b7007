//! Tickets: what stands in the URL of an `EventSource` that can send neither a header nor a cookie.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;

use super::{
    ApiState,
    access::{May, Read},
    error::ApiError,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TicketBody {
    ticket: String,
    /// How long it is good for.
    expires_in_ms: u128,
}

pub(super) async fn issue(
    may: May<Read>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    // Each is good for connections, and is counted as one.
    may.count(&request, &state, |rates| &rates.connects)?;
    let guard = state.guard.as_ref();
    let ticket = guard.and_then(|guard| guard.authority.issue_ticket(&may.stream, &may.access));
    let none = || ApiError::not_found("nobody needs a ticket here");
    let ticket = ticket.ok_or_else(none)?;
    let body = TicketBody { ticket: ticket.text, expires_in_ms: ticket.lifetime.as_millis() };
    Ok(HttpResponse::Created().json(body))
}
