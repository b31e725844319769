//! The database against the model: random groups of random batches, every outcome and every read.

use std::collections::BTreeMap;

use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, ApprovalSide, ApprovalState, DocumentKind, EntryFilter,
    EntryPhase, EntryPlace, EntryRow, Guard, Reads, RunPhase, RunRow, StopRow, TokenRow, Write,
};
use landbridge_proto::machine::report::StopReason;
use landbridge_proto::wire::name::Timestamp;
use landbridge_store::Fault;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::make::*;
use crate::suite::Bench;

/// So few of each thing that random batches meet each other.
const FEW: u64 = 4;

/// A batch before it is made: most fields come from the model when it is applied, so that many
/// batches succeed, and `lie` turns some of them wrong.
#[derive(Clone, Debug)]
struct Plan {
    guards: Vec<(u8, u64, u64)>,
    writes: Vec<(u8, u64, u64, bool)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let guard = (0..12_u8, 0..FEW, 0..4_u64);
    let lie = prop::bool::weighted(0.02);
    let write = (0..24_u8, 0..FEW, 0..6_u64, lie);
    (vec(guard, 0..2), vec(write, 0..5)).prop_map(|(guards, writes)| Plan { guards, writes })
}

fn time(x: u64) -> Timestamp {
    Timestamp(i64::try_from(x).unwrap() * 10)
}

fn kind(x: u64) -> DocumentKind {
    [DocumentKind::Root, DocumentKind::Status, DocumentKind::Federation][x as usize % 3]
}

fn guard(&(which, n, x): &(u8, u64, u64), model: &dyn Reads<Fault = Fault>) -> Guard {
    match which {
        0 => Guard::JtiUnseen { issuer: gateway(x % 2), jti: jti(n) },
        1 => Guard::KeyFree { owner: owner(1 + x % 2), key: key(n) },
        2 => {
            let row = model.run(&run_id(n)).unwrap();
            let (epoch, revision) = row.map_or((x, x), |row| (row.epoch, row.revision));
            Guard::Run { run: run_id(n), epoch: epoch + x / 3, revision }
        }
        3 => {
            let revision = model.entry(&run_id(n)).unwrap().map_or(x, |row| row.revision);
            Guard::Entry { run: run_id(n), revision: revision + x / 3 }
        }
        4 => Guard::EntryKeyFree { peer: gateway(1), tenant: pair(1 + x % 2), key: key(n) },
        5 => {
            let newest = model.newest_document(&gateway(1), kind(n)).unwrap();
            let version = if x == 3 { Some(x) } else { newest.map(|row| row.version) };
            Guard::DocumentAt { gateway: gateway(1), kind: kind(n), version }
        }
        6 => Guard::NextInSession { run: run_id(n) },
        7 => Guard::SessionKnown {
            owner: owner(1 + n / 3),
            agent: agent(1),
            session: session(x % 2),
        },
        8 => Guard::ApprovalFree { id: approval_id(n) },
        9 => {
            let revision = model.approval(&approval_id(n)).unwrap().map_or(x, |row| row.revision);
            Guard::Approval { id: approval_id(n), revision: revision + x / 3 }
        }
        10 => {
            let kept = model.catalog(&gateway(n), &pair(n).src).unwrap();
            let version = if x == 3 { Some(x) } else { kept.map(|row| row.version) };
            Guard::CatalogAt { gateway: gateway(n), tenant: pair(n).src, version }
        }
        _ => Guard::InviteUnused { id: digest(n) },
    }
}

fn run_change(old: RunRow, x: u64) -> RunRow {
    let settled = x == 5;
    RunRow {
        phase: [RunPhase::AwaitIntent, RunPhase::Running, RunPhase::Settled][x as usize / 2],
        intent: (x > 1).then(|| format!("intent {x}")),
        stop: (x == 3).then(|| StopRow { reason: StopReason::Cancel, at: time(x) }),
        epoch: old.epoch + x / 4,
        bytes: old.bytes + x,
        booked: Spent { tokens: x, cost_micro_usd: 2 * x },
        head: digest(x),
        outcome: settled.then(|| "succeeded".into()),
        ended: settled.then(|| time(old.revision)),
        lingers: x > 3,
        ..old
    }
}

fn entry_change(old: EntryRow, x: u64) -> EntryRow {
    let full = full_entry(x);
    let settled = x == 5;
    EntryRow {
        phase: [EntryPhase::AwaitAccept, EntryPhase::Streaming, EntryPhase::Settled]
            [x as usize / 2],
        accept: (x > 1).then(|| format!("accept {x}")),
        request: (x > 1).then(|| format!("request {x}")),
        token: if x == 4 { full.token } else { old.token },
        cancel: (x == 3).then(|| time(x)),
        ended: settled.then(|| time(old.revision)),
        ..old
    }
}

fn approval_change(old: ApprovalRow, x: u64) -> ApprovalRow {
    let state = [
        ApprovalState::Open,
        ApprovalState::Open,
        ApprovalState::Approved,
        ApprovalState::Denied,
        ApprovalState::Expired,
        ApprovalState::Closed,
    ][x as usize];
    let ended = decided(x, state, time(old.revision).0);
    let decided = ended.decided.filter(|_| state != ApprovalState::Open);
    let run = x.is_multiple_of(2).then(|| run_id(x / 2));
    ApprovalRow { state, decided, run, decisions: ended.decisions, answer: ended.answer, ..old }
}

/// The writes of one step; those that depend on rows are consistent unless they lie.
fn writes(
    &(which, n, x, lie): &(u8, u64, u64, bool),
    model: &dyn Reads<Fault = Fault>,
) -> Vec<Write> {
    let old_run = model.run(&run_id(n)).unwrap();
    let old_entry = model.entry(&run_id(n)).unwrap();
    let key_known = model.key(&owner(1), &key(n)).unwrap().is_some();
    match which {
        0 if lie || !model.jti_seen(&gateway(x % 2), &jti(n)).unwrap() => {
            vec![Write::Jti { issuer: gateway(x % 2), jti: jti(n), keep_until: time(x) }]
        }
        1 | 2 if lie || (old_run.is_none() && !key_known) => vec![Write::CreateRun(run(n))],
        3 | 4 => match old_run {
            Some(row) => {
                let wrong = u64::from(lie);
                vec![Write::PutRun(run_change(RunRow { revision: row.revision + wrong, ..row }, x))]
            }
            None if lie => vec![Write::PutRun(run(n))],
            None => vec![],
        },
        5 | 6 => match old_run {
            Some(row) => {
                let first = row.seq + 1 + u64::from(lie);
                let append = Write::AppendFrames { run: run_id(n), first, lines: lines(first, x) };
                vec![append, Write::PutRun(run_change(RunRow { seq: row.seq + x, ..row }, x))]
            }
            None if lie => vec![Write::AppendFrames { run: run_id(n), first: 1, lines: vec![] }],
            None => vec![],
        },
        7 if lie || !key_known => {
            vec![Write::BlockKey { owner: owner(1), key: key(n), at: time(x) }]
        }
        8 if lie || old_entry.is_none() => {
            let labels = if x == 2 { full_entry(n).labels } else { BTreeMap::new() };
            vec![Write::CreateEntry(EntryRow { labels, ..entry(n) })]
        }
        9 | 10 => match old_entry {
            Some(row) => {
                let first = row.seq + 1;
                let (lines, seal) = (lines(first, x), format!("seal {x}"));
                let append =
                    Write::AppendReceived { run: run_id(n), first, lines, seal, at: time(x) };
                let seq = row.seq + x + u64::from(lie);
                vec![append, Write::PutEntry(entry_change(EntryRow { seq, ..row }, x))]
            }
            None => vec![],
        },
        11 => {
            let mut row = document(kind(n), x);
            row.envelope.push_str(if lie { "other" } else { "" });
            vec![Write::SaveDocument(row)]
        }
        12 => {
            let hash = if lie { digest(0) } else { digest(n) };
            vec![Write::PutToken(TokenRow { hash, revoked: (x > 3).then(|| time(x)), ..token(n) })]
        }
        13 => match model.invite(&digest(n)).unwrap() {
            None => vec![Write::CreateInvite(invite(n))],
            Some(row) if row.is_open() && x % 2 == 0 => {
                vec![Write::UseInvite { id: digest(n), at: time(x), by: gateway(n) }]
            }
            Some(row) if row.is_open() => {
                vec![Write::WithdrawInvite { id: digest(n), at: time(x) }]
            }
            Some(_) if lie => vec![Write::UseInvite { id: digest(n), at: time(x), by: gateway(n) }],
            Some(_) => vec![],
        },
        14 if x == 3 => vec![Write::KeepEvidence(evidence(n, if lie { "other" } else { "a" }))],
        14 if x % 2 == 0 => vec![Write::PutPairing(pairing(n))],
        14 => vec![Write::DropPairing { peer: gateway(n) }],
        15 => vec![
            Write::PutMeta { name: format!("meta {n}"), value: x.to_string() },
            Write::Clock(time(x)),
        ],
        16 => vec![Write::Audit(event(n * 10 + x))],
        17 if x > 3 => {
            let [jti_before, runs_before, entries_before] = [time(x - 1), time(n), time(n + 1)];
            vec![Write::Prune { jti_before, runs_before, entries_before, limit: 1 + n as u32 }]
        }
        18 => vec![booking(n, x)],
        19 if lie || old_run.is_some() => vec![bind(n, x % 2)],
        20..=22 => approval_writes(n, x, lie, model),
        _ => vec![],
    }
}

/// Approvals, and a catalog now and then.
fn approval_writes(n: u64, x: u64, lie: bool, model: &dyn Reads<Fault = Fault>) -> Vec<Write> {
    if x == 0 {
        let kept = model.catalog(&gateway(n), &pair(n).src).unwrap().map_or(0, |row| row.version);
        return vec![Write::PutCatalog(catalog(n, if lie { kept / 2 } else { kept + n % 2 }))];
    }
    match model.approval(&approval_id(n)).unwrap() {
        None if lie => vec![Write::PutApproval(approval(n))],
        None => vec![Write::CreateApproval(approval(n))],
        Some(row) if lie => {
            vec![Write::PutApproval(ApprovalRow { revision: row.revision + 1, ..row })]
        }
        Some(row) => vec![Write::PutApproval(approval_change(row, x))],
    }
}

/// Time is in hundredths of a second here, so all of it but the farthest lies in day 0.
fn booking(n: u64, x: u64) -> Write {
    let spent = Spent { tokens: 10 * n + x, cost_micro_usd: x };
    Write::BookUsage { owner: owner(1 + n % 2), day: Day(i64::try_from(x).unwrap() - 3), spent }
}

/// Everything that can be read, as text.
fn everything(reads: &dyn Reads<Fault = Fault>) -> Vec<String> {
    let mut all = Vec::new();
    let mut add = |what: &str, found: &dyn std::fmt::Debug| all.push(format!("{what}: {found:?}"));
    for n in 0..FEW {
        let run = run_id(n);
        for x in 0..3 {
            add("jti", &reads.jti_seen(&gateway(x), &jti(n)).unwrap());
            add("spent", &reads.spent(&owner(x), Day(i64::try_from(n).unwrap() - 2)).unwrap());
            add("key", &reads.key(&owner(x), &key(n)).unwrap());
            add("frames", &reads.frames(&run, x * 2, 5, 60 + x as usize * 60).unwrap());
            add("received", &reads.received(&run, x * 2, 5, 60).unwrap());
            add("entry key", &reads.entry_of_key(&gateway(1), &pair(x), &key(n)).unwrap());
        }
        add("run", &reads.run(&run).unwrap());
        add("ahead", &reads.run_ahead(&run).unwrap());
        add("known", &reads.session_known(&owner(1), &agent(1), &session(n)).unwrap());
        add("entry", &reads.entry(&run).unwrap());
        add("seals", &reads.received_seals(&run).unwrap());
        add("keeps", &reads.keeps_keys_of(&owner(n)).unwrap());
        add("open of", &reads.open_runs_of(&owner(n)).unwrap());
        add("newest", &reads.newest_document(&gateway(1), kind(n)).unwrap());
        add("documents", &reads.documents(&gateway(1), kind(n)).unwrap());
        add("token", &reads.token_of_hash(&digest(n)).unwrap());
        add("invite", &reads.invite(&digest(n)).unwrap());
        add("meta", &reads.meta(&format!("meta {n}")).unwrap());
        let label = (n == 2).then(|| ("team".to_owned(), "a \"quoted\" ü".to_owned()));
        let filter = EntryFilter {
            before: (n > 0).then(|| EntryPlace { created: entry(n).created, run }),
            settled: (n == 1).then_some(false),
            token: (n == 3).then(|| "token".into()),
            labels: label.into_iter().collect(),
            tenants: (0..n).map(|x| pair(x).src).collect(),
            limit: 3,
            ..EntryFilter::default()
        };
        let asked = ApprovalFilter {
            state: (n == 1).then_some(ApprovalState::Open),
            side: (n == 2).then_some(ApprovalSide::Relying),
            run: (n == 3).then(|| run_id(1)),
            limit: 3,
            ..ApprovalFilter::default()
        };
        add("approval", &reads.approval(&approval_id(n)).unwrap());
        add("approvals", &reads.approvals(&asked).unwrap());
        add("catalog", &reads.catalog(&gateway(n), &pair(n).src).unwrap());
        add("token by id", &reads.token(&format!("token-{n}")).unwrap());
        add("entries", &reads.entries(&filter).unwrap());
    }
    add("open runs", &reads.open_runs().unwrap());
    add("lingering runs", &reads.lingering_runs().unwrap());
    add("open entries", &reads.open_entries().unwrap());
    add("open entries of", &reads.open_entries_of("token").unwrap());
    add("tokens", &reads.tokens().unwrap());
    add("invites", &reads.invites().unwrap());
    add("pairings", &reads.pairings().unwrap());
    add("memberships", &reads.memberships().unwrap());
    add("evidence", &reads.all_evidence().unwrap());
    add("open approvals", &reads.open_approvals().unwrap());
    add("catalogs", &reads.catalogs().unwrap());
    add("clock", &reads.clock().unwrap());
    add("audit", &reads.audit(0, 10_000).unwrap());
    add("audit head", &reads.audit_head().unwrap());
    all
}

fn outcome_text(
    result: Result<Vec<landbridge_proto::machine::step::Outcome>, Fault>,
) -> Result<String, String> {
    match result {
        Ok(outcomes) => Ok(format!("{outcomes:?}")),
        Err(Fault::Broken(broken)) => Err(format!("{broken:?}")),
        Err(fault) => panic!("{fault:?}"),
    }
}

proptest! {
    // A case opens a database and reads everything after each group: 64 unless PROPTEST_CASES says more.
    #![proptest_config({
        let all = ProptestConfig::default();
        ProptestConfig { cases: all.cases / 4, ..all }
    })]

    #[test]
    fn database_and_model_agree(groups in vec(vec(plan(), 1..4), 1..40)) {
        let (mut model, mut database) = (Bench::memory(), Bench::sqlite());
        for plans in groups {
            let make = || plans.iter().map(|plan| {
                let guards = plan.guards.iter().map(|each| guard(each, &*model.reads)).collect();
                // Later writes of one batch would contradict rows that earlier ones changed, so
                // only the first about each run stays.
                let mut seen = std::collections::BTreeSet::new();
                let kept = plan.writes.iter().filter(|each| each.3 || seen.insert(each.1));
                let writes = kept.flat_map(|each| writes(each, &*model.reads)).collect();
                batch(guards, writes)
            }).collect::<Vec<_>>();
            let group = make();
            let modelled = outcome_text(model.group(&group));
            let stored = outcome_text(database.group(&group));
            prop_assert_eq!(&modelled, &stored, "{:?}", group);
            if modelled.is_err() {
                // Contradictions between the group's batches; one at a time they mostly go through.
                for batch in &group {
                    let one = std::slice::from_ref(batch);
                    let modelled = outcome_text(model.group(one));
                    prop_assert_eq!(modelled, outcome_text(database.group(one)), "{:?}", one);
                }
            }
            prop_assert_eq!(everything(&*model.reads), everything(&*database.reads));
        }
    }
}
