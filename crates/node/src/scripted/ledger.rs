//! What the scripted gateway remembers on disk, apart from every process.
//!
//! The bridge under test is killed while it writes, so a file here either exists with all of its
//! content or does not exist: it is written beside and linked into place, and the link is the moment
//! of execution. Nothing is flushed to the device, because the gateway outlives processes and not the
//! machine. Calls are short and made in place; a simulation has no threads for them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use landbridge_proto::wire::name::{RunId, Timestamp};

/// The file with a line for each start.
const EXECUTIONS: &str = "executions.log";

/// The file with a line for each start of what had been executed.
const REPEATED: &str = "repeated.log";

/// The file with a line for each caution.
const CAUTIONS: &str = "cautions";

/// The directory of the scripted gateway.
#[derive(Debug)]
pub(super) struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// Opens the directory, and makes it where there is none.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Executes a run; `false` when it had been executed before.
    pub(super) fn start(&self, run: &RunId, at: Timestamp) -> io::Result<bool> {
        // The line comes first: whatever is executed was counted.
        let mut log =
            OpenOptions::new().create(true).append(true).open(self.dir.join(EXECUTIONS))?;
        log.write_all(format!("{run} {at}\n").as_bytes())?;
        self.create(&self.path(run, "start"), at)
    }

    /// Notes that a run was asked for once more. Only tests read it.
    pub(super) fn repeated(&self, run: &RunId) {
        let log = OpenOptions::new().create(true).append(true).open(self.dir.join(REPEATED));
        if let Err(error) = log.and_then(|mut log| log.write_all(format!("{run}\n").as_bytes())) {
            tracing::warn!(%run, %error, "a repeated start was not noted");
        }
    }

    /// What the gateway's settings are said to weaken. Only tests write it.
    pub(super) fn cautions(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join(CAUTIONS)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// When a run was executed; `None` when it never was.
    pub(super) fn started(&self, run: &RunId) -> io::Result<Option<Timestamp>> {
        read(&self.path(run, "start"))
    }

    /// Stops a run; an earlier stop stays as it is.
    pub(super) fn stop(&self, run: &RunId, at: Timestamp) -> io::Result<()> {
        self.create(&self.path(run, "stop"), at).map(drop)
    }

    /// When a run was stopped.
    pub(super) fn stopped(&self, run: &RunId) -> io::Result<Option<Timestamp>> {
        read(&self.path(run, "stop"))
    }

    /// Stops every run that was ever executed and not stopped, also one that has ended: what a script comes to
    /// is not known here. Gives how many.
    pub(super) fn stop_all(&self, at: Timestamp) -> io::Result<usize> {
        let mut stopped = 0;
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "start")
                && self.create(&path.with_extension("stop"), at)?
            {
                stopped += 1;
            }
        }
        Ok(stopped)
    }

    fn path(&self, run: &RunId, what: &str) -> PathBuf {
        // A run's id has no byte that means something in a path.
        self.dir.join(format!("{run}.{what}"))
    }

    fn create(&self, path: &Path, at: Timestamp) -> io::Result<bool> {
        self.create_text(path, &at.to_string())
    }

    /// Makes a file with this content; `false` when it is there already.
    pub(super) fn create_text(&self, path: &Path, text: &str) -> io::Result<bool> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let beside = self.dir.join(format!("{}-{number}.new", std::process::id()));
        fs::write(&beside, text)?;
        let linked = fs::hard_link(&beside, path);
        // One that stays behind is in nobody's way.
        let _ = fs::remove_file(&beside);
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn read(path: &Path) -> io::Result<Option<Timestamp>> {
    match fs::read_to_string(path) {
        Ok(text) => text.parse().map(|ms| Some(Timestamp(ms))).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
