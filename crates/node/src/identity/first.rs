//! A new identity: keys, certificate and first root, written beside the place where they belong.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use super::offline::Places;
use super::*;

/// Makes a whole identity beside the place where it belongs.
pub(super) fn write_draft(
    home: &Path,
    new: &NewIdentity,
    offline: &NewOffline,
    entropy: &dyn Entropy,
) -> Result<(), IdentityError> {
    for part in PARTS {
        let path = home.join(part);
        match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(file_fault(&path)(error)),
            Ok(mut entries) => {
                // An empty directory holds nothing that could be lost.
                if entries.next().is_some() {
                    return Err(IdentityError::Exists { path });
                }
            }
        }
    }
    let draft = home.join(DRAFT);
    // What a crash left behind was never shown to anybody.
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(file_fault(&draft)(error));
        }
        _ => {}
    }
    private_directory(&draft)?;
    PARTS.iter().try_for_each(|part| private_directory(&draft.join(part)))?;
    let tls = tls::Identity::load_or_create(&draft.join(TLS))?;
    let places = Places::prepare(offline, home, &draft)?;
    let root = first_root(&draft, new, offline, &places, &tls, entropy)?;
    places.note(&draft)?;
    let path = draft.join(ROOT).join("1.json");
    file::write_private(&path, &root.to_bytes()).map_err(file_fault(&path))
}

fn first_root(
    draft: &Path,
    new: &NewIdentity,
    offline: &NewOffline,
    places: &Places,
    tls: &tls::Identity,
    entropy: &dyn Entropy,
) -> Result<Envelope, IdentityError> {
    let issued = new.now;
    let expires = issued.plus_ms(ROOT_LIFE_MS);
    // In use at once, as every key is so long after its beginning.
    let nbf = Timestamp(issued.0.saturating_sub(online::HEAD_START_MS).max(0));
    let mut keys = BTreeMap::new();
    let mut roles = BTreeMap::new();
    let mut root_signers = Vec::new();
    for role in Role::ALL {
        let exp = match role {
            Role::Root | Role::Policy => expires,
            _ => nbf.plus_ms(online::KEY_LIFE_MS),
        };
        let signers = if matches!(role, Role::Root | Role::Policy) {
            places.make(role, offline.passphrase.as_ref(), entropy)?
        } else {
            let path = draft.join(KEYS).join(key_file_name(role));
            vec![KeyFile::create(&path, role, None, entropy)?]
        };
        let window = |signer: &KeySigner| RootKey::new(signer.public(), nbf, exp);
        keys.extend(signers.iter().map(|signer| (signer.kid().clone(), window(signer))));
        let keyids = signers.iter().map(|signer| signer.kid().clone()).collect();
        let threshold =
            if role == Role::Root { u64::from(offline.root_keys.threshold()) } else { 1 };
        roles.insert(role, RoleHolders { keyids, threshold });
        if role == Role::Root {
            root_signers = signers;
        }
    }
    let tls_spki = Some(Digest::from_bytes(*tls.spki().as_bytes()));
    let endpoint = |url: &EndpointUrl| Endpoint { tls_spki, url: url.clone() };
    let root = Root::try_from(raw::Root {
        endpoints: new.endpoints.iter().map(endpoint).collect(),
        expires,
        issued,
        keys,
        min_proto: 1,
        prev: None,
        roles,
        v: FormVersion,
        version: 1,
    })?;
    // `Role::ALL` has the root role, so somebody signs.
    sign_root(&root, &root_signers)?
        .ok_or_else(|| InvalidRoot::RoleMissing { role: Role::Root }.into())
}
