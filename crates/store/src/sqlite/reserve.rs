//! Room that is kept for the moment when there is no other: a file beside the database.
//!
//! It is allocated while the disk has room and deleted when the disk is full, so that runs that are open
//! can still be brought to their end. Watching the free space instead would not do: whoever fills
//! the disk is faster than any look at it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::open;

/// The file that holds the room, or the fact that it was given away.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// The reserve of the store in `dir`, of so many bytes; 0: none is wanted.
    pub(super) fn of(dir: &Path, bytes: u64) -> Self {
        Self { path: dir.join("reserve"), bytes }
    }

    /// Whether the file is there, whole.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes == 0
            || fs::metadata(&self.path)
                .is_ok_and(|file| file.len() >= self.bytes && file.blocks() * 512 >= self.bytes)
    }

    /// Makes the file, unless the disk would be as good as full with it: then the next step that is
    /// larger than usual would give it away again, and so on for ever.
    ///
    /// # Errors
    ///
    /// Says why there is no reserve; nothing of it is left on disk then.
    pub(super) fn build(&self) -> io::Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        self.release();
        let with_margin = self.bytes + self.bytes / 2;
        let dir = self.path.parent().unwrap_or_else(|| Path::new("."));
        let room = rustix::fs::statvfs(dir)?;
        if room.f_bavail.saturating_mul(room.f_frsize) < with_margin {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let built = self.fill(with_margin);
        if built.is_err() {
            self.release();
        }
        built
    }

    fn fill(&self, with_margin: u64) -> io::Result<()> {
        let mut file = open::new_private_file(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, with_margin) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => noise(&mut file, with_margin)?,
            Err(error) => return Err(error.into()),
        }
        file.set_len(self.bytes)?;
        file.sync_all()
    }

    /// Gives the room away.
    pub(super) fn release(&self) {
        // Gone already, or not to be had back: either way the next look at it tells.
        let _ = fs::remove_file(&self.path);
    }

    /// Whether the disk takes nothing more, found out by trying: of some failures (a log that cannot be
    /// synced, an index that cannot grow) SQLite does not say that this was the reason.
    pub(super) fn disk_is_full(&self) -> bool {
        let path = self.path.with_extension("probe");
        let tried = open::new_private_file(&path)
            .and_then(|mut file| noise(&mut file, PROBE_BYTES).and_then(|()| file.sync_all()));
        let _ = fs::remove_file(&path);
        tried.is_err_and(|error| is_full(&error))
    }
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes bytes that no file system can compress away.
fn noise(file: &mut File, bytes: u64) -> io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut written = 0;
    while written < bytes {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while chunk.len() < CHUNK_BYTES {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.extend_from_slice(&state.to_le_bytes());
        }
        file.write_all(&chunk)?;
        written += CHUNK_BYTES as u64;
    }
    Ok(())
}

const CHUNK_BYTES: usize = 64 * 1024;
/// More than one commit of a run's last frames needs of the log and its index.
const PROBE_BYTES: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_room_is_taken_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path(), 1024 * 1024);
        assert!(!reserve.is_whole());
        reserve.build().unwrap();
        reserve.build().unwrap();
        assert!(reserve.is_whole() && !reserve.disk_is_full());
        File::options().write(true).open(&reserve.path).unwrap().set_len(10).unwrap();
        assert!(!reserve.is_whole(), "a part is not enough");
        reserve.build().unwrap();
        assert!(reserve.is_whole());
        reserve.release();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_the_disk_cannot_hold_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path(), 1 << 60);
        assert!(is_full(&reserve.build().unwrap_err()));
        assert!(!reserve.is_whole());
        assert!(Reserve::of(dir.path(), 0).is_whole(), "none is wanted");
    }

    #[test]
    fn bytes_that_stand_for_room_do_not_repeat() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("noise");
        noise(&mut File::create(&path).unwrap(), 200_000).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() >= 200_000);
        assert_ne!(bytes[..64], bytes[CHUNK_BYTES..CHUNK_BYTES + 64]);
    }
}
