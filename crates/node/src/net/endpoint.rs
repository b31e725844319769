//! Where a peer listens, and which addresses we are willing to dial.
//!
//! An endpoint comes from a peer's signed document, and a signature does not make it harmless: a peer
//! may name our own loopback or a cloud's metadata service. So an endpoint has exactly one form, and
//! the address that a name resolves to is judged at the moment of connecting, and is the one that is
//! connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use landbridge_planted::planted;

/// Why a text is not an [`Endpoint`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// Longer than any endpoint can be.
    #[error("an endpoint has at most {ENDPOINT_BYTES_MAX} characters")]
    TooLong,
    /// Another scheme, or none.
    #[error("an endpoint begins with https://")]
    NotHttps,
    /// A user name, a path, a query, a fragment, or any other character.
    #[error("an endpoint is https://host:port and nothing else")]
    Surplus,
    /// No host, or one that is neither a DNS name nor an address.
    #[error("the host is neither a DNS name nor an IP address")]
    BadHost,
    /// No port, port zero, or a port written in another way than the usual.
    #[error("an endpoint names its port, as in https://bridge.example:8443")]
    BadPort,
}

/// The host of an [`Endpoint`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Host {
    /// An address, written out.
    Ip(IpAddr),
    /// A DNS name, in lower case.
    Name(Box<str>),
}

/// `https://host:port`, and nothing else.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

impl Endpoint {
    /// Reads an endpoint.
    ///
    /// # Errors
    ///
    /// Says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        if text.len() > ENDPOINT_BYTES_MAX {
            return Err(InvalidEndpoint::TooLong);
        }
        let plain = text.strip_prefix("http://").filter(|_| planted!("plain_text_dialled"));
        let authority = text.strip_prefix("https://").or(plain).ok_or(InvalidEndpoint::NotHttps)?;
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
        };
        if !authority.bytes().all(allowed) {
            return Err(InvalidEndpoint::Surplus);
        }
        let (host, port) = authority.rsplit_once(':').ok_or(InvalidEndpoint::BadPort)?;
        // An IPv6 literal without a port would otherwise lose its last group to the port.
        if host.starts_with('[') != host.ends_with(']') {
            return Err(InvalidEndpoint::BadPort);
        }
        if planted!("no_endpoint_is_read") {
            return Err(InvalidEndpoint::Surplus);
        }
        Ok(Self { host: parse_host(host)?, port: parse_port(port)? })
    }

    /// The endpoint at an address.
    #[must_use]
    pub const fn at(ip: IpAddr, port: u16) -> Self {
        Self { host: Host::Ip(ip), port }
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, as a request's authority shows it.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => format!("{ip}:{}", self.port),
            Host::Name(name) => format!("{name}:{}", self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;
    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        Self::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

fn parse_port(text: &str) -> Result<u16, InvalidEndpoint> {
    match text.parse::<u16>() {
        Ok(port) if port != 0 && port.to_string() == text => Ok(port),
        _ => Err(InvalidEndpoint::BadPort),
    }
}

fn parse_host(text: &str) -> Result<Host, InvalidEndpoint> {
    if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let ip = literal.parse::<Ipv6Addr>().map_err(|_| InvalidEndpoint::BadHost)?;
        return Ok(Host::Ip(IpAddr::V6(ip)));
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.len() > 253 || !name.split('.').all(label_ok) {
        return Err(InvalidEndpoint::BadHost);
    }
    // `127.1`, `0x7f.1` and `2130706433` are addresses to many resolvers; no top-level name looks so.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(InvalidEndpoint::BadHost);
    }
    Ok(Host::Name(name.into()))
}

/// A block of addresses, as `10.0.0.0/8` or `fd00::/8`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads a block. The bits behind the prefix must be zero, so that a slip is noticed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        let network = Self { base: base.parse().ok()?, prefix: prefix.parse().ok()? };
        let (bits, value) = network.bits();
        let in_range = u32::from(network.prefix) <= bits;
        (in_range && value & !mask(bits, network.prefix) == 0).then_some(network)
    }

    /// Says whether `ip` is in the block. IPv4-mapped IPv6 is IPv6: no block of IPv4 holds it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (bits, value) = self.bits();
        let (other_bits, other) = Self { base: ip, prefix: 0 }.bits();
        bits == other_bits && (value ^ other) & mask(bits, self.prefix) == 0
    }

    fn bits(&self) -> (u32, u128) {
        match self.base {
            IpAddr::V4(ip) => (32, u128::from(ip.to_bits())),
            IpAddr::V6(ip) => (128, ip.to_bits()),
        }
    }
}

fn mask(bits: u32, prefix: u8) -> u128 {
    let all = u128::MAX >> (128 - bits);
    let host_bits = bits.saturating_sub(u32::from(prefix));
    all & u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// Which addresses may be dialled: public ones, and the blocks that an operator adds.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allowed: Vec<Network>,
}

impl AddressPolicy {
    /// Public unicast addresses only.
    #[must_use]
    pub fn public_only() -> Self {
        Self::default()
    }

    /// Public addresses and this block, which lies inside: a peer that can name endpoints can then make
    /// this bridge open connections there.
    #[must_use]
    pub fn danger_allow(mut self, network: Network) -> Self {
        self.allowed.push(network);
        self
    }

    /// Public addresses and this machine: for demonstrations and tests.
    #[must_use]
    pub fn danger_allow_loopback(self) -> Self {
        self.danger_allow(Network { base: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 })
            .danger_allow(Network { base: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 })
    }

    /// Says whether `ip` may be dialled.
    #[must_use]
    pub fn allows(&self, ip: IpAddr) -> bool {
        if planted!("nothing_is_dialled") {
            return false;
        }
        planted!("inner_address_dialled")
            || self.allowed.iter().any(|network| network.contains(ip))
            || match ip {
                IpAddr::V4(ip) => is_public_v4(ip),
                IpAddr::V6(ip) => is_public_v6(ip),
            }
    }
}

/// What the special-purpose registry (RFC 6890) leaves of IPv4.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..)
    )
}

/// Global unicast is `2000::/3`; inside it, what carries or stands for something else is refused too:
/// everything that embeds an IPv4 address (mapped, compatible, translated, 6to4, Teredo) could smuggle
/// a private one.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    if planted!("embedded_addresses_dialled")
        && let Some(inner) = ip.to_ipv4()
    {
        return is_public_v4(inner);
    }
    match ip.segments() {
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// `https://`, a DNS name of 253, a colon and a port.
const ENDPOINT_BYTES_MAX: usize = 8 + 253 + 1 + 1 + 5;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn endpoints_are_https_host_and_port() {
        for (text, shown) in [
            ("https://bridge.example:8443", "https://bridge.example:8443"),
            ("https://Bridge.Example.:8443", "https://bridge.example:8443"),
            ("https://192.0.2.7:1", "https://192.0.2.7:1"),
            ("https://[2001:DB8::1]:443", "https://[2001:db8::1]:443"),
            ("https://localhost:65535", "https://localhost:65535"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        use InvalidEndpoint::{BadHost, BadPort, NotHttps, Surplus, TooLong};
        for (text, why) in [
            ("http://bridge.example:80", NotHttps),
            ("HTTPS://bridge.example:443", NotHttps),
            ("bridge.example:443", NotHttps),
            ("https://user@bridge.example:443", Surplus),
            ("https://bridge.example:443/", Surplus),
            ("https://bridge.example:443/path", Surplus),
            ("https://bridge.example:443?q", Surplus),
            ("https://bridge.example:443#f", Surplus),
            ("https://bridge.example:443 ", Surplus),
            ("https://bridge.exämple:443", Surplus),
            ("https://[fe80::1%25eth0]:443", Surplus),
            ("https://bridge.example", BadPort),
            ("https://bridge.example:", BadPort),
            ("https://bridge.example:0", BadPort),
            ("https://bridge.example:0443", BadPort),
            ("https://bridge.example:65536", BadPort),
            ("https://[::1]", BadPort),
            ("https://:443", BadHost),
            ("https://[::g]:443", BadHost),
            ("https://::1:443", BadHost),
            ("https://127.1:443", BadHost),
            ("https://0x7f.0x1:443", BadHost),
            ("https://2130706433:443", BadHost),
            ("https://-a.example:443", BadHost),
            ("https://a..example:443", BadHost),
        ] {
            assert_eq!(Endpoint::parse(text), Err(why), "{text}");
        }
        assert_eq!(Endpoint::parse(&format!("https://{}:443", "a".repeat(300))), Err(TooLong));
    }

    #[test]
    fn inner_addresses_are_not_dialled() {
        let policy = AddressPolicy::public_only();
        for inner in [
            "127.0.0.1",
            "127.255.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::808:808",
            "64:ff9b:1::808:808",
            "2002:808:808::1",
            "2001:0:808:808::1",
            "100::1",
            "100.127.255.255",
            "192.0.2.1",
            "192.88.99.1",
            "198.51.100.1",
            "203.0.113.1",
            "239.255.255.255",
            "240.0.0.1",
            "3fff::1",
            "2001:20::1",
            "fdff:ffff::1",
            "febf::1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!policy.allows(inner.parse().unwrap()), "{inner}");
        }
        for public in [
            "8.8.8.8",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "192.0.3.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860::8888",
        ] {
            assert!(policy.allows(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn an_allowed_block_opens_itself_only() {
        let policy =
            AddressPolicy::public_only().danger_allow(Network::parse("10.20.0.0/16").unwrap());
        assert!(policy.allows("10.20.30.40".parse().unwrap()));
        assert!(!policy.allows("10.21.0.1".parse().unwrap()));
        assert!(!policy.allows("::ffff:10.20.30.40".parse().unwrap()));
        let loopback = AddressPolicy::public_only().danger_allow_loopback();
        assert!(
            loopback.allows("127.0.0.1".parse().unwrap())
                && loopback.allows("::1".parse().unwrap())
        );
        assert!(!loopback.allows("::ffff:127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn blocks_are_read_strictly() {
        for bad in ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "fd00::/129", "x/8", "10.0.0.0/"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("9.9.9.9".parse().unwrap()));
        assert!(Network::parse("fd00::/8").unwrap().contains("fdff::1".parse().unwrap()));
        assert!(Network::parse("::/0").unwrap().contains("::1".parse().unwrap()));
    }
}
