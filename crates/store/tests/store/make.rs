//! Small constructors, so that a test shows only what it is about.

use std::collections::BTreeMap;

use landbridge_proto::machine::budget::Spent;
use landbridge_proto::machine::contract::{
    ApprovalRow, ApprovalSide, ApprovalState, AskedRow, AuditEvent, CatalogRow, CountedRow,
    DocumentKind, DocumentRow, EntryPhase, EntryRow, EvidenceRow, Guard, InviteRow, PairingRow,
    RunPhase, RunRow, Sees, SessionRow, TokenRow, Write,
};
use landbridge_proto::machine::step::{Batch, Step};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::evidence::Contradiction;
use landbridge_proto::wire::name::{
    AgentName, Alias, ApprovalId, GatewayId, IdempotencyKey, Jti, Owner, RunId, SessionHandle,
    TenantId, TenantPair, Timestamp,
};

/// `n` in the alphabet that ids share, `width` characters wide; the order of numbers is kept.
fn letters(n: u64, width: usize) -> String {
    let mut text = vec![b'a'; width];
    let mut rest = n;
    for place in text.iter_mut().rev() {
        *place = b'a' + u8::try_from(rest % 26).unwrap();
        rest /= 26;
    }
    String::from_utf8(text).unwrap()
}

/// A directory that only its owner may enter; the default mode of a temporary one follows the umask.
pub(crate) fn private_dir() -> tempfile::TempDir {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir().unwrap()
}

pub(crate) fn batch(guards: Vec<Guard>, writes: Vec<Write>) -> Batch {
    Step::new(guards, writes, ()).split().0
}

pub(crate) fn gateway(n: u64) -> GatewayId {
    GatewayId::new(format!("gw1-{}", letters(n, 52))).unwrap()
}

pub(crate) fn run_id(n: u64) -> RunId {
    RunId::new(format!("run-{}", letters(n, 26))).unwrap()
}

pub(crate) fn key(n: u64) -> IdempotencyKey {
    IdempotencyKey::new(format!("key-{}", letters(n, 16))).unwrap()
}

pub(crate) fn jti(n: u64) -> Jti {
    Jti::new(letters(n, 22)).unwrap()
}

pub(crate) fn alias(n: u64) -> Alias {
    Alias::new(format!("alias-{n}")).unwrap()
}

pub(crate) fn digest(n: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    Digest::from_bytes(bytes)
}

pub(crate) fn pair(n: u64) -> TenantPair {
    TenantPair {
        dst: TenantId::new(format!("dst-{n}")).unwrap(),
        src: TenantId::new(format!("src-{n}")).unwrap(),
    }
}

pub(crate) fn owner(n: u64) -> Owner {
    Owner { caller: gateway(n), tenant: pair(n) }
}

/// A fresh run of owner 1 with key `n`.
pub(crate) fn run(n: u64) -> RunRow {
    RunRow {
        run: run_id(n),
        owner: owner(1),
        key: key(n),
        print: digest(n),
        request: format!("request {n}"),
        accept: format!("accept {n}"),
        accept_digest: digest(1000 + n),
        work: "{}".into(),
        terms: "{}".into(),
        created: Timestamp(1000 + i64::try_from(n).unwrap()),
        deadline: Timestamp(9000),
        phase: RunPhase::AwaitIntent,
        intent: None,
        stop: None,
        epoch: 1,
        revision: 0,
        seq: 0,
        head: digest(2000 + n),
        bytes: 0,
        booked: Spent::default(),
        outcome: None,
        ended: None,
        lingers: false,
    }
}

pub(crate) fn session(n: u64) -> SessionHandle {
    SessionHandle::new(format!("session-{n}")).unwrap()
}

pub(crate) fn agent(n: u64) -> AgentName {
    AgentName::new(format!("agent-{n}")).unwrap()
}

/// Binds run `n` of owner 1 and agent 1 to a session.
pub(crate) fn bind(n: u64, to: u64) -> Write {
    let (run, owner) = (run_id(n), owner(1));
    Write::BindSession(SessionRow { run, owner, agent: agent(1), session: session(to) })
}

/// A fresh journal entry for peer 1 with key `n`.
pub(crate) fn entry(n: u64) -> EntryRow {
    EntryRow {
        run: run_id(n),
        gateway: alias(1),
        peer: gateway(1),
        tenant: pair(1),
        key: key(n),
        print: digest(n),
        body: format!("body {n}"),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        agent: agent(n),
        token: None,
        labels: BTreeMap::new(),
        created: Timestamp(1000 + i64::try_from(n).unwrap()),
        deadline: Timestamp(9000),
        phase: EntryPhase::AwaitAccept,
        revision: 0,
        request: None,
        accept: None,
        remote: None,
        seq: 0,
        head: None,
        cancel: None,
        cancel_answer: None,
        session: None,
        outcome: None,
        receipt: None,
        ended: None,
    }
}

/// The same entry as far along as it can be, with every optional member set.
pub(crate) fn full_entry(n: u64) -> EntryRow {
    EntryRow {
        token: Some("token".into()),
        labels: BTreeMap::from([("team".into(), "a \"quoted\" ü".into())]),
        phase: EntryPhase::Settled,
        request: Some("request".into()),
        accept: Some("accept".into()),
        remote: Some(run_id(n + 500)),
        head: Some(digest(n)),
        cancel: Some(Timestamp(1)),
        cancel_answer: Some("requested".into()),
        session: Some(SessionHandle::new("session").unwrap()),
        outcome: Some("lost".into()),
        receipt: Some("receipt".into()),
        ended: Some(Timestamp(5000)),
        ..entry(n)
    }
}

pub(crate) fn document(kind: DocumentKind, version: u64) -> DocumentRow {
    DocumentRow {
        gateway: gateway(1),
        kind,
        version,
        envelope: format!("envelope {version}"),
        at: Timestamp(7),
    }
}

pub(crate) fn token(n: u64) -> TokenRow {
    TokenRow {
        id: format!("token-{n}"),
        hash: digest(n),
        name: format!("name {n}"),
        routes: vec![alias(1), alias(2)],
        tenants: vec![pair(n).src],
        sees: if n.is_multiple_of(2) { Sees::Own } else { Sees::Tenants },
        verbs: vec!["read".into()],
        runs_open_max: (!n.is_multiple_of(3)).then_some(n),
        starts_per_minute_max: (n % 3 > 1).then_some(60),
        created: Timestamp(100 - i64::try_from(n).unwrap()),
        expires: Some(Timestamp(500)),
        revoked: None,
    }
}

pub(crate) fn invite(n: u64) -> InviteRow {
    InviteRow {
        id: digest(n),
        secret: format!("secret-{n}"),
        alias: alias(n),
        created: Timestamp(1),
        expires: Timestamp(2),
        used: None,
        used_by: None,
        withdrawn: None,
    }
}

pub(crate) fn pairing(n: u64) -> PairingRow {
    PairingRow {
        peer: gateway(n),
        alias: alias(n),
        words: "twelve words".into(),
        genesis: digest(n),
        joined: n.is_multiple_of(2),
        at: Timestamp(50),
        invite: digest(n + 100),
        proof: digest(n + 200),
    }
}

pub(crate) fn evidence(n: u64, file: &str) -> EvidenceRow {
    EvidenceRow {
        id: format!("ev-{n}"),
        peer: gateway(n),
        kind: [Contradiction::Seals, Contradiction::Accepts, Contradiction::Statuses]
            [n as usize % 3],
        at: Timestamp(60),
        run: n.is_multiple_of(2).then(|| run_id(n)),
        file: file.into(),
        sides: r#"{"first":0,"kept":[],"other":[]}"#.into(),
    }
}

pub(crate) fn approval_id(n: u64) -> ApprovalId {
    ApprovalId::new(format!("apr-{}", letters(n, 26))).unwrap()
}

/// An open question of tenant `src-1`: odd ones wait for us, even ones for our operators.
pub(crate) fn approval(n: u64) -> ApprovalRow {
    let asked = AskedRow {
        peer: gateway(n),
        request: format!("request {n}"),
        digest: digest(n),
        run: n.is_multiple_of(2).then(|| run_id(n + 500)),
    };
    ApprovalRow {
        id: approval_id(n),
        side: if n.is_multiple_of(2) { ApprovalSide::Deciding } else { ApprovalSide::Relying },
        tenant: pair(1).src,
        asked: vec![asked],
        subject: format!("{{\"command\":\"rm {n} \u{7}\u{202e}\"}}\n"),
        run: None,
        question: None,
        token: None,
        created: Timestamp(1000 + i64::try_from(n).unwrap()),
        expires: Timestamp(9000),
        state: ApprovalState::Open,
        decisions: Vec::new(),
        answer: None,
        decided: None,
        revision: 0,
    }
}

/// The same question at its end, with every optional member set.
pub(crate) fn decided(n: u64, state: ApprovalState, at: i64) -> ApprovalRow {
    let counted = |at| CountedRow {
        gateway: gateway(n),
        decision: r#"{"approval":"ü"}"#.into(),
        at: Timestamp(at),
    };
    ApprovalRow {
        run: Some(run_id(n)),
        question: Some(format!("exec-{n}")),
        state,
        decisions: vec![counted(5), counted(6)],
        answer: Some("applied".into()),
        decided: Some(Timestamp(at)),
        ..approval(n)
    }
}

pub(crate) fn catalog(n: u64, version: u64) -> CatalogRow {
    CatalogRow {
        gateway: gateway(n),
        tenant: pair(n).src,
        version,
        envelope: format!("catalog {version}"),
        at: Timestamp(70),
    }
}

pub(crate) fn event(n: u64) -> AuditEvent {
    AuditEvent {
        at: Timestamp(i64::try_from(n).unwrap()),
        actor: "admin".into(),
        deed: "tested".into(),
        subject: format!("subject {n}"),
        detail: BTreeMap::from([("code".into(), n.to_string())]),
    }
}

pub(crate) fn lines(from: u64, count: u64) -> Vec<String> {
    (from..from + count).map(|seq| format!(r#"{{"seq":{seq},"text":"ü"}}"#)).collect()
}
