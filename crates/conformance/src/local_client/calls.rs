//! What is asked about runs: lists, cancels, transcripts.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::client::{Client, Told};
use super::script::{RUN, problem, run, told, well, whole};
use super::server::{Answer, Asked, Kind, Step};
use crate::cases::Case;

pub(super) const CASES: &[Case<Client>] = &[
    Case {
        id: "show",
        clauses: &["docs/local-api.md#endpoints"],
        about: "a run is told as it is; one that is not there is a refusal",
        run: show,
    },
    Case {
        id: "list-pages",
        clauses: &["docs/local-api.md#lists"],
        about: "pages are one list: `next` is the cursor as it is, with the same filters",
        run: pages,
    },
    Case {
        id: "list-cut",
        clauses: &["docs/local-api.md#lists"],
        about: "a list of which a page is missing is no list",
        run: list_cut,
    },
    Case {
        id: "cancel-requested",
        clauses: &["docs/local-api.md#endpoints"],
        about: "a cancel that is on its way is told as `requested`",
        run: |client| cancel(client, 202, "requested"),
    },
    Case {
        id: "cancel-already-terminal",
        clauses: &["docs/local-api.md#endpoints"],
        about: "a cancel that comes too late is told as `alreadyTerminal`",
        run: |client| cancel(client, 200, "alreadyTerminal"),
    },
    Case {
        id: "transcript",
        clauses: &["docs/local-api.md#endpoints"],
        about: "a transcript is told byte for byte",
        run: transcript,
    },
    Case {
        id: "transcript-cut",
        clauses: &["docs/local-api.md#endpoints"],
        about: "half a transcript is none",
        run: transcript_cut,
    },
];

fn show(client: &Client) -> Result<()> {
    let task = || json!({"do": "show", "run": RUN});
    let came = client.run(task(), &well)?;
    came.ensure_end("ok")?;
    ensure!(*came.said("run")? == run(true), "the run is not told as it is");
    let came = client.run(task(), &|_| problem(404, "not_found", json!({})))?;
    came.ensure_problem("not_found")
}

/// Three pages; the second is answered otherwise where a case says so.
fn listed(client: &Client, second: Option<&Answer>) -> Result<Told> {
    let filters = json!({"state": "settled", "labels": {"team": "sre"}, "limit": 2});
    client.run(json!({"do": "list", "filters": filters}), &|asked| {
        let (at, next) = match asked.query("cursor") {
            None => (0, json!("c+/=1")),
            Some(_) if asked.nth == 1 => (2, json!("c+/=2")),
            Some(_) => (4, Value::Null),
        };
        match second {
            Some(answer) if at == 2 => answer.clone(),
            _ => told(200, &json!({"next": next, "runs": [numbered(at), numbered(at + 1)]})),
        }
    })
}

fn numbered(number: u64) -> Value {
    let mut run = run(true);
    run["labels"]["number"] = json!(number.to_string());
    run
}

fn pages(client: &Client) -> Result<()> {
    let came = listed(client, None)?;
    came.ensure_end("ok")?;
    let runs: Vec<&Value> = came.lines.iter().filter_map(|line| line.get("run")).collect();
    let due: Vec<Value> = (0..6).map(numbered).collect();
    let same = runs == due.iter().collect::<Vec<_>>();
    ensure!(same, "six runs were due, in their order, and {} are told", runs.len());
    let asked: Vec<&Asked> = came.of(Kind::List).collect();
    ensure!(asked.len() == 3, "three pages were due, and {} are asked for", asked.len());
    for (asked, cursor) in asked.iter().zip([None, Some("c%2B%2F%3D1"), Some("c%2B%2F%3D2")]) {
        ensure!(asked.query("cursor") == cursor, "the cursor of {}", asked.target);
        let filters = (asked.query("state"), asked.query("limit"), asked.query("label"));
        let due = (Some("settled"), Some("2"), Some("team%3Dsre"));
        ensure!(filters == due, "the filters of {}", asked.target);
    }
    Ok(())
}

fn list_cut(client: &Client) -> Result<()> {
    let half = whole(200, "application/json", br#"{"runs":[],"next":null}"#, "");
    let Some(Step::Say(mut half)) = half.into_iter().next() else { return Ok(()) };
    half.pop();
    let seconds = [
        vec![Step::Say(half)],
        told(200, &json!({"runs": null, "next": null})),
        told(200, &json!([])),
        problem(503, "store_unavailable", json!({"retryable": true})),
    ];
    for (at, second) in seconds.iter().enumerate() {
        let came = listed(client, Some(second))?;
        came.ensure_not_ok().with_context(|| format!("answer {at} instead of the second page"))?;
    }
    Ok(())
}

fn cancel(client: &Client, status: u16, state: &str) -> Result<()> {
    let answer = told(status, &json!({"run": RUN, "state": state}));
    let came = client.run(json!({"do": "cancel", "run": RUN}), &|_| answer.clone())?;
    came.ensure_end("ok")?;
    ensure!(came.said("cancel")? == state, "`{state}` is not told");
    ensure!(came.of(Kind::Cancel).count() == 1, "one cancel was due");
    Ok(())
}

const TRANSCRIPT: &str = "{\"type\":\"header\"}\n{\"type\":\"frame\",\"value\":\"ä\\r\"}\n";

fn exported(client: &Client, kept: usize) -> Result<Told> {
    let (length, body) = (TRANSCRIPT.len(), TRANSCRIPT.as_bytes().get(..kept).unwrap_or_default());
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    // In two pieces, as a long one comes.
    let (first, rest) = body.split_at(body.len().min(10));
    let first = Step::Say([head.as_bytes(), first].concat());
    let answer = vec![first, Step::Wait(Duration::from_millis(100)), Step::Say(rest.to_vec())];
    client.run(json!({"do": "transcript", "run": RUN}), &|_| answer.clone())
}

fn transcript(client: &Client) -> Result<()> {
    let came = exported(client, TRANSCRIPT.len())?;
    came.ensure_end("ok")?;
    ensure!(came.said("transcript")? == TRANSCRIPT, "it is not told as it is");
    Ok(())
}

fn transcript_cut(client: &Client) -> Result<()> {
    // After a line, and one byte before the end.
    for kept in [18, TRANSCRIPT.len() - 1] {
        exported(client, kept)?.ensure_not_ok()?;
    }
    Ok(())
}
