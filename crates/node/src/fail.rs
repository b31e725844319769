//! Named points at which a crash would hurt most, for tests that kill the process exactly there.
//!
//! A point does nothing unless [`die_at`] named it before, and the shipped program never calls that: there
//! is no variable and no flag that does. Only the example `dying` of the program's package arms a
//! point. What it does there is what the kernel does to a process that it kills: no destructor, no flush, no
//! goodbye.

use std::sync::OnceLock;

static DEADLY: OnceLock<String> = OnceLock::new();

/// Makes a point deadly for this process. The first call counts.
pub fn die_at(point: impl Into<String>) {
    // A second name would say that the caller does not know which one it tests.
    let _ = DEADLY.set(point.into());
}

/// Here a crash would hurt. Names are `<what>.<where>`, such as `rotation.root_durable`.
pub fn point(name: &'static str) {
    if DEADLY.get().is_some_and(|deadly| deadly == name) {
        // It does not return; should the kernel refuse, an abort is the next best.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}
