//! Admission: a gateway shows the membership that a federation root gave it.
//!
//! It opens as little as an invite does. A newcomer waits for a person, whose signed document names it
//! as a member; a member that shows a newer one goes on being one.

use bytes::Bytes;
use http::{Request, Response};
use landbridge_planted::planted;
use landbridge_proto::machine::contract::PairingRow;
use landbridge_proto::trust::membership::check_admission;
use landbridge_proto::trust::pairing::words;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::document::Admission;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{Alias, GatewayId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Answer, Findings, PairingResult};
use landbridge_proto::wire::stream::One;

use super::introduction::{self, introduced, refuse};
use super::pairing::documents;
use super::{Federation, one_envelope};
use crate::core::bug;
use crate::halt::Halted;
use crate::net::ResponseBody;
use crate::net::limit_body::RequestBody;
use crate::trust::members::{NotAdmitted, Shown};

/// The route of admission.
pub const PATH: &str = "/federation/v1/admission";

/// Begins what a member is called until a person gives it a name.
const ALIAS_PREFIX: &str = "member-";
/// Characters of its id that follow.
const ALIAS_ID_CHARS: usize = 12;

impl Federation {
    pub(super) async fn admission(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        //= ID-64
        if self.core.halt.is_on() && !planted!("admission_while_halted") {
            return self.turn_away(&Halted::problem());
        }
        let body = match self.body(request).await {
            Ok(body) => body,
            Err(problem) => return self.turn_away(&problem),
        };
        let plane = self.clone();
        let shown = tokio::spawn(async move { plane.admit(&body).await });
        let shown = shown.await.unwrap_or_else(|error| Err(bug("an admission failed", &error)));
        shown.unwrap_or_else(|problem| self.turn_away(&problem))
    }

    async fn admit(&self, body: &Bytes) -> Result<Response<ResponseBody>, Problem> {
        let core = &self.core;
        let (view, request, membership) = self.introduced(body)?;
        let gateway = view.gateway().clone();
        let now = core.now();
        let ours = core.identity.present().root().genesis_digest();
        let theirs = view.chain().genesis_digest();
        let row = PairingRow {
            peer: gateway.clone(),
            alias: alias(&gateway)?,
            words: words(&ours, &theirs, &membership.digest()).join(" "),
            genesis: theirs,
            joined: false,
            at: now,
            invite: PairingRow::NO_INVITE,
            proof: PairingRow::NO_INVITE,
        };
        let documents = documents(core, &view, now)?;
        let shown = core.trust.shown(core, &membership, row, documents).await;
        let shown = shown.map_err(|refused| match refused {
            NotAdmitted::Trust(error) if error.is_full() => {
                Problem::from(crate::core::StepError::Full)
            }
            refused => refuse(&refused),
        })?;
        let result = match shown {
            Shown::Counts => PairingResult::Accepted,
            Shown::Waits => PairingResult::Pending,
        };
        let answer = Answer {
            aud: gateway,
            iss: core.own().clone(),
            request: request.digest(),
            result: Findings { pairing: Some(result), ..Findings::default() },
            root_version: core.identity.present().root().version(),
            t: now,
            v: One,
        };
        let envelope = core
            .identity
            .present()
            .sign(&answer, now)
            .map_err(|error| bug("an answer was not signed", &error))?;
        Ok(one_envelope(200, &envelope))
    }

    /// Verifies who shows a membership, and that it shows this one, to us, now.
    fn introduced(
        &self,
        body: &Bytes,
    ) -> Result<(PeerView, Verified<Admission>, Envelope), Problem> {
        let operation = introduction::read(body)?;
        let [membership] = operation.held.as_deref().unwrap_or_default() else {
            return Err(Problem::new(Code::Malformed).with_detail("a member shows one membership"));
        };
        let is_right = |view: &PeerView, said: &Admission, now: Timestamp| {
            let (own, member) = (self.core.own(), view.gateway());
            check_admission(said, own, member, &membership.digest(), now)
                .map_err(|fault| refuse(&fault))
        };
        let (view, request) = introduced(&self.core, &operation, is_right)?;
        Ok((view, request, membership.clone()))
    }
}

fn alias(gateway: &GatewayId) -> Result<Alias, Problem> {
    let id: String = gateway.as_str().chars().skip("gw1-".len()).take(ALIAS_ID_CHARS).collect();
    Alias::new(format!("{ALIAS_PREFIX}{id}")).map_err(|error| bug("a member has no name", &error))
}
