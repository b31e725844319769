//! Refusals: which of them are a verdict, and what a caller makes of the others.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::asked::{self, Asked};
use crate::cases::Case;
use crate::stage::Stage;
use crate::wire::{self, Envelope};

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "refused-unsigned",
        clauses: &["PRB-5", "PRB-6"],
        about: "a refusal that nobody signed is no verdict, whatever its code",
        run: |stage| {
            let codes = ["verification_failed", "not_granted", "lost_history", "peer_revoked"];
            no_verdicts(stage, &codes, |mut asked, code| asked.exchange.unsigned(code))
        },
    },
    Case {
        id: "refused-for-now",
        clauses: &["PRB-5", "PRB-6"],
        about: "a signed refusal of the moment is no verdict",
        run: |stage| {
            let codes = ["replayed", "clock_skew", "internal", "halted", "rolled_back"];
            no_verdicts(stage, &codes, |asked, code| asked.refuse(stage.host(), code))
        },
    },
    Case {
        id: "refused-until-later",
        clauses: &["PRB-5", "PRB-6"],
        about: "who is told when to come again, comes again",
        run: |stage| {
            let codes = ["rate_limited", "overloaded", "draining", "store_unavailable"];
            no_verdicts(stage, &codes, |mut asked, code| {
                asked.exchange.refuse(stage.host(), &asked.signed, code, Some(300))
            })
        },
    },
    Case {
        id: "refused-without-a-problem",
        clauses: &["PRB-5", "PRB-6"],
        about: "an answer of a proxy is no verdict",
        run: |stage| {
            let codes = ["403", "404", "410", "502"];
            no_verdicts(stage, &codes, |mut asked, code| {
                let page = b"<h1>No.</h1>";
                asked.exchange.reply(code.parse()?, &[("Content-Type", "text/html")], page)
            })
        },
    },
    Case {
        id: "refused-of-another-request",
        clauses: &["PRB-5"],
        about: "a signed refusal of another request is no verdict on this one",
        run: |stage| {
            let first = std::cell::RefCell::new(None::<Envelope>);
            let codes = ["replayed", "not_granted", "input_refused"];
            no_verdicts(stage, &codes, |mut asked, code| {
                let mut first = first.borrow_mut();
                let request = first.get_or_insert_with(|| asked.signed.clone());
                asked.exchange.refuse(stage.host(), request, code, None)
            })
        },
    },
    Case {
        id: "refused-by-status-key",
        clauses: &["PRB-5", "ENV-9"],
        about: "a refusal by the key of another role is no verdict",
        run: |stage| {
            no_verdicts(stage, &["not_granted", "key_conflict"], |mut asked, code| {
                let told = told(stage, &asked, code)?;
                let told = stage.host().key("status")?.seal("problem", &told.payload);
                asked.exchange.envelope(403, &told)
            })
        },
    },
    Case {
        id: "refused-flipped-bit",
        clauses: &["PRB-5", "ENV-10"],
        about: "a refusal that was changed on its way is no verdict",
        run: |stage| {
            no_verdicts(stage, &["not_granted", "lost_history"], |mut asked, code| {
                let mut told = told(stage, &asked, code)?;
                told.signatures[0].1[7] ^= 4;
                asked.exchange.envelope(403, &told)
            })
        },
    },
    Case {
        id: "refused-for-another-caller",
        clauses: &["PRB-5"],
        about: "a refusal for another gateway is no verdict",
        run: |stage| {
            no_verdicts(stage, &["not_granted"], |mut asked, code| {
                let mut said = wire::document(&told(stage, &asked, code)?.payload)?;
                said["aud"] = said["iss"].clone();
                let told = stage.host().sign("problem", &said)?;
                asked.exchange.envelope(403, &told)
            })
        },
    },
    Case {
        id: "refused-endlessly",
        clauses: &["ENV-7", "PRB-6"],
        about: "a refusal of eight megabytes is not read to its end, and no verdict",
        run: |stage| {
            let mut run = stage.start()?;
            let mut asked = run.asked("start")?;
            let head = "HTTP/1.1 403 Kit\r\nContent-Type: application/vnd.gfp.envelope+json\r\n";
            asked.exchange.write(format!("{head}Content-Length: 8388608\r\n\r\n").as_bytes())?;
            let piece = vec![b' '; 65_536];
            let taken = (0..128).all(|_| asked.exchange.write(&piece).is_ok());
            drop(asked);
            ensure!(!taken, "the caller reads all of it");
            run.must_go_on()?;
            run.serve()
        },
    },
    Case {
        id: "redirected",
        clauses: &["ID-39"],
        about: "a redirect is not followed, and no verdict",
        run: |stage| {
            let elsewhere = "/federation/v1/elsewhere";
            no_verdicts(stage, &["301", "302", "307", "308"], |mut asked, status| {
                let headers = [("Location", elsewhere)];
                asked.exchange.reply(status.parse()?, &headers, b"")
            })?;
            let followed = stage.server.log().iter().any(|entry| entry.ends_with(elsewhere));
            ensure!(!followed, "the caller followed a redirect");
            Ok(())
        },
    },
    Case {
        id: "redirected-to-itself",
        clauses: &["ID-39", "REQ-7"],
        about: "a redirect to the same place does not make the caller send one request twice",
        run: |stage| {
            no_verdicts(stage, &["307", "308"], |mut asked, status| {
                let headers = [("Location", "/federation/v1/runs")];
                asked.exchange.reply(status.parse()?, &headers, b"")
            })
        },
    },
    Case {
        id: "verdict",
        clauses: &["STR-38", "PRB-5"],
        about: "a signed verdict on a start ends it as rejected, with its problem",
        run: |stage| {
            for code in ["not_granted", "input_refused", "protocol_unsupported"] {
                verdict(stage, code, "rejected")?;
            }
            Ok(())
        },
    },
    Case {
        id: "verdict-key-expired",
        clauses: &["STR-29"],
        about: "a start whose key expired: what became of it is unknown",
        run: |stage| verdict(stage, "key_expired", "lost"),
    },
    Case {
        id: "verdict-cancelled-before-start",
        clauses: &["STR-38"],
        about: "a start whose key was cancelled ends as cancelled",
        run: |stage| verdict(stage, "cancelled_before_start", "cancelled"),
    },
    Case {
        id: "verdict-key-conflict",
        clauses: &["REQ-65"],
        about: "a key that the executor knows with another body: what became of it is unknown",
        run: |stage| verdict(stage, "key_conflict", "lost").map(drop),
    },
    Case {
        id: "verdict-lost-history",
        clauses: &["STR-29"],
        about: "an executor that forgot the time of the start: what became of it is unknown",
        run: |stage| verdict(stage, "lost_history", "lost"),
    },
    Case {
        id: "verdict-unknown-code",
        clauses: &["PRB-7"],
        about: "a signed refusal with a code that nobody knows ends the run, and keeps its text",
        run: |stage| {
            let mut run = stage.start()?;
            let mut asked = run.asked("start")?;
            let mut said = wire::document(&told(stage, &asked, "not_granted")?.payload)?;
            said["problem"]["code"] = json!("wrong_moon_phase");
            said["problem"]["retryable"] = json!(true);
            asked.exchange.envelope(403, &stage.host().sign("problem", &said)?)?;
            let end = run.must_end_itself(0, "rejected")?;
            ensure!(end.to_string().contains("wrong_moon_phase"), "the code is gone: {end}");
            run.must_be_quiet(QUIET)
        },
    },
    Case {
        id: "attach-refused-for-now",
        clauses: &["STR-43", "PRB-6"],
        about: "an accepted run is kept when its attach is refused for another reason than its end",
        run: |stage| kept(stage, &["peer_suspended", "not_granted", "draining", "halted"]),
    },
    Case {
        id: "attach-refused-otherwise",
        clauses: &["STR-43"],
        about: "an accepted run is kept when its attach is refused with a code that is final elsewhere",
        run: |stage| {
            let codes = ["key_conflict", "key_expired", "input_refused", "too_large", "malformed"];
            kept(stage, &codes)
        },
    },
    Case {
        id: "attach-refused-unsigned",
        clauses: &["PRB-5", "PRB-6"],
        about: "an unsigned word that there is no such run does not end it",
        run: |stage| {
            let (mut run, open) = stage.begun()?;
            open.close();
            for code in ["not_found", "cursor_gone", "peer_revoked", "lost_history"] {
                run.asked("attach")?.exchange.unsigned(code)?;
                run.must_be_told(2)?;
                run.must_go_on()?;
            }
            run.serve()
        },
    },
    Case {
        id: "attach-refused-for-good",
        clauses: &["STR-29", "STR-30"],
        about: "a signed word that no terminal can come ends an accepted run as lost",
        run: |stage| {
            for code in ["not_found", "cursor_gone", "cursor_ahead", "lost_history", "peer_revoked"]
            {
                let (mut run, open) = stage.begun()?;
                open.close();
                run.asked("attach")?.refuse(stage.host(), code)?;
                run.must_end_itself(2, "lost")?;
                run.must_be_quiet(QUIET)?;
            }
            Ok(())
        },
    },
    Case {
        id: "deadline-passed",
        clauses: &["STR-29"],
        about: "a run whose deadline and grace passed, and of which nothing comes, is lost",
        run: |stage| {
            let mut run = stage.start()?;
            let asked = run.asked("start")?;
            let mut accept = crate::script::Script::accept_of(stage.host(), &asked)?;
            // `LOST_GRACE_MS` later is in a few seconds.
            accept["deadline"] = json!(wire::now() - 112_000);
            let accept = stage.host().sign("accept", &accept)?;
            run.lead(crate::script::Script::under(accept, &crate::script::five())?);
            let mut open = asked.accept(run.script()?)?;
            open.write(run.batch(1, 2)?)?;
            run.must_be_told(2)?;
            run.must_go_on()?;
            run.must_end_itself(2, "lost").map(drop)
        },
    },
];

/// A start is refused in these ways, one after the other; the caller keeps it and asks again.
fn no_verdicts(
    stage: &Stage,
    ways: &[&str],
    refuse: impl Fn(Asked, &str) -> Result<()>,
) -> Result<()> {
    let mut run = stage.start()?;
    for way in ways {
        refuse(run.asked("start")?, way)?;
        run.must_be_told(0)?;
        run.must_go_on()?;
    }
    run.serve()
}

/// The attach of a run is refused, signed, with these codes; the caller keeps the run and comes again.
fn kept(stage: &Stage, codes: &[&str]) -> Result<()> {
    let (mut run, open) = stage.begun()?;
    open.close();
    for code in codes {
        run.asked("attach")?.refuse(stage.host(), code)?;
        run.must_be_told(2)?;
        run.must_go_on()?;
    }
    run.serve()
}

/// A start is refused, signed; the caller ends it itself and asks no more.
fn verdict(stage: &Stage, code: &str, outcome: &str) -> Result<()> {
    let mut run = stage.start()?;
    run.asked("start")?.refuse(stage.host(), code)?;
    let end = run.must_end_itself(0, outcome)?;
    if outcome == "rejected" {
        ensure!(end["payload"]["problem"]["code"] == code, "the verdict is not told: {end}");
    }
    run.must_be_quiet(QUIET)
}

fn told(stage: &Stage, asked: &Asked, code: &str) -> Result<Envelope> {
    let (_, problem): (u16, Value) = asked::problem(code, None)?;
    asked::told(stage.host(), &asked.signed, &problem)
}

const QUIET: std::time::Duration = std::time::Duration::from_millis(800);
