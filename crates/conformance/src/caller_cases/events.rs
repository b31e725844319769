//! Events in another form than the one that there is, and larger than they may be.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::json;

use super::seals::push;
use super::{bent, dropped};
use crate::cases::Case;
use crate::script;
use crate::stage::Stage;

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "line-ends",
        clauses: &["STR-2"],
        about: "an event whose lines end with CRLF",
        run: |stage| {
            dropped(stage, |run, open| {
                let next = run.script()?.alive(stage.host(), 2)?;
                open.write(run.batch(3, 3)?.replace('\n', "\r\n") + &next)
            })
        },
    },
    Case {
        id: "byte-order-mark",
        clauses: &["STR-2"],
        about: "an event behind a byte order mark",
        run: |stage| bent(stage, |event| format!("\u{feff}{event}").into_bytes()),
    },
    Case {
        id: "comment",
        clauses: &["STR-2"],
        about: "a comment between two events",
        run: |stage| bent(stage, |event| format!(": still here\n\n{event}").into_bytes()),
    },
    Case {
        id: "field-other",
        clauses: &["STR-2"],
        about: "an event with the field `retry`",
        run: |stage| bent(stage, |event| format!("retry: 10\n{event}").into_bytes()),
    },
    Case {
        id: "field-order",
        clauses: &["STR-2"],
        about: "an event whose name stands before its id",
        run: |stage| {
            bent(stage, |event| {
                event.replace("id: 3\nevent: frames\n", "event: frames\nid: 3\n").into_bytes()
            })
        },
    },
    Case {
        id: "field-space",
        clauses: &["STR-2"],
        about: "fields without the space after the colon",
        run: |stage| bent(stage, |event| event.replace("data: ", "data:").into_bytes()),
    },
    Case {
        id: "empty-line",
        clauses: &["STR-2"],
        about: "two empty lines before an event",
        run: |stage| bent(stage, |event| format!("\n\n{event}").into_bytes()),
    },
    Case {
        id: "id-missing",
        clauses: &["STR-2"],
        about: "a batch without an id",
        run: |stage| bent(stage, |event| event.replace("id: 3\n", "").into_bytes()),
    },
    Case {
        id: "id-spelling",
        clauses: &["STR-2"],
        about: "an id with a zero in front",
        run: |stage| bent(stage, |event| event.replace("id: 3\n", "id: 03\n").into_bytes()),
    },
    Case {
        id: "id-other",
        clauses: &["STR-11"],
        about: "an id that is not the last frame's number",
        run: |stage| bent(stage, |event| event.replace("id: 3\n", "id: 4\n").into_bytes()),
    },
    Case {
        id: "event-name",
        clauses: &["STR-2"],
        about: "an event of a name that there is not",
        run: |stage| {
            bent(stage, |event| event.replace("event: frames", "event: message").into_bytes())
        },
    },
    Case {
        id: "not-utf-8",
        clauses: &["STR-2", "STR-5"],
        about: "a byte that is no UTF-8 in a frame",
        run: |stage| {
            bent(stage, |event| {
                let at = event.find("Two").unwrap_or_default();
                let mut bytes = event.into_bytes();
                bytes[at] = 0xff;
                bytes
            })
        },
    },
    Case {
        id: "alive-twice-sealed",
        clauses: &["STR-2"],
        about: "an `alive` with two lines of data",
        run: |stage| {
            dropped(stage, |run, open| {
                let seal = run.script()?.seal(stage.host(), 2)?.text();
                open.write(script::event("alive", &[&seal, &seal]))
            })
        },
    },
    Case {
        id: "accept-twice",
        clauses: &["STR-2"],
        about: "the accept a second time on one connection",
        run: |stage| {
            dropped(stage, |run, open| open.write(run.script()?.accepted() + &run.batch(3, 3)?))
        },
    },
    Case {
        id: "accept-not-first",
        clauses: &["STR-2"],
        about: "a stream that begins with frames",
        run: |stage| {
            let mut run = stage.start()?;
            run.begin()?.close();
            let mut open = run.asked("attach")?.open()?;
            open.write(run.batch(1, 5)?)?;
            open.must_be_left()?;
            run.must_be_told(0)?;
            run.serve()
        },
    },
    Case {
        id: "stream-of-nothing",
        clauses: &["STR-2", "STR-22"],
        about: "a page of HTML in place of a stream",
        run: |stage| {
            let mut run = stage.start()?;
            run.begin()?.close();
            for _ in 0..2 {
                let mut asked = run.asked("attach")?;
                let page = b"<!DOCTYPE html>\n\n<p>Please log in.</p>\n\n";
                asked.exchange.reply(200, &[("Content-Type", "text/html")], page)?;
            }
            run.must_be_told(0)?;
            run.must_go_on()?;
            run.serve()
        },
    },
    Case {
        id: "event-endless",
        clauses: &["STR-3"],
        about: "an event that goes on beyond `EVENT_BYTES_MAX`",
        run: |stage| {
            dropped(stage, |_, open| {
                open.write("id: 3\nevent: frames\ndata: ")?;
                let piece = vec![b'x'; 65_536];
                for sent in 0..64 {
                    if open.write(&piece).is_err() || open.asked.exchange.is_left(SHORTLY) {
                        ensure!(sent >= 8, "it left after {sent} pieces");
                        return Ok(());
                    }
                }
                bail!("the caller takes 4 MiB of one event")
            })
        },
    },
    Case {
        id: "frame-largest",
        clauses: &["STR-3"],
        about: "a frame of `FRAME_BYTES_MAX` bytes is taken",
        run: |stage| {
            let mut run = stage.start()?;
            let frames = [sized(FRAME_BYTES_MAX, 1), script::succeeded()];
            run.begin_with(&frames)?.close();
            run.serve()
        },
    },
    Case {
        id: "frame-extremes",
        clauses: &["STR-5", "STR-8"],
        about: "the deepest nesting, the largest integers and any text are taken",
        run: |stage| {
            let deepest = (0..JSON_DEPTH_MAX - 2).fold(json!({}), |inner, _| json!({"a": inner}));
            let integers = json!([9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64]);
            let text = "\u{0}\u{1f}\"\\/\u{7f}\u{e9}\u{2028}\u{1f30d}";
            let mut run = stage.start()?;
            let frames = [
                script::started(),
                ("output", json!({"channel": "answer", "ext": deepest, "text": "deep"})),
                ("output", json!({"channel": "answer", "ext": {"n": integers}, "text": text})),
                script::succeeded(),
            ];
            run.begin_with(&frames)?.close();
            run.serve()
        },
    },
    Case {
        id: "frame-too-large",
        clauses: &["STR-3"],
        about: "a frame of one byte more is not",
        run: |stage| {
            dropped(stage, |run, open| {
                let mut other = run.script()?.up_to(2);
                push(&mut other, &sized(FRAME_BYTES_MAX + 1, 3));
                open.write(other.batch(stage.host(), 3, 3)?).or(Ok(()))
            })
        },
    },
    Case {
        id: "batch-longest",
        clauses: &["STR-3"],
        about: "a batch of `BATCH_FRAMES_MAX` frames is taken",
        run: |stage| {
            let mut run = stage.start()?;
            let mut frames = vec![script::started(); 63];
            frames.push(script::succeeded());
            let mut open = run.begin_with(&frames)?;
            open.write(run.batch(1, 64)?)?;
            open.close();
            run.must_end("succeeded")
        },
    },
    Case {
        id: "batch-too-long",
        clauses: &["STR-3"],
        about: "a batch of one frame more is not",
        run: |stage| {
            let mut run = stage.start()?;
            let mut frames = vec![script::started(); 64];
            frames.push(script::succeeded());
            let mut open = run.begin_with(&frames)?;
            open.write(run.batch(1, 65)?)?;
            open.must_be_left()?;
            run.must_be_told(0)?;
            drop(open);
            let mut open = run.asked("attach")?.accept(run.script()?)?;
            open.write(run.batch(1, 64)? + &run.batch(65, 65)?)?;
            open.close();
            run.must_end("succeeded")
        },
    },
    Case {
        id: "batch-too-large",
        clauses: &["STR-3"],
        about: "a batch of more than `BATCH_BYTES_MAX` bytes of frames",
        run: |stage| {
            let mut run = stage.start()?;
            let third = |seq| sized(180_000, seq);
            let frames = [third(1), third(2), third(3), script::succeeded()];
            let mut open = run.begin_with(&frames)?;
            open.write(run.batch(1, 3)?).or(anyhow::Ok(()))?;
            open.must_be_left()?;
            run.must_be_told(0)?;
            drop(open);
            run.serve()
        },
    },
];

/// A frame of so many bytes, where it has the number `seq` of one digit.
fn sized(bytes: usize, seq: usize) -> (&'static str, serde_json::Value) {
    let empty = json!({"channel": "thinking", "ext": {"pad": ""}});
    let own = format!(r#"{{"seq":{seq},"event":"output","payload":{empty}}}"#).len();
    let pad = "x".repeat(bytes - own);
    ("output", json!({"channel": "thinking", "ext": {"pad": pad}}))
}

const FRAME_BYTES_MAX: usize = 262_144;
const JSON_DEPTH_MAX: usize = 16;
const SHORTLY: Duration = Duration::from_millis(20);
