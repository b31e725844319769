//! Where a gateway listens.
//!
//! An endpoint is an address, never an identity: it may move, and nothing is trusted because it was
//! reached. Only scheme, host and port are written; the paths are the contract's.

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::wire::digest::Digest;
use crate::wire::limit;

/// One address of a gateway's federation plane.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schemas"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The digest of the subject public key info of the TLS certificate that it shows. Without it
    /// the certificate must be one that the platform trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_spki: Option<Digest>,
    /// The address.
    pub url: EndpointUrl,
}

/// `https://host` or `https://host:port`, in lower case, and nothing after it.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointUrl {
    text: Box<str>,
    host_end: usize,
    port: u16,
}

/// Why a text is not an [`EndpointUrl`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidUrl {
    /// Longer than allowed.
    #[error("a URL has at most {max} characters")]
    TooLong {
        /// The most characters allowed.
        max: usize,
    },
    /// Another scheme than `https`.
    #[error("a URL begins with https://")]
    NotHttps,
    /// A host that is neither a name in lower case nor an address.
    #[error("a URL's host is a name in lower case, an IPv4 address or an IPv6 address in brackets")]
    BadHost,
    /// A port that is not 1 to 65535 in its shortest form.
    #[error("a URL's port is 1 to 65535, without leading zeros")]
    BadPort,
}

const SCHEME: &str = "https://";

impl EndpointUrl {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// Refuses anything after the authority, user names, upper case and other schemes.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidUrl> {
        let text = text.as_ref();
        if text.len() > limit::URL_BYTES_MAX {
            return Err(InvalidUrl::TooLong { max: limit::URL_BYTES_MAX });
        }
        let authority = text.strip_prefix(SCHEME).ok_or(InvalidUrl::NotHttps)?;
        let host_len = match authority.strip_prefix('[') {
            Some(rest) => {
                let end = rest.find(']').ok_or(InvalidUrl::BadHost)?;
                let address: Ipv6Addr = rest[..end].parse().map_err(|_| InvalidUrl::BadHost)?;
                // Of one that maps an IPv4 address libraries write the end in two ways.
                if address.to_ipv4_mapped().is_some() || address.to_string() != rest[..end] {
                    return Err(InvalidUrl::BadHost);
                }
                end + 2
            }
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, after) = authority.split_at(host_len);
        if !host.starts_with('[') && !is_host_name(host) {
            return Err(InvalidUrl::BadHost);
        }
        let port = match after {
            "" => 443,
            _ => read_port(after)?,
        };
        Ok(Self { text: text.into(), host_end: SCHEME.len() + host_len, port })
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host; an IPv6 address stands in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[SCHEME.len()..self.host_end]
    }

    /// The port; 443 where none is written.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

fn is_host_name(host: &str) -> bool {
    host.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    })
}

fn read_port(after: &str) -> Result<u16, InvalidUrl> {
    let digits = after.strip_prefix(':').ok_or(InvalidUrl::BadHost)?;
    let port: u16 = digits.parse().map_err(|_| InvalidUrl::BadPort)?;
    if port == 0 || port.to_string() != digits {
        return Err(InvalidUrl::BadPort);
    }
    Ok(port)
}

impl TryFrom<String> for EndpointUrl {
    type Error = InvalidUrl;

    fn try_from(text: String) -> Result<Self, InvalidUrl> {
        Self::new(text)
    }
}

impl From<EndpointUrl> for String {
    fn from(url: EndpointUrl) -> Self {
        url.text.into()
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_scheme_host_and_port_are_accepted() {
        for (good, host, port) in [
            ("https://eu.example.com", "eu.example.com", 443),
            ("https://eu.example.com:7443", "eu.example.com", 7443),
            ("https://127.0.0.1:1", "127.0.0.1", 1),
            ("https://[::1]:65535", "[::1]", 65535),
            ("https://[2001:db8::1]", "[2001:db8::1]", 443),
        ] {
            let url = EndpointUrl::new(good).unwrap();
            assert_eq!((url.host(), url.port(), url.as_str()), (host, port, good));
        }
        for bad in [
            "",
            "https://",
            "http://a",
            "HTTPS://a",
            "https://A",
            "https://a/",
            "https://a/x",
            "https://a?x",
            "https://a#x",
            "https://u@a",
            "https://a:",
            "https://a:0",
            "https://a:01",
            "https://a:65536",
            "https://a:+1",
            "https://-a",
            "https://a..b",
            "https://.a",
            "https://a_b",
            "https://[::1",
            "https://[::1]x",
            "https://[0:0::1]",
            "https://[::zz]",
            "https://a b",
            "https://а.com",
            "https://a:1:2",
        ] {
            assert!(EndpointUrl::new(bad).is_err(), "{bad}");
        }
    }
}
