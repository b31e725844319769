//! Sessions of the scripted gateway: which run was led in which, on disk like everything that it remembers.
//!
//! A session is named after the run that began it. Its file has a line for each prompt, so that `recall`
//! can tell how many there were before; it exists exactly when the session does.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

use landbridge_proto::wire::name::{InvalidName, RunId, SessionHandle};

use super::ledger::Ledger;
use crate::adapter::{Mode, Work};

/// What the gateway's own sessions begin with.
const PREFIX: &str = "scripted-";

/// The session that a run is led in.
pub(super) fn session_of(work: &Work) -> Result<SessionHandle, InvalidName> {
    //= REQ-50
    // A run's id is shorter than a handle may be, and made of the same letters.
    work.session.clone().map_or_else(|| SessionHandle::new(format!("{PREFIX}{}", work.run)), Ok)
}

impl Ledger {
    /// Counts the prompts of the run's session before its own; `None` when there is no such session.
    pub(super) fn prompts_before(&self, work: &Work) -> io::Result<Option<usize>> {
        let Some(path) = self.session_file(work) else { return Ok(None) };
        let prompts = match std::fs::read_to_string(path) {
            Ok(prompts) => prompts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(work.session.is_none().then_some(0));
            }
            Err(error) => return Err(error),
        };
        let before = prompts.lines().position(|line| line == work.run.as_str());
        Ok(Some(before.unwrap_or_else(|| prompts.lines().count())))
    }

    /// Adds the run's prompt to its session. A child's prompt is none of its parent's.
    pub(super) fn add_prompt(&self, work: &Work) -> io::Result<()> {
        let Some(path) = self.session_file(work).filter(|_| work.mode != Mode::Subagent) else {
            return Ok(());
        };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(format!("{}\n", work.run).as_bytes())
    }

    /// `None` for a handle that this gateway never gave: it would name a path of its own choice.
    fn session_file(&self, work: &Work) -> Option<PathBuf> {
        let session = session_of(work).ok()?;
        let began = RunId::new(session.as_str().strip_prefix(PREFIX)?).ok()?;
        Some(self.dir().join(format!("{began}.session")))
    }
}
