//! Rust text with what is not code taken out, so that a checker does not trip over a comment.
//!
//! A small lexer instead of a parser: a parser drops comments, where citations live, and does not
//! look into macros, where a forbidden path could hide.

use std::ops::Range;

/// One Rust file, seen three ways. All three have the same lines.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The text as written.
    pub(crate) text: &'a str,
    /// Comments blanked.
    pub(crate) bare: String,
    /// Comments and the insides of strings blanked.
    pub(crate) code: String,
    tests: Vec<Range<usize>>,
}

/// An identifier or a punctuation character, with its line from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl<'a> Source<'a> {
    /// Reads a file's text.
    pub(crate) fn new(text: &'a str) -> Self {
        let (bare, code) = blank(text);
        let tests = test_lines(&code);
        Self { text, bare, code, tests }
    }

    /// Whether a line (from 1) belongs to an item under `#[cfg(test)]`.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&line))
    }

    /// The code as identifiers, numbers and single punctuation characters, `::` being one.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        tokens(&self.code)
    }
}

/// Whether a file holds tests as a whole: by its place or its name.
pub(crate) fn is_test_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|part| part == "tests" || part == "benches")
        || ["crates/conformance/", "crates/sim/", "fuzz/"]
            .iter()
            .any(|place| path.starts_with(place))
        || matches!(name, "tests.rs" | "test.rs")
        || name.ends_with("_tests.rs")
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (text, tail) = rest.split_at(length);
            found.push(Token { text, line: at + 1 });
            rest = tail.trim_start();
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line ranges of items under `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn test_lines(code: &str) -> Vec<Range<usize>> {
    let all = tokens(code);
    let mut ranges = Vec::new();
    let mut at = 0;
    while at + 3 < all.len() {
        let opens =
            ["#", "[", "cfg", "("].iter().zip(&all[at..]).all(|(want, token)| *want == token.text);
        if !opens {
            at += 1;
            continue;
        }
        let close = matching(&all, at + 1);
        let condition = &all[at + 4..close.min(all.len())];
        let positive = condition.iter().any(|token| token.text == "test")
            && !condition.iter().any(|token| token.text == "not");
        if positive {
            let end = item_end(&all, close + 1);
            let last = all.get(end).or(all.last()).map_or(0, |token| token.line);
            ranges.push(all[at].line..last + 1);
            at = end;
        }
        at += 1;
    }
    ranges
}

/// The index of the bracket that closes the one at `open`, or the end.
fn matching(all: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in all.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    all.len()
}

/// The last token of the item that begins at `from`: its `;` or the end of its block.
fn item_end(all: &[Token<'_>], from: usize) -> usize {
    let mut at = from;
    while let Some(token) = all.get(at) {
        match token.text {
            ";" => return at,
            "{" => return matching(all, at),
            "(" | "[" => at = matching(all, at),
            _ => {}
        }
        at += 1;
    }
    all.len()
}

/// The text with comments blanked, and with comments and the insides of strings blanked.
fn blank(text: &str) -> (String, String) {
    let mut bare = String::with_capacity(text.len());
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = piece(rest, bare.chars().next_back());
        let (piece, tail) = rest.split_at(length.max(first.len_utf8()));
        match kind {
            Piece::Comment => {
                bare.extend(piece.chars().map(spaced));
                code.extend(piece.chars().map(spaced));
            }
            Piece::Text => {
                bare.push_str(piece);
                code.extend(piece.chars().map(spaced));
            }
            Piece::Code => {
                bare.push_str(piece);
                code.push_str(piece);
            }
        }
        rest = tail;
    }
    (bare, code)
}

fn spaced(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

#[derive(Clone, Copy)]
enum Piece {
    Comment,
    Text,
    Code,
}

/// The length and the kind of the piece that `rest` begins with. `before` is the character before it.
fn piece(rest: &str, before: Option<char>) -> (usize, Piece) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Piece::Comment);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Piece::Comment);
    }
    if rest.starts_with('"') {
        return (quoted(rest), Piece::Text);
    }
    if !before.is_some_and(is_word) {
        let after_b = rest.strip_prefix('b').unwrap_or(rest);
        if let Some(tail) = after_b.strip_prefix('r') {
            let hashes = tail.len() - tail.trim_start_matches('#').len();
            if tail[hashes..].starts_with('"') {
                let end = format!("\"{}", "#".repeat(hashes));
                let head = rest.len() - tail.len() + hashes + 1;
                let length = rest[head..].find(&end).map_or(rest.len(), |at| head + at + end.len());
                return (length, Piece::Text);
            }
        }
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    (0, Piece::Code)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal, or a lifetime, which is code.
fn character(rest: &str) -> (usize, Piece) {
    let mut inside = rest[1..].char_indices();
    match (inside.next(), inside.next()) {
        (Some((_, '\\')), _) => {
            let end = rest[2..].char_indices().skip(1).find(|(_, c)| *c == '\'');
            (end.map_or(rest.len(), |(at, _)| at + 3), Piece::Text)
        }
        (Some(_), Some((at, '\''))) => (at + 2, Piece::Text),
        _ => (1, Piece::Code),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_and_lines_stay() {
        let text = "let a = \"x // y\"; // z\nlet b = r#\"q\"q\"#; /* m\nn */ let c = '\"';\nlet d: &'a str;";
        let source = Source::new(text);
        assert_eq!(source.code.lines().count(), text.lines().count());
        for gone in ["x //", "z", "q", "m", "n "] {
            assert!(!source.code.contains(gone), "{gone} in {}", source.code);
        }
        assert!(source.bare.contains("x // y"));
        assert!(!source.bare.contains('z'));
        assert!(source.code.contains("let c") && source.code.contains("&'a str"));
    }

    #[test]
    fn a_brace_in_a_string_does_not_end_a_test_module() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  const X: &str = \"}\";\n  fn b() {}\n}\nfn c() {}\n";
        let source = Source::new(text);
        assert!(!source.is_test(1));
        assert!(source.is_test(3) && source.is_test(5) && source.is_test(6));
        assert!(!source.is_test(7));
    }

    #[test]
    fn an_item_that_is_compiled_without_tests_is_no_test() {
        let source =
            Source::new("#[cfg(not(test))]\nfn a() {\n}\n#[cfg(test)]\nuse x::y;\nfn b() {}\n");
        assert!(!source.is_test(2));
        assert!(source.is_test(5));
        assert!(!source.is_test(6));
    }

    #[test]
    fn places_of_tests_are_known() {
        assert!(is_test_path("crates/node/tests/peer.rs"));
        assert!(is_test_path("tests/harness/src/lib.rs"));
        assert!(is_test_path("crates/proto/src/trust/tests.rs"));
        assert!(!is_test_path("crates/proto/src/trust/key.rs"));
    }
}
