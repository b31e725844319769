//! Where the gateway listens, and whether its credential may travel there in clear.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::OpenClawConfig;
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
    /// The connection is secured.
    pub tls: bool,
    /// The certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// Reads the URL of the configuration: `wss://host:port/path`, or `ws` towards loopback.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it; a plain URL to another host is refused unless
    /// `danger_plaintext_gateway` is set.
    pub(crate) fn of(config: &OpenClawConfig) -> Result<Self, Fault> {
        let url = config.url.as_str();
        let bad = |why| Fault::BadUrl { url: url.to_owned(), why };
        let (tls, rest) = match (url.strip_prefix("wss://"), url.strip_prefix("ws://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(bad("it begins with wss:// or, on loopback, ws://")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(bad("credentials do not belong into a url"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse::<u16>().map_err(|_| bad("the port is not a number"))?)
            }
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(bad("the host is missing"));
        }
        if !tls && !config.danger_plaintext_gateway && !is_loopback(&host) {
            return Err(Fault::Plaintext { url: url.to_owned() });
        }
        let ca_file = config.ca_file.clone();
        Ok(Self { url: url.to_owned(), host, port, tls, ca_file })
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
        let config = |url: &str| OpenClawConfig::new(url, "unused");
        let read = |url| Endpoint::of(&config(url));
        assert_eq!(read("ws://127.0.0.1:18789").unwrap().port, 18789);
        assert_eq!(read("ws://[::1]:18789/x").unwrap().host, "::1");
        assert_eq!(read("ws://localhost").unwrap().port, 80);
        let far = read("wss://gateway.example.org/ws").unwrap();
        assert!(far.tls && far.port == 443 && far.host == "gateway.example.org");
        for url in
            ["ws://192.0.2.1:1", "ws://localhost.example.org:1", "ws://127.0.0.1.example.org"]
        {
            assert!(matches!(read(url), Err(Fault::Plaintext { .. })), "{url}");
            assert!(
                Endpoint::of(&OpenClawConfig { danger_plaintext_gateway: true, ..config(url) })
                    .is_ok()
            );
        }
        for url in ["http://127.0.0.1", "ws://", "ws://a@127.0.0.1", "ws://127.0.0.1:x"] {
            assert!(matches!(read(url), Err(Fault::BadUrl { .. })), "{url}");
        }
    }
}
