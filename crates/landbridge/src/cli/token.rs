//! Tokens: who may use the local API.

use clap::{Args, Subcommand, ValueEnum};
use landbridge_proto::wire::name::Alias;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; its secret is printed once
    Create(TokenCreateArgs),
    /// List tokens
    List,
    /// Revoke a token, from now on and for good
    Revoke(TokenRevokeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// What to call it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// A logical gateway that it may use; may be repeated [default: all]
    #[arg(long = "route", value_name = "GATEWAY")]
    pub(crate) routes: Vec<Alias>,
    /// What it may do; may be repeated [default: all]
    #[arg(long = "verb", value_enum, value_name = "VERB")]
    pub(crate) verbs: Vec<Verb>,
    /// For how long it works, such as `90d` [default: until revoked]
    #[arg(long, value_name = "DURATION")]
    pub(crate) expires_in: Option<String>,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Verb {
    /// Read runs and frames
    Read,
    /// Start runs
    Run,
    /// Cancel runs
    Cancel,
}

impl Verb {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Cancel => "cancel",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokenRevokeArgs {
    /// The token's public id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}
