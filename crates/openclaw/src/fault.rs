//! Why the gateway could not be asked, and what of it a peer may hear.
//!
//! The gateway's own words hold paths, hosts and configuration. They go to the log; the peer hears a
//! sentence of ours, chosen by what happened.

use landbridge_node::adapter::{AdapterFault, Trouble, TroubleCode};

use crate::version::UnsupportedGateway;
use crate::wire::GatewayError;

/// Why the gateway could not be asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The URL is not one of a gateway.
    #[error("the gateway url {url:?} is not usable: {why}")]
    BadUrl {
        /// What was configured.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The URL would send the bridge's credential in clear over a network.
    #[error(
        "{url} is not loopback and not wss; use wss, or set danger_plaintext_gateway if the path is private"
    )]
    Plaintext {
        /// What was configured.
        url: String,
    },
    /// The certificates to trust are not usable.
    #[error("the certificates in {path} are not usable: {why}")]
    BadTrust {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system keeps its certificates in no place that is known.
    #[error("no certificate bundle was found on this system; name one with ca_file")]
    NoTrust,
    /// Nobody answers, or the connection broke.
    #[error("the gateway cannot be reached: {0}")]
    Unreachable(String),
    /// The connection ended before the answer came.
    #[error("the connection to the gateway ended before it answered")]
    Lost,
    /// The gateway did not answer in time.
    #[error("the gateway did not answer {method} within {after_ms} ms")]
    Silent {
        /// What was asked.
        method: &'static str,
        /// How long the bridge waited.
        after_ms: u64,
    },
    /// The gateway does not accept the credential.
    #[error(
        "the gateway refuses the bridge's credential ({code}); run `landbridge gateway connect` again"
    )]
    Unauthorized {
        /// The gateway's code.
        code: String,
    },
    /// The device is not, or no longer, paired.
    #[error("the bridge's device is not paired with the gateway; run `landbridge gateway connect`")]
    NotPaired,
    /// The gateway asks its operator first.
    #[error(
        "the gateway waits for its operator; run `openclaw devices approve {request}` there, then connect again"
    )]
    PairingPending {
        /// The gateway's id of the pairing request.
        request: String,
    },
    /// Another gateway answers at the address.
    #[error(
        "another gateway answers than the one that the bridge was paired with; if that is meant, run `landbridge gateway connect` again"
    )]
    OtherGateway,
    /// The device was given more, or less, than the bridge wants to hold.
    #[error(
        "the gateway gave the device the scopes {scopes:?}, which is not what was asked for; nothing was kept"
    )]
    OtherScopes {
        /// What it gave.
        scopes: Vec<String>,
    },
    /// The gateway speaks another protocol.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedGateway),
    /// The gateway answered with an error.
    #[error("the gateway refused {method}: {} {}", .error.code, .error.message)]
    Refused {
        /// What was asked.
        method: &'static str,
        /// What it said.
        error: GatewayError,
    },
    /// The bridge's own files are not as they must be.
    #[error(transparent)]
    Files(#[from] crate::device::FileFault),
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Entropy,
}

impl Fault {
    /// The problem as a peer may read it.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        let (code, detail) = match self {
            Self::Unsupported(_) => (
                TroubleCode::GatewayUnsupported,
                "the gateway's version is not one that this bridge speaks",
            ),
            Self::Refused { .. } => {
                (TroubleCode::GatewayError, "the gateway refused the bridge's request")
            }
            Self::Unauthorized { .. }
            | Self::NotPaired
            | Self::PairingPending { .. }
            | Self::OtherGateway
            | Self::OtherScopes { .. } => (
                TroubleCode::GatewayUnavailable,
                "the gateway does not accept the bridge's credential",
            ),
            Self::Files(_) | Self::Entropy => (
                TroubleCode::GatewayUnavailable,
                "the bridge cannot use its own credential for the gateway",
            ),
            Self::BadUrl { .. }
            | Self::Plaintext { .. }
            | Self::BadTrust { .. }
            | Self::NoTrust
            | Self::Unreachable(_)
            | Self::Lost
            | Self::Silent { .. } => {
                (TroubleCode::GatewayUnavailable, "the gateway cannot be reached")
            }
        };
        Trouble { code, detail: detail.to_owned() }
    }

    /// The gateway knows the device no more, or asks its operator anew: what the device began cannot be
    /// watched or stopped by it.
    #[must_use]
    pub(crate) fn refuses_the_device(&self) -> bool {
        match self {
            Self::NotPaired | Self::PairingPending { .. } => true,
            Self::Unauthorized { code } => !code.contains("RATE_LIMIT"),
            _ => false,
        }
    }

    /// Trying again alone will not help: a person must act.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::BadUrl { .. }
                | Self::Plaintext { .. }
                | Self::BadTrust { .. }
                | Self::NoTrust
                | Self::Unauthorized { .. }
                | Self::NotPaired
                | Self::PairingPending { .. }
                | Self::OtherGateway
                | Self::OtherScopes { .. }
                | Self::Unsupported(_)
                | Self::Files(_)
        )
    }
}

impl From<&Fault> for AdapterFault {
    fn from(fault: &Fault) -> Self {
        Self(fault.trouble())
    }
}

/// What a peer may hear of a failed run: a class, never the gateway's words.
pub(crate) fn run_trouble(gateway_words: &str) -> Trouble {
    let words = gateway_words.to_ascii_lowercase();
    let has = |needle: &str| words.contains(needle);
    let (code, detail) = if has("llm request failed") || has("provider") || has("model") {
        let detail = if has("rate limit") || has("429") {
            "the model provider limits the rate"
        } else if has("rejected") || has("400") {
            "the model provider rejected the request"
        } else if has("network") || has("connection") {
            "the model provider could not be reached"
        } else if has("auth") || has("401") || has("403") || has("api key") {
            "the model provider refused the gateway's credential"
        } else {
            "the model request failed"
        };
        (TroubleCode::ModelError, detail)
    } else if has("timed out") || has("timeout") {
        (TroubleCode::ModelError, "the model did not answer in time")
    } else {
        (TroubleCode::GatewayError, "the gateway ended the run with an error")
    };
    Trouble { code, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_is_away_or_busy_does_not_refuse_the_device() {
        let unauthorized = |code: &str| Fault::Unauthorized { code: code.to_owned() };
        assert!(Fault::NotPaired.refuses_the_device());
        assert!(unauthorized("AUTH_DEVICE_TOKEN_MISMATCH").refuses_the_device());
        assert!(!unauthorized("AUTH_RATE_LIMITED").refuses_the_device());
        assert!(!Fault::Unreachable("refused".to_owned()).refuses_the_device());
        assert!(!Fault::Lost.refuses_the_device());
    }

    #[test]
    fn the_gateways_words_do_not_leave_the_bridge() {
        let words =
            "LLM request failed: ENOENT /home/ops/.openclaw/key sk-live-1 rejected the request";
        let trouble = run_trouble(words);
        assert_eq!(trouble.code, TroubleCode::ModelError);
        assert!(!trouble.detail.contains('/') && !trouble.detail.contains("sk-"));
        let fault = Fault::Refused {
            method: "agent",
            error: GatewayError { message: words.to_owned(), ..GatewayError::default() },
        };
        assert!(!fault.trouble().detail.contains('/'));
    }
}
