#![allow(clippy::unwrap_used, reason = "tests")]
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use landbridge_proto::trust::signer::Signer as _;

use super::*;
use crate::clock::SeededEntropy;

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    (dir, path)
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_is_read_back_readable_or_under_a_passphrase() {
    let (_dir, path) = place();
    let entropy = SeededEntropy::new(1);
    let kid = KeyFile::create(&path, Role::Root, None, &entropy).unwrap().kid().clone();
    let again = KeyFile::create(&path, Role::Root, None, &entropy);
    assert!(matches!(again, Err(IdentityError::Exists { .. })));
    let (good, bad) = (passphrase("correct horse battery"), passphrase("another passphrase"));
    let file = KeyFile::read(&path).unwrap();
    assert_eq!((file.holder(), file.kid(), file.is_sealed()), (Role::Root.into(), &kid, false));
    file.rewrite(None, Some(&good), &entropy).unwrap();
    assert_eq!(mode(&path), 0o600);

    let file = KeyFile::read(&path).unwrap();
    assert_eq!((file.holder(), file.kid(), file.is_sealed()), (Role::Root.into(), &kid, true));
    assert!(matches!(file.open(None), Err(IdentityError::PassphraseMissing { .. })));
    let wrong = file.open(Some(&bad)).unwrap_err();
    assert!(matches!(wrong, IdentityError::NotOpened { fault: SealFault::NotOpened, .. }));
    assert_eq!(*file.open(Some(&good)).unwrap().kid(), kid);
    let before = fs::read(&path).unwrap();
    assert!(file.rewrite(Some(&bad), None, &entropy).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
    file.rewrite(Some(&good), None, &entropy).unwrap();
    assert_eq!(*KeyFile::read(&path).unwrap().open(None).unwrap().kid(), kid);
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let (_dir, path) = place();
    KeyFile::create(&path, Role::Root, None, &SeededEntropy::new(1)).unwrap();
    for open in [0o640, 0o604, 0o660, 0o644, 0o601, 0o4610] {
        fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
        let refused = KeyFile::read(&path).unwrap_err();
        assert!(matches!(refused, IdentityError::Exposed { mode, .. } if mode == open), "{open:o}");
    }
    for closed in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(closed)).unwrap();
        assert!(KeyFile::read(&path).is_ok(), "{closed:o}");
    }
}

#[test]
fn a_link_to_a_key_is_refused() {
    let (dir, path) = place();
    KeyFile::create(&path, Role::Root, None, &SeededEntropy::new(1)).unwrap();
    let link = dir.path().join("link.key");
    symlink(&path, &link).unwrap();
    assert!(matches!(KeyFile::read(&link), Err(IdentityError::NotAFile { .. })));
    assert!(KeyFile::read(&path).is_ok());
}

#[test]
fn a_directory_or_a_pipe_is_no_key() {
    let (dir, path) = place();
    assert!(matches!(KeyFile::read(dir.path()), Err(IdentityError::NotAFile { .. })));
    // A pipe that nobody writes to would block for ever.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(matches!(KeyFile::read(&path), Err(IdentityError::NotAFile { .. })));
}

#[test]
fn a_key_of_another_user_is_refused() {
    let (_dir, path) = place();
    KeyFile::create(&path, Role::Root, None, &SeededEntropy::new(1)).unwrap();
    assert!(KeyFile::read(&path).is_ok());
    if !rustix::process::geteuid().is_root() {
        // Only root can give a file away.
        return;
    }
    chown(&path, Some(12_345), None).unwrap();
    let refused = KeyFile::read(&path).unwrap_err();
    assert!(matches!(refused, IdentityError::NotOurs { owner: 12_345, user: 0, .. }));
}

#[test]
fn what_is_no_key_is_refused() {
    let (_dir, path) = place();
    KeyFile::create(&path, Role::Policy, None, &SeededEntropy::new(1)).unwrap();
    let line = fs::read_to_string(&path).unwrap();
    let long = format!("{line}{}", "x".repeat(70_000));
    for text in [
        "",
        "\n",
        line.trim_end(),
        &line.replace("v1", "v2"),
        &line.replace("policy", "king"),
        &long,
    ] {
        fs::write(&path, text).unwrap();
        assert!(matches!(KeyFile::read(&path), Err(IdentityError::NotAKey { .. })), "{text:.60}");
    }
    fs::write(&path, &line).unwrap();
    let file = KeyFile::read(&path).unwrap();
    assert!(matches!(
        file.of_role(Role::Root),
        Err(IdentityError::NotTheKey { role: Role::Root, .. })
    ));
}

#[test]
fn an_operators_key_signs_approvals_and_is_no_key_of_a_role() {
    let (_dir, path) = place();
    let entropy = SeededEntropy::new(1);
    let good = passphrase("correct horse battery");
    let kid = KeyFile::create(&path, SignedBy::Operator, None, &entropy).unwrap().kid().clone();
    assert!(fs::read_to_string(&path).unwrap().starts_with("landbridge-key-v1 operator "));
    KeyFile::read(&path).unwrap().rewrite(None, Some(&good), &entropy).unwrap();
    let file = KeyFile::read(&path).unwrap().of_operator().unwrap();
    assert_eq!((file.kid(), file.holder_word()), (&kid, "operator"));
    assert_eq!(file.open(Some(&good)).unwrap().signed_by(), SignedBy::Operator);
    assert!(matches!(file.of_role(Role::Policy), Err(IdentityError::NotTheKey { .. })));
    fs::remove_file(&path).unwrap();
    KeyFile::create(&path, Role::Policy, None, &entropy).unwrap();
    let policy = KeyFile::read(&path).unwrap().of_operator();
    assert!(matches!(policy, Err(IdentityError::NotAnOperators { .. })));
}

#[test]
fn a_file_that_lies_about_its_role_signs_nothing() {
    let (_dir, path) = place();
    let entropy = SeededEntropy::new(1);
    let good = passphrase("correct horse battery");
    KeyFile::create(&path, Role::Policy, Some(&good), &entropy).unwrap();
    let line = fs::read_to_string(&path).unwrap().replacen(" policy ", " root ", 1);
    fs::write(&path, line).unwrap();
    let file = KeyFile::read(&path).unwrap().of_role(Role::Root).unwrap();
    assert!(matches!(file.open(Some(&good)), Err(IdentityError::NotOpened { .. })));
}

#[test]
fn nothing_secret_is_ever_printed() {
    let (_dir, path) = place();
    let entropy = SeededEntropy::new(1);
    let signer = KeyFile::create(&path, Role::Root, None, &entropy).unwrap();
    let line = fs::read_to_string(&path).unwrap();
    let secret = line.trim_end().rsplit(' ').next().unwrap().to_owned();
    let bytes = BASE64URL_NOPAD.decode(secret.as_bytes()).unwrap();
    let file = KeyFile::read(&path).unwrap();
    fs::write(&path, format!("{line}x")).unwrap();
    let refused = KeyFile::read(&path).unwrap_err();
    let shown = [
        format!("{signer:?}"),
        format!("{file:?}"),
        format!("{file:#?}"),
        format!("{refused:?} {refused}"),
    ];
    for text in shown {
        assert!(!text.contains(&secret), "{text}");
        assert!(!text.contains(&format!("{:?}", &bytes[..4])[1..10]), "{text}");
        assert!(!text.contains(&data_encoding::HEXLOWER.encode(&bytes)), "{text}");
    }
}
