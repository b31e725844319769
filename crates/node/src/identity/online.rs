//! The keys that the daemon signs with, and which of them it uses when.
//!
//! A root may list several keys of a role: the one in use, and its successor. Which of the two signs is a
//! matter of the clock alone, decided anew at each signature, so there is no moment of change that a
//! crash could fall into. A key's file counts only while the newest root names the key: files that were
//! made and never published, and those of keys that were retired, are passed over.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use landbridge_planted::planted;
use landbridge_proto::trust::signer::{KeySigner, SignError, Signer as _};
use landbridge_proto::wire::document::Root;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{KeyId, Timestamp};

use super::{IdentityError, file_fault, key_file_name, load_key};

/// A new key signs this long after its `nbf`, in milliseconds: an object that it signs may state the time
/// of the request that it answers, and the peer's clock may be behind ours.
pub const HEAD_START_MS: i64 = limit::REQUEST_LIFE_MS_MAX + 2 * limit::CLOCK_SKEW_MS_MAX;

/// The life of a new online key, in milliseconds, which is the longest one. Whoever copied one unnoticed has
/// it no longer than that.
pub const KEY_LIFE_MS: i64 = limit::ONLINE_KEY_LIFE_MS_MAX;

/// One key that the newest root lists and a file here holds.
#[derive(Debug)]
pub struct OnlineKey {
    /// Signs with it.
    pub signer: KeySigner,
    /// Valid from.
    pub nbf: Timestamp,
    /// Valid before.
    pub exp: Timestamp,
    /// Its file.
    pub path: PathBuf,
}

/// The keys of each role that the daemon has.
#[derive(Debug, Default)]
pub(super) struct Online(BTreeMap<Role, Vec<OnlineKey>>);

/// What a key of the newest root does now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyUse {
    /// It signs.
    InUse,
    /// It will sign, once its time has come.
    Next,
    /// It signs no more, and what it signed is still good.
    Last,
    /// Its time has passed.
    Expired,
}

/// Which of some windows (`nbf`, `exp`) signs at `now`: of those whose head start is over the latest, and
/// else the first that is valid at all.
//= ID-50
pub fn in_use(
    windows: impl IntoIterator<Item = (Timestamp, Timestamp)>,
    now: Timestamp,
) -> Option<usize> {
    if planted!("no_key_is_in_use") {
        return None;
    }
    let valid = |(nbf, exp): (Timestamp, Timestamp)| now >= nbf && now < exp;
    let windows: Vec<_> = windows.into_iter().enumerate().collect();
    let ready =
        |nbf: Timestamp| now >= nbf.plus_ms(HEAD_START_MS) || planted!("next_key_signs_early");
    let considered = |window: &&(usize, (Timestamp, Timestamp))| {
        valid(window.1) || planted!("next_key_signs_early")
    };
    let all = || windows.iter().filter(considered);
    let best = if planted!("old_key_signs_on") {
        all().min_by_key(|(_, (nbf, _))| *nbf)
    } else {
        let due = all().filter(|(_, (nbf, _))| ready(*nbf));
        due.max_by_key(|(_, (nbf, _))| *nbf).or_else(|| all().min_by_key(|(_, (nbf, _))| *nbf))
    };
    best.map(|(at, _)| *at)
}

/// What each key of a role does at `now`, as a root lists them.
#[must_use]
pub fn uses(root: &Root, role: Role, now: Timestamp) -> BTreeMap<KeyId, KeyUse> {
    let kids = root.roles.get(&role).into_iter().flat_map(|holders| &holders.keyids);
    let keys: Vec<_> = kids.filter_map(|kid| Some((kid, root.keys.get(kid)?))).collect();
    let signing = in_use(keys.iter().map(|(_, key)| (key.nbf, key.exp)), now);
    let since = signing.and_then(|at| keys.get(at)).map(|(_, key)| key.nbf);
    let told = keys.iter().enumerate().map(|(at, (kid, key))| {
        let what = match since {
            _ if now >= key.exp => KeyUse::Expired,
            _ if signing == Some(at) => KeyUse::InUse,
            Some(since) if key.nbf < since => KeyUse::Last,
            _ => KeyUse::Next,
        };
        ((*kid).clone(), what)
    });
    told.collect()
}

impl Online {
    /// Reads the files of the keys that the root names for the roles that the daemon signs for.
    pub(super) fn load(directory: &Path, root: &Root) -> Result<Self, IdentityError> {
        let mut online = BTreeMap::new();
        for role in ONLINE {
            let mut keys = Vec::new();
            let mut foreign = None;
            for path in key_files(directory, role)? {
                let signer = load_key(&path, role)?;
                let named = root.roles.get(&role).filter(|at| at.keyids.contains(signer.kid()));
                match named.and_then(|_| root.keys.get(signer.kid())) {
                    Some(key) => {
                        keys.push(OnlineKey { signer, nbf: key.nbf, exp: key.exp, path });
                    }
                    None => foreign = Some(signer.kid().clone()),
                }
            }
            if keys.is_empty() && !is_optional(role) {
                return Err(match foreign {
                    Some(kid) => IdentityError::ForeignKey { kid, role },
                    None => file_fault(&directory.join(key_file_name(role)))(
                        std::io::ErrorKind::NotFound.into(),
                    ),
                });
            }
            online.insert(role, keys);
        }
        Ok(Self(online))
    }

    /// The key of a role that signs at `now`.
    pub(super) fn signer(&self, role: Role, now: Timestamp) -> Result<&KeySigner, SignError> {
        let keys = self.of(role);
        let at = in_use(keys.iter().map(|key| (key.nbf, key.exp)), now);
        at.and_then(|at| keys.get(at)).map(|key| &key.signer).ok_or_else(|| {
            SignError::Unavailable { reason: format!("no key of the {role} role is valid now") }
        })
    }

    pub(super) fn of(&self, role: Role) -> &[OnlineKey] {
        self.0.get(&role).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Every file in a directory that may hold a key of a role: `ROLE.key`, and `ROLE.KID.key` of those that
/// came later.
///
/// # Errors
///
/// When the directory cannot be read.
pub fn key_files(directory: &Path, role: Role) -> Result<Vec<PathBuf>, IdentityError> {
    let prefix = format!("{role}.");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(file_fault(directory))? {
        let path = entry.map_err(file_fault(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let middle = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("key"));
        let kid = middle.and_then(|middle| middle.strip_suffix('.').or(Some(middle)));
        if kid.is_some_and(|kid| kid.is_empty() || KeyId::new(kid).is_ok()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The file of a later key.
#[must_use]
pub fn later_key_file(directory: &Path, role: Role, kid: &KeyId) -> PathBuf {
    directory.join(format!("{role}.{kid}.key"))
}

/// The roles that the daemon signs for.
pub const ONLINE: [Role; 5] =
    [Role::Stream, Role::Request, Role::Status, Role::Catalog, Role::OperatorCa];

/// Whether a gateway does its work without a key of the role: roots from before the role was used let
/// its keys lapse.
#[must_use]
pub const fn is_optional(role: Role) -> bool {
    matches!(role, Role::Catalog | Role::OperatorCa)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    //= ID-50
    #[test]
    fn a_key_signs_from_its_time_on_and_no_earlier() {
        let old = (at(0), at(HEAD_START_MS * 10));
        let new = (at(HEAD_START_MS), at(HEAD_START_MS * 20));
        let signs = |now| in_use([old, new], at(now));
        assert_eq!(signs(0), Some(0), "the only valid one, head start or not");
        assert_eq!(signs(HEAD_START_MS), Some(0), "listed, and not used yet");
        assert_eq!(signs(2 * HEAD_START_MS - 1), Some(0));
        assert_eq!(signs(2 * HEAD_START_MS), Some(1), "from here on the new one signs alone");
        assert_eq!(signs(HEAD_START_MS * 10), Some(1));
        assert_eq!(signs(HEAD_START_MS * 20), None, "nothing is signed with an expired key");
        assert_eq!(in_use([new], at(0)), None);
    }
}
