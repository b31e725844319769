//! Small values of settings, each read once into a type that cannot be wrong.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

/// A length of time, written as a whole number and a unit: `"30s"`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Period(i64);

impl Period {
    /// The period of so many milliseconds; `None` when it is not positive or longer than ten years.
    #[must_use]
    pub const fn of_ms(ms: i64) -> Option<Self> {
        if ms > 0 && ms <= PERIOD_MS_MAX { Some(Self(ms)) } else { None }
    }

    /// Its milliseconds; positive.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// The same as the standard library's type.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }
}

/// Not a [`Period`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a duration: a whole number from 1 and a unit (ms, s, m, h, d), such as 10m")]
pub struct InvalidPeriod;

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let (number, unit) = split(text).ok_or(InvalidPeriod)?;
        let (_, ms) = PERIODS.iter().find(|(name, _)| *name == unit).ok_or(InvalidPeriod)?;
        number.checked_mul(*ms).and_then(Self::of_ms).ok_or(InvalidPeriod)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = PERIODS.iter().find(|(_, ms)| self.0 % ms == 0);
        let (unit, ms) = fits.unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", self.0 / ms)
    }
}

/// A number of bytes, written as a whole number and a unit: `"1MiB"`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Size(usize);

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn of_bytes(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(self) -> usize {
        self.0
    }
}

/// Not a [`Size`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a size: a whole number from 1 and a unit (B, KiB, MiB, GiB), such as 1MiB")]
pub struct InvalidSize;

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let (number, unit) = split(text).ok_or(InvalidSize)?;
        let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit).ok_or(InvalidSize)?;
        let all = number.checked_mul(*bytes).and_then(|all| usize::try_from(all).ok());
        all.filter(|&all| all > 0).map(Self).ok_or(InvalidSize)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = i64::try_from(self.0).unwrap_or(i64::MAX);
        let fits = SIZES.iter().find(|(_, bytes)| all % bytes == 0);
        let (unit, bytes) = fits.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", all / bytes)
    }
}

/// Splits `30s`. The number is plain digits: no sign, no space, no point, no leading zero.
fn split(text: &str) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let plain = !number.is_empty() && !number.starts_with('0') && number.len() <= 18;
    plain.then(|| number.parse().ok()).flatten().map(|number| (number, unit))
}

/// The WebSocket of a gateway: `ws://` on loopback, `wss://` anywhere. No user, no query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GatewayUrl(Box<str>);

/// Not a [`GatewayUrl`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidGatewayUrl {
    /// Another form.
    #[error("not a WebSocket URL: ws://host:port or wss://host:port, and a path at most")]
    Form,
    /// Unencrypted, and not on this machine.
    #[error("ws:// is for loopback only, because the gateway's token travels on it; use wss://")]
    PlaintextOffLoopback,
}

impl GatewayUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GatewayUrl {
    type Err = InvalidGatewayUrl;

    fn from_str(text: &str) -> Result<Self, InvalidGatewayUrl> {
        let (plain, rest) = match (text.strip_prefix("ws://"), text.strip_prefix("wss://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            (None, None) => return Err(InvalidGatewayUrl::Form),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path_ok = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b));
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                port.parse::<u16>().map_err(|_| InvalidGatewayUrl::Form)?;
                host
            }
            _ => authority,
        };
        if !path_ok || !is_host(host) {
            return Err(InvalidGatewayUrl::Form);
        }
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let loopback = host == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
        if plain && !loopback {
            return Err(InvalidGatewayUrl::PlaintextOffLoopback);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A DNS name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // `127.1` and `2130706433` are addresses to many resolvers, so a last label of digits must be one.
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.starts_with(|first: char| first.is_ascii_digit());
    host.len() <= 253
        && host.split('.').all(label)
        && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

/// Units of time, longest first, in milliseconds.
const PERIODS: &[(&str, i64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of size, largest first, in bytes.
const SIZES: &[(&str, i64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// Ten years: longer ones are slips.
const PERIOD_MS_MAX: i64 = 3653 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, ms) in [("250ms", 250), ("30s", 30_000), ("10m", 600_000), ("24h", 86_400_000)] {
            assert_eq!(text.parse().map(Period::as_ms), Ok(ms), "{text}");
        }
        assert_eq!("24h".parse::<Period>().map(|period| period.to_string()), Ok("1d".to_owned()));
        for bad in [
            "",
            "10",
            "s",
            "0s",
            "-1s",
            "1.5h",
            "1 s",
            " 1s",
            "01s",
            "1S",
            "1h30m",
            "99999999999999999999s",
            "9999999999d",
        ] {
            assert!(bad.parse::<Period>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_exact() {
        assert_eq!("1MiB".parse().map(Size::as_bytes), Ok(1 << 20));
        assert_eq!("512KiB".parse::<Size>().map(|size| size.to_string()), Ok("512KiB".to_owned()));
        for bad in ["1MB", "1", "0B", "1 MiB", "1mib", "99999999999999GiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_gateway_off_this_machine_needs_encryption() {
        for good in
            ["ws://127.0.0.1:18789", "ws://localhost:1/x", "ws://[::1]:1", "wss://gw.example/ws"]
        {
            assert!(good.parse::<GatewayUrl>().is_ok(), "{good}");
        }
        for plain in ["ws://gw.example:1", "ws://10.0.0.1:1", "ws://localhost.evil.example:1"] {
            assert_eq!(plain.parse::<GatewayUrl>(), Err(InvalidGatewayUrl::PlaintextOffLoopback));
        }
        for bad in
            ["http://127.0.0.1:1", "ws://user@127.0.0.1:1", "ws://127.0.0.1:1?token=x", "ws://"]
        {
            assert_eq!(bad.parse::<GatewayUrl>(), Err(InvalidGatewayUrl::Form), "{bad}");
        }
    }
}
