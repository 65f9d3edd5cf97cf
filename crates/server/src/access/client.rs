//! Where a request comes from.

use axum::http::{Extensions, HeaderMap};
use std::net::{IpAddr, SocketAddr};

/// The other end of the connection; an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// How a request came to this server; an extension of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// Who says where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress {
    /// The connection.
    Peer,
    /// The proxy in front: it appends the client's address to `X-Forwarded-For`.
    Proxy,
}

impl ClientAddress {
    /// The client's address, as far as it is known.
    pub(crate) fn of(self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = extensions.get::<Peer>().map(|peer| peer.0.ip());
        match self {
            Self::Peer => peer,
            Self::Proxy => forwarded(headers).or(peer),
        }
        .map(|address| address.to_canonical())
    }
}

impl ClientAddress {
    /// How the client sent a request; the proxy in front says it, when there is one.
    pub(crate) fn scheme(self, headers: &HeaderMap, extensions: &Extensions) -> Scheme {
        let own = extensions.get::<Scheme>().copied().unwrap_or(Scheme::Http);
        let forwarded = headers
            .get("x-forwarded-proto")
            .and_then(|scheme| scheme.to_str().ok());
        match (self, forwarded) {
            (Self::Proxy, Some("https")) => Scheme::Https,
            (Self::Proxy, Some("http")) => Scheme::Http,
            (Self::Proxy | Self::Peer, _) => own,
        }
    }
}

/// The last address: all before it are what the client says of itself.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = last.to_str().ok()?.rsplit(',').next()?.trim();
    let address = last.parse().ok();
    address.or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: ClientAddress, forwarded: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(Peer("192.0.2.1:999".parse().unwrap()));
        source
            .of(&headers, &extensions)
            .map(|address| address.to_string())
    }

    #[test]
    fn the_scheme_is_the_clients() {
        let scheme = |source: ClientAddress, own: Scheme, forwarded: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(forwarded) = forwarded {
                headers.insert("x-forwarded-proto", forwarded.parse().unwrap());
            }
            let mut extensions = Extensions::new();
            extensions.insert(own);
            source.scheme(&headers, &extensions)
        };
        use ClientAddress::{Peer, Proxy};
        assert_eq!(scheme(Peer, Scheme::Https, None), Scheme::Https);
        assert_eq!(scheme(Peer, Scheme::Http, Some("https")), Scheme::Http);
        assert_eq!(scheme(Proxy, Scheme::Http, Some("https")), Scheme::Https);
        assert_eq!(scheme(Proxy, Scheme::Http, None), Scheme::Http);
    }

    #[test]
    fn only_a_proxy_is_believed_and_only_its_own_word() {
        let peer = Some("192.0.2.1".to_owned());
        assert_eq!(of(ClientAddress::Peer, &["198.51.100.7"]), peer);
        assert_eq!(of(ClientAddress::Proxy, &[]), peer);
        assert_eq!(of(ClientAddress::Proxy, &["nonsense"]), peer);
        for forwarded in [
            &["198.51.100.7"][..],
            &["203.0.113.9, 198.51.100.7"],
            &["203.0.113.9", "198.51.100.7:1234"],
            &["::ffff:198.51.100.7"],
        ] {
            assert_eq!(
                of(ClientAddress::Proxy, forwarded),
                Some("198.51.100.7".to_owned()),
                "{forwarded:?}"
            );
        }
        assert_eq!(
            of(ClientAddress::Proxy, &["[2001:db8::1]:80"]),
            Some("2001:db8::1".to_owned())
        );
    }
}
