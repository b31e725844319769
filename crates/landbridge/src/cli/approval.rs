//! Approvals: what operators are asked, and what they decide.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use landbridge_node::config::Period;
use landbridge_proto::wire::name::{ApprovalId, OperatorName, ScopeName, SubjectKind, TenantId};

use super::offline::PassphraseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalCommand {
    /// List approvals, newest first; those that are open, unless more is asked for
    List(ApprovalListArgs),
    /// Show one approval: what is asked, the whole subject, and what came of it
    Show(ApprovalArgs),
    /// Let it happen, once: show what is asked, and sign with an operator's key
    #[command(long_about = APPROVE)]
    Approve(ApprovalDecideArgs),
    /// Do not let it happen; one deny ends it
    #[command(long_about = DENY)]
    Deny(ApprovalDecideArgs),
    /// Ask other gateways' operators for an approval
    #[command(long_about = REQUEST)]
    Request(ApprovalRequestArgs),
    /// Write the evidence of an approval, for `landbridge verify`
    Export(ApprovalExportArgs),
}

const APPROVE: &str = "\
Let it happen, once: show what is asked, and sign with an operator's key.

The whole subject is shown first, between margins, with every character written out that does not show
itself, such as ⟨U+202E⟩ or ⟨U+000D⟩. What is shown is what is signed: if the bytes that the bridge has
are not those that were asked about, nothing can be approved.

The approval is named always, also where only one is open: a decision is about one thing that somebody
looked at, and another one may have come in between.

The key is an operator's own: a file that `landbridge operator key new` made, a private SSH key, or the .pub file of
one that is in an agent or on a security key; `ssh-keygen` then signs. A passkey decides in a browser, and its
answer is handed in with --assertion. Who the operator is follows from the key; --as is needed where the same
key is enrolled for more than one.

An approval is good for one use and for a short while. The other gateway judges it, and it may find that it does
not count there: then the exit code is 1 and the approval stays open.";

const DENY: &str = "\
Do not let it happen; one valid deny ends it, however many approved before.

Everything is shown and signed as by `landbridge approval approve`.";

const REQUEST: &str = "\
Ask other gateways' operators for an approval.

Whoever asks needs the answer: a scope of this gateway, which the operators of peers may fulfil as far as
`landbridge scope map add` says. The subject is sent whole, and what they approve is exactly these bytes. With
--wait the command ends when it is decided: 0 approved, 17 denied, 18 expired or closed.";

#[derive(Debug, Args)]
pub(crate) struct ApprovalListArgs {
    /// Those that have ended too
    #[arg(long, conflicts_with = "state")]
    pub(crate) all: bool,
    /// Only those that stand so
    #[arg(long, value_enum, value_name = "STATE")]
    pub(crate) state: Option<ApprovalStateChoice>,
    /// Only those where this gateway needs the answer, or where its operators give it
    #[arg(long, value_enum, value_name = "SIDE")]
    pub(crate) side: Option<ApprovalSideChoice>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) limit: u32,
}

/// How an approval stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ApprovalStateChoice {
    /// Undecided
    Open,
    /// Approved by as many as are needed
    Approved,
    /// Denied
    Denied,
    /// Nobody decided in time
    Expired,
    /// Decided by somebody at the gateway, or withdrawn by it
    Closed,
}

/// Which side of an approval this gateway is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ApprovalSideChoice {
    /// It needs the answer
    Relying,
    /// Its operators give it
    Deciding,
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalArgs {
    /// The approval
    #[arg(value_name = "ID")]
    pub(crate) id: ApprovalId,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("by").required(true))]
pub(crate) struct ApprovalDecideArgs {
    /// The approval, which is always named
    #[arg(value_name = "ID")]
    pub(crate) id: ApprovalId,
    /// The operator's key: a file of `operator key new`, a private SSH key, or the .pub file of one in an agent
    #[arg(long, value_name = "FILE", group = "by", value_hint = clap::ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    /// What a passkey signed in a browser: a signed approval as JSON
    #[arg(long, value_name = "FILE", group = "by", value_hint = clap::ValueHint::FilePath)]
    pub(crate) assertion: Option<PathBuf>,
    /// Who decides [default: whose key it is]
    #[arg(long = "as", value_name = "OPERATOR")]
    pub(crate) operator: Option<OperatorName>,
    /// Under which of the operator's scopes, where several would do
    #[arg(long, value_name = "SCOPE", conflicts_with = "assertion")]
    pub(crate) scope: Option<ScopeName>,
    /// For how long the decision is good; the other gateway may allow less
    #[arg(long, value_name = "DURATION", default_value = "10m", conflicts_with = "assertion")]
    pub(crate) valid_for: Period,
    /// Sign without asking; for who has looked at it already
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("subject").required(true))]
pub(crate) struct ApprovalRequestArgs {
    /// The scope of this gateway that is needed
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: ScopeName,
    /// What the subject is: a word such as exec, tool or deploy
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: SubjectKind,
    /// A file with what is to be approved, or `-` for standard input
    #[arg(long, value_name = "FILE", group = "subject", value_hint = clap::ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// The text that is to be approved
    #[arg(long, value_name = "TEXT", group = "subject")]
    pub(crate) text: Option<String>,
    /// The subject's media type [default: by the file's name, or text/plain]
    #[arg(long, value_name = "TYPE")]
    pub(crate) media: Option<String>,
    /// The subject is only a part of what will be acted on
    #[arg(long)]
    pub(crate) observed: bool,
    /// How many people must approve at least
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) quorum: u32,
    /// For how long to ask
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) expires_in: Period,
    /// The tenant of this gateway, where there are several
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<TenantId>,
    /// On whose behalf: who never decides it
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: Option<String>,
    /// Wait until it is decided; the exit code tells how
    #[arg(long)]
    pub(crate) wait: bool,
    /// With --wait: for how long to wait; the approval stays open [default: until it expires]
    #[arg(long, value_name = "DURATION", requires = "wait")]
    pub(crate) timeout: Option<Period>,
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalExportArgs {
    /// The approval
    #[arg(value_name = "ID")]
    pub(crate) id: ApprovalId,
    /// Where to [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}
