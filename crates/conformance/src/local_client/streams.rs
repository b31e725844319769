//! Following a run: what is shown, and what never is.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::client::Client;
use super::script::{ALL, LINES, Stream, problem, well};
use super::{follow as task, start};
use crate::cases::Case;

pub(super) const CASES: &[Case<Client>] = &[
    Case {
        id: "follow",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a run is started, and its frames are told as they were sealed, unknown events too",
        run: follow,
    },
    Case {
        id: "follow-from-cursor",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a cursor is where it goes on",
        run: from_cursor,
    },
    Case {
        id: "follow-after-terminal",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "the terminal is the end, whatever comes behind it",
        run: after_terminal,
    },
    Case {
        id: "event-forms",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "events in the other spellings of text/event-stream",
        run: event_forms,
    },
    Case {
        id: "refused-passing",
        clauses: &["docs/local-api.md#errors"],
        about: "a stream that is refused for now is asked again, no sooner than told",
        run: refused_passing,
    },
    Case {
        id: "refused-cursor",
        clauses: &["docs/local-api.md#errors"],
        about: "a cursor that is ahead is a refusal, and not asked again",
        run: refused_cursor,
    },
    Case {
        id: "frames-twice",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "frames that come twice are shown once",
        run: twice,
    },
    Case {
        id: "frames-gap",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a frame that is left out is asked for, and nothing behind it shown before",
        run: gap,
    },
    Case {
        id: "frames-not",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "what is no frame is not shown",
        run: not_frames,
    },
    Case {
        id: "line-oversized",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "a line without an end is not taken for ever",
        run: oversized,
    },
    Case {
        id: "frames-content-type",
        clauses: &["docs/local-api.md#frames-and-cursors"],
        about: "what is said to be a web page is no stream",
        run: web_page,
    },
];

fn follow(client: &Client) -> Result<()> {
    let came = client.run(start("start-and-follow"), &well)?;
    came.ensure_frames(1, ALL)?;
    came.ensure_end("ok")
}

fn from_cursor(client: &Client) -> Result<()> {
    let came = client.run(task(2), &well)?;
    came.ensure_frames(3, ALL)?;
    ensure!(came.cursors() == [2], "the cursor 2 was due: {:?}", came.cursors());
    came.ensure_end("ok")
}

fn after_terminal(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| {
        let stream = Stream::of(asked).frames(1, ALL);
        let more = stream.line(ALL + 1, "output", &LINES[1].replace("\"seq\":2", "\"seq\":6"));
        stream.bytes(more.as_bytes()).held()
    })?;
    came.ensure_frames(1, ALL)?;
    ensure!(came.asked.len() == 1, "it asks again behind the terminal");
    came.ensure_end("ok")
}

fn event_forms(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| {
        let stream = Stream::of(asked);
        if !stream.events {
            return stream.frames(1, ALL).end();
        }
        let stream = stream
            .event_text(&format!(":\n:x\nid\nfuture: 1\ndata:{}\n\n", LINES[0]))
            .event_text(&format!("id: 2\r\nevent:output\r\ndata: {}\r\n\r\n", LINES[1]))
            // Neither an event without data nor a field without a colon is anything.
            .event_text("event: problem\n\nevent\n\n");
        stream.frames(3, ALL).end()
    })?;
    came.ensure_frames(1, ALL)?;
    ensure!(came.asked.len() == 1, "it asks again");
    came.ensure_end("ok")
}

fn refused_passing(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| match asked.nth {
        0 => problem(503, "halted", json!({"retryable": true, "retryAfterMs": 900})),
        _ => well(asked),
    })?;
    came.ensure_frames(1, ALL)?;
    came.ensure_end("ok")?;
    let [first, second] = came.asked.as_slice() else { return Ok(()) };
    let waited = second.at.duration_since(first.at).as_millis();
    ensure!(waited >= 900, "it asks again after {waited} ms");
    Ok(())
}

fn refused_cursor(client: &Client) -> Result<()> {
    let came = client.run(task(9), &|_| problem(409, "cursor_ahead", json!({})))?;
    came.ensure_problem("cursor_ahead")?;
    ensure!(came.asked.len() == 1, "it asks again");
    Ok(())
}

fn twice(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| match asked.nth {
        0 => Stream::of(asked).frames(1, 2).cut(),
        // Whatever the cursor says.
        1 => Stream::of(asked).frames(1, 3).cut(),
        _ => well(asked),
    })?;
    came.ensure_frames(1, ALL)?;
    came.ensure_end("ok")
}

fn gap(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| match asked.nth {
        0 => Stream::of(asked).frames(1, 1).frames(3, ALL).end(),
        _ => well(asked),
    })?;
    came.ensure_frames(1, ALL)?;
    ensure!(came.cursors() == [0, 1], "the cursors {:?}", came.cursors());
    came.ensure_end("ok")?;
    // And one that stays.
    let came = client.run(task(0), &|asked| {
        let next = if asked.cursor() == 0 { 1 } else { 3 };
        Stream::of(asked).frames(next, 1).frames(3, ALL).end()
    })?;
    came.ensure_frames(1, 1)?;
    came.ensure_end("unknown")
}

fn not_frames(client: &Client) -> Result<()> {
    let lines = [
        r#"{"seq":true,"event":"output","payload":{}}"#,
        r#"{"seq":"1","event":"output","payload":{}}"#,
        r#"{"seq":1,"event":"output","payload":null}"#,
        r#"{"seq":1,"event":"output","payload":[]}"#,
        r#"{"seq":1,"event":7,"payload":{}}"#,
        r#"{"seq":1,"event":"output"}"#,
        "{\"seq\":1,\"event\":\"output\",\"payload\":{}",
        "null",
        "7",
    ];
    for line in lines {
        let came = client.run(task(0), &|asked| {
            let stream = Stream::of(asked);
            let text = stream.line(1, "output", line);
            if asked.nth > 0 { well(asked) } else { stream.bytes(text.as_bytes()).cut() }
        })?;
        came.ensure_frames(1, ALL).with_context(|| line.to_owned())?;
        came.ensure_end("ok")?;
    }
    Ok(())
}

fn oversized(client: &Client) -> Result<()> {
    let came = client.run(task(0), &|asked| match asked.nth {
        0 => Stream::of(asked).frames(1, 1).flood(FLOOD),
        _ => well(asked),
    })?;
    ensure!(came.flooded < FLOOD, "it takes a line of {FLOOD} bytes");
    came.ensure_frames(1, ALL)?;
    came.ensure_end("ok")
}

fn web_page(client: &Client) -> Result<()> {
    let came = client
        .run(task(0), &|asked| Stream::said_to_be("text/html", asked).frames(1, ALL).end())?;
    came.ensure_frames(1, 0)?;
    came.ensure_not_ok()
}

const FLOOD: u64 = 64 << 20;
