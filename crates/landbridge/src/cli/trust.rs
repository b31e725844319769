//! The federation document: whom this gateway trusts, and what for.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use landbridge_proto::wire::name::{Alias, GatewayId, TenantId};

use super::peer::PolicyArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Show the whole document: peers, grants, limits, disclosure, federation roots
    Show(TrustShowArgs),
    /// Show what one version says differently from another
    Diff(TrustDiffArgs),
    /// List the kept versions: when, who signed, and what each changed
    History,
    /// Write a version with the roots that prove it, to be checked anywhere
    Export(TrustExportArgs),
    /// Check such a file offline, against the gateway that must have signed it
    Verify(TrustVerifyArgs),
    /// Put a good document above one that was edited, while the bridge is stopped
    #[command(long_about = RESTORE)]
    Restore(TrustRestoreArgs),
    /// Federation roots: who may vouch for members
    #[command(subcommand)]
    Root(TrustRootCommand),
}

const RESTORE: &str = "\
Put a good document above one that was edited, while the bridge is stopped.

A bridge whose stored document is not as the policy key signed it does not start. This reads a version
that `landbridge trust export` wrote, shows it, signs it anew above everything that was stored, and
writes that down in the audit log. What was edited stays in the database, below it.";

#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct TrustShowArgs {
    /// This version [default: the one in force]
    #[arg(long, value_name = "N", conflicts_with = "file")]
    pub(crate) version: Option<u64>,
    /// A file that `trust export` wrote, or `-`; needs no bridge
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// The gateway that must have signed the file [default: the one that the file names]
    #[arg(long, value_name = "ID", requires = "file")]
    pub(crate) pin: Option<GatewayId>,
}

#[derive(Debug, Args)]
pub(crate) struct TrustDiffArgs {
    /// From this version [default: the one before the one in force]
    #[arg(value_name = "V1")]
    pub(crate) from: Option<u64>,
    /// To this version [default: the one in force]
    #[arg(value_name = "V2")]
    pub(crate) to: Option<u64>,
}

#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct TrustExportArgs {
    /// This version [default: the one in force]
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u64>,
    /// Where to; must not exist yet [default: standard output]
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TrustVerifyArgs {
    /// The file, or `-` for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The gateway that must have signed it
    #[arg(long, value_name = "ID")]
    pub(crate) pin: GatewayId,
}

#[derive(Debug, Args)]
pub(crate) struct TrustRestoreArgs {
    /// A file that `trust export` wrote, or `-` for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustRootCommand {
    /// Let somebody vouch for members, or replace what a federation root of this name may do
    Add(TrustRootAddArgs),
    /// Let a federation root vouch for nobody any more
    Remove(TrustRootRemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TrustRootAddArgs {
    /// What its memberships call it
    #[arg(value_name = "NAME")]
    pub(crate) name: Alias,
    /// A public key, as `membership key` prints it; repeated for each of them
    #[arg(long = "key", value_name = "PUB", required = true, allow_hyphen_values = true)]
    pub(crate) keys: Vec<String>,
    /// For how long the keys are good
    #[arg(long, value_name = "DURATION", default_value = "365d")]
    pub(crate) keys_expire_in: String,
    /// How many of the keys must sign
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub(crate) threshold: u64,
    /// How many members it may bring here at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) max_members: u32,
    /// A tenant of members that they may speak for; repeated for each of them
    #[arg(
        long = "tenant",
        alias = "tenants",
        value_name = "TENANT",
        required = true,
        value_delimiter = ','
    )]
    pub(crate) tenants: Vec<TenantId>,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TrustRootRemoveArgs {
    /// The federation root's name
    #[arg(value_name = "NAME")]
    pub(crate) name: Alias,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}
