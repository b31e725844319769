//! In which phases a killed bridge left its runs: read from a copy of its database, so that looking
//! changes nothing of what the next process finds.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landbridge_harness::bridge::Bridge;
use rusqlite::Connection;

/// How recent an end still counts as one that the kill came right behind.
const JUST: Duration = Duration::from_millis(100);

/// How often a kill met a run in each phase.
#[derive(Debug, Default)]
pub(crate) struct Phases(BTreeMap<&'static str, u32>);

/// Every phase that must be met.
pub(crate) const ALL: [&str; 9] = [
    "executor: before accept",
    "executor: await intent",
    "executor: running, no frame yet",
    "executor: running, frames",
    "executor: terminal just written",
    "caller: not stored",
    "caller: await accept",
    "caller: streaming",
    "caller: terminal just stored",
];

impl Phases {
    /// Reads where the executor's rows were when it was killed; `asked` are the keys of all starts.
    pub(crate) fn executor(&mut self, dead: &Bridge, killed: SystemTime, asked: &[String]) {
        let since = millis(killed - JUST);
        let rows = rows(dead, "SELECT key, phase, seq, coalesce(ended, 0) FROM runs");
        for key in asked {
            match rows.get(key) {
                None => self.count("executor: before accept"),
                Some((phase, 0, _)) if phase == "running" => {
                    self.count("executor: running, no frame yet");
                }
                Some((phase, ..)) if phase == "running" => self.count("executor: running, frames"),
                Some((phase, ..)) if phase == "await_intent" => {
                    self.count("executor: await intent");
                }
                Some((_, _, ended)) if *ended >= since => {
                    self.count("executor: terminal just written");
                }
                Some(_) => {}
            }
        }
    }

    /// Reads where the caller's rows were when it was killed; `asked` are the keys of all starts.
    pub(crate) fn caller(&mut self, dead: &Bridge, killed: SystemTime, asked: &[String]) {
        let since = millis(killed - JUST);
        let rows = rows(dead, "SELECT key, phase, seq, coalesce(ended, 0) FROM entries");
        for key in asked {
            match rows.get(key) {
                None => self.count("caller: not stored"),
                Some((phase, ..)) if phase == "await_accept" => self.count("caller: await accept"),
                Some((phase, ..)) if phase == "streaming" => self.count("caller: streaming"),
                Some((_, _, ended)) if *ended >= since => {
                    self.count("caller: terminal just stored");
                }
                Some(_) => {}
            }
        }
    }

    /// A run was in this phase.
    pub(crate) fn met(&self, phase: &str) -> bool {
        self.0.contains_key(phase)
    }

    fn count(&mut self, phase: &'static str) {
        *self.0.entry(phase).or_default() += 1;
    }
}

impl std::fmt::Display for Phases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for phase in ALL {
            writeln!(f, "{:5}  {phase}", self.0.get(phase).copied().unwrap_or(0))?;
        }
        Ok(())
    }
}

/// Key, and of its row phase, last frame and end.
fn rows(dead: &Bridge, sql: &str) -> BTreeMap<String, (String, i64, i64)> {
    let copy = tempfile::tempdir().unwrap();
    let state = dead.home().join("state");
    for file in std::fs::read_dir(&state).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let mut files = std::fs::read_dir(copy.path()).unwrap().map(|file| file.unwrap().path());
    let database = files.find(|path| path.extension().is_some_and(|end| end == "db")).unwrap();
    let database = Connection::open(database).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get(0)?, (row.get::<_, String>(1)?, row.get(2)?, row.get(3)?)))
    };
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

fn millis(at: SystemTime) -> i64 {
    i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
