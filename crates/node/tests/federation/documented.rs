//! The examples of docs/local-api.md, executed: each request as it stands there, and the answer compared
//! with the one below it. `BLESS=1` writes the answers anew.
//!
//! What differs from run to run (ids, times, digests, counts of the process) is written as a placeholder
//! on both sides; everything else, every member's name included, is compared exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use landbridge_node::config::Effective;
use landbridge_node::core::Settings;
use serde_json::{Value, json};

use crate::plane::{Plane, whole};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/local-api.md");

/// A request of the page, and the answer below it.
struct Example {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    answer: std::ops::Range<usize>,
}

fn examples(page: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = page[at..].find("```http\n").map(|begin| at + begin + 8) {
        let end = begin + page[begin..].find("```\n").unwrap();
        let answer = end + 4 + "```\n".len();
        assert_eq!(&page[end + 4..answer], "```\n", "an answer follows: {}", &page[begin..end]);
        let answer_end = answer + page[answer..].find("```").unwrap();
        let (head, body) = match page[begin..end].split_once("\n\n") {
            Some((head, body)) => (head, Some(serde_json::from_str(body).unwrap())),
            None => (page[begin..end].trim_end(), None),
        };
        let mut lines = head.lines();
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        let (method, path) = (method.parse().unwrap(), path.to_owned());
        let headers = headers.collect();
        found.push(Example { method, path, headers, body, answer: answer..answer_end });
        at = answer_end;
    }
    found
}

#[tokio::test]
async fn every_example_is_answered_as_the_page_says() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let journal = Effective {
        setting: "retention.journal".to_owned(),
        value: "\"60d\"".to_owned(),
        origin: "/home/bridge/landbridge.toml:12".to_owned(),
    };
    let plane = Plane::with(Settings { effective: vec![journal], ..Settings::default() }).await;
    let mut known: BTreeMap<&str, String> = BTreeMap::new();
    let mut blessed = String::new();
    let (mut wrong, mut copied) = (Vec::new(), 0);
    for example in examples(&page) {
        let mut path = example.path.clone();
        for (name, value) in &known {
            path = path.replace(name, value);
        }
        let headers: Vec<(&str, &str)> =
            example.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let open = plane.open(example.method.clone(), &path, &headers, example.body.clone()).await;
        let answer = whole(open).await;
        if let Some(value) = serde_json::from_slice::<Value>(&answer.body).ok().as_ref() {
            let mut learn = |name, member: &str| {
                if let Some(text) = value[member].as_str() {
                    known.entry(name).or_insert_with(|| text.to_owned());
                }
            };
            learn("RUN", "run");
            learn("CURSOR", "next");
            if path.starts_with("/v1/admin/tokens") {
                learn("TOKEN", "id");
            }
        }
        if answer.status == 201 && path == "/v1/runs" {
            // The page tells of a run that has ended, and of later ones that have not.
            let made: Value = serde_json::from_slice(&answer.body).unwrap();
            let run = made["run"].as_str().unwrap().parse().unwrap();
            plane.world.until(&run, |entry| entry.outcome.is_some()).await;
        }
        let media = answer.headers.get("content-type").map_or("", |media| media.to_str().unwrap());
        let shown = format!("{} {media}\n{}", answer.status, shown(media, &answer.body));
        let shown = format!("{}\n", shown.trim_end());
        let wanted = &page[example.answer.clone()];
        if shown != wanted {
            wrong.push(format!("{} {path}\n--- page\n{wanted}--- bridge\n{shown}", example.method));
        }
        blessed.push_str(&page[copied..example.answer.start]);
        blessed.push_str(&shown);
        copied = example.answer.end;
    }
    blessed.push_str(&page[copied..]);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PAGE, blessed).unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn every_route_is_in_the_table_and_has_an_example() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let table: BTreeSet<(String, String)> = rows
        .filter_map(|(row, _)| {
            let (method, path) = row.split_once(' ')?;
            Some((method.to_owned(), path.split('?').next()?.to_owned()))
        })
        .filter(|(_, path)| path.starts_with('/'))
        .collect();
    let mut routes = BTreeSet::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/local");
    for entry in std::fs::read_dir(sources).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        // Tests have routes of their own.
        let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
        for rest in text.split(".route(\"").skip(1) {
            let (path, rest) = rest.split_once('"').unwrap();
            let line = rest.split('\n').next().unwrap();
            for method in ["get", "post", "put", "delete"] {
                if line.contains(&format!("{method}(")) {
                    routes.insert((method.to_ascii_uppercase(), path.to_owned()));
                }
            }
        }
    }
    assert!(routes.len() > 20, "{routes:?}");
    assert_eq!(table, routes, "the table of the page, and the router");
    let examples = examples(&page);
    for (method, path) in routes {
        // Metrics need a recorder of the process; real bridges serve them.
        let shown = path == "/metrics"
            || examples
                .iter()
                .any(|each| *each.method.as_str() == method && fits(&path, &each.path));
        assert!(shown, "{method} {path} has no example");
    }
}

/// Whether a path of an example is one of this route.
fn fits(route: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len()
        && route.iter().zip(&path).all(|(route, part)| route.starts_with('{') || route == part)
}

/// A body as the page shows it.
fn shown(media: &str, body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let json = |line: &str| placeholders("", serde_json::from_str(line).unwrap());
    match media {
        "application/json" | "application/problem+json" => pretty(&json(text), 0),
        "application/jsonl" => text
            .lines()
            .map(|line| format!("{}\n", json!({"type": json(line)["type"], "...": "..."})))
            .collect(),
        "application/x-ndjson" => text.lines().map(|line| format!("{}\n", json(line))).collect(),
        "text/event-stream" => text
            .lines()
            .map(|line| match line.strip_prefix("data: ") {
                Some(data) => format!("data: {}\n", json(data)),
                None => format!("{line}\n"),
            })
            .collect(),
        _ => text.to_owned(),
    }
}

fn placeholders(name: &str, value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = placeholders(&name, value);
                (name, value)
            })
            .collect(),
        Value::Array(values) => {
            // The first of many says enough.
            let many = values.len() > 2 && name == "rows";
            let values = values.into_iter().take(if many { 1 } else { usize::MAX });
            values.map(|value| placeholders(name, value)).collect()
        }
        Value::String(text) => placeholder(name, &text).into(),
        Value::Number(_) if ["pid", "calling", "roundTripMs", "n", "size"].contains(&name) => {
            1.into()
        }
        other => other,
    }
}

fn placeholder(name: &str, text: &str) -> String {
    for prefix in ["run-", "gw1-", "tok-", "lbt_", "gfp1:", "ses-"] {
        if text.starts_with(prefix) {
            return format!("{prefix}...");
        }
    }
    let time = text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    match name {
        _ if time => "2030-01-31T12:00:00Z".to_owned(),
        "envelope" | "event" if text.starts_with('{') => "{...}".to_owned(),
        "next" | "head" | "genesis" | "session" | "audit" | "words" | "digest" | "version"
        | "connection" => "...".to_owned(),
        // An invite's public id.
        "id" if text.len() == 43 => "...".to_owned(),
        // The members of a body are in the table above.
        "detail" if text.contains(", expected one of ") => {
            let (what, _) = text.split_once(", expected").unwrap();
            format!("{what}, expected one of ...")
        }
        // A message of ours that names one.
        _ => match text.find("tok-").or_else(|| text.find("gw1-")) {
            Some(at) => format!("{}...", &text[..at + 4]),
            None => text.to_owned(),
        },
    }
}

/// JSON in lines that can be read: what fits on one line stays there.
fn pretty(value: &Value, indent: usize) -> String {
    let flat = value.to_string();
    if flat.len() + indent <= 100 {
        return flat;
    }
    let inner = " ".repeat(indent + 2);
    let (open, close, lines): (_, _, Vec<String>) = match value {
        Value::Object(members) => {
            let line = |(name, value): (&String, &Value)| {
                format!("{inner}{}: {}", json!(name), pretty(value, indent + 2))
            };
            ('{', '}', members.iter().map(line).collect())
        }
        Value::Array(values) => {
            let line = |value| format!("{inner}{}", pretty(value, indent + 2));
            ('[', ']', values.iter().map(line).collect())
        }
        _ => return flat,
    };
    format!("{open}\n{}\n{}{close}", lines.join(",\n"), " ".repeat(indent))
}
