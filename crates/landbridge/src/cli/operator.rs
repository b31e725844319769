//! Operators: the people of this gateway who may decide.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use landbridge_proto::wire::name::{OperatorName, ScopeName, TenantId};

use super::offline::PassphraseArgs;
use super::peer::PolicyArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Let a person decide with their own keys, and sign it with the policy key
    #[command(long_about = ENROL)]
    Enrol(OperatorEnrolArgs),
    /// List operators, their scopes and keys
    List,
    /// Let an operator decide nothing any more, and tell every peer at once
    #[command(long_about = REVOKE)]
    Revoke(OperatorRevokeArgs),
    /// An operator's own key, where it is a file
    #[command(subcommand)]
    Key(OperatorKeyCommand),
}

const ENROL: &str = "\
Let a person decide with their own keys, and sign it with the policy key.

The public half of each key is read: an SSH public key (ed25519, also one on a security key), a public key of
`landbridge operator key new`, or what a browser registered (--webauthn). For peers the bridge vouches for
the operator with credentials that live for a few hours. The same name again changes the operator: scopes and
keys that are named are added, and --only replaces them. A key that is taken away is refused everywhere at once,
and never enrolled again.";

const REVOKE: &str = "\
Let an operator decide nothing any more, and tell every peer at once.

The operator leaves the federation document, and their keys are revoked in the same step: our next
status, issued at once, tells every peer, and credentials that were handed out help nobody. The keys do not
come back; to enrol the person again, use another key.";

#[derive(Debug, Args)]
pub(crate) struct OperatorEnrolArgs {
    /// What the operator is called
    #[arg(value_name = "NAME")]
    pub(crate) name: OperatorName,
    /// For which tenant of ours
    #[arg(long, value_name = "TENANT", default_value = "default")]
    pub(crate) tenant: TenantId,
    /// What they may decide: a scope of ours; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<ScopeName>,
    /// A public key of theirs; may be repeated
    #[arg(long = "key", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) keys: Vec<PathBuf>,
    /// A passkey of theirs, as it was registered, JSON; may be repeated
    #[arg(long = "webauthn", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) webauthn: Vec<PathBuf>,
    /// These scopes, or these keys, and no others any more
    #[arg(long)]
    pub(crate) only: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OperatorRevokeArgs {
    /// The operator
    #[arg(value_name = "NAME")]
    pub(crate) name: OperatorName,
    /// Of which tenant of ours
    #[arg(long, value_name = "TENANT", default_value = "default")]
    pub(crate) tenant: TenantId,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorKeyCommand {
    /// Make a key for an operator; needs no bridge
    ///
    /// The file is the operator's own and stays with them: it signs their approvals and nothing else. An SSH key
    /// that somebody has already, also one on a security key, does as well and needs no file of ours.
    New(OperatorKeyNewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OperatorKeyNewArgs {
    /// Where the key goes; its directory must be closed to others
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}
