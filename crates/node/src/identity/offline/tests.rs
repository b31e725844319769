#![allow(clippy::unwrap_used, reason = "tests")]
use std::os::unix::fs::PermissionsExt as _;

use landbridge_proto::wire::name::Timestamp;
use zeroize::Zeroizing;

use super::*;
use crate::clock::SeededEntropy;
use crate::identity::{Identity, NewIdentity};

const NEW: NewIdentity = NewIdentity { endpoints: Vec::new(), now: Timestamp(1_700_000_000_000) };

fn home() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn create(home: &Path, offline: &NewOffline) -> Result<super::super::Made, IdentityError> {
    Identity::create_with(home, &NEW, offline, &SeededEntropy::new(1))
}

#[test]
fn root_keys_are_some_of_a_few() {
    let read = |text: &str| text.parse::<RootKeys>();
    let two = read("2-of-3").unwrap();
    assert_eq!((two.threshold(), two.count(), two.to_string()), (2, 3, "2-of-3".to_owned()));
    assert_eq!(read("1-of-1"), Ok(RootKeys::SINGLE));
    assert!(read("9-of-9").is_ok());
    for text in [
        "0-of-3", "4-of-3", "1-of-10", "2of3", "2-of-", "-of-3", "+2-of-3", "2-of-300", "",
        "0-of-0",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn two_of_three_makes_three_root_keys_of_which_two_sign() {
    let home = home();
    let offline = NewOffline { root_keys: "2-of-3".parse().unwrap(), ..NewOffline::default() };
    let made = create(home.path(), &offline).unwrap();
    let names: Vec<_> =
        made.offline.iter().map(|path| path.strip_prefix(home.path()).unwrap()).collect();
    assert_eq!(
        names,
        ["offline/root-1.key", "offline/root-2.key", "offline/root-3.key", "offline/policy.key"]
            .map(Path::new)
    );
    let identity = Identity::load(home.path()).unwrap();
    let holders = &identity.root().root().roles[&Role::Root];
    assert_eq!((holders.keyids.len(), holders.threshold), (3, 2));
    for path in &made.offline[..3] {
        let file = KeyFile::read(path).unwrap().of_role(Role::Root).unwrap();
        assert!(holders.keyids.contains(file.kid()));
    }
}

#[test]
fn each_key_goes_where_it_was_told_and_nothing_of_it_stays() {
    let (home, stick) = (home(), tempfile::tempdir().unwrap());
    let at = |name: &str| stick.path().join(name);
    let offline = NewOffline {
        directory: Some(at("policy")),
        root_keys: "2-of-3".parse().unwrap(),
        root_directories: vec![at("anna"), at("ben"), at("carla")],
        passphrase: Some(Passphrase::new(Zeroizing::new("correct horse battery".into())).unwrap()),
    };
    // What a crash left behind under a draft's name is in nobody's way.
    fs::DirBuilder::new().mode(0o700).create(at("anna")).unwrap();
    fs::write(at("anna").join(".new-identity-root-1.key"), "half").unwrap();
    let made = create(home.path(), &offline).unwrap();
    let kept =
        ["anna/root-1.key", "ben/root-2.key", "carla/root-3.key", "policy/policy.key"].map(at);
    assert_eq!(made.offline, kept);
    for path in &kept {
        let file = KeyFile::read(path).unwrap();
        assert!(file.is_sealed() && file.open(offline.passphrase.as_ref()).is_ok());
        assert!(check_closed(path.parent().unwrap()).is_ok());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
    assert_eq!(fs::read_dir(home.path().join("offline")).unwrap().count(), 0);
    assert!(Identity::load(home.path()).is_ok());
}

#[test]
fn a_directory_that_others_may_open_gets_no_key() {
    let (home, stick) = (home(), tempfile::tempdir().unwrap());
    let directory = stick.path().to_path_buf();
    let offline = NewOffline { directory: Some(directory.clone()), ..NewOffline::default() };
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = create(home.path(), &offline).unwrap_err();
    assert!(matches!(refused, IdentityError::Exposed { mode: 0o755, .. }), "{refused:?}");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(create(home.path(), &offline).is_ok());
}

#[test]
fn a_stick_that_is_not_there_is_not_made_of_thin_air() {
    let (home, stick) = (home(), tempfile::tempdir().unwrap());
    let directory = stick.path().join("not-mounted/keys");
    let offline = NewOffline { directory: Some(directory), ..NewOffline::default() };
    assert!(matches!(create(home.path(), &offline), Err(IdentityError::File { .. })));
    assert!(!home.path().join("keys").exists());
}

#[test]
fn keys_of_another_gateway_are_never_overwritten() {
    let (one, two, stick) = (home(), home(), tempfile::tempdir().unwrap());
    let offline =
        NewOffline { directory: Some(stick.path().join("keys")), ..NewOffline::default() };
    let made = create(one.path(), &offline).unwrap();
    let before = fs::read(&made.offline[0]).unwrap();
    assert!(matches!(create(two.path(), &offline), Err(IdentityError::Exists { .. })));
    assert_eq!(fs::read(&made.offline[0]).unwrap(), before);
    assert!(!two.path().join("keys").exists());
}
