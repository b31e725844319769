//! Finding the lines of code and tests that say which clause they obey.

use crate::files::File;
use crate::source::{self, Source};

/// What a citation proves: that the clause is obeyed, or that this was tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// It stands in production code.
    Code,
    /// It stands in a test.
    Test,
}

impl Side {
    /// The word for people, and in `exceptions.toml`.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Test => "test",
        }
    }
}

/// One clause, cited at one place.
#[derive(Clone, Debug)]
pub(super) struct Citation {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) side: Side,
}

/// All citations: comment lines that begin with `//=`, followed by ids.
pub(super) fn read(sources: &[File]) -> Vec<Citation> {
    sources.iter().flat_map(in_file).collect()
}

fn in_file(file: &File) -> Vec<Citation> {
    let source = Source::new(&file.text);
    let all_test = source::is_test_path(&file.path);
    let mut found = Vec::new();
    for (at, (line, bare)) in source.text.lines().zip(source.bare.lines()).enumerate() {
        // A line that only looks like a citation, inside a string, survives in `bare`.
        let Some(cited) = line.trim_start().strip_prefix("//=").filter(|_| bare.trim().is_empty())
        else {
            continue;
        };
        let side = if all_test || source.is_test(at + 1) { Side::Test } else { Side::Code };
        for id in cited.split([' ', ',']).filter(|id| !id.is_empty()) {
            let id = id.to_owned();
            found.push(Citation { id, path: file.path.clone(), line: at + 1, side });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn code_and_test_are_told_apart() {
        let text =
            "fn a() {\n    //= REQ-1, REQ-2\n}\n#[cfg(test)]\nmod tests {\n    //= REQ-1\n}\n";
        let found = read(&[file("crates/proto/src/a.rs", text)]);
        let short: Vec<_> = found.iter().map(|c| (c.id.as_str(), c.line, c.side)).collect();
        assert_eq!(
            short,
            [("REQ-1", 2, Side::Code), ("REQ-2", 2, Side::Code), ("REQ-1", 6, Side::Test)]
        );
        assert_eq!(read(&[file("crates/proto/tests/a.rs", "//= REQ-1\n")])[0].side, Side::Test);
    }

    #[test]
    fn a_citation_inside_a_string_is_none() {
        assert!(
            read(&[file("crates/a/src/a.rs", "const A: &str = \"\n//= REQ-1\n\";\n")]).is_empty()
        );
    }
}
