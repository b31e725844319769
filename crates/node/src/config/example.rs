//! The example file and the reference, made from the words of [`super::raw`].

use std::fmt::Write as _;

use super::raw::{FIELDS, Field, Form, SECTIONS, Section};

/// The text of `config example`: every setting with its words. Settings that have no default are
/// written as `#key = value`, without a space, so that they can be told from prose.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(HEAD);
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.words);
        // Writing to a string cannot fail.
        let _ = match section.name {
            "routes" => writeln!(text, "#[routes.eu]"),
            "scopes" => writeln!(text, "#[[scopes]]"),
            name => writeln!(text, "[{name}]"),
        };
        for field in fields(section) {
            comment(&mut text, field.words);
            let mark = if field.default.is_some() { "" } else { "#" };
            let _ = writeln!(text, "{mark}{} = {}", field.key, field.shown);
        }
    }
    text
}

/// The reference in Markdown, for the documentation.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let in_file_only = matches!(section.name, "routes" | "scopes");
        let title = match section.name {
            "routes" => "[routes.<name>]".to_owned(),
            "scopes" => "[[scopes]]".to_owned(),
            name => format!("[{name}]"),
        };
        let _ = writeln!(text, "### `{title}`\n\n{}\n", joined(section.words));
        let _ = writeln!(
            text,
            "| setting | form | default | environment | meaning |\n|---|---|---|---|---|"
        );
        for field in fields(section) {
            let default =
                field.default.map_or_else(|| "unset".to_owned(), |default| format!("`{default}`"));
            let variable =
                if in_file_only { "none".to_owned() } else { format!("`{}`", variable(field)) };
            let _ = writeln!(
                text,
                "| `{}` | {} | {default} | {variable} | {} |",
                field.key,
                form(field.form),
                joined(field.words)
            );
        }
        text.push('\n');
    }
    text
}

/// The variable of the environment that sets a field.
#[must_use]
pub fn variable(field: &Field) -> String {
    format!("LANDBRIDGE_{}_{}", field.section, field.key).to_ascii_uppercase()
}

const fn form(form: Form) -> &'static str {
    match form {
        Form::Text => "text",
        Form::Period => "duration",
        Form::Size => "size",
        Form::Number => "number",
        Form::List => "list",
        Form::Table => "table",
        Form::Flag => "true or false",
    }
}

fn fields(section: &Section) -> impl Iterator<Item = &'static Field> {
    let name = section.name;
    FIELDS.iter().filter(move |field| field.section == name)
}

fn comment(text: &mut String, words: &[&str]) {
    for line in words {
        text.push('#');
        text.push_str(line);
        text.push('\n');
    }
}

fn joined(words: &[&str]) -> String {
    words.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

const HEAD: &str = "\
# Settings of one Landbridge bridge. Every value below is the default, so an empty file means the same.
# Lines that begin with `#` and a name are settings without a default, shown with an example.
# Durations are a whole number and ms, s, m, h or d; sizes a whole number and B, KiB, MiB or GiB.
# LANDBRIDGE_<SECTION>_<KEY> in the environment beats this file, and a flag beats both.
# Peers, tenants and grants are not settings: they change by command, signed.
";
