//! The witness beside a store: a database that was copied back is found out when it is opened, and one
//! that was only closed, killed or moved on is not.

use std::fs;
use std::path::{Path, PathBuf};

use landbridge_proto::machine::contract::{Store, Write};
use landbridge_store::sqlite::Engine;
use landbridge_store::{Behind, Options};

use crate::make::*;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: private_dir() }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn witness(&self) -> PathBuf {
        self.dir.path().join("state.witness")
    }

    fn open(&self) -> Engine {
        let options = Options { witness: Some(self.witness()), ..Options::default() };
        Engine::open(&self.state(), &options).unwrap()
    }

    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.dir.path().join(name);
        copy_files(&self.state(), &copy);
        copy
    }

    fn put_back(&self, copy: &Path) {
        fs::remove_dir_all(self.state()).unwrap();
        copy_files(copy, &self.state());
    }
}

fn copy_files(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn write(engine: &mut Engine, n: u64) {
    engine.apply(&[batch(vec![], vec![Write::Audit(event(n))])]).unwrap();
}

#[test]
fn a_restart_is_no_rollback_however_the_last_process_ended() {
    let place = Place::new();
    for n in 1..4 {
        let mut engine = place.open();
        assert_eq!(engine.behind(), None);
        write(&mut engine, n);
        // As SIGKILL leaves it: copied under the open engine, nothing closed.
        let killed = place.copy("killed");
        drop(engine);
        place.put_back(&killed);
    }
    assert_eq!(place.open().behind(), None);
}

//= ID-42
#[test]
fn a_database_that_was_copied_back_is_behind_its_witness_until_a_new_history_begins() {
    let place = Place::new();
    let mut engine = place.open();
    write(&mut engine, 1);
    drop(engine);
    let copy = place.copy("copy");
    let mut engine = place.open();
    write(&mut engine, 2);
    drop(engine);
    place.put_back(&copy);

    let mut engine = place.open();
    let behind: Behind = engine.behind().cloned().expect("it is behind");
    assert!(behind.witnessed > Some(behind.commits), "{behind:?}");
    // What is written meanwhile does not make up for what was lost.
    for n in 3..9 {
        write(&mut engine, n);
    }
    drop(engine);
    place.put_back(&copy);
    let mut engine = place.open();
    assert!(engine.behind().is_some());
    engine.begin_history().unwrap();
    drop(engine);
    let mut engine = place.open();
    assert_eq!(engine.behind(), None);
    // And the new history is witnessed as the former one was: also against the former one.
    write(&mut engine, 10);
    drop(engine);
    place.put_back(&copy);
    assert_eq!(place.open().behind().map(|behind| behind.witnessed), Some(None));
}

#[test]
fn a_database_that_begins_anew_beside_an_old_witness_is_another_history() {
    let place = Place::new();
    drop(place.open());
    fs::remove_dir_all(place.state()).unwrap();
    assert_eq!(place.open().behind().map(|behind| behind.witnessed), Some(None));
}

#[test]
fn a_witness_that_cannot_be_read_says_nothing_and_one_that_is_old_neither() {
    let place = Place::new();
    let mut engine = place.open();
    write(&mut engine, 1);
    let old = fs::read(place.witness()).unwrap();
    write(&mut engine, 2);
    drop(engine);
    for bytes in [old.clone(), b"garbage".to_vec(), old[..20].to_vec(), Vec::new(), vec![0xff; 40]]
    {
        fs::write(place.witness(), bytes).unwrap();
        assert_eq!(place.open().behind(), None);
    }
    let note = fs::read_to_string(place.witness()).unwrap();
    assert!(note.starts_with("landbridge-witness 1 "), "{note}");
}
