//! One question between two gateways, with everything that a decision is judged by, to be changed at will.

use landbridge_proto::machine::approval_record::{Asked, Record, Told};
use landbridge_proto::trust::approval::{Judged, Question, Uncounted, judge};
use landbridge_proto::trust::federation::FederationDraft;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::wire::approval::{
    ApprovalRequest, ApprovalTenants, Assurance, Binding, Constraints, Decision, KeyMethod,
    Operator, Projection, Requester, Scope, SignedApproval, Subject, Vote, raw,
};
use landbridge_proto::wire::approval_record::{Header, Line, Standing};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{
    FormVersion, Peer, PeerStatus, Revocation, RevocationReason,
};
use landbridge_proto::wire::envelope::{Envelope, pre_authentication_encoding};
use landbridge_proto::wire::json::canonical;
use landbridge_proto::wire::kind::{Kind, Role};
use landbridge_proto::wire::name::{
    Alias, ApprovalId, Jti, KeyId, OperatorName, ScopeName, SubjectKind, TenantId, Timestamp,
};

use super::key::Key;
use crate::gateway::{Gateway, HOUR_MS, NOW};

pub(crate) const MINUTE_MS: i64 = 60_000;

/// When decisions are taken: long after the gateways began.
pub(crate) const AT: Timestamp = Timestamp(NOW.0 + 10 * HOUR_MS);

/// One question and one decision. The fields say what will be signed; each may be made wrong.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) relying: Gateway,
    pub(crate) deciding: Gateway,
    pub(crate) request: raw::ApprovalRequest,
    /// What the relying gateway will act on.
    pub(crate) subject: String,
    pub(crate) catalog: raw::Catalog,
    pub(crate) credential: raw::OperatorCredential,
    pub(crate) approval: raw::Approval,
    pub(crate) projections: Vec<Projection>,
    pub(crate) key: Key,
    pub(crate) kept: Option<(u64, Digest)>,
    pub(crate) revoked: Vec<Revocation>,
    /// Which role signs the catalog and the credential.
    pub(crate) catalog_role: Role,
    pub(crate) credential_role: Role,
    /// Leaves the approval's digests as they are.
    pub(crate) unbound: bool,
    pub(crate) now: Timestamp,
}

pub(crate) fn scope(name: &str) -> ScopeName {
    ScopeName::new(name).unwrap()
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn operator(name: &str) -> OperatorName {
    OperatorName::new(name).unwrap()
}

pub(crate) fn jti(number: u32) -> Jti {
    Jti::new(format!("{number:0>22}")).unwrap()
}

fn lead() -> Scope {
    Scope {
        assurance: Assurance { methods: KeyMethod::ALL.into(), min_signers: 1 },
        deprecated: false,
        description: "Leads an incident; may change production.".to_owned(),
        name: scope("sre-lead"),
    }
}

fn question(relying: &Gateway, deciding: &Gateway, subject: &str) -> raw::ApprovalRequest {
    raw::ApprovalRequest {
        aud: deciding.id(),
        expires: AT.plus_ms(30 * MINUTE_MS),
        id: ApprovalId::new("apr-abcdefghijklmnopqrstuvwxyz").unwrap(),
        iss: relying.id(),
        issued: AT.plus_ms(-20 * MINUTE_MS),
        quorum: 1,
        requester: Requester { gateway: deciding.id(), principal: "ci".to_owned() },
        run: None,
        scope: scope("prod-change"),
        scopes: [scope("sre-lead")].into(),
        subject: Subject::of(
            SubjectKind::new("exec").unwrap(),
            "application/json",
            Binding::Exact,
            subject.as_bytes(),
        ),
        tenant: ApprovalTenants { deciding: tenant("acme-eu"), relying: tenant("ops") },
        v: FormVersion,
    }
}

fn projection() -> Projection {
    Projection {
        constraints: Constraints {
            max_ttl_ms: 10 * MINUTE_MS,
            methods: KeyMethod::ALL.into(),
            min_signers: 1,
            observed: false,
            subject_kinds: [SubjectKind::new("exec").unwrap()].into(),
        },
        entry: lead().entry().unwrap(),
        exp: AT.plus_ms(24 * HOUR_MS),
        local: tenant("ops"),
        local_scope: scope("prod-change"),
        nbf: AT.plus_ms(-24 * HOUR_MS),
        remote: tenant("acme-eu"),
        remote_scope: scope("sre-lead"),
    }
}

impl Scene {
    pub(crate) fn new(key: Key) -> Self {
        let (relying, deciding) = (Gateway::new(21), Gateway::deciding(1));
        let subject = "{\"argv\":[\"kubectl\",\"rollout\",\"restart\",\"deploy/api\"]}".to_owned();
        let request = question(&relying, &deciding, &subject);
        let tenants = request.tenant.clone();
        let catalog = raw::Catalog {
            expires: AT.plus_ms(HOUR_MS),
            iss: deciding.id(),
            issued: AT.plus_ms(-HOUR_MS),
            scopes: vec![lead()],
            tenant: tenant("acme-eu"),
            v: FormVersion,
            version: 7,
        };
        let credential = raw::OperatorCredential {
            expires: AT.plus_ms(HOUR_MS),
            iss: deciding.id(),
            issued: AT.plus_ms(-HOUR_MS),
            keys: vec![key.listed()],
            scopes: [scope("sre-lead")].into(),
            sub: operator("alice"),
            tenant: tenant("acme-eu"),
            v: FormVersion,
        };
        let approval = raw::Approval {
            aud: relying.id(),
            credential: Digest::of(b"", &[]),
            decision: Vote::Approve,
            exp: AT.plus_ms(9 * MINUTE_MS),
            iat: AT.plus_ms(-MINUTE_MS),
            iss: deciding.id(),
            jti: jti(1),
            max_uses: FormVersion,
            request: Digest::of(b"", &[]),
            scope: scope("sre-lead"),
            sub: operator("alice"),
            subject: request.subject.digest,
            tenant: tenants,
            v: FormVersion,
        };
        Self {
            relying,
            deciding,
            request,
            subject,
            catalog,
            credential,
            approval,
            projections: vec![projection()],
            key,
            kept: None,
            revoked: Vec::new(),
            catalog_role: Role::Catalog,
            credential_role: Role::OperatorCa,
            unbound: false,
            now: AT,
        }
    }

    /// The same question, decided by somebody else.
    pub(crate) fn by(&self, name: &str, key: Key, number: u32) -> Self {
        let mut other = self.clone();
        other.credential.keys = vec![key.listed()];
        other.credential.sub = operator(name);
        other.approval.sub = operator(name);
        other.approval.jti = jti(number);
        other.key = key;
        other
    }

    /// Writes a scope of the catalog anew, and has the projection pin the new words.
    pub(crate) fn put_scope(&mut self, change: impl FnOnce(&mut Scope)) {
        change(&mut self.catalog.scopes[0]);
        self.projections[0].entry = self.catalog.scopes[0].entry().unwrap();
    }

    /// Has the deciding gateway revoke a key, an hour ago.
    pub(crate) fn revoke(&mut self, kid: KeyId) {
        let since = AT.plus_ms(-HOUR_MS);
        self.revoked.push(Revocation { kid, reason: RevocationReason::Compromised, since });
        self.revoked.sort_by(|one, two| one.kid.cmp(&two.kid));
    }

    pub(crate) fn request_envelope(&self) -> Envelope {
        self.relying.sign(Kind::ApprovalRequest, Role::Request, &self.request)
    }

    pub(crate) fn credential_envelope(&self) -> Envelope {
        self.deciding.sign(Kind::OperatorCredential, self.credential_role, &self.credential)
    }

    pub(crate) fn catalog_envelope(&self) -> Envelope {
        self.deciding.sign(Kind::Catalog, self.catalog_role, &self.catalog)
    }

    pub(crate) fn signed(&self) -> SignedApproval {
        let mut approval = self.approval.clone();
        if !self.unbound {
            approval.request = self.request_envelope().digest();
            approval.credential = self.credential_envelope().digest();
        }
        let payload = canonical::to_vec(&approval).unwrap();
        let proof = self.key.prove(&pre_authentication_encoding(Kind::Approval, &payload));
        SignedApproval::new(payload, proof)
    }

    pub(crate) fn decision(&self) -> Decision {
        Decision {
            approval: self.signed(),
            catalog: self.catalog_envelope(),
            credential: self.credential_envelope(),
        }
    }

    pub(crate) fn status(&self) -> Envelope {
        self.deciding.status_revoking(AT.plus_ms(-5 * MINUTE_MS), self.revoked.clone())
    }

    /// How the relying gateway sees the deciding one.
    pub(crate) fn view(&self) -> PeerView {
        let view = PeerView::new(self.deciding.chain.clone());
        view.with_status(&self.status(), AT.plus_ms(-5 * MINUTE_MS)).unwrap()
    }

    /// Judges this scene's decision by another scene's question.
    pub(crate) fn judge_as(&self, asked: &Self) -> Result<Judged, Uncounted> {
        let question = Question {
            request: &ApprovalRequest::try_from(asked.request.clone()).unwrap(),
            digest: asked.request_envelope().digest(),
            deciding: &asked.view(),
            projections: &asked.projections,
            kept: asked.kept,
            now: asked.now,
        };
        judge(&question, &self.decision())
    }

    pub(crate) fn judge(&self) -> Result<Judged, Uncounted> {
        self.judge_as(self)
    }

    /// The operator, as the deciding gateway's own document lists them.
    pub(crate) fn enrolled(&self) -> Operator {
        Operator {
            keys: vec![self.key.listed()],
            name: operator("alice"),
            scopes: [scope("sre-lead")].into(),
            tenant: tenant("acme-eu"),
        }
    }

    pub(crate) fn peer(&self, status: PeerStatus) -> Peer {
        Peer {
            alias: Alias::new("eu").unwrap(),
            endpoints: Vec::new(),
            genesis: self.deciding.chain.genesis_digest(),
            gid: self.deciding.id(),
            grants: Vec::new(),
            min_root_version: 1,
            projections: self.projections.clone(),
            status,
        }
    }

    pub(crate) fn federation(&self, status: PeerStatus) -> Envelope {
        let mut draft = FederationDraft::first(self.relying.id());
        draft.put_peer(self.peer(status));
        let document = draft.finish(NOW.plus_ms(HOUR_MS)).unwrap();
        self.relying.sign(Kind::Federation, Role::Policy, &document)
    }

    pub(crate) fn told(&self) -> (Told, Told) {
        let statuses = vec![self.relying.status(AT.plus_ms(-5 * MINUTE_MS))];
        let relying = Told { roots: self.relying.roots.clone(), statuses };
        let deciding = Told { roots: self.deciding.roots.clone(), statuses: vec![self.status()] };
        (relying, deciding)
    }

    /// The record of these scenes, which have one question.
    pub(crate) fn record(all: &[&Self]) -> Record {
        let first = all[0];
        let (relying, told) = first.told();
        let decisions = all.iter().map(|one| (one.now, one.decision())).collect();
        Record {
            id: first.request.id.clone(),
            relying,
            federation: vec![first.federation(PeerStatus::Active)],
            subject: first.subject.clone(),
            asked: vec![Asked { told, request: first.request_envelope(), decisions }],
        }
    }

    /// The lines of a record, whether or not they hold.
    pub(crate) fn lines(record: &Record, verdict: Standing) -> Vec<Line> {
        let relying = record.relying.roots[0].digest();
        let relying = landbridge_proto::wire::document::gateway_id(&relying);
        let header = Header { id: record.id.clone(), relying, v: FormVersion };
        let mut lines = vec![Line::Approval(header)];
        let put = |lines: &mut Vec<Line>, told: &Told| {
            lines.extend(told.roots.iter().cloned().map(|value| Line::Root { value }));
            lines.extend(told.statuses.iter().cloned().map(|value| Line::Status { value }));
        };
        put(&mut lines, &record.relying);
        lines.extend(record.federation.iter().cloned().map(|value| Line::Federation { value }));
        lines.push(Line::Subject { value: record.subject.clone() });
        for asked in &record.asked {
            let digest = asked.told.roots[0].digest();
            let gateway = landbridge_proto::wire::document::gateway_id(&digest);
            lines.push(Line::Asked { gateway });
            put(&mut lines, &asked.told);
            lines.push(Line::Request { value: asked.request.clone() });
            lines.extend(asked.decisions.iter().map(|(at, decision)| Line::Decision {
                at: *at,
                value: Box::new(decision.clone()),
            }));
        }
        lines.push(Line::Verdict { value: verdict });
        lines
    }
}

pub(crate) fn text(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.to_bytes().unwrap()).collect()
}
