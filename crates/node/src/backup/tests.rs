#![allow(clippy::unwrap_used, reason = "tests")]
use landbridge_proto::machine::contract::Write as StoreWrite;
use landbridge_proto::machine::step::Step;

use super::*;
use crate::rollback;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn own() -> GatewayId {
    GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap()
}

fn put(store: &Handle, value: &str) {
    let write = StoreWrite::PutMeta { name: "mark".to_owned(), value: value.to_owned() };
    let (batch, _held) = Step::new(Vec::new(), vec![write], ()).split();
    store.commit_blocking(batch).unwrap();
}

fn open(home: &Home) -> Handle {
    Handle::open_inline(&home.state(), &store_options(&home.state())).unwrap()
}

/// A home with a state, and a backup of it from before its last commit.
fn scene(keys: bool) -> (tempfile::TempDir, Home, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let home = Home::create(place.path().join("home")).unwrap();
    fs::write(home.config(), "# settings\n").unwrap();
    fs::write(home.keys().join("stream.key"), "secret").unwrap();
    let backup = place.path().join("backup");
    let store = open(&home);
    put(&store, "before");
    begin(&backup).unwrap();
    copy_database(&store, &backup.join(STATE)).unwrap();
    finish(&home, &own(), &backup, keys, NOW).unwrap();
    put(&store, "after");
    (place, home, backup)
}

#[test]
fn a_backup_holds_keys_only_when_asked_and_is_never_overwritten() {
    let (_place, _, without) = scene(false);
    assert!(without.join("landbridge.toml").exists() && !without.join("keys").exists());
    assert!(matches!(begin(&without), Err(BackupError::Exists(_))));
    let (_place, _, with) = scene(true);
    assert_eq!(fs::read_to_string(with.join("keys/stream.key")).unwrap(), "secret");
    assert!(verify(&with).unwrap().keys);
}

#[test]
fn a_restored_bridge_starts_stopped_and_what_was_there_is_kept() {
    let (_place, home, backup) = scene(false);
    let (_, aside) = restore(&home, Some(&own()), &backup, NOW).unwrap();
    let store = open(&home);
    assert_eq!(store.reads().meta("mark").unwrap().as_deref(), Some("before"));
    assert_eq!(rollback::stored(&store).unwrap().unwrap().told_by, "restored");
    assert!(aside.join(STATE).join(DATABASE).exists());
    drop(store);
    // A new machine has no witness: the mark is in the database.
    fs::remove_file(home.state().with_extension("witness")).unwrap();
    assert!(rollback::stored(&open(&home)).unwrap().is_some());
}

#[test]
fn a_changed_an_added_and_a_missing_file_are_refused() {
    for deed in ["change", "add", "remove"] {
        let (_place, home, backup) = scene(false);
        verify(&backup).unwrap();
        let file = backup.join("landbridge.toml");
        match deed {
            "change" => fs::write(&file, "# other\n").unwrap(),
            "add" => fs::write(backup.join("extra"), "").unwrap(),
            _ => fs::remove_file(&file).unwrap(),
        }
        let refused = restore(&home, Some(&own()), &backup, NOW);
        assert!(matches!(refused, Err(BackupError::Differs { .. })), "{deed}: {refused:?}");
        assert_eq!(open(&home).reads().meta("mark").unwrap().as_deref(), Some("after"));
    }
}

#[test]
fn another_gateways_backup_and_a_running_bridge_are_refused() {
    let (_place, home, backup) = scene(false);
    let other = GatewayId::new(format!("gw1-{}", "b".repeat(52))).unwrap();
    let foreign = restore(&home, Some(&other), &backup, NOW);
    assert!(matches!(foreign, Err(BackupError::Foreign { .. })));
    let running = open(&home);
    let refused = restore(&home, Some(&own()), &backup, NOW);
    assert!(matches!(refused, Err(BackupError::Open(OpenError::InUse { .. }))), "{refused:?}");
    drop(running);
    restore(&home, Some(&own()), &backup, NOW).unwrap();
}
