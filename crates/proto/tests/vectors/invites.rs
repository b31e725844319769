//! Invites: their text, and the roots that a joiner is given at their endpoint.

use landbridge_proto::trust::pairing::{InvalidInvite, Invite, PairingRefusal};
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::problem::Code;

use crate::folder::{Judged, Vector, envelopes, judge_all};

fn judge(vector: &Vector) -> Judged {
    let now = vector.time("now");
    let invite = match Invite::parse(&vector.text("text")) {
        Ok(invite) => invite,
        Err(fault) => {
            let phases: &[_] = match fault {
                InvalidInvite::NotCanonical(_)
                | InvalidInvite::BadSecret
                | InvalidInvite::RootVersionZero => &["document"],
                _ => &["text"],
            };
            return Judged::refused(Code::Malformed, phases, &fault);
        }
    };
    if let Err(fault) = invite.check_time(now) {
        return Judged::refused(Code::VerificationFailed, &["document"], &fault);
    }
    let roots = envelopes(vector.raw("roots"));
    let chain = TrustedRoot::introduced(&roots[0])
        .and_then(|chain| chain.advance_whole(&roots[1..], now))
        .map_err(PairingRefusal::ForeignChain);
    match chain.and_then(|chain| invite.check_inviter(&chain, now)) {
        Ok(()) => Judged::accepted(),
        Err(fault) => Judged::refused(Code::VerificationFailed, &["root"], &fault),
    }
}

#[test]
fn every_invite_is_read_as_it_must() {
    judge_all("invites", 70, judge);
}
