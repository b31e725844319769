//! A subject as an operator must see it: every byte of it, and nothing that pretends to be something else.
//!
//! What other gateways send is replaced elsewhere where it could harm a terminal (`crate::out`). Here that is not
//! enough: a person approves these very bytes, so a character that shows nothing, or that moves what
//! follows, has to be seen as what it is. Each stands as `⟨U+202E⟩`; the two brackets themselves are
//! written so as well, so that no text can imitate the notation.

/// Lines of a text in which every character that does not show itself is written out.
///
/// There is one line for each line of the text, so a text that ends in a line feed ends in an empty one. Spaces
/// at the end of a line are written out too: nobody sees them.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.split('\n').map(line).collect()
}

/// As [`lines`], for a text that has to stay on one line: a line feed is written out as well.
pub(crate) fn one_line(text: &str) -> String {
    lines(text).join("⟨U+000A⟩")
}

fn line(text: &str) -> String {
    let shown = text.trim_end_matches(' ').len();
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        //= APR-15
        if at < shown && shows_itself(c) {
            out.push(c);
        } else {
            out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
        }
    }
    out
}

/// Whether a reader sees the character, the whole character, and where it stands.
///
/// Beyond ASCII this is what the standard library prints unescaped, which leaves out controls, format characters
/// (bidirectional marks, zero widths, tags), every space but one, private and unassigned characters, and marks that
/// join the character before them. What is left and shows nothing all the same is listed.
fn shows_itself(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '⟨' | '⟩' => false,
        // Hangul fillers and the blank of Braille: letters by their class, and empty.
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}' => false,
        _ => c.escape_debug().eq(std::iter::once(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> String {
        lines(text).join("\n")
    }

    #[test]
    fn what_shows_itself_stays_as_it_is() {
        for text in ["rm -rf \"$HOME\" \\ 'x' | tee <a> {b}", "größer als é, 漢字, ψ, Ж, €"]
        {
            assert_eq!(one(text), text);
        }
    }

    //= APR-15
    #[test]
    fn what_moves_hides_or_imitates_is_written_out() {
        for (text, expected) in [
            ("ok\u{1b}[2K\u{1b}[1Als", "ok⟨U+001B⟩[2K⟨U+001B⟩[1Als"),
            ("rm -rf /\rls", "rm -rf /⟨U+000D⟩ls"),
            ("\u{feff}ls", "⟨U+FEFF⟩ls"),
            ("ls \u{202e}fdp.exe\u{202c}", "ls ⟨U+202E⟩fdp.exe⟨U+202C⟩"),
            (
                "a\u{2066}b\u{2069}\u{200e}\u{200f}\u{61c}",
                "a⟨U+2066⟩b⟨U+2069⟩⟨U+200E⟩⟨U+200F⟩⟨U+061C⟩",
            ),
            (
                "ad\u{200b}min\u{200c}\u{200d}\u{2060}\u{ad}",
                "ad⟨U+200B⟩min⟨U+200C⟩⟨U+200D⟩⟨U+2060⟩⟨U+00AD⟩",
            ),
            ("a\tb\u{8}\u{7f}\u{0}\u{9b}", "a⟨U+0009⟩b⟨U+0008⟩⟨U+007F⟩⟨U+0000⟩⟨U+009B⟩"),
            ("a\u{a0}b\u{2003}c\u{3000}", "a⟨U+00A0⟩b⟨U+2003⟩c⟨U+3000⟩"),
            ("a\u{2028}b\u{2029}\u{85}", "a⟨U+2028⟩b⟨U+2029⟩⟨U+0085⟩"),
            ("e\u{301}\u{fe0f}\u{34f}", "e⟨U+0301⟩⟨U+FE0F⟩⟨U+034F⟩"),
            ("\u{e0041}\u{e000}\u{3164}\u{2800}", "⟨U+E0041⟩⟨U+E000⟩⟨U+3164⟩⟨U+2800⟩"),
            ("⟨U+202E⟩", "⟨U+27E8⟩U+202E⟨U+27E9⟩"),
            ("rm -rf /  \nx", "rm -rf /⟨U+0020⟩⟨U+0020⟩\nx"),
        ] {
            assert_eq!(one(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_those_of_the_text() {
        assert_eq!(lines("a\nb\n"), ["a", "b", ""]);
        assert_eq!(lines(""), [""]);
        assert_eq!(lines("a\r\nb"), ["a⟨U+000D⟩", "b"]);
        assert_eq!(one_line("a\nb "), "a⟨U+000A⟩b⟨U+0020⟩");
    }

    #[test]
    fn no_two_texts_look_alike() {
        // Whatever a character is written as, it can be told back: nothing of the notation shows itself.
        let all = (0..=0x0010_ffff).filter_map(char::from_u32).filter(|c| *c != '\n' && *c != ' ');
        for c in all {
            let shown = one(&c.to_string());
            let back = shown.strip_prefix("⟨U+").and_then(|rest| rest.strip_suffix('⟩'));
            let back = back.and_then(|hex| u32::from_str_radix(hex, 16).ok());
            assert_eq!(back.map_or(shown.chars().next(), char::from_u32), Some(c));
        }
    }
}
