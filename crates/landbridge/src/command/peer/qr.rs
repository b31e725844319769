//! An invite as a QR code of the terminal's own characters.
//!
//! A cell of a terminal is twice as high as wide, so each shows two modules, one above the other. Black and white
//! are asked for by number: a scanner wants dark on light, whatever colours the terminal has.

use qrcode::{Color, EcLevel, QrCode};

/// The margin that the standard asks for, in modules.
const QUIET: usize = 4;

/// The text as lines of a drawing; `None` when no QR code holds so much.
pub(super) fn drawn(text: &str) -> Option<Vec<String>> {
    // The least correction makes the smallest code: a screen does not get scratched.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, colours) = (code.width(), code.into_colors());
    let dark = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(QUIET), y.checked_sub(QUIET)) else { return false };
        x < width && y < width && colours.get(y * width + x) == Some(&Color::Dark)
    };
    let side = width + 2 * QUIET;
    let cell = |x: usize, y: usize| match (dark(x, y), dark(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    let line = |y: usize| {
        let cells: String = (0..side).map(|x| cell(x, y)).collect();
        format!("\u{1b}[38;5;16;48;5;231m{cells}\u{1b}[0m")
    };
    Some((0..side).step_by(2).map(line).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Reads a drawing as a camera would: its cells as dark and light squares.
    pub(crate) fn scanned(drawing: &[String]) -> String {
        let bare = |line: &String| {
            let line = line.strip_prefix("\u{1b}[38;5;16;48;5;231m").unwrap();
            line.strip_suffix("\u{1b}[0m").unwrap().chars().collect::<Vec<_>>()
        };
        let cells: Vec<Vec<char>> = drawing.iter().map(bare).collect();
        let (width, height) = (cells[0].len(), cells.len() * 2);
        let scale = 4;
        let dark = |x: usize, y: usize| match (cells[y / 2][x], y % 2) {
            ('█', _) | ('▀', 0) | ('▄', 1) => 0,
            _ => 255,
        };
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(width * scale, height * scale, |x, y| {
                dark(x / scale, y / scale)
            });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "one code is found");
        grids[0].decode().unwrap().1
    }

    #[test]
    fn an_invite_is_scanned_as_it_was_drawn_and_fits_a_terminal() {
        // As long as an invite for `https://bridge.example.com:7443` is.
        let invite = format!("gfp1:{}.AbC_-9", "eyJlbmRwb2ludCI6e-_0".repeat(20));
        let drawing = drawn(&invite).unwrap();
        assert_eq!(scanned(&drawing), invite);
        let columns = drawing[0].chars().filter(|c| " █▀▄".contains(*c)).count();
        assert!(columns <= 80, "{columns} columns");
    }

    #[test]
    fn the_longest_invite_is_drawn_and_more_than_a_code_holds_is_not() {
        let longest = format!("gfp1:{}", "x".repeat(1019));
        assert_eq!(scanned(&drawn(&longest).unwrap()), longest);
        assert_eq!(drawn(&"x".repeat(3000)), None);
    }
}
