//! Private files: written whole or not at all, and read only when nobody else can read them.
//!
//! A name may lie about what it names. What is opened here is a file of ours, not a link to another one
//! (whose directory somebody else may own), not a pipe that would block, and not longer than secrets are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use landbridge_planted::planted;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Why a private file was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It could not be read.
    Io(io::Error),
    /// Its permissions let others in.
    Exposed { mode: u32 },
    /// It belongs to somebody else, who may read and change it.
    NotOurs { owner: u32, user: u32 },
    /// A link, a directory, a pipe or a device.
    NotAFile,
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let denied = |text: String| Self::new(io::ErrorKind::PermissionDenied, text);
        match error {
            ReadError::Io(error) => error,
            ReadError::Exposed { mode } => denied(format!("others may read it (mode {mode:o})")),
            ReadError::NotOurs { owner, user } => {
                denied(format!("it belongs to user {owner}, and this is user {user}"))
            }
            ReadError::NotAFile => Self::new(io::ErrorKind::InvalidInput, "not a plain file"),
        }
    }
}

/// Reads a file of this user whose permissions keep everybody else out.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, ReadError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let flags = if planted!("key_link_followed") { 0 } else { flags };
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| {
        let link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if link { ReadError::NotAFile } else { ReadError::Io(error) }
    })?;
    // Asked of the open file, not of the path: what was checked is what is read.
    let found = file.metadata().map_err(ReadError::Io)?;
    if !found.is_file() {
        return Err(ReadError::NotAFile);
    }
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(ReadError::NotOurs { owner, user });
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 && !planted!("key_mode_ignored") {
        return Err(ReadError::Exposed { mode });
    }
    if planted!("no_private_file_is_read") {
        return Err(ReadError::NotAFile);
    }
    let bytes = usize::try_from(found.len().min(PRIVATE_BYTES_MAX)).unwrap_or_default();
    // All at once: a text that grows leaves copies of itself behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes + 1));
    file.take(PRIVATE_BYTES_MAX).read_to_string(&mut text).map_err(ReadError::Io)?;
    Ok(text)
}

/// Puts `bytes` at `path` with mode 0600: complete and on disk when this returns, and never half there.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut draft_name = name.to_os_string();
    draft_name.push(".new");
    let draft = directory.join(draft_name);
    // What a crash left behind is only ever an unfinished draft.
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(directory)?.sync_all()
}

/// More than any key or certificate with its key; what is longer is cut, and is then none.
const PRIVATE_BYTES_MAX: u64 = 64 * 1024;
