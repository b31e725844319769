//! What an executor sends is what its log holds, under seals that a caller takes.

use std::convert::Infallible;

use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::*;
use landbridge_proto::machine::outgoing::Durable;
use landbridge_proto::machine::receive::Reception;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{
    AgentName, ApprovalId, GatewayId, IdempotencyKey, Jti, Owner, RunId, SessionHandle, TenantId,
    TenantPair, Timestamp,
};

use crate::gateway::NOW;
use crate::run::{Run, run_id};

/// A run's log, and nothing else of a store.
struct Log(Vec<String>);

impl Reads for Log {
    type Fault = Infallible;

    fn jti_seen(&self, _: &GatewayId, _: &Jti) -> Result<bool, Infallible> {
        panic!("only frames are asked for")
    }

    fn key(&self, _: &Owner, _: &IdempotencyKey) -> Result<Option<KeyRecord>, Infallible> {
        panic!("only frames are asked for")
    }

    fn run(&self, _: &RunId) -> Result<Option<RunRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn open_runs(&self) -> Result<Vec<RunRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn keeps_keys_of(&self, _: &Owner) -> Result<bool, Infallible> {
        panic!("only frames are asked for")
    }

    fn session_known(
        &self,
        _: &Owner,
        _: &AgentName,
        _: &SessionHandle,
    ) -> Result<bool, Infallible> {
        panic!("only frames are asked for")
    }

    fn run_ahead(&self, _: &RunId) -> Result<Option<RunId>, Infallible> {
        panic!("only frames are asked for")
    }

    fn lingering_runs(&self) -> Result<Vec<RunRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn open_runs_of(&self, _: &Owner) -> Result<u64, Infallible> {
        panic!("only frames are asked for")
    }

    fn spent(&self, _: &Owner, _: Day) -> Result<Spent, Infallible> {
        panic!("only frames are asked for")
    }

    fn frames(
        &self,
        run: &RunId,
        after: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<String>, Infallible> {
        let from = usize::try_from(after).unwrap();
        let mut size = 0;
        let fits = |line: &&String| {
            size += line.len();
            size <= bytes || size == line.len()
        };
        assert_eq!(*run, run_id());
        Ok(self.0.iter().skip(from).take(count).take_while(fits).cloned().collect())
    }

    fn head_before(&self, _: &RunId, _: u64) -> Result<Option<(u64, Digest)>, Infallible> {
        Ok(None)
    }

    fn entry(&self, _: &RunId) -> Result<Option<EntryRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn entry_of_key(
        &self,
        _: &GatewayId,
        _: &TenantPair,
        _: &IdempotencyKey,
    ) -> Result<Option<EntryRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn entries(&self, _: &EntryFilter) -> Result<Vec<EntryBrief>, Infallible> {
        panic!("only frames are asked for")
    }

    fn open_entries(&self) -> Result<Vec<EntryRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn received(&self, _: &RunId, _: u64, _: usize, _: usize) -> Result<Vec<String>, Infallible> {
        panic!("only frames are asked for")
    }

    fn received_seals(&self, _: &RunId) -> Result<Vec<ReceivedSeal>, Infallible> {
        panic!("only frames are asked for")
    }

    fn newest_document(
        &self,
        _: &GatewayId,
        _: DocumentKind,
    ) -> Result<Option<DocumentRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn documents(&self, _: &GatewayId, _: DocumentKind) -> Result<Vec<DocumentRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn token(&self, _: &str) -> Result<Option<TokenRow>, Infallible> {
        Ok(None)
    }
    fn open_entries_of(&self, _: &str) -> Result<u64, Infallible> {
        Ok(0)
    }
    fn tokens(&self) -> Result<Vec<TokenRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn token_of_hash(&self, _: &Digest) -> Result<Option<TokenRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn invite(&self, _: &Digest) -> Result<Option<InviteRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn memberships(&self) -> Result<Vec<MembershipRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn invites(&self) -> Result<Vec<InviteRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn pairings(&self) -> Result<Vec<PairingRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn evidence(&self, _: &str) -> Result<Option<EvidenceRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn all_evidence(&self) -> Result<Vec<EvidenceRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn approval(&self, _: &ApprovalId) -> Result<Option<ApprovalRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn approvals(&self, _: &ApprovalFilter) -> Result<Vec<ApprovalRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn open_approvals(&self) -> Result<Vec<ApprovalRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn catalog(&self, _: &GatewayId, _: &TenantId) -> Result<Option<CatalogRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn catalogs(&self) -> Result<Vec<CatalogRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn meta(&self, _: &str) -> Result<Option<String>, Infallible> {
        panic!("only frames are asked for")
    }

    fn clock(&self) -> Result<Timestamp, Infallible> {
        panic!("only frames are asked for")
    }

    fn audit(&self, _: u64, _: usize) -> Result<Vec<AuditRow>, Infallible> {
        panic!("only frames are asked for")
    }

    fn audit_head(&self) -> Result<(u64, Digest), Infallible> {
        panic!("only frames are asked for")
    }
}

/// Sends what the log holds after `after`, as a caller that has it receives it.
fn send(run: &Run, log: &Log, row: &RunRow, after: u64) -> Vec<Vec<String>> {
    let peer = run.executor.view();
    let mut chain = Durable::chain_at(log, row, after).unwrap();
    let mut reception = Reception::after(&run.accept, chain.seq(), chain.head());
    let mut batches = Vec::new();
    while let Some(durable) = Durable::read(log, row, chain).unwrap() {
        let sealed = durable.seal(&run.executor.signer(Role::Stream), row, 1, NOW).unwrap();
        let lines = sealed.lines().to_vec();
        let taken = reception.take(&peer, lines.clone(), sealed.seal(), NOW).unwrap();
        assert_eq!(taken.chain(), sealed.chain());
        assert_eq!(taken.terminal().is_some(), sealed.is_last());
        chain = sealed.chain();
        batches.push(lines);
    }
    batches
}

//= STR-7
//= STR-9
//= STR-20
#[test]
fn every_cursor_gets_the_same_bytes_under_seals_that_hold() {
    let run = Run::new();
    let log = Log(run.lines.clone());
    for after in 0..=40_u64 {
        let sent = send(&run, &log, &run.row, after).concat();
        assert_eq!(sent, run.lines[usize::try_from(after).unwrap()..]);
    }
}

//= STR-3
#[test]
fn a_long_log_is_sent_in_batches_within_the_limits() {
    let run = Run::new();
    let line = |n: u64| format!(r#"{{"seq":{n},"event":"output","payload":{{}}}}"#);
    let lines: Vec<String> = (1..=150).map(line).collect();
    let chain = Chain::start(run.accept.digest()).extend(&lines);
    let row = RunRow {
        phase: RunPhase::Running,
        seq: chain.seq(),
        head: chain.head(),
        ..run.row.clone()
    };
    let sent = send(&run, &Log(lines.clone()), &row, 0);
    let sizes: Vec<usize> = sent.iter().map(Vec::len).collect();
    assert_eq!(sizes, [limit::BATCH_FRAMES_MAX, limit::BATCH_FRAMES_MAX, 22]);
    assert_eq!(sent.concat(), lines);
}

#[test]
fn what_was_appended_after_the_row_was_read_waits() {
    let run = Run::new();
    let known = Chain::start(run.accept.digest()).extend(&run.lines[..7]);
    let row = RunRow { phase: RunPhase::Running, seq: 7, head: known.head(), ..run.row.clone() };
    assert_eq!(send(&run, &Log(run.lines.clone()), &row, 0).concat(), run.lines[..7]);
}
