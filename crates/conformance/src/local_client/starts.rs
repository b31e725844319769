//! Starting a run: what is sent, what is told, and what is repeated.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::script::{RUN, problem, run, started, well, whole};
use super::server::{Answer, Kind, Step, serve};
use super::start;
use crate::cases::Case;

pub(super) const CASES: &[Case<Client>] = &[
    Case {
        id: "start",
        clauses: &["docs/local-api.md#starting-a-run"],
        about: "what is asked for is sent as it is, and the run is told",
        run: whole_start,
    },
    Case {
        id: "start-attached",
        clauses: &["docs/local-api.md#starting-a-run"],
        about: "a key that had started the run finds it",
        run: attached,
    },
    Case {
        id: "start-answer-lost",
        clauses: &["docs/local-api.md#starting-a-run"],
        about: "a start whose answer is lost is repeated with its key and body",
        run: answer_lost,
    },
    Case {
        id: "start-not-json",
        clauses: &["docs/local-api.md#endpoints"],
        about: "what is not JSON, or no run, is no answer to a start",
        run: not_a_run,
    },
    Case {
        id: "start-content-type",
        clauses: &["docs/local-api.md#endpoints"],
        about: "what is said to be a web page is no answer to a start",
        run: web_page,
    },
    Case {
        id: "refused-rate-limited",
        clauses: &["docs/local-api.md#errors"],
        about: "429: told with its wait, or asked again no sooner",
        run: rate_limited,
    },
    Case {
        id: "refused-not-ready",
        clauses: &["docs/local-api.md#errors"],
        about: "503: told as what passes, or asked again with the same body",
        run: not_ready,
    },
    Case {
        id: "refused-unauthorized",
        clauses: &["docs/local-api.md#errors"],
        about: "401: told, and not asked again",
        run: |client| refused(client, 401, "unauthorized"),
    },
    Case {
        id: "refused-key-conflict",
        clauses: &["docs/local-api.md#errors"],
        about: "422: told, and not asked again with this key or another",
        run: |client| refused(client, 422, "key_conflict"),
    },
    Case {
        id: "refused-by-another",
        clauses: &["docs/local-api.md#errors"],
        about: "a refusal that is no problem of a bridge is no success, and has no code of one",
        run: refused_by_another,
    },
    Case {
        id: "redirect",
        clauses: &["docs/local-api.md#who-may-ask"],
        about: "a redirect is not followed: nobody else sees the token or the work",
        run: redirect,
    },
    Case {
        id: "nobody",
        clauses: &["docs/local-api.md#endpoints"],
        about: "where nobody listens nothing is known",
        run: nobody,
    },
];

fn whole_start(client: &Client) -> Result<()> {
    let tool = json!({"gateway": "eu", "idempotencyKey": "kit-0123456789abcdef",
        "toolCall": {"tool": "add", "args": {"text": "ä\u{1}\"", "n": 1}}, "deadline": "10m"});
    for asked_for in [start("start")["start"].clone(), tool] {
        let came = client.run(json!({"do": "start", "start": asked_for}), &well)?;
        came.ensure_end("ok")?;
        let sent = came.of(Kind::Start).next().context("it starts nothing")?;
        let sent: Value = serde_json::from_slice(&sent.body).context("the start is not JSON")?;
        ensure!(sent == asked_for, "what is sent is not what was asked for: {sent}");
        ensure!(came.said("run")?["run"] == RUN, "it tells another run");
        ensure!(came.of(Kind::Start).count() == 1, "it starts more than once");
    }
    Ok(())
}

fn attached(client: &Client) -> Result<()> {
    let came = client.run(start("start"), &|asked| started(asked, 200, true))?;
    came.ensure_end("ok")?;
    ensure!(came.said("run")?["attached"] == true, "it does not tell that the run was there");
    Ok(())
}

fn answer_lost(client: &Client) -> Result<()> {
    for kept in [0, 20, 150] {
        let came = client.run(start("start"), &|asked| {
            let answer = started(asked, 201, false);
            if asked.nth > 0 { answer } else { beginning(answer, kept) }
        })?;
        came.ensure_end("ok").with_context(|| format!("the answer was cut after {kept} bytes"))?;
        ensure!(came.of(Kind::Start).count() == 2, "one repetition was due");
    }
    Ok(())
}

fn beginning(answer: Answer, bytes: usize) -> Answer {
    let first = answer.into_iter().next();
    let Some(Step::Say(mut said)) = first else { return Vec::new() };
    said.truncate(bytes);
    vec![Step::Say(said)]
}

fn not_a_run(client: &Client) -> Result<()> {
    for body in ["<html>", "", "null", "[]", "{}", r#"{"run":7}"#] {
        let came =
            client.run(start("start"), &|_| whole(201, "application/json", body.as_bytes(), ""))?;
        came.ensure_not_ok().with_context(|| format!("the answer {body:?}"))?;
    }
    Ok(())
}

fn web_page(client: &Client) -> Result<()> {
    let page = run(false).to_string();
    let came = client.run(start("start"), &|_| whole(200, "text/html", page.as_bytes(), ""))?;
    came.ensure_not_ok()
}

fn rate_limited(client: &Client) -> Result<()> {
    let came = client.run(start("start"), &|asked| match asked.nth {
        0 => problem(429, "rate_limited", json!({"retryable": true, "retryAfterMs": 1500})),
        _ => started(asked, 201, false),
    })?;
    let [first, more @ ..] = came.asked.as_slice() else { return Ok(()) };
    if let Some(second) = more.first() {
        let waited = second.at.duration_since(first.at).as_millis();
        ensure!(waited >= 1500, "it asks again after {waited} ms");
        return came.ensure_end("ok");
    }
    came.ensure_problem("rate_limited")?;
    ensure!(came.end["retryAfterMs"] == 1500, "how long to wait is not told: {}", came.end);
    Ok(())
}

fn not_ready(client: &Client) -> Result<()> {
    let came = client.run(start("start"), &|asked| match asked.nth {
        0 => problem(503, "not_ready", json!({"retryable": true})),
        _ => started(asked, 201, false),
    })?;
    if came.of(Kind::Start).count() > 1 {
        return came.ensure_end("ok");
    }
    came.ensure_problem("not_ready")?;
    ensure!(came.end["retryable"] == true, "that it passes is not told: {}", came.end);
    Ok(())
}

fn refused(client: &Client, status: u16, code: &str) -> Result<()> {
    let came = client.run(start("start-and-follow"), &|_| problem(status, code, json!({})))?;
    came.ensure_problem(code)?;
    ensure!(came.end["status"] == status, "the status is not told: {}", came.end);
    ensure!(came.asked.len() == 1, "it asks again");
    Ok(())
}

fn refused_by_another(client: &Client) -> Result<()> {
    let answers = [
        whole(502, "text/html", b"<html>", ""),
        whole(502, "text/html", br#"{"code":"key_conflict","retryable":false}"#, ""),
        whole(422, "application/problem+json", b"[1]", ""),
        whole(422, "application/problem+json", br#"{"code":7}"#, ""),
        whole(404, "application/json", b"", ""),
    ];
    for (at, answer) in answers.iter().enumerate() {
        let came = client.run(start("start"), &|_| answer.clone())?;
        came.ensure_not_ok().with_context(|| format!("answer {at}"))?;
        ensure!(came.end["code"] != "key_conflict", "a web page is taken for a problem");
        ensure!(came.end["code"].as_str() != Some("7"), "a code is made up");
    }
    Ok(())
}

fn redirect(client: &Client) -> Result<()> {
    for status in [301, 302, 303, 307, 308] {
        let (came, other) = serve(&well, |at| {
            let to = format!("location: http://{at}/v1/runs\r\n");
            client.run(start("start"), &|_| whole(status, "text/plain", b"", &to))
        })?;
        ensure!(other.asked.is_empty(), "a {status} is followed");
        came?.ensure_not_ok()?;
    }
    Ok(())
}

fn nobody(client: &Client) -> Result<()> {
    let end = client.run_alone(start("start"))?;
    ensure!(end["end"] == "unknown", "the end `unknown` was due: {end}");
    Ok(())
}
