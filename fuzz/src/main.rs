//! One program for all targets: `LANDBRIDGE_FUZZ` names the one to fuzz, or `seeds` and a directory in
//! `LANDBRIDGE_FUZZ_SEEDS` to write what each begins with. `cargo xtask fuzz` is the way to run it.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use landbridge_fuzzing::{Target, seeds, target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn begin() {
    let name = std::env::var("LANDBRIDGE_FUZZ").unwrap_or_default();
    if name == "seeds" {
        let place = std::env::var("LANDBRIDGE_FUZZ_SEEDS").unwrap_or_default();
        let written = seeds::write(Path::new(&place));
        if let Err(error) = &written {
            eprintln!("the seeds cannot be written: {error}");
        }
        std::process::exit(i32::from(written.is_err()));
    }
    let Some(target) = target(&name) else {
        eprintln!("LANDBRIDGE_FUZZ names no target: {name:?}");
        std::process::exit(2);
    };
    TARGET.get_or_init(|| target);
}

fuzz_target!(init: begin(), |bytes: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.check)(bytes);
    }
});
