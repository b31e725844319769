//! Private files: written whole or not at all, and read only when nobody else can read them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Why a private file was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It could not be read.
    Io(io::Error),
    /// Its permissions let others in.
    Exposed { mode: u32 },
}

/// Reads a file whose permissions keep everybody else out.
pub(crate) fn read_private(path: &Path) -> Result<String, ReadError> {
    let mut file = File::open(path).map_err(ReadError::Io)?;
    // Asked of the open file, not of the path: what was checked is what is read.
    let mode = file.metadata().map_err(ReadError::Io)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ReadError::Exposed { mode });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(ReadError::Io)?;
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
