//! The early witness of a rollback: how far the database has come, told outside of it.
//!
//! A database that was copied back cannot know that it was: everything in it is as it once was. So the
//! writer counts its groups inside their transactions and notes the count in a small file beside the
//! state directory, after each commit. A database that is behind its witness at the next start has lost
//! what it acknowledged.
//!
//! The note is written after the commit and never flushed: whatever dies in between, the note is behind
//! the database, which means nothing, and never before it, which would accuse an honest database. A
//! whole machine that is restored takes the note along; then only its peers can tell.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use landbridge_planted::planted;
use landbridge_proto::wire::digest::Digest;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::open::OpenError;
use crate::fault::Fault;

/// A database that has lost what it once acknowledged, as its witness shows.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Behind {
    /// Groups that the database holds.
    pub commits: u64,
    /// Groups that the witness saw it commit; `None`: the witness saw another history altogether.
    pub witnessed: Option<u64>,
}

/// What the note says: which history, and how far it came.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Note {
    line: String,
    commits: u64,
}

/// Counts groups in the database, and notes the count where a witness is kept.
#[derive(Debug)]
pub(super) struct Counter {
    file: Option<(PathBuf, File)>,
    note: Note,
    /// The count that is on file; a database behind it does not lower it.
    noted: u64,
    behind: Option<Behind>,
}

impl Counter {
    /// Reads how far the database is, and compares with its witness; makes a note where there is none.
    pub(super) fn open(db: &Connection, path: Option<&Path>) -> Result<Self, OpenError> {
        let note = stored(db)?;
        let Some(path) = path else {
            return Ok(Self { file: None, note, noted: 0, behind: None });
        };
        let failed = |source| OpenError::File { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let seen = read(&mut file).map_err(failed)?;
        let behind = seen.as_ref().and_then(|seen| compare(&note, seen));
        let behind = behind.filter(|_| !planted!("witness_ignored"));
        let same = seen.filter(|seen| seen.line == note.line);
        let noted = same.map_or(0, |seen| seen.commits);
        let mut counter = Self { file: Some((path.to_owned(), file)), note, noted, behind };
        if counter.behind.is_none() {
            counter.write_note().map_err(failed)?;
        }
        Ok(counter)
    }

    /// What the witness showed at the start.
    pub(super) const fn behind(&self) -> Option<&Behind> {
        self.behind.as_ref()
    }

    /// Counts a group, inside its transaction.
    pub(super) fn count(&self, db: &Connection) -> Result<(), Fault> {
        let sql = "UPDATE meta SET value = ?2 WHERE name = ?1";
        let next = self.note.commits.saturating_add(1).to_string();
        db.prepare_cached(sql)?.execute(params![COMMITS, next])?;
        Ok(())
    }

    /// Notes that the group which was counted last is committed.
    pub(super) fn committed(&mut self) {
        self.note.commits = self.note.commits.saturating_add(1);
        if self.behind.is_some() || self.note.commits <= self.noted {
            return;
        }
        if let Err(error) = self.write_note() {
            tracing::warn!(%error, "the witness of the store was not written");
        }
    }

    /// Begins a history of its own: what the witness saw of the former one says nothing any more.
    pub(super) fn begin(&mut self, db: &Connection) -> Result<(), Fault> {
        let line: String =
            db.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
        db.execute("UPDATE meta SET value = ?2 WHERE name = ?1", params![LINE, line])?;
        self.note.line = line;
        self.noted = 0;
        self.behind = None;
        self.write_note()?;
        if let Some((_, file)) = &self.file {
            file.sync_all()?;
        }
        Ok(())
    }

    /// One write of one block: a process that dies cannot leave half of it.
    fn write_note(&mut self) -> io::Result<()> {
        let Some((_, file)) = &self.file else { return Ok(()) };
        file.write_all_at(text(&self.note).as_bytes(), 0)?;
        self.noted = self.note.commits;
        Ok(())
    }
}

/// A note of fixed length, with its digest: a torn or foreign one says nothing.
fn text(note: &Note) -> String {
    let said = format!("landbridge-witness 1 {} {:020}", note.line, note.commits);
    let sum = Digest::of(TAG, &[said.as_bytes()]);
    format!("{said} {sum}\n")
}

fn read(file: &mut File) -> io::Result<Option<Note>> {
    let mut found = String::new();
    match file.take(NOTE_BYTES_MAX).read_to_string(&mut found) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
        _ => {}
    }
    let note = parse(&found);
    if note.is_none() && !found.is_empty() {
        tracing::warn!("the witness of the store cannot be read; it begins anew");
    }
    Ok(note)
}

fn parse(found: &str) -> Option<Note> {
    let mut words = found.split_whitespace().skip(2);
    let note = Note { line: words.next()?.to_owned(), commits: words.next()?.parse().ok()? };
    (text(&note) == found).then_some(note)
}

fn compare(stored: &Note, seen: &Note) -> Option<Behind> {
    if seen.line != stored.line {
        return Some(Behind { commits: stored.commits, witnessed: None });
    }
    (seen.commits > stored.commits)
        .then_some(Behind { commits: stored.commits, witnessed: Some(seen.commits) })
}

/// Which history the database is of and how far it is; the first opening begins one.
fn stored(db: &Connection) -> Result<Note, OpenError> {
    let sql = "INSERT INTO meta (name, value)
               VALUES (?1, lower(hex(randomblob(16)))), (?2, '0') ON CONFLICT DO NOTHING";
    let read = |name: &str| {
        db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
            row.get::<_, String>(0)
        })
        .optional()
    };
    if read(LINE)?.is_none() {
        db.execute(sql, [LINE, COMMITS])?;
    }
    let commits = read(COMMITS)?.and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok(Note { line: read(LINE)?.unwrap_or_default(), commits })
}

const LINE: &str = "history_line";
const COMMITS: &str = "history_commits";
const TAG: &[u8] = b"landbridge-witness-v1\n";
const NOTE_BYTES_MAX: u64 = 256;
