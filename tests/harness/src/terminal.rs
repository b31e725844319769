//! A terminal with a person before it, for commands that look whether there is one.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::process::Command;
use tokio::time::timeout;

/// Runs a command at a terminal, types `answers` in advance, and gives what the screen shows.
///
/// # Errors
///
/// When there is no terminal to be had, or the command takes too long.
pub async fn at_a_terminal(
    mut command: Command,
    answers: &str,
) -> anyhow::Result<(ExitStatus, String)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = OpenOptions::new().read(true).write(true).open(name.to_str()?)?;
    let end = |file: &File| file.try_clone().map(Stdio::from);
    command.stdin(end(&slave)?).stdout(end(&slave)?).stderr(end(&slave)?);
    let mut child = command.spawn()?;
    // The command holds clones of the slave: only without them does the screen end with the child.
    drop(command);
    drop(slave);
    let mut master = File::from(master);
    master.write_all(answers.as_bytes())?;
    let screen = tokio::task::spawn_blocking(move || {
        let (mut screen, mut piece) = (Vec::new(), [0_u8; 4096]);
        // Linux tells the end of a terminal as an error.
        while let Ok(count @ 1..) = master.read(&mut piece) {
            screen.extend_from_slice(&piece[..count]);
        }
        screen
    });
    let Ok(status) = timeout(WITHIN, child.wait()).await else {
        child.start_kill()?;
        bail!("the command waits for something at its terminal");
    };
    let screen = timeout(WITHIN, screen).await.context("the screen does not end")??;
    Ok((status?, String::from_utf8_lossy(&screen).into_owned()))
}

const WITHIN: Duration = Duration::from_secs(60);
