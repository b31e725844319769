//! Holding the published registry of problems against the one in the code.
//!
//! The code's registry is rows of a macro, `Name, "code", status, retryable, mode, "meaning";`, which
//! are read as text: the compiler would have to expand the macro first.

use std::collections::BTreeMap;

use crate::finding::Finding;

/// A code's figures: status, whether it is retryable, and how.
type Figures = (String, bool, Option<String>);

/// What differs between the page and the source, given as (page, source) paths and texts.
pub(super) fn check(paths: (&str, &str), page: &str, source: &str) -> Vec<Finding> {
    let (published, coded) = (table(page), rows(source));
    let mut findings = Vec::new();
    if coded.is_empty() {
        findings.push(Finding::new(paths.1, 0, "no registry found"));
    }
    for (code, figures) in &coded {
        match published.get(code) {
            Some(told) if told == figures => {}
            Some(told) => {
                let what = format!("{code} is {figures:?} in the code and {told:?} here");
                findings.push(Finding::new(paths.0, 0, what));
            }
            None => findings.push(Finding::new(paths.0, 0, format!("{code} is not published"))),
        }
    }
    for code in published.keys().filter(|code| !coded.contains_key(*code)) {
        findings.push(Finding::new(paths.0, 0, format!("{code} is not in the code")));
    }
    findings
}

fn table(page: &str) -> BTreeMap<String, Figures> {
    let registry = page.split("## The registry").nth(1).unwrap_or("");
    let row = |line: &str| {
        let mut cells =
            line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).skip(1);
        let (code, status) = (cells.next()?, cells.next()?);
        let retryable = match cells.next()?.as_str() {
            "yes" => true,
            "no" => false,
            _ => return None,
        };
        let mode = cells.next().filter(|mode| mode != "-");
        Some((code, (status, retryable, mode)))
    };
    registry.lines().filter_map(row).collect()
}

fn rows(source: &str) -> BTreeMap<String, Figures> {
    let row = |line: &str| {
        let mut cells = line.trim().strip_suffix(';')?.splitn(6, ", ").skip(1);
        let code = cells.next()?.strip_prefix('"')?.strip_suffix('"')?.to_owned();
        let status: u16 = cells.next()?.parse().ok()?;
        let retryable = cells.next()?.parse().ok()?;
        let mode = match cells.next()? {
            "None" => None,
            some => Some(snake(some.strip_prefix("Some(RetryMode::")?.strip_suffix(')')?)),
        };
        Some((code, (status.to_string(), retryable, mode)))
    };
    source.lines().filter_map(row).collect()
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "## The registry\n| code | HTTP | retryable |\n| `replayed` | 409 | yes | `resign_same_key` | x |\n| `not_found` | 404 | no | - | x |\n";
    const SOURCE: &str = "    Replayed, \"replayed\", 409, true, Some(RetryMode::ResignSameKey), \"A, b.\";\n    NotFound, \"not_found\", 404, false, None, \"C.\";\n";

    fn complaints(page: &str, source: &str) -> usize {
        check(("p.md", "p.rs"), page, source).len()
    }

    #[test]
    fn equal_registries_are_equal() {
        assert_eq!(complaints(PAGE, SOURCE), 0);
    }

    #[test]
    fn each_difference_is_found() {
        assert_eq!(complaints(&PAGE.replace("409", "410"), SOURCE), 1);
        assert_eq!(complaints(&PAGE.replace("resign_same_key", "new_key"), SOURCE), 1);
        assert_eq!(complaints(&PAGE.replace("| no | -", "| yes | -"), SOURCE), 1);
        assert_eq!(complaints(&PAGE.replace("not_found", "never_found"), SOURCE), 2);
        assert_eq!(complaints(PAGE, ""), 3);
    }
}
