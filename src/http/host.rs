//! The names by which a server without keys may be called.
//!
//! A page's own name may be made to lead to this machine (DNS rebinding). To its browser the server is then of the
//! page's origin, and nothing but the name in `Host` tells that it is not.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;

use super::origin::host;

/// Whether the request calls the server by a name that is not this machine's own.
pub(super) fn is_of_foreign_host(request: &HttpRequest) -> bool {
    // Browsers always name one.
    host(request).is_some_and(|host| !is_loopback(host))
}

/// Whether a name, with or without a port, leads to this machine wherever it is used.
pub(crate) fn is_loopback(host: &str) -> bool {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_s_own_names_are_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:3000", true),
            ("127.0.0.1:3000", true),
            ("127.8.9.1", true),
            ("[::1]:3000", true),
            ("[::1]", true),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:3000", false),
            ("evil.example", false),
            ("192.168.0.1", false),
            ("0.0.0.0:3000", false),
            ("[::2]:3000", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
