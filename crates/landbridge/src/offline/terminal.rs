//! A line that is typed and not shown.
//!
//! The terminal hands over each key as it is pressed, the one that interrupts included: a process that
//! is killed by a signal in the middle would leave the terminal without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// Asks on the terminal of this process, and reads one line without showing it.
///
/// # Errors
///
/// When there is no terminal, and with [`io::ErrorKind::Interrupted`] when the person gives up.
pub(super) fn ask_hidden(question: &str) -> io::Result<Zeroizing<String>> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut hidden = before.clone();
    hidden.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
    hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    let shown = Shown { terminal: terminal.try_clone()?, before };
    write!(terminal, "{question} ")?;
    terminal.flush()?;
    let line = read_line(&mut terminal);
    drop(shown);
    writeln!(terminal)?;
    line
}

/// Shows again what is typed, whatever happened.
struct Shown {
    terminal: File,
    before: Termios,
}

impl Drop for Shown {
    fn drop(&mut self) {
        // A terminal that went away needs no repair.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn read_line(from: &mut impl io::Read) -> io::Result<Zeroizing<String>> {
    // No reallocation: it would leave a copy behind.
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    // One at a time: what follows the line belongs to somebody else.
    let mut byte = [0_u8];
    while from.read(&mut byte)? == 1 {
        match byte[0] {
            b'\r' | b'\n' => break,
            // Ctrl-C and Ctrl-D.
            3 | 4 => return Err(io::ErrorKind::Interrupted.into()),
            // Backspace: one character of UTF-8.
            8 | 127 => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Ctrl-U.
            21 => line.clear(),
            byte if line.len() < LINE_BYTES_MAX => line.push(byte),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// More than a passphrase may have.
const LINE_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_line_is_read_with_its_corrections() {
        let read = |typed: &[u8]| read_line(&mut &*typed).map(|line| line.to_string());
        assert_eq!(read(b"open sesame\rrest").unwrap(), "open sesame");
        assert_eq!(read("zw\u{f6}lf\u{7f}\u{7f}\u{7f}\u{8}o\n".as_bytes()).unwrap(), "zo");
        assert_eq!(read(b"\x7f\x7fwrong\x15right\n").unwrap(), "right");
        for typed in [b"half\x03\n", b"half\x04\n"] {
            assert_eq!(read(typed).unwrap_err().kind(), io::ErrorKind::Interrupted);
        }
        assert!(read(&[b'x'; 3000]).is_err() && read(b"\xff\n").is_err());
    }
}
