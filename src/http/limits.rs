//! Bounds on request heads: actix-http takes headers as long as they like, and over HTTP/2 as many.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// How many headers a request may have; over HTTP/1.1, actix-http has the same limit.
const HEADERS_MAX: usize = 96;

/// The longest header, name and value, in bytes.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// All headers together, in bytes.
const HEADERS_BYTES_MAX: usize = 32 * 1024;

/// How long a path may be, its query left out. Over HTTP/2 it may have any length, and actix-router counts in 16 bits.
pub(super) const PATH_BYTES_MAX: usize = 8 * 1024;

/// Whether a head is longer than it may be.
pub(crate) fn is_too_large(headers: &HeaderMap) -> bool {
    let (mut count, mut all, mut cookie) = (0, 0, 0);
    for (name, value) in headers {
        let mut len = header_bytes(name, value);
        all += len;
        // Over HTTP/2, browsers send their one cookie header in pieces.
        if *name == header::COOKIE {
            count += usize::from(cookie == 0);
            cookie += len;
            len = cookie;
        } else {
            count += 1;
        }
        // A cursor is never refused, whatever it is: an `EventSource` would not come back.
        let is_long = len > HEADER_BYTES_MAX && name.as_str() != "last-event-id";
        if count > HEADERS_MAX || all > HEADERS_BYTES_MAX || is_long {
            return true;
        }
    }
    false
}

/// How long all headers are together.
pub(crate) fn headers_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| header_bytes(name, value)).sum()
}

fn header_bytes(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&'static str, usize)]) -> HeaderMap {
        let mut head = HeaderMap::new();
        for (name, len) in headers {
            let value = HeaderValue::try_from("x".repeat(*len)).unwrap();
            head.append(HeaderName::from_static(name), value);
        }
        head
    }

    #[test]
    fn a_cookie_in_pieces_is_one_header_and_as_long_as_all_of_them() {
        for (headers, expected) in [
            (vec![("a", 1); 96], false),
            (vec![("a", 1); 97], true),
            (vec![("cookie", 1); 500], false),
            ([vec![("a", 1); 95], vec![("cookie", 1); 200]].concat(), false),
            ([vec![("cookie", 1); 200], vec![("a", 1); 96]].concat(), true),
            (vec![("cookie", 8_000)], false),
            (vec![("cookie", 1_000); 8], false),
            (vec![("cookie", 1_000); 9], true),
            (vec![("a", 1_000); 9], false),
            (vec![("a", 8_193)], true),
            (vec![("last-event-id", 20_000)], false),
            (vec![("a", 8_000); 5], true),
        ] {
            assert_eq!(is_too_large(&head(&headers)), expected, "{:?} …", headers.first());
        }
    }
}
