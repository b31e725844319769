//! Following a run over connections that are cut, silent or broken off.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::client::Client;
use super::follow as task;
use super::script::{ALL, Stream, problem, well};
use super::server::{Kind, Step};
use crate::cases::{Case, Skipped};

pub(super) const CASES: &[Case<Client>] = &[
    Case {
        id: "cut-after-each-frame",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a cut behind each frame: it asks again from there",
        run: cut_after_each,
    },
    Case {
        id: "cut-in-event",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a frame of which half came is asked for again",
        run: cut_in_event,
    },
    Case {
        id: "cut-in-character",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a cut inside a UTF-8 character",
        run: cut_in_character,
    },
    Case {
        id: "cut-in-head",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "no answer, or half a head of one, is asked for again",
        run: cut_in_head,
    },
    Case {
        id: "dribbled",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "an answer that comes byte by byte is the same answer",
        run: dribbled,
    },
    Case {
        id: "heartbeats",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "comments are not shown, and keep a connection alive",
        run: heartbeats,
    },
    Case {
        id: "silence",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a connection that says nothing for three heartbeats is dead",
        run: silence,
    },
    Case {
        id: "end-without-terminal",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "an end without a terminal is asked again, and never a success",
        run: end_without_terminal,
    },
    Case {
        id: "broken-off",
        clauses: &["docs/local-api.md#tokens"],
        about: "a stream that is broken off for good ends with the problem's code",
        run: broken_off,
    },
    Case {
        id: "broken-off-passing",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a stream that is broken off for now is asked again",
        run: broken_off_passing,
    },
];

fn cut_after_each(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| {
        let next = asked.cursor() + 1;
        Stream::of(asked).frames(next, next).cut()
    })?;
    came.ensure_frames(1, ALL)?;
    ensure!(came.cursors() == [0, 1, 2, 3, 4], "the cursors {:?}", came.cursors());
    came.ensure_end("ok")
}

fn cut_in_event(client: &Client) -> Result<()> {
    // In the line of the data, behind it, and behind its LF.
    for at in [30, 2, 1] {
        let came = client.run(task(0), &|asked| {
            let next = asked.cursor() + 1;
            let stream = Stream::of(asked).frames(next, next);
            let half = stream.frame(next + 1);
            let kept = half.len().saturating_sub(at);
            if next < ALL { stream.bytes(&half.as_bytes()[..kept]).cut() } else { stream.end() }
        })?;
        came.ensure_frames(1, ALL)?;
        let cursors = came.cursors();
        ensure!(cursors.is_sorted_by(|a, b| a < b), "the cursors {cursors:?}");
        came.ensure_end("ok")?;
    }
    Ok(())
}

fn cut_in_character(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| {
        let next = asked.cursor() + 1;
        let stream = Stream::of(asked);
        let text = stream.frame(next);
        match text.find(|letter: char| !letter.is_ascii()) {
            Some(at) if asked.nth < next => stream.bytes(&text.as_bytes()[..=at]).cut(),
            _ => stream.frames(next, next).cut(),
        }
    })?;
    came.ensure_frames(1, ALL)?;
    came.ensure_end("ok")
}

fn cut_in_head(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| match asked.nth {
        0 => Vec::new(),
        1 => vec![Step::Say(b"HTTP/1.1 200 OK\r\ncontent-type: text/ev".to_vec())],
        _ => well(asked),
    })?;
    came.ensure_frames(1, ALL)?;
    came.ensure_end("ok")
}

fn dribbled(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| {
        let stream = Stream::of(asked);
        let text: String = (1..=ALL).map(|seq| stream.frame(seq)).collect();
        let text = text.as_bytes();
        text.chunks(1).fold(stream, |stream, byte| stream.bytes(byte).wait(1)).end()
    })?;
    came.ensure_frames(1, ALL)?;
    ensure!(came.asked.len() == 1, "it asks again");
    came.ensure_end("ok")
}

fn heartbeats(client: &Client) -> Result<()> {
    let third = u64::try_from(client.silence.as_millis())? / 3;
    let came = client.run(task(0), &|asked| {
        let mut stream = Stream::of(asked).frames(1, 1);
        for _ in 0..if stream.events { 6 } else { 0 } {
            stream = stream.wait(third).event_text(": still here\n\n");
        }
        stream.frames(2, ALL).end()
    })?;
    came.ensure_frames(1, ALL)?;
    ensure!(came.asked.len() == 1, "it takes a connection for dead that is not");
    came.ensure_end("ok")
}

fn silence(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| match asked.nth {
        0 => Stream::of(asked).frames(1, 1).held(),
        _ => well(asked),
    })?;
    let asked: Vec<_> = came.of(Kind::Frames).collect();
    if asked
        .first()
        .and_then(|asked| asked.header("accept"))
        .is_some_and(|it| it.contains("ndjson"))
    {
        return Err(Skipped("JSON lines have no heartbeats".to_owned()).into());
    }
    if let [first, second, ..] = asked.as_slice() {
        let waited = second.at.duration_since(first.at);
        let late = client.silence * 2 + Duration::from_secs(5);
        ensure!(waited <= late, "it asks again after {} ms", waited.as_millis());
    }
    came.ensure_frames(1, ALL)?;
    ensure!(came.cursors() == [0, 1], "the cursors {:?}", came.cursors());
    came.ensure_end("ok")
}

fn end_without_terminal(client: &Client) -> Result<()> {
    let came = client
        .run(task(0), &|asked| Stream::of(asked).frames(asked.cursor() + 1, ALL - 1).end())?;
    came.ensure_frames(1, ALL - 1)?;
    let cursors = came.cursors();
    let again = cursors.get(1..).unwrap_or_default();
    ensure!(!again.is_empty() && again.iter().all(|it| *it == ALL - 1), "the cursors {cursors:?}");
    came.ensure_end("unknown")
}

fn broken_off(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| match asked.nth {
        0 => Stream::of(asked).frames(1, 1).broken_off("unauthorized", false),
        _ => problem(401, "unauthorized", json!({})),
    })?;
    came.ensure_frames(1, 1)?;
    came.ensure_problem("unauthorized")?;
    let accept = came.asked.first().and_then(|asked| asked.header("accept"));
    let lines = accept.is_some_and(|it| it.contains("ndjson"));
    ensure!(lines || came.asked.len() == 1, "it asks again");
    Ok(())
}

fn broken_off_passing(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| match asked.nth {
        0 => Stream::of(asked).frames(1, 2).broken_off("draining", true),
        _ => well(asked),
    })?;
    came.ensure_frames(1, ALL)?;
    ensure!(came.cursors() == [0, 2], "the cursors {:?}", came.cursors());
    came.ensure_end("ok")
}
