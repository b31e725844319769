//! From TOML to [`Raw`], with the line of every value, and with a suggestion for every unknown key.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Wrong;
use super::raw::{FIELDS, Origin, Raw, RawScope, SECTIONS, Value, Written};

/// Reads a file's text as far as it makes sense, and says what does not.
pub(super) fn read(text: &str, path: &Path) -> (Raw, Vec<Wrong>) {
    let mut reader = Reader { text, path, raw: Raw::default(), wrong: Vec::new() };
    match DeTable::parse(text) {
        Ok(file) => reader.file(file.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let origin = reader.origin(at);
            let what = error.message().to_owned();
            reader.wrong.push(Wrong { origin, key: String::new(), what, allowed: None });
        }
    }
    (reader.raw, reader.wrong)
}

/// The value of a TOML literal of our own table.
pub(super) fn literal(text: &str) -> Value {
    DeValue::parse(text).map_or(Value::Other("broken"), |parsed| value_of(parsed.get_ref()))
}

/// The refusal of a key that does not exist.
pub(super) fn unknown_key(section: &str, key: &str, origin: Origin) -> Wrong {
    let place = section.split('.').next().unwrap_or(section);
    let keys: Vec<_> =
        FIELDS.iter().filter(|field| field.section == place).map(|field| field.key).collect();
    if keys.is_empty() {
        return unknown_section(section, origin);
    }
    Wrong {
        origin,
        key: format!("{section}.{key}"),
        what: unknown("setting", key, &keys),
        allowed: Some(keys.join(", ")),
    }
}

fn unknown_section(name: &str, origin: Origin) -> Wrong {
    let names: Vec<_> = SECTIONS.iter().map(|section| section.name).collect();
    Wrong {
        origin,
        key: name.to_owned(),
        what: unknown("section", name, &names),
        allowed: Some(names.join(", ")),
    }
}

fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (distance(given, name), name))
        .min()
        .filter(|(far, name)| *far <= 2 || (given.len() >= 4 && name.contains(given)));
    match near {
        Some((_, name)) => format!("there is no such {what}; did you mean {name}?"),
        None => format!("there is no such {what}"),
    }
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    raw: Raw,
    wrong: Vec<Wrong>,
}

impl Reader<'_> {
    fn file(&mut self, file: &DeTable<'_>) {
        for (name, value) in file {
            let origin = self.origin(name.span().start);
            let name: &str = name.get_ref();
            let known = SECTIONS.iter().any(|section| section.name == name);
            match (value.get_ref(), known, name) {
                (_, false, _) => self.wrong.push(unknown_section(name, origin)),
                (DeValue::Table(routes), _, "routes") => self.routes(routes),
                (DeValue::Array(scopes), _, "scopes") => self.scopes(scopes, &origin),
                (_, _, "scopes") => self.not_scopes(origin),
                (DeValue::Table(table), ..) => {
                    for (key, value) in table {
                        self.setting(name, key, value);
                    }
                }
                _ => self.not_a_table(name.to_owned(), origin),
            }
        }
    }

    fn routes(&mut self, routes: &DeTable<'_>) {
        for (route, value) in routes {
            let section = format!("routes.{}", route.get_ref());
            let DeValue::Table(table) = value.get_ref() else {
                let origin = self.origin(route.span().start);
                self.not_a_table(section, origin);
                continue;
            };
            self.raw.routes.entry(route.get_ref().to_string()).or_default();
            for (key, value) in table {
                self.setting(&section, key, value);
            }
        }
    }

    fn scopes(&mut self, scopes: &[Spanned<DeValue<'_>>], origin: &Origin) {
        for scope in scopes {
            let DeValue::Table(table) = scope.get_ref() else {
                self.not_scopes(origin.clone());
                continue;
            };
            self.raw.scopes.push(RawScope::default());
            let section = format!("scopes.{}", self.raw.scopes.len());
            for (key, value) in table {
                self.setting(&section, key, value);
            }
        }
    }

    fn not_scopes(&mut self, origin: Origin) {
        let what = "write [[scopes]] and a scope's settings below, once for each scope";
        let (key, what) = ("scopes".to_owned(), what.to_owned());
        self.wrong.push(Wrong { origin, key, what, allowed: None });
    }

    fn setting(
        &mut self,
        section: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let origin = self.origin(key.span().start);
        let slot = match section.split_once('.') {
            Some(("scopes", _)) => {
                let last = self.raw.scopes.len().saturating_sub(1);
                self.raw.scope_slot(last, key.get_ref())
            }
            Some((_, route)) => self.raw.route_slot(route, key.get_ref()),
            None => self.raw.slot(section, key.get_ref()),
        };
        match slot {
            Some(slot) => *slot = Some(Written { value: value_of(value.get_ref()), origin }),
            None => self.wrong.push(unknown_key(section, key.get_ref(), origin)),
        }
    }

    fn not_a_table(&mut self, key: String, origin: Origin) {
        let what = format!("this is a section: write [{key}] and its settings below");
        self.wrong.push(Wrong { origin, key, what, allowed: None });
    }

    fn origin(&self, at: usize) -> Origin {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Origin::File { path: self.path.to_owned(), line }
    }
}

fn value_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("number out of range"), Value::Number),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map_or(Value::Other("list of other things"), Value::List)
        }
        DeValue::Table(table) => {
            let pairs = table.iter().map(|(name, value)| {
                Some((name.get_ref().to_string(), value.get_ref().as_str()?.to_owned()))
            });
            let pairs: Option<BTreeMap<_, _>> = pairs.collect();
            pairs.map_or(Value::Other("table of other things"), Value::Table)
        }
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other(value.type_str()),
    }
}

/// How many letters must be added, removed or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
