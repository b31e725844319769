//! The bridge's home directory: where everything of one bridge lies, readable by its owner only.
//!
//! Keys, state and the administrator's socket are in it, so whoever can open it owns the bridge. Its
//! permissions are checked at every start instead of trusted.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// A bridge's home directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Home {
    path: PathBuf,
}

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeFault {
    /// It does not exist.
    #[error("{} does not exist; `landbridge init` makes it", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Something else than a directory is there.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Others than its owner may open it.
    #[error("{} has the mode {mode:03o}; others may open it; `chmod 700 {}`", path.display(), path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}, and this is user {user}", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// The system said no.
    #[error("{} cannot be used", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Home {
    /// The home at a path, unchecked: for telling paths only.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Opens an existing home and checks that it and its directories are its owner's only.
    ///
    /// # Errors
    ///
    /// Says which directory is missing, somebody else's, or open to others.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HomeFault> {
        let home = Self::absolute(path.into())?;
        check(&home.path, std::fs::metadata(&home.path))?;
        for directory in home.directories() {
            // Directories are made when they are first needed; a link out of the home is refused.
            match std::fs::symlink_metadata(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                found => check(&directory, found)?,
            }
        }
        Ok(home)
    }

    /// Makes a home and its directories, each with the mode 700, and opens it. What exists stays.
    ///
    /// # Errors
    ///
    /// As [`Home::open`], and when a directory cannot be made.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, HomeFault> {
        let home = Self::absolute(path.into())?;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for directory in std::iter::once(home.path.clone()).chain(home.directories()) {
            builder
                .create(&directory)
                .map_err(|source| HomeFault::System { path: directory.clone(), source })?;
        }
        Self::open(home.path)
    }

    fn absolute(path: PathBuf) -> Result<Self, HomeFault> {
        match std::path::absolute(&path) {
            Ok(path) => Ok(Self { path }),
            Err(source) => Err(HomeFault::System { path, source }),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("landbridge.toml")
    }

    /// Keys that the running bridge uses.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// Keys that belong elsewhere: root and policy. Commands use them, the running bridge never.
    #[must_use]
    pub fn offline(&self) -> PathBuf {
        self.path.join("offline")
    }

    /// The database and its lock.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The certificate of the federation plane and its key.
    #[must_use]
    pub fn tls(&self) -> PathBuf {
        self.path.join("tls")
    }

    /// The bridge's own device at its gateway.
    #[must_use]
    pub fn gateway(&self) -> PathBuf {
        self.path.join("gateway")
    }

    /// The unix socket, unless the settings say otherwise.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("landbridge.sock")
    }

    fn directories(&self) -> [PathBuf; 5] {
        [self.keys(), self.offline(), self.state(), self.tls(), self.gateway()]
    }
}

fn check(path: &Path, found: io::Result<Metadata>) -> Result<(), HomeFault> {
    let path = path.to_owned();
    let found = match found {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HomeFault::Missing { path });
        }
        Err(source) => return Err(HomeFault::System { path, source }),
    };
    let (owner, user, mode) =
        (found.uid(), rustix::process::geteuid().as_raw(), found.mode() & 0o7777);
    if !found.is_dir() {
        return Err(HomeFault::NotADirectory { path });
    }
    if owner != user {
        return Err(HomeFault::NotOurs { path, owner, user });
    }
    if mode & 0o077 != 0 {
        return Err(HomeFault::Open { path, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_home_is_its_owners_only() {
        let parent = tempfile::tempdir().unwrap();
        let home = Home::create(parent.path().join("bridge")).unwrap();
        for directory in std::iter::once(home.path.clone()).chain(home.directories()) {
            assert_eq!(
                directory.metadata().unwrap().mode() & 0o777,
                0o700,
                "{}",
                directory.display()
            );
        }
        assert_eq!(Home::create(home.path()).unwrap(), home);
    }

    #[test]
    fn a_home_that_others_may_open_is_refused_with_the_way_out() {
        let parent = tempfile::tempdir().unwrap();
        let home = Home::create(parent.path().join("bridge")).unwrap();
        for (path, mode) in [(home.keys(), 0o750), (home.path.clone(), 0o701)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let fault = Home::open(home.path()).unwrap_err().to_string();
            assert!(fault.contains("chmod 700"), "{fault}");
            set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        }
        assert!(Home::open(home.path()).is_ok());
    }

    #[test]
    fn a_link_out_of_the_home_and_a_missing_home_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let home = Home::create(parent.path().join("bridge")).unwrap();
        std::fs::remove_dir(home.keys()).unwrap();
        assert!(Home::open(home.path()).is_ok());
        std::os::unix::fs::symlink(parent.path(), home.keys()).unwrap();
        assert!(matches!(Home::open(home.path()), Err(HomeFault::NotADirectory { .. })));
        let missing = Home::open(parent.path().join("none"));
        assert!(matches!(missing, Err(HomeFault::Missing { .. })));
    }
}
