//! Tokens: who may use the local API.

use clap::{Args, Subcommand, ValueEnum};
use landbridge_node::config::{TOKEN_RUNS_OPEN_MAX, TOKEN_STARTS_MAX};
use landbridge_proto::wire::name::{Alias, TenantId};

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
    /// A tenant of ours whose routes it may use; may be repeated [default: all]
    #[arg(long = "tenant", value_name = "TENANT")]
    pub(crate) tenants: Vec<TenantId>,
    /// Which runs exist for it: those that it starts itself, or all of its tenants
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = SeesChoice::Own)]
    pub(crate) sees: SeesChoice,
    /// What it may do; may be repeated [default: all]
    #[arg(long = "verb", value_enum, value_name = "VERB")]
    pub(crate) verbs: Vec<Verb>,
    /// For how long it works, such as `90d` [default: until revoked]
    #[arg(long, alias = "expires", value_name = "DURATION")]
    pub(crate) expires_in: Option<String>,
    /// How many runs it may have open at once [default: limits.token_runs_open_max]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=TOKEN_RUNS_OPEN_MAX))]
    pub(crate) runs_open_max: Option<u64>,
    /// How many runs it may start in a minute [default: limits.token_starts_per_minute_max]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(TOKEN_STARTS_MAX)))]
    pub(crate) starts_per_minute_max: Option<u32>,
}

/// Which runs exist for a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum SeesChoice {
    /// Those that it started itself
    Own,
    /// All of its tenants, whoever started them
    Tenants,
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
    /// Hand in what operators signed
    Decide,
}

impl Verb {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Cancel => "cancel",
            Self::Decide => "decide",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TokenRevokeArgs {
    /// The token's public id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}
