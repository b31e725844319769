//! `key list`: what the newest root says of each key, and where its file is.

use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::identity::online::{KeyUse, uses};
use landbridge_node::identity::{self, Identity, KeyFile};
use landbridge_proto::wire::kind::{Role, SignedBy};
use landbridge_proto::wire::name::KeyId;
use serde::Serialize;

use crate::cli::OfflineArgs;
use crate::exit::{Exit, Failure};
use crate::offline::identity_failure;
use crate::offline::signers::directory;
use crate::out::{Out, instant, table};

/// One key.
#[derive(Debug, Serialize)]
struct Row {
    role: String,
    kid: String,
    since: Option<String>,
    until: Option<String>,
    file: Option<String>,
    #[serde(rename = "use")]
    what: KeyUse,
}

/// Lists the keys of the newest root, and the TLS key that it pins.
pub(super) fn list(home: &Path, out: &Out) -> Result<Exit, Failure> {
    let chain = identity::own_root(home).map_err(|error| identity_failure(&error))?;
    let (root, now) = (chain.root(), SystemClock.now());
    let mut rows = Vec::new();
    let offline_directory = directory(home, &OfflineArgs::default());
    for &role in root.roles.keys() {
        let offline = matches!(role, Role::Root | Role::Policy);
        let place = if offline { offline_directory.clone() } else { home.join(identity::KEYS) };
        for (kid, mut what) in uses(root, role, now) {
            // Offline keys take no turns: each of them may sign.
            if offline && matches!(what, KeyUse::Last | KeyUse::Next) {
                what = KeyUse::InUse;
            }
            let key = root.keys.get(&kid);
            rows.push(Row {
                role: role.to_string(),
                since: key.map(|key| instant(key.nbf)),
                until: key.map(|key| instant(key.exp)),
                file: file_of(&place, role, &kid),
                kid: kid.to_string(),
                what,
            });
        }
    }
    if let Ok(identity) = Identity::load(home) {
        let kid = identity.tls().spki().to_string();
        let file = home.join(identity::TLS).display().to_string();
        let (role, what) = ("tls".to_owned(), KeyUse::InUse);
        rows.push(Row { role, kid, since: None, until: None, file: Some(file), what });
    }
    out.data(&rows, |rows| {
        let mut lines =
            vec![["ROLE", "KEY", "SINCE", "UNTIL", "USE", "FILE"].map(String::from).to_vec()];
        for row in rows {
            let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let what = match row.what {
                KeyUse::InUse => "in use",
                KeyUse::Next => "next",
                KeyUse::Last => "last",
                KeyUse::Expired => "expired",
            };
            lines.push(vec![
                row.role.clone(),
                row.kid.clone(),
                dash(&row.since),
                dash(&row.until),
                what.to_owned(),
                row.file.clone().unwrap_or_else(|| "elsewhere".to_owned()),
            ]);
        }
        table(&lines)
    })?;
    Ok(Exit::Success)
}

fn file_of(place: &Path, role: Role, kid: &KeyId) -> Option<String> {
    let files = std::fs::read_dir(place).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    // Whose key a file holds can be read without a passphrase.
    let held = files.filter_map(|file| KeyFile::read(&file).ok());
    let mut ours = held.filter(|file| file.holder() == SignedBy::Role(role) && file.kid() == kid);
    ours.next().map(|file| file.path().display().to_string())
}
