//! The kill switch: a file in the home that stops everything for as long as it is there.
//!
//! A file, because it must work when nothing else does: `landbridge halt` makes it without asking the
//! daemon, so it holds when the store is full, locked or broken, when the local API hangs, and at the next
//! start. A thread of its own looks for it, so no task of the daemon can keep it from being seen. What is
//! there stops the bridge, whatever it says; that it cannot be looked for stops the bridge too.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::core::{Core, StepError};

/// The file's name in the home.
pub const FILE: &str = "halt";
/// Between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How soon a peer or client may ask a halted bridge again, in milliseconds.
const RETRY_AFTER_MS: u64 = 5_000;
/// Between two attempts to write into the audit log what the switch did, in milliseconds.
const RECORD_AGAIN_MS: i64 = 5_000;
/// The longest reason that is kept, in bytes.
pub const BECAUSE_BYTES_MAX: usize = 256;
/// More of the file is not read.
const FILE_BYTES_MAX: u64 = 4_096;

/// What is known of a halt.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Halted {
    /// When it was ordered, by the clock of whoever did; absent where nobody could write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl Halted {
    /// What peers and clients are told. The operator's reason is not theirs.
    #[must_use]
    pub fn problem() -> Problem {
        Problem::new(Code::Halted)
            .with_detail("this bridge was halted by its operator; nothing was done")
            .with_retry_after_ms(RETRY_AFTER_MS)
    }
}

/// The switch, as every part of a bridge sees it.
#[derive(Clone, Debug)]
pub struct Halt {
    file: Option<Arc<PathBuf>>,
    state: Arc<watch::Sender<Option<Halted>>>,
}

impl Default for Halt {
    /// A switch without a file: for bridges that live in one process with their operator.
    fn default() -> Self {
        Self { file: None, state: Arc::new(watch::Sender::new(None)) }
    }
}

impl Halt {
    /// The switch of a home, as it stands now.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        let file = home.join(FILE);
        let state = Arc::new(watch::Sender::new(look(&file)));
        Self { file: Some(Arc::new(file)), state }
    }

    /// What halts the bridge now.
    #[must_use]
    pub fn now(&self) -> Option<Halted> {
        self.state.borrow().clone()
    }

    /// Whether the bridge is halted now.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.state.borrow().is_some()
    }

    /// Tells of every change from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Halted>> {
        self.state.subscribe()
    }

    /// Throws the switch, or takes it back, without the file.
    pub fn set(&self, halted: Option<Halted>) {
        self.state.send_if_modified(|state| {
            let changed = *state != halted;
            *state = halted;
            changed
        });
    }

    /// Looks for the file from a thread of its own, for as long as anybody else has this switch.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub fn look_for_ever(&self) -> io::Result<()> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let state = Arc::downgrade(&self.state);
        let looking = move || {
            while let Some(state) = state.upgrade() {
                Self { file: None, state }.set(look(&file));
                std::thread::sleep(LOOK_EVERY);
            }
        };
        std::thread::Builder::new().name("halt".to_owned()).spawn(looking).map(drop)
    }
}

/// What the file says; `None` only where there is certainly none.
#[must_use]
pub fn look(file: &Path) -> Option<Halted> {
    match std::fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Ok(found) if found.is_file() && found.len() <= FILE_BYTES_MAX => {
            let read = std::fs::read(file);
            if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                return None;
            }
            Some(serde_json::from_slice(&read.unwrap_or_default()).unwrap_or_default())
        }
        Ok(_) | Err(_) => Some(Halted::default()),
    }
}

/// Makes the file. It counts from its first moment; what it says is written after that, and a disk without
/// room for it changes nothing.
///
/// # Errors
///
/// When not even an empty file can be made; then nothing is halted.
pub fn order(home: &Path, halted: &Halted) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(home.join(FILE));
    let mut file = file?;
    let text = serde_json::to_vec(halted).unwrap_or_default();
    let written = file.write_all(&text).and_then(|()| {
        file.set_len(text.len() as u64)?;
        file.sync_all()
    });
    if written.is_err() {
        // A file with half of its words is read as one without any.
        let _ = file.set_len(0);
    }
    // It must be there after a loss of power too, if the disk can do that much.
    let _ = std::fs::File::open(home).and_then(|directory| directory.sync_all());
    Ok(())
}

/// Takes the file away. `false` when there was none.
///
/// # Errors
///
/// When it cannot be taken away; then the bridge stays halted.
pub fn lift(home: &Path) -> io::Result<bool> {
    match std::fs::remove_file(home.join(FILE)) {
        Ok(()) => {
            let _ = std::fs::File::open(home).and_then(|directory| directory.sync_all());
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Wakes everybody at each turn of the switch, and writes it into the audit log as soon as the store can.
pub(crate) async fn obey(core: Arc<Core>) {
    let mut watch = core.halt.watch();
    let mut was: Option<Halted> = None;
    while !core.stopping.is_cancelled() {
        let is = watch.borrow_and_update().clone();
        metrics::gauge!(crate::observe::HALTED).set(if is.is_some() { 1.0 } else { 0.0 });
        core.wakes.wake_all();
        if is.is_some() != was.is_some() {
            match &is {
                Some(halted) => {
                    tracing::warn!(because = halted.because, "halted: nothing is done any more");
                }
                None => tracing::warn!("resumed"),
            }
            if !record(&core, is.as_ref()).await {
                tokio::select! {
                    () = core.clock.sleep_until(core.now().plus_ms(RECORD_AGAIN_MS)) => continue,
                    () = core.stopping.cancelled() => return,
                }
            }
            was = is;
            continue;
        }
        tokio::select! {
            changed = watch.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = core.stopping.cancelled() => {}
        }
    }
}

/// `false` when the store has no room for it now.
async fn record(core: &Core, halted: Option<&Halted>) -> bool {
    let because = halted.and_then(|halted| halted.because.as_deref()).unwrap_or_default();
    let deed = if halted.is_some() { "halted" } else { "resumed" };
    let audit = core.audit("admin", deed, core.own().as_str(), [("because", because)]);
    match core.commit(Step::new(Vec::new(), vec![audit], ()).with_reserve()).await {
        Ok(()) => true,
        Err(StepError::Full) => false,
        Err(error) => {
            tracing::error!(%error, deed, "a turn of the kill switch was not recorded");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn whatever_is_there_halts_and_only_its_absence_does_not() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(FILE);
        assert_eq!(look(&file), None);
        let halted = Halted { at: Some(Timestamp(7)), because: Some("fire".to_owned()) };
        order(home.path(), &halted).unwrap();
        assert_eq!(look(&file), Some(halted.clone()));
        // Once more, with less to say.
        order(home.path(), &Halted::default()).unwrap();
        assert_eq!(look(&file), Some(Halted::default()));
        assert!(lift(home.path()).unwrap() && !lift(home.path()).unwrap());
        for text in ["", "{", "{\"because\":7}", &"x".repeat(10_000)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(look(&file), Some(Halted::default()), "{text:.20}");
        }
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert_eq!(look(&file), Some(Halted::default()));
        std::fs::remove_dir(&file).unwrap();
        std::os::unix::fs::symlink("nowhere", &file).unwrap();
        assert_eq!(look(&file), Some(Halted::default()));
    }

    #[tokio::test]
    async fn the_switch_is_seen_within_a_second_also_at_the_start() {
        let home = tempfile::tempdir().unwrap();
        let halt = Halt::of(home.path());
        halt.look_for_ever().unwrap();
        assert!(!halt.is_on());
        let mut watch = halt.watch();
        for on in [true, false] {
            match on {
                true => order(home.path(), &Halted::default()).unwrap(),
                false => assert!(lift(home.path()).unwrap()),
            }
            let seen = tokio::time::timeout(Duration::from_secs(5), watch.changed()).await;
            seen.unwrap().unwrap();
            assert_eq!(halt.is_on(), on);
        }
        order(home.path(), &Halted::default()).unwrap();
        assert!(Halt::of(home.path()).is_on());
    }
}
