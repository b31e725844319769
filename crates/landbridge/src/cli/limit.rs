//! Limits: of a grant, where `none` takes one away, and of one run, which is left out where there is none.

use std::str::FromStr;

use clap::Args;
use landbridge_proto::wire::request::StartLimits;

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits (`none` takes one away)")]
pub(crate) struct LimitArgs {
    /// Runs at the same time
    #[arg(long = "concurrent", alias = "concurrent-max", value_name = "COUNT")]
    pub(crate) concurrent: Option<Limit>,
    /// Runs started in a second
    #[arg(long, value_name = "COUNT")]
    pub(crate) starts_per_second: Option<Limit>,
    /// Frames of one run
    #[arg(long, value_name = "COUNT")]
    pub(crate) frames: Option<Limit>,
    /// Frame bytes of one run
    #[arg(long, value_name = "BYTES")]
    pub(crate) bytes: Option<Limit>,
    /// Model tokens in a UTC day, all runs together
    #[arg(long, value_name = "COUNT")]
    pub(crate) tokens_per_day: Option<Limit>,
    /// Model cost in a UTC day, all runs together, in dollars
    #[arg(long, value_name = "USD")]
    pub(crate) cost_per_day: Option<Dollars>,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits (they only lower what the peer's grant allows)")]
pub(crate) struct RunLimitArgs {
    /// Model tokens at most
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) tokens: Option<u64>,
    /// Model cost at most, in dollars
    #[arg(long, value_name = "USD", value_parser = cost)]
    pub(crate) cost: Option<u64>,
    /// Frames at most, the terminal included
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,
    /// Frame bytes at most
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) bytes: Option<u64>,
}

impl RunLimitArgs {
    /// What the start carries; `None` where nothing is limited, because an empty object is a mistake.
    pub(crate) fn asked(&self) -> Option<StartLimits> {
        let limits = StartLimits {
            bytes: self.bytes,
            cost_micro_usd: self.cost,
            frames: self.frames,
            tokens: self.tokens,
        };
        (limits != StartLimits::default()).then_some(limits)
    }
}

/// Millionths of a dollar, at least one.
fn cost(text: &str) -> Result<u64, String> {
    let micro = micro(text).filter(|micro| *micro > 0);
    micro.ok_or_else(|| "dollars with at most six decimals, as in 2.50".to_owned())
}

/// At least 1, or no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limit(pub(crate) Option<u64>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let count = text.parse().ok().filter(|count| *count > 0);
        count.map(|count| Self(Some(count))).ok_or_else(|| "a count from 1, or none".to_owned())
    }
}

/// Millionths of a dollar, at least one, or no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Dollars(pub(crate) Option<u64>);

impl FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let micro = micro(text).filter(|micro| *micro > 0);
        micro
            .map(|micro| Self(Some(micro)))
            .ok_or_else(|| "dollars with at most six decimals, as in 2.50, or none".to_owned())
    }
}

/// Read digit by digit: an amount of money is never rounded.
fn micro(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return None;
    }
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part)
}

/// An amount as people write it.
pub(crate) fn dollars(micro: u64) -> String {
    let part = format!("{:06}", micro % 1_000_000);
    let part = part.trim_end_matches('0');
    format!("${}.{part:0<2}", micro / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_and_written_to_the_millionth() {
        for (text, micro, written) in [
            ("2.5", 2_500_000, "$2.50"),
            ("10", 10_000_000, "$10.00"),
            ("0.000001", 1, "$0.000001"),
            ("18.123456", 18_123_456, "$18.123456"),
        ] {
            assert_eq!(text.parse(), Ok(Dollars(Some(micro))), "{text}");
            assert_eq!(dollars(micro), written);
        }
        assert_eq!("none".parse(), Ok(Dollars(None)));
        for bad in ["0", "0.0", "-1", "1e3", "1.0000001", "1.", ".5", "$2", "99999999999999999999"]
        {
            assert!(bad.parse::<Dollars>().is_err(), "{bad}");
        }
        assert_eq!("none".parse(), Ok(Limit(None)));
        assert_eq!(cost("0.25"), Ok(250_000));
        assert!(cost("none").is_err() && cost("0").is_err());
        assert_eq!(RunLimitArgs::default().asked(), None);
        assert!("0".parse::<Limit>().is_err() && "1".parse() == Ok(Limit(Some(1))));
    }
}
