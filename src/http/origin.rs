//! Whose pages may change something: this server's own, and those of the origins that were allowed.
//!
//! CORS keeps a page from *reading* what another origin answers, but browsers send its plain POSTs all the
//! same: without this, any page that is open on the machine could stop a debate.

use actix_web::{
    Error, HttpRequest, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::Data,
};

use super::error::ApiError;

/// Origins whose pages may publish, exactly as browsers send them.
#[derive(Debug, Clone)]
pub(crate) struct AllowedOrigins(pub(crate) Vec<String>);

/// A middleware that answers 403 to the pages of all others.
pub(crate) async fn refuse_foreign_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_reading && is_foreign(request.request()) {
        let refusal = ApiError::foreign_origin().error_response();
        return Ok(request.into_response(refusal).map_into_right_body());
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

fn is_foreign(request: &HttpRequest) -> bool {
    let text =
        |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    // What a browser says of itself holds behind any proxy, whatever that makes of the host.
    if text("sec-fetch-site") == Some("same-origin") {
        return false;
    }
    let Some(origin) = text("origin") else {
        return text("sec-fetch-site") == Some("cross-site");
    };
    let host = origin.split_once("://").map(|(_, host)| host);
    let is_own = host.is_some() && host == text("host");
    let allowed = request.app_data::<Data<AllowedOrigins>>();
    let is_allowed = allowed.is_some_and(|allowed| allowed.0.iter().any(|known| known == origin));
    !is_own && !is_allowed
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_page_may_post_to_its_own_server_or_where_it_is_allowed_to() {
        for (headers, foreign) in [
            (&[][..], false),
            (&[("origin", "http://127.0.0.1:3000")], false),
            (&[("origin", "https://ok.example")], false),
            (&[("origin", "https://ok.example.evil")], true),
            (&[("origin", "http://127.0.0.1:3001")], true),
            (&[("origin", "https://OK.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("origin", "https://proxy.example"), ("sec-fetch-site", "same-origin")], false),
            (&[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")], true),
        ] {
            let mut request = TestRequest::post()
                .insert_header(("host", "127.0.0.1:3000"))
                .app_data(Data::new(AllowedOrigins(vec!["https://ok.example".into()])));
            for header in headers {
                request = request.insert_header(*header);
            }
            assert_eq!(is_foreign(&request.to_http_request()), foreign, "{headers:?}");
        }
    }
}
