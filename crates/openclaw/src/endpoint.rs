//! Where the gateway listens, and whether its credential may travel there in clear.

use std::net::IpAddr;

use crate::fault::Fault;

/// A gateway's address that the bridge may send its credential to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Endpoint {
    /// The whole URL.
    pub url: String,
    /// The host to connect to.
    pub host: String,
    /// The port to connect to.
    pub port: u16,
}

impl Endpoint {
    /// Reads a `ws://host:port/path` URL.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it; a plain URL to another host is refused unless
    /// `danger_plaintext` is set.
    pub(crate) fn read(url: &str, danger_plaintext: bool) -> Result<Self, Fault> {
        let bad = |why| Fault::BadUrl { url: url.to_owned(), why };
        if url.starts_with("wss://") {
            return Err(bad(
                "wss is not supported yet; run the bridge beside the gateway, on loopback",
            ));
        }
        let rest = url.strip_prefix("ws://").ok_or_else(|| bad("it begins with ws://"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(bad("credentials do not belong into a url"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse::<u16>().map_err(|_| bad("the port is not a number"))?)
            }
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(bad("the host is missing"));
        }
        if !danger_plaintext && !is_loopback(&host) {
            return Err(Fault::Plaintext { url: url.to_owned() });
        }
        Ok(Self { url: url.to_owned(), host, port })
    }
}

/// A name is not asked of anybody: `localhost` is the only one that counts.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn plain_urls_reach_loopback_only() {
        let read = |url| Endpoint::read(url, false);
        assert_eq!(read("ws://127.0.0.1:18789").unwrap().port, 18789);
        assert_eq!(read("ws://[::1]:18789/x").unwrap().host, "::1");
        assert_eq!(read("ws://localhost").unwrap().port, 80);
        for url in
            ["ws://192.0.2.1:1", "ws://localhost.example.org:1", "ws://127.0.0.1.example.org"]
        {
            assert!(matches!(read(url), Err(Fault::Plaintext { .. })), "{url}");
            assert!(Endpoint::read(url, true).is_ok());
        }
        for url in ["http://127.0.0.1", "ws://", "ws://a@127.0.0.1", "ws://127.0.0.1:x"] {
            assert!(matches!(read(url), Err(Fault::BadUrl { .. })), "{url}");
        }
    }
}
