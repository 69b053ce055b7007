//! Whose pages may change something: this server's own, and those of the origins that were allowed.
//!
//! CORS keeps a page from *reading* what another origin answers, but browsers send its plain POSTs all the
//! same: without this, any page that is open on the machine could stop a debate.

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{self, HeaderName},
    },
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the page of somebody else, which is of none of these origins, would change something.
pub(super) fn is_of_foreign_page(request: &HttpRequest, origins: &[String]) -> bool {
    !is_reading(request) && page(request, origins) == Page::Foreign
}

/// Whether the request changes nothing.
pub(super) fn is_reading(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the request says that a page of ours, or of one of these origins, has made it.
pub(super) fn is_trusted(request: &HttpRequest, origins: &[String]) -> bool {
    page(request, origins) == Page::Trusted
}

/// The host that the request names, with its port; an empty one if it cannot be read, which is nobody's name.
pub(super) fn host(request: &HttpRequest) -> Option<&str> {
    // HTTP/2 has it in the address.
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let named =
        || request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    authority.or_else(named)
}

/// The page that has made a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    /// Of this server, or of an origin that was allowed.
    Trusted,
    /// Of another origin.
    Foreign,
    /// None that is known of: not a browser.
    None,
}

fn page(request: &HttpRequest, origins: &[String]) -> Page {
    let text = |name: HeaderName| {
        request.headers().get(name).map(|value| value.to_str().unwrap_or_default())
    };
    // What a browser says of itself holds behind any proxy, whatever that makes of the host.
    let site = text(SEC_FETCH_SITE);
    if site == Some("same-origin") {
        return Page::Trusted;
    }
    let Some(origin) = text(header::ORIGIN).or_else(|| text(header::REFERER).map(origin_of)) else {
        return match site {
            Some("cross-site" | "same-site") => Page::Foreign,
            _ => Page::None,
        };
    };
    let page_host = origin.split_once("://").map(|(_, host)| host).filter(|host| !host.is_empty());
    // The same host is not the same origin: a page under http:// is none of ours under https://.
    let is_own = page_host.is_some()
        && page_host == host(request)
        && !matches!(site, Some("cross-site" | "same-site"));
    let is_allowed = origins.iter().any(|known| known == origin);
    if is_own || is_allowed { Page::Trusted } else { Page::Foreign }
}

/// The origin of an address.
fn origin_of(address: &str) -> &str {
    let host = address.find("://").map_or(0, |scheme| scheme + 3);
    let end = address.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
    end.and_then(|end| address.get(..host + end)).unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_page_may_post_to_its_own_server_or_where_it_is_allowed_to() {
        let allowed = ["https://ok.example".to_owned()];
        for (headers, expected) in [
            (&[][..], Page::None),
            (&[("origin", "http://127.0.0.1:3000")], Page::Trusted),
            (&[("origin", "https://ok.example")], Page::Trusted),
            (&[("origin", "https://ok.example.evil")], Page::Foreign),
            (&[("origin", "http://127.0.0.1:3001")], Page::Foreign),
            (&[("origin", "https://OK.example")], Page::Foreign),
            (&[("origin", "null")], Page::Foreign),
            (&[("origin", "")], Page::Foreign),
            (&[("referer", "http://127.0.0.1:3000/a?b#c")], Page::Trusted),
            (&[("referer", "https://ok.example")], Page::Trusted),
            (&[("referer", "https://evil.example/https://ok.example")], Page::Foreign),
            (&[("origin", "null"), ("referer", "https://ok.example/")], Page::Foreign),
            (
                &[("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "cross-site")],
                Page::Foreign,
            ),
            (
                &[("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "same-site")],
                Page::Foreign,
            ),
            (&[("origin", "https://ok.example"), ("sec-fetch-site", "cross-site")], Page::Trusted),
            (&[("sec-fetch-site", "cross-site")], Page::Foreign),
            (&[("sec-fetch-site", "same-site")], Page::Foreign),
            (&[("sec-fetch-site", "none")], Page::None),
            (&[("sec-fetch-site", "same-origin")], Page::Trusted),
            (
                &[("origin", "https://proxy.example"), ("sec-fetch-site", "same-origin")],
                Page::Trusted,
            ),
            (
                &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
                Page::Foreign,
            ),
        ] {
            let mut request = TestRequest::post().insert_header(("host", "127.0.0.1:3000"));
            for header in headers {
                request = request.insert_header(*header);
            }
            assert_eq!(page(&request.to_http_request(), &allowed), expected, "{headers:?}");
        }
    }
}
