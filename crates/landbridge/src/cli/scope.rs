//! Scopes: what our operators may decide, and whose operators' decisions count here.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use landbridge_proto::wire::approval::KeyMethod;
use landbridge_proto::wire::name::{Alias, ScopeName, SubjectKind, TenantId};

use super::grant::duration_ms;
use super::peer::PolicyArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeCommand {
    /// List our scopes: published, or configured otherwise
    List,
    /// Show a scope's words: one of ours, or those of a peer
    Show(ScopeShowArgs),
    /// Show what `scope publish` would change
    Diff,
    /// Publish the configured scopes, after showing what changes
    #[command(long_about = PUBLISH)]
    Publish(ScopePublishArgs),
    /// Write our signed catalog of a tenant, for a peer that cannot ask for it
    Export(ScopeExportArgs),
    /// Projections: whose operators' decisions count here, and for what
    #[command(subcommand)]
    Map(ScopeMapCommand),
}

const PUBLISH: &str = "\
Publish the configured scopes, after showing what changes.

The scopes of `[[scopes]]` in the configuration file become our catalogs, one for each tenant, which peers
with a grant may read. The bridge signs them anew by itself while they stay the same, and publishes
nothing else silently. Whoever mapped a scope whose words change here must read and confirm them before
approvals under it count there again. A tenant that has no `[[scopes]]` any more is published as empty.";

#[derive(Debug, Args)]
pub(crate) struct ScopeShowArgs {
    /// The scope [default: all of them]
    #[arg(value_name = "SCOPE")]
    pub(crate) scope: Option<ScopeName>,
    /// Ask this peer for its scopes, instead of ours
    #[arg(long, value_name = "PEER")]
    pub(crate) peer: Option<Alias>,
    /// The tenant: ours, or the peer's
    #[arg(long, value_name = "TENANT", default_value = "default")]
    pub(crate) tenant: TenantId,
    /// Our tenant on whose behalf the peer is asked [default: one that works with the peer's]
    #[arg(long, value_name = "TENANT", requires = "peer")]
    pub(crate) local_tenant: Option<TenantId>,
}

#[derive(Debug, Args)]
pub(crate) struct ScopePublishArgs {
    /// Show the change and publish nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Publish without asking; only a terminal is asked
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScopeExportArgs {
    /// Our tenant
    #[arg(long, value_name = "TENANT", default_value = "default")]
    pub(crate) tenant: TenantId,
    /// Where to; must not exist yet [default: standard output]
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScopeMapCommand {
    /// Let a peer's scope fulfil one of ours, and sign it with the policy key
    #[command(long_about = MAP)]
    Add(ScopeMapAddArgs),
    /// List projections, and which of them are suspended or about to end
    List(ScopeMapListArgs),
    /// Show one projection: what was read, what the peer says now, and what must hold
    Show(ScopeMapArgs),
    /// Read a scope's changed words and sign them, so that approvals count again
    #[command(long_about = CONFIRM)]
    Confirm(ScopeMapConfirmArgs),
    /// Let a peer's scope fulfil ours no more; open approvals under it count no more
    Remove(ScopeMapRemoveArgs),
}

const MAP: &str = "\
Let a peer's scope fulfil one of ours, and sign it with the policy key.

The peer's newest catalog is fetched, and what it says of the scope is shown beside what ours means.
The projection holds for exactly this peer, both tenants and both scopes, and for the words that were
shown: when the peer changes them, it is suspended until somebody reads them and runs `scope map
confirm`. Nothing of a peer counts that no projection names.

The peer tells its catalog only where it grants our tenant something; `grant add PEER --ask
approval-request`, at its side, is the least. A peer that cannot be asked hands over a file: `landbridge
scope export`, and here --catalog.";

const CONFIRM: &str = "\
Read a scope's changed words and sign them, so that approvals count again.

The peer's newest catalog is fetched; what was read when the projection was signed is shown beside what
the peer says now. The rest of the projection stays, its end included, unless --expires renews it.";

#[derive(Debug, Args)]
pub(crate) struct ScopeMapAddArgs {
    /// The peer's alias
    #[arg(value_name = "PEER")]
    pub(crate) peer: Alias,
    /// The peer's scope
    #[arg(long, value_name = "SCOPE")]
    pub(crate) remote_scope: ScopeName,
    /// The peer's tenant
    #[arg(long, value_name = "TENANT", default_value = "default")]
    pub(crate) remote_tenant: TenantId,
    /// Our scope, as grants name it
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: ScopeName,
    /// Our tenant
    #[arg(long, value_name = "TENANT", default_value = "default")]
    pub(crate) tenant: TenantId,
    /// What may be approved: exec, tool, or a word of our own; may be repeated [default: exec]
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<SubjectKind>,
    /// With which kinds of keys; may be repeated [default: those of the peer's scope]
    #[arg(long = "method", value_enum, value_name = "METHOD")]
    pub(crate) methods: Vec<MethodChoice>,
    /// The longest life of an approval
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration_ms)]
    pub(crate) max_ttl: i64,
    /// People at least [default: as the peer's scope says]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) min_signers: Option<u32>,
    /// Also for things of which this gateway sees a part only
    #[arg(long)]
    pub(crate) observed: bool,
    /// For how long it holds
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = duration_ms)]
    pub(crate) expires: i64,
    /// The peer's catalog, from `scope export` at its side, where it cannot be asked
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) catalog: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum MethodChoice {
    /// A key in a file
    File,
    /// An SSH key
    Ssh,
    /// An SSH key on a security key
    #[value(name = "ssh_sk", alias = "ssh-sk")]
    SshSk,
    /// A passkey
    Webauthn,
}

impl From<MethodChoice> for KeyMethod {
    fn from(choice: MethodChoice) -> Self {
        match choice {
            MethodChoice::File => Self::File,
            MethodChoice::Ssh => Self::Ssh,
            MethodChoice::SshSk => Self::SshSk,
            MethodChoice::Webauthn => Self::Webauthn,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ScopeMapListArgs {
    /// Only this peer's
    #[arg(value_name = "PEER")]
    pub(crate) peer: Option<Alias>,
}

/// Which projection: as much as tells it from the others of the peer.
#[derive(Debug, Args)]
pub(crate) struct ScopeMapArgs {
    /// The peer's alias
    #[arg(value_name = "PEER")]
    pub(crate) peer: Alias,
    /// The peer's scope
    #[arg(long, value_name = "SCOPE")]
    pub(crate) remote_scope: Option<ScopeName>,
    /// The peer's tenant
    #[arg(long, value_name = "TENANT")]
    pub(crate) remote_tenant: Option<TenantId>,
    /// Our scope
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<ScopeName>,
    /// Our tenant
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<TenantId>,
}

#[derive(Debug, Args)]
pub(crate) struct ScopeMapConfirmArgs {
    #[command(flatten)]
    pub(crate) which: ScopeMapArgs,
    /// Renew it for so long from now [default: its end stays]
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    pub(crate) expires: Option<i64>,
    /// The peer's catalog, from `scope export` at its side, where it cannot be asked
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) catalog: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ScopeMapRemoveArgs {
    #[command(flatten)]
    pub(crate) which: ScopeMapArgs,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}
