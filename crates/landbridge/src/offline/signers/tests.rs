#![allow(clippy::unwrap_used, reason = "tests")]
use landbridge_node::clock::SystemEntropy;
use landbridge_node::identity::{Identity, NewIdentity, NewOffline, own_root};
use landbridge_proto::trust::draft::{RootChange, RootDraft};
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::Signer as _;

use super::*;

/// A home whose root wants two of three keys.
fn home() -> (tempfile::TempDir, TrustedRoot) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let new = NewIdentity { endpoints: Vec::new(), now: SystemClock.now() };
    let offline = NewOffline { root_keys: "2-of-3".parse().unwrap(), ..NewOffline::default() };
    Identity::create_with(&home, &new, &offline, &SystemEntropy).unwrap();
    let root = own_root(&home).unwrap();
    (dir, root)
}

fn args(files: &[&Path]) -> RootKeyArgs {
    let root_keys = files.iter().map(|file| file.to_path_buf()).collect();
    RootKeyArgs { root_keys, ..RootKeyArgs::default() }
}

fn signers(home: &Path, files: &[&Path], root: &Root) -> Result<Vec<KeySigner>, Failure> {
    let out = Out::new(true);
    RootKeys::find(home, &args(files), &out)?.signers(root, root, &out)
}

#[test]
fn as_many_root_keys_as_must_sign_are_found_whatever_they_are_called() {
    let (dir, root) = home();
    let home = dir.path().join("home");
    assert_eq!(signers(&home, &[], root.root()).unwrap().len(), 2);
    let place = home.join("offline");
    std::fs::rename(place.join("root-1.key"), place.join("whatever.key")).unwrap();
    std::fs::write(place.join("server.key"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.join("server.key"), mode).unwrap();
    let found = signers(&home, &[], root.root()).unwrap();
    assert_ne!(found[0].kid(), found[1].kid());
}

#[test]
fn what_is_missing_is_said() {
    let (dir, root) = home();
    let home = dir.path().join("home");
    let place = home.join("offline");
    let gone = KeyFile::read(&place.join("root-2.key")).unwrap();
    for name in ["root-2.key", "root-3.key"] {
        std::fs::remove_file(place.join(name)).unwrap();
    }
    let refused = signers(&home, &[], root.root()).unwrap_err();
    assert_eq!(refused.what(), "root 1 wants 2 of its 3 root keys, and 1 is here");
    assert!(refused.reasons().iter().any(|why| why.contains(short_kid(gone.kid()))), "{refused}");
    assert!(refused.next_step().unwrap().contains("landbridge root draft"));
}

#[test]
fn one_key_named_twice_or_copied_counts_once() {
    let (dir, root) = home();
    let home = dir.path().join("home");
    let (one, two) = (home.join("offline/root-1.key"), home.join("offline/root-2.key"));
    let copy = dir.path().join("copy.key");
    std::fs::copy(&one, &copy).unwrap();
    assert!(signers(&home, &[&one, &one], root.root()).is_err());
    assert!(signers(&home, &[&one, &copy], root.root()).is_err());
    assert_eq!(signers(&home, &[&one, &copy, &two], root.root()).unwrap().len(), 2);
}

#[test]
fn keys_of_another_gateway_do_not_count_and_a_policy_key_is_no_root_key() {
    let ((dir, root), (other, _)) = (home(), home());
    let home = dir.path().join("home");
    let one = home.join("offline/root-1.key");
    let foreign = other.path().join("home/offline/root-2.key");
    let refused = signers(&home, &[&one, &foreign], root.root()).unwrap_err();
    assert!(refused.what().contains("and 1 is here"), "{refused}");
    let policy = home.join("offline/policy.key");
    assert!(signers(&home, &[&one, &policy], root.root()).is_err());
    let out = Out::new(true);
    let policy_of = |named: &PathBuf| {
        policy_signer(&home, Some(named), &OfflineArgs::default(), root.root(), &out)
    };
    assert!(policy_of(&policy).is_ok());
    let foreign = other.path().join("home/offline/policy.key");
    assert!(policy_of(&foreign).unwrap_err().what().contains("is not the policy key"));
}

#[test]
fn the_keys_of_both_roots_are_opened_and_no_more_than_it_takes() {
    let (dir, root) = home();
    let home = dir.path().join("home");
    let out = Out::new(true);
    let file = dir.path().join("new.key");
    let new = KeyFile::create(&file, Role::Root, None, &SystemEntropy).unwrap();
    let gone = KeyFile::read(&home.join("offline/root-3.key")).unwrap();
    let change = RootChange {
        add: vec![new.public()],
        remove: [gone.kid().clone()].into(),
        ..RootChange::default()
    };
    let next = RootDraft::new(root.clone(), &change, SystemClock.now()).unwrap().next().clone();
    let mut keys = RootKeys::find(&home, &args(&[]), &out).unwrap();
    // The two that stay are enough for both.
    assert_eq!(keys.signers(root.root(), &next, &out).unwrap().len(), 2);
    std::fs::remove_file(home.join("offline/root-2.key")).unwrap();
    let mut keys = RootKeys::find(&home, &args(&[]), &out).unwrap();
    let refused = keys.signers(root.root(), &next, &out).unwrap_err();
    assert!(refused.what().starts_with("root 2 wants 2"), "{refused}");
    keys.add(&file).unwrap();
    let signers = keys.signers(root.root(), &next, &out).unwrap();
    assert_eq!(signers.len(), 3);
    let envelope = identity::sign_root(&next, &signers).unwrap().unwrap();
    assert_eq!(root.advance(&[envelope], SystemClock.now()).unwrap().version(), 2);
}
