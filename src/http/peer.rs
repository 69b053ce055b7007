//! Where a request comes from.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Once,
};

use actix_web::{HttpRequest, http::header::X_FORWARDED_FOR};
use ipnet::IpNet;

use crate::hub::is_of_own_network;

/// The address that limits are counted by: the peer's, or the one that a trusted proxy says it has it from.
///
/// Of an IPv6 address that is its network of 64 bits, of which a client has every address.
pub(super) fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(peer) {
        if is_of_own_network(peer) {
            warn_of_proxy(request, peer);
        }
        return Some(network(peer));
    }
    let mut client = peer;
    // Each proxy appends where it has the request from, so what comes before the first stranger's word is
    // anybody's.
    for hop in hops(request).rev() {
        let Some(address) = hop else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    Some(network(client))
}

/// Says, once, that somebody near us speaks for others and is not believed.
fn warn_of_proxy(request: &HttpRequest, peer: IpAddr) {
    static SAID: Once = Once::new();
    if !SAID.is_completed() && request.headers().contains_key(X_FORWARDED_FOR) {
        SAID.call_once(|| {
            let what = "requests come by a proxy that is not named (--trusted-proxy): limits by address \
                        cannot tell those behind it apart";
            log::warn!(address:% = peer; "{what}");
        });
    }
}

fn hops(request: &HttpRequest) -> impl DoubleEndedIterator<Item = Option<IpAddr>> {
    let headers: Vec<_> = request.headers().get_all(X_FORWARDED_FOR).collect();
    headers
        .into_iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|hop| address(hop.trim()))
        .collect::<Vec<_>>()
        .into_iter()
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]:443`.
fn address(text: &str) -> Option<IpAddr> {
    let socket = || text.parse().map(|socket: std::net::SocketAddr| socket.ip());
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().or_else(|_| socket()).ok().map(|address: IpAddr| address.to_canonical())
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_know() {
        for (peer, forwarded, expected) in [
            ("203.0.113.9:1", &[][..], "203.0.113.9"),
            ("203.0.113.9:1", &["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1:1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1:1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1:1", &["6.6.6.6", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1:1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1:1", &["[2001:db8:1:2:3:4:5:6]:443"], "2001:db8:1:2::"),
            ("10.0.0.1:1", &["2001:db8:1:2:ffff::1"], "2001:db8:1:2::"),
            ("10.0.0.1:1", &["nobody"], "10.0.0.1"),
            ("10.0.0.1:1", &[""], "10.0.0.1"),
            ("10.0.0.1:1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1:1", &["10.0.0.7"], "10.0.0.7"),
            ("[::ffff:10.0.0.1]:1", &["198.51.100.1"], "198.51.100.1"),
            ("[2001:db8:1:2:3::4]:1", &[], "2001:db8:1:2::"),
            ("[::1]:1", &[], "::1"),
        ] {
            let mut request = TestRequest::get().peer_addr(peer.parse().unwrap());
            for forwarded in forwarded {
                request = request.append_header(("X-Forwarded-For", *forwarded));
            }
            let found =
                client_address(&request.to_http_request(), &["10.0.0.0/8".parse().unwrap()]);
            assert_eq!(found, Some(expected.parse().unwrap()), "{peer} {forwarded:?}");
        }
    }
}
