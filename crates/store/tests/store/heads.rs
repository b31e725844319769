//! The chain at a cursor is the same wherever it is computed from, and is not computed from far away.

use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::{Guard, RunRow, Write};
use landbridge_proto::machine::outgoing::Durable;
use landbridge_store::{Handle, Options};

use crate::make::*;

/// Appends `steps` steps of `each` frames, as a run's driver does, and gives the row at the end.
fn append(handle: &Handle, steps: u64, each: u64) -> RunRow {
    let first = RunRow { head: Chain::start(run(1).accept_digest).head(), ..run(1) };
    handle.commit_blocking(batch(vec![], vec![Write::CreateRun(first.clone())])).unwrap();
    let mut row = first;
    for _ in 0..steps {
        let lines = lines(row.seq + 1, each);
        let chain = Chain::stored(row.seq, row.head).extend(&lines);
        let next = RunRow { seq: chain.seq(), head: chain.head(), ..row.clone() };
        let frames = Write::AppendFrames { run: row.run.clone(), first: row.seq + 1, lines };
        let guard = Guard::Run { run: row.run, epoch: row.epoch, revision: row.revision };
        let put = Write::PutRun(next.clone());
        handle.commit_blocking(batch(vec![guard], vec![frames, put])).unwrap();
        row = RunRow { revision: next.revision + 1, ..next };
    }
    row
}

/// The chain from the first frame on, the long way.
fn from_start(handle: &Handle, row: &RunRow, seq: u64) -> Chain {
    let count = usize::try_from(seq).unwrap();
    let lines = handle.reads().frames(&row.run, 0, count, usize::MAX).unwrap();
    Chain::start(row.accept_digest).extend(&lines)
}

fn sqlite() -> (Handle, tempfile::TempDir) {
    let dir = private_dir();
    (Handle::open(dir.path(), &Options::default()).unwrap(), dir)
}

#[test]
fn a_chain_at_any_cursor_is_that_of_all_frames_before_it() {
    let (database, _dir) = sqlite();
    for handle in [Handle::memory(), database] {
        let row = append(&handle, 9, 7);
        for seq in 0..=row.seq {
            let chain = Durable::chain_at(handle.reads(), &row, seq).unwrap();
            assert_eq!(chain, from_start(&handle, &row, seq), "at {seq}");
            let known = handle.reads().head_before(&row.run, seq).unwrap().map_or(0, |(n, _)| n);
            assert_eq!(known, seq / 7 * 7, "no step's frames are hashed twice");
        }
        assert_eq!(handle.reads().head_before(&run_id(2), 5).unwrap(), None, "of this run only");
    }
}

#[test]
fn a_run_from_before_heads_were_kept_is_hashed_from_its_first_frame() {
    let (handle, dir) = sqlite();
    let row = append(&handle, 5, 7);
    drop(handle);
    let db = rusqlite::Connection::open(dir.path().join("landbridge.db")).unwrap();
    db.execute("DELETE FROM run_heads", []).unwrap();
    drop(db);
    let handle = Handle::open(dir.path(), &Options::default()).unwrap();
    let chain = Durable::chain_at(handle.reads(), &row, 30).unwrap();
    assert_eq!(chain, from_start(&handle, &row, 30));
}

#[test]
#[ignore = "measures, and judges nothing"]
fn attach_in_a_long_run() {
    let (handle, _dir) = sqlite();
    let row = append(&handle, 1_250, 16);
    let begun = std::time::Instant::now();
    let long = from_start(&handle, &row, 19_990);
    let whole = begun.elapsed();
    let begun = std::time::Instant::now();
    let short = Durable::chain_at(handle.reads(), &row, 19_990).unwrap();
    println!("frame 19,990 of 20,000: {whole:?} from the first frame, {:?} now", begun.elapsed());
    assert_eq!(long, short);
}
