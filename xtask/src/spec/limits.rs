//! Holding the published table of limits against the constants in the code.

use std::collections::BTreeMap;

use syn::{BinOp, Expr, Item, Lit};

use crate::finding::Finding;

/// What differs between the page and the source, given as (page, source) paths and texts.
pub(super) fn check(paths: (&str, &str), page: &str, source: &str) -> Vec<Finding> {
    let published = table(page);
    let file = match syn::parse_file(source) {
        Ok(file) => file,
        Err(error) => return vec![Finding::new(paths.1, 0, format!("does not parse: {error}"))],
    };
    let mut constants = BTreeMap::new();
    let mut unread = Vec::new();
    for item in file.items {
        let Item::Const(constant) = item else {
            continue;
        };
        let name = constant.ident.to_string();
        match value(&constant.expr, &constants) {
            Some(value) => {
                constants.insert(name, value);
            }
            None => unread.push(Finding::new(paths.1, 0, format!("cannot compute {name}"))),
        }
    }
    let mut findings = unread;
    for (name, value) in &constants {
        match published.get(name.as_str()) {
            Some(told) if told == value => {}
            Some(told) => findings.push(Finding::new(
                paths.0,
                0,
                format!("{name} is {value} in the code and {told} here"),
            )),
            None => findings.push(Finding::new(paths.0, 0, format!("{name} is not published"))),
        }
    }
    for name in published.keys().filter(|name| !constants.contains_key(**name)) {
        findings.push(Finding::new(paths.0, 0, format!("{name} is not in the code")));
    }
    findings
}

/// The rows `| `NAME` | value | … |` of the page.
fn table(page: &str) -> BTreeMap<&str, u128> {
    page.lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            Some((name, cells.next()?.parse().ok()?))
        })
        .collect()
}

/// The value of a constant made of literals, earlier constants, sums, products and quotients rounded up.
fn value(expression: &Expr, known: &BTreeMap<String, u128>) -> Option<u128> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse().ok(),
            _ => None,
        },
        Expr::Path(path) => known.get(&path.path.get_ident()?.to_string()).copied(),
        Expr::Paren(inner) => value(&inner.expr, known),
        Expr::Cast(inner) => value(&inner.expr, known),
        Expr::MethodCall(call) if call.method == "div_ceil" => {
            let divisor = value(call.args.first()?, known)?;
            (divisor > 0).then_some(value(&call.receiver, known)?.div_ceil(divisor))
        }
        Expr::Binary(binary) => {
            let (left, right) = (value(&binary.left, known)?, value(&binary.right, known)?);
            match binary.op {
                BinOp::Add(_) => left.checked_add(right),
                BinOp::Mul(_) => left.checked_mul(right),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str =
        "pub const A: usize = 4 * 1_024;\npub const B: usize = A.div_ceil(3) + 1;\n";

    fn complaints(page: &str) -> Vec<String> {
        check(("l.md", "l.rs"), page, SOURCE).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn equal_tables_are_equal() {
        assert!(
            complaints(
                "| name | value | what |\n|---|---|---|\n| `A` | 4096 | a |\n| `B` | 1367 | b |\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn a_difference_on_either_side_is_found() {
        assert_eq!(
            complaints("| `A` | 4095 | a |\n| `B` | 1367 | b |\n"),
            ["A is 4096 in the code and 4095 here"]
        );
        assert_eq!(complaints("| `A` | 4096 | a |\n"), ["B is not published"]);
        assert_eq!(
            complaints("| `A` | 4096 | a |\n| `B` | 1367 | b |\n| `C` | 1 | c |\n"),
            ["C is not in the code"]
        );
    }

    #[test]
    fn a_constant_that_cannot_be_computed_is_found() {
        let found = check(("l.md", "l.rs"), "", "pub const A: usize = size();");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, "cannot compute A");
    }
}
