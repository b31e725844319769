//! kill -9 at random moments: what was acknowledged is there, and no batch is there by half.
//!
//! The child is this test binary again. It commits from several threads at once, so that groups form,
//! and writes a line for each acknowledged batch; the parent kills it while it is at work.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use landbridge_proto::machine::audit;
use landbridge_proto::machine::contract::{Guard, Reads, RunRow, Write};
use landbridge_proto::machine::step::Outcome;
use landbridge_store::{Handle, Options};

use crate::make::*;

const DIR: &str = "LANDBRIDGE_STORE_CRASH_DIR";
const CYCLES: &str = "LANDBRIDGE_STORE_CRASH_CYCLES";
const WORKERS: u64 = 4;
const FRAMES: u64 = 3;

#[test]
fn acknowledged_batches_survive_kill_9_whole() {
    let cycles = std::env::var(CYCLES).map_or(30, |text| text.parse().unwrap());
    let dir = private_dir();
    let mut acknowledged = vec![0_u64; usize::try_from(WORKERS).unwrap()];
    let mut survived_unanswered = 0;
    for cycle in 0..cycles {
        let mut child = spawn(dir.path());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        wait_until_open(&mut output);
        let delay = u64::from(getrandom::u32().unwrap()) % 60_000;
        std::thread::sleep(Duration::from_micros(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        // A last line without its end was cut by the kill.
        for line in rest.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let Some((worker, step)) = parse(line) else { continue };
            let last = &mut acknowledged[usize::try_from(worker).unwrap()];
            assert_eq!(step, *last + 1, "worker {worker} goes on where it was");
            *last = step;
        }
        let handle = Handle::open(dir.path(), &Options::default()).expect("the lock died with it");
        for (worker, last) in (0..WORKERS).zip(&mut acknowledged) {
            let stored = steps_stored(handle.reads(), worker);
            assert!(stored >= *last, "cycle {cycle}: worker {worker} lost {last}, has {stored}");
            assert!(stored <= *last + 1, "one step at a time: {last} to {stored}");
            survived_unanswered += stored - *last;
            *last = stored;
        }
        check_audit(handle.reads(), acknowledged.iter().sum());
    }
    let total: u64 = acknowledged.iter().sum();
    println!("{cycles} kills, {total} batches, {survived_unanswered} durable but unanswered");
    assert!(total > cycles, "the child must get work done between kills");
}

/// How many steps of a worker are stored; every part of a step must be there or none.
fn steps_stored(reads: &dyn Reads<Fault = landbridge_store::Fault>, worker: u64) -> u64 {
    let meta = reads.meta(&format!("worker {worker}")).unwrap();
    let steps = meta.map_or(0, |text| text.parse().unwrap());
    let run = reads.run(&run_id(worker)).unwrap();
    let frames = reads.frames(&run_id(worker), 0, usize::MAX, usize::MAX).unwrap();
    assert_eq!(frames, lines(1, steps * FRAMES), "worker {worker}: frames");
    assert_eq!(run.as_ref().map_or(0, |row| row.seq), steps * FRAMES, "worker {worker}: row");
    assert_eq!(run.map_or(0, |row| row.revision + 1), steps, "worker {worker}: revision");
    for step in [steps, steps + 1] {
        let seen = reads.jti_seen(&gateway(worker), &jti(step)).unwrap();
        assert_eq!(seen, step == steps && steps > 0, "worker {worker}: jti {step} of {steps}");
    }
    steps
}

fn check_audit(reads: &dyn Reads<Fault = landbridge_store::Fault>, steps: u64) {
    let mut head = audit::Head::start();
    loop {
        let page = reads.audit(head.n, 1000).unwrap();
        if page.is_empty() {
            break;
        }
        for row in &page {
            head = head.next(row).unwrap();
        }
    }
    assert_eq!((head.n, head.digest), reads.audit_head().unwrap());
    assert_eq!(head.n, steps, "one audit row for each step");
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_until_open(output: &mut impl BufRead) {
    let mut line = String::new();
    while line.trim_end() != "open" {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended early");
    }
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let mut words = line.trim_end().strip_prefix("ack ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Not a test of its own: what [`spawn`] runs. Without its directory it has nothing to do.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let handle = Handle::open(Path::new(&dir), &Options::default()).unwrap();
    say("\nopen\n");
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let handle = handle.clone();
            scope.spawn(move || work(&handle, worker));
        }
    });
}

fn work(handle: &Handle, worker: u64) {
    let mut row = handle.reads().run(&run_id(worker)).unwrap();
    for step in row.as_ref().map_or(1, |row| row.revision + 2).. {
        let first = (step - 1) * FRAMES + 1;
        let seq = step * FRAMES;
        let mut guards = vec![Guard::JtiUnseen { issuer: gateway(worker), jti: jti(step) }];
        let keep_until = landbridge_proto::wire::name::Timestamp(1);
        let mut writes = vec![
            Write::Jti { issuer: gateway(worker), jti: jti(step), keep_until },
            Write::Audit(event(step)),
        ];
        let next = match row {
            None => RunRow { seq, ..run(worker) },
            Some(read) => {
                let RunRow { epoch, revision, .. } = read;
                guards.push(Guard::Run { run: run_id(worker), epoch, revision });
                RunRow { seq, ..read }
            }
        };
        let created = step == 1;
        writes.push(if created {
            Write::CreateRun(next.clone())
        } else {
            Write::PutRun(next.clone())
        });
        let lines = lines(first, FRAMES);
        writes.push(Write::AppendFrames { run: run_id(worker), first, lines });
        let (name, value) = (format!("worker {worker}"), step.to_string());
        writes.push(Write::PutMeta { name, value });
        let receipt = handle.commit_blocking(batch(guards, writes)).unwrap();
        assert_eq!(*receipt.outcome(), Outcome::Committed);
        say(&format!("ack {worker} {step}\n"));
        row = Some(RunRow { revision: step - 1, ..next });
    }
}

/// One write call for one line: whole in the pipe, or not there.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}
