//! Questions for people, on both sides of both directions (`spec/approvals.md`).
//!
//! A question is a row ([`ApprovalRow`]), and everything that happens to it is a step under a guard on that
//! row: asking, a decision, its end. So two decisions, a decision and the expiry, or a decision and somebody
//! at the gateway never both happen, whichever process they happen in. Whoever waits reads the row again
//! when [`Approvals`] says that something changed.
//!
//! What reaches the gateway is decided in one place, `answer::resolve`, and only after the row says so.

mod adapter;
mod answer;
mod ask;
mod count;
mod expiry;
mod grant;
mod heard;
mod needed;
mod projected;
mod question;
mod vote;

use landbridge_proto::machine::contract::{ApprovalRow, ApprovalSide, AskedRow, Guard, Write};
use landbridge_proto::wire::approval::ApprovalRequest;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::{ApprovalId, InvalidName, RunId};
use tokio::sync::watch as channel;

use crate::core::Core;

pub(crate) use self::adapter::adapter_for;
pub(crate) use self::ask::Ask;
pub use self::expiry::watch;
pub(crate) use self::heard::{Heard, hear, hear_own_end};
pub(crate) use self::needed::{Questions, close_of};
pub(crate) use self::question::{Received, receive};
pub(crate) use self::vote::vote;

/// Tells of changes of questions.
#[derive(Debug, Default)]
pub struct Approvals {
    changes: channel::Sender<u64>,
}

impl Approvals {
    /// Something about a question was made durable.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells of every change from now on.
    pub(crate) fn watch(&self) -> channel::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// The id of a gateway's question: it follows from the run and the gateway's own id of it, so that a report
/// which comes again is known.
pub(crate) fn id_of(run: &RunId, question: &str) -> Result<ApprovalId, InvalidName> {
    let digest = Digest::of(run.as_str().as_bytes(), &[b"\n", question.as_bytes()]);
    named(digest.as_bytes())
}

/// The id that these bytes, at least 17 of them, name.
pub(crate) fn named(bytes: &[u8]) -> Result<ApprovalId, InvalidName> {
    let text = data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase();
    ApprovalId::new(format!("apr-{}", text.get(..26).unwrap_or_default()))
}

/// What was asked of one gateway, or by it, as it was signed.
pub(crate) fn request(core: &Core, row: &ApprovalRow, asked: &AskedRow) -> Option<ApprovalRequest> {
    match row.side {
        ApprovalSide::Relying => count::request_of(core.identity.present().root(), asked),
        ApprovalSide::Deciding => {
            let state = core.trust.state();
            count::request_of(state.peers.get(&asked.peer)?.chain(), asked)
        }
    }
}

/// What was asked, in the words to the first gateway.
pub(crate) fn first_request(core: &Core, row: &ApprovalRow) -> Option<ApprovalRequest> {
    request(core, row, row.asked.first()?)
}

/// What replaces a row that was read and changed, and what must hold for that.
pub(crate) fn replaced(row: ApprovalRow) -> (Guard, Write) {
    let guard = Guard::Approval { id: row.id.clone(), revision: row.revision };
    (guard, Write::PutApproval(row))
}

/// Words for people that fit into a problem's detail.
pub(crate) fn detail(fault: &dyn std::error::Error) -> String {
    crate::core::chained(fault)
}

/// How often a step is decided anew when the row changed under it.
const TRIES: usize = 16;
/// Between two looks at a store or a gateway that did not answer, in milliseconds.
const RETRY_MS: i64 = 1_000;
