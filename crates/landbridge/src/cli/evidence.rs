//! Evidence: what is kept against a peer that contradicted itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// List the evidence that is kept here
    List,
    /// Show one piece, with the frames that differ
    Show(EvidenceShowArgs),
    /// Write the portable proof, for anybody to verify
    Export(EvidenceExportArgs),
    /// Check a proof against the gateway that must have signed it, offline
    Verify(EvidenceVerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EvidenceShowArgs {
    /// The evidence
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct EvidenceExportArgs {
    /// The evidence
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EvidenceVerifyArgs {
    /// The proof, or `-` for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The gateway that must have contradicted itself
    #[arg(long, value_name = "ID")]
    pub(crate) pin: landbridge_proto::wire::name::GatewayId,
}
