//! Query parameters of the routes that are no streams: read strictly.

use actix_web::{HttpRequest, web::Query};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Reads a query strictly: an unknown, repeated or malformed parameter is an error.
pub(super) fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    Query::<T>::from_query(request.query_string()).map(Query::into_inner).map_err(|_| {
        let message = "the query has a parameter that is unknown, repeated or malformed";
        ApiError::bad_request("invalid_query", message)
    })
}

/// A page's length, within its bounds.
pub(super) fn limit(asked: Option<usize>, default: usize, max: usize) -> Result<usize, ApiError> {
    match asked.unwrap_or(default) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(ApiError::bad_request("invalid_query", format!("'limit' must be 1 to {max}"))),
    }
}
