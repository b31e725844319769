//! Which gateways this adapter speaks with.
//!
//! The wire protocol is negotiated as a range; the product's version is looked at as well, because the
//! behaviour that the adapter leans on (what the transcript holds, what a restart resumes) is not part
//! of the protocol's number.

use crate::wire::Hello;

/// The oldest and the newest wire protocol that is spoken.
pub const PROTOCOLS: std::ops::RangeInclusive<u64> = 4..=4;

/// The oldest gateway that is known to behave as the adapter expects.
pub const VERSION_MIN: (u64, u64, u64) = (2026, 9, 0);

/// The gateway that the tests run against.
pub const VERSION_TESTED: &str = "2026.9.6";

/// The gateway is too old or too new.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsupportedGateway {
    /// It speaks no protocol that the adapter speaks.
    #[error(
        "the gateway {} protocol {}; this bridge speaks {} (tested with openclaw {VERSION_TESTED}); {}",
        if .theirs.is_some() { "speaks" } else { "refuses" },
        .theirs.map_or_else(|| PROTOCOLS.start().to_string(), |theirs| theirs.to_string()),
        PROTOCOLS.start(),
        if .theirs.is_some_and(|theirs| theirs < *PROTOCOLS.start()) { "update the gateway" } else { "update the bridge" },
    )]
    Protocol {
        /// What the gateway speaks, where it tells.
        theirs: Option<u64>,
    },
    /// Its version is older than the oldest that behaves as expected.
    #[error("the gateway is openclaw {version}, which is too old; update it to 2026.9.0 or newer")]
    TooOld {
        /// The gateway's version.
        version: String,
    },
}

/// Checks what the gateway said of itself.
///
/// # Errors
///
/// Returns why the adapter will not work with this gateway.
pub(crate) fn check(hello: &Hello) -> Result<(), UnsupportedGateway> {
    if !PROTOCOLS.contains(&hello.protocol) {
        return Err(UnsupportedGateway::Protocol { theirs: Some(hello.protocol) });
    }
    // A version that does not read as numbers is a development build: the protocol decides alone.
    match numbers(&hello.version) {
        Some(version) if version < VERSION_MIN => {
            Err(UnsupportedGateway::TooOld { version: hello.version.clone() })
        }
        _ => Ok(()),
    }
}

/// Reads `2026.9.6` and `2026.9.6-beta.1`.
fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let plain = version.split(['-', '+']).next()?;
    let mut parts = plain.split('.').map(str::parse::<u64>);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(protocol: u64, version: &str) -> Hello {
        Hello { protocol, version: version.to_owned(), ..Hello::default() }
    }

    #[test]
    fn too_old_and_too_new_are_told_apart() {
        assert_eq!(check(&hello(4, VERSION_TESTED)), Ok(()));
        assert_eq!(check(&hello(4, "2027.1.0-beta.2")), Ok(()));
        assert_eq!(check(&hello(4, "dev")), Ok(()));
        assert!(matches!(check(&hello(4, "2026.8.31")), Err(UnsupportedGateway::TooOld { .. })));
        let new = check(&hello(5, VERSION_TESTED)).map_err(|fault| fault.to_string());
        assert!(new.is_err_and(|text| text.contains("update the bridge")));
        let old = check(&hello(3, VERSION_TESTED)).map_err(|fault| fault.to_string());
        assert!(old.is_err_and(|text| text.contains("update the gateway")));
    }
}
