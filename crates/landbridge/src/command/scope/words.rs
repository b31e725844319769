//! Scopes as people read them.

use landbridge_node::catalogs::difference::Changed;
use landbridge_node::local::api::CatalogView;
use landbridge_proto::wire::approval::{KeyMethod, Scope};

use crate::out::fields;

/// Kinds of keys and people, as columns.
pub(super) fn assurance(scope: &Scope) -> [String; 2] {
    let keys: Vec<_> = scope.assurance.methods.iter().map(|one| KeyMethod::as_str(*one)).collect();
    [keys.join(","), scope.assurance.min_signers.to_string()]
}

/// One scope, whole.
pub(super) fn text(scope: &Scope) -> String {
    let [keys, people] = assurance(scope);
    fields(&[
        ("scope", scope.name.to_string()),
        ("description", one_line(&scope.description)),
        ("keys", keys),
        ("people", people),
        ("deprecated", if scope.deprecated { "yes".to_owned() } else { String::new() }),
    ])
}

/// A catalog, whole.
pub(super) fn catalog(catalog: &CatalogView) -> String {
    let head = fields(&[
        ("gateway", catalog.gateway.to_string()),
        ("tenant", catalog.tenant.to_string()),
        ("version", catalog.version.to_string()),
        ("good until", catalog.expires.clone()),
    ]);
    let scopes = catalog.scopes.iter().map(|scope| format!("\n{}", text(scope)));
    head + &scopes.collect::<String>()
}

/// What is to be published, next to what is published.
pub(super) fn changes(found: &[Changed]) -> String {
    let mut text = String::new();
    for one in found {
        let scope = one.after.as_ref().or(one.before.as_ref());
        let name = scope.map(|scope| scope.name.to_string()).unwrap_or_default();
        let sign = match (&one.before, &one.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        text.push_str(&format!("{sign} scope {name} of tenant {}\n", one.tenant));
        for line in beside(one.before.as_ref(), one.after.as_ref()) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}

/// What one text says with `-`, and the other with `+`; members that are the same are left out.
pub(super) fn beside(before: Option<&Scope>, after: Option<&Scope>) -> Vec<String> {
    let (old, new) = (members(before), members(after));
    let mut lines = Vec::new();
    for (name, old, new) in old.iter().zip(&new).map(|(old, new)| (old.0, &old.1, &new.1)) {
        if old == new {
            continue;
        }
        lines.extend(old.iter().map(|old| format!("- {name} = {old}")));
        lines.extend(new.iter().map(|new| format!("+ {name} = {new}")));
    }
    lines
}

fn members(scope: Option<&Scope>) -> [(&'static str, Option<String>); 4] {
    let [keys, people] = scope.map(assurance).map_or([None, None], |both| both.map(Some));
    [
        ("description", scope.map(|scope| one_line(&scope.description))),
        ("keys", keys),
        ("people", people),
        ("deprecated", scope.filter(|scope| scope.deprecated).map(|_| "yes".to_owned())),
    ]
}

/// A text of a peer on one line: a line feed inside it could write a line of its own below.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use landbridge_proto::wire::approval::Assurance;
    use landbridge_proto::wire::name::ScopeName;

    use super::*;

    #[test]
    fn both_texts_are_shown_and_what_is_the_same_is_not() {
        let assurance = Assurance { methods: [KeyMethod::Ssh].into(), min_signers: 1 };
        let name = ScopeName::new("sre-lead").unwrap();
        let old = Scope { assurance, deprecated: false, description: "reads".into(), name };
        let new = Scope { description: "reads\n+ keys = file".into(), ..old.clone() };
        let shown = beside(Some(&old), Some(&new));
        assert_eq!(shown, ["- description = reads", "+ description = reads\u{fffd}+ keys = file"]);
        assert_eq!(beside(None, Some(&old)).len(), 3);
        assert!(beside(Some(&old), Some(&old)).is_empty());
    }
}
