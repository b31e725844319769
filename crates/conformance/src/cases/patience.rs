//! Who is slow is not waited for. Each case takes more than half a minute.

use std::time::Duration;

use anyhow::ensure;

use super::{Case, refusal_of};
use crate::caller::{ATTACH, JSON, RUNS};
use crate::http;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "slow-request",
        clauses: &["REQ-9", "PRB-2"],
        about: "a request that stops in its middle is request_timeout within 40 seconds, and starts nothing",
        run: |caller| {
            let start = caller.start()?;
            let body = caller.operation(&caller.sign(&start)?);
            let half = &body.as_bytes()[..body.len() / 2];
            let reply = http::begin(&caller.place, ("POST", RUNS), &[JSON], (body.len(), half))?;
            refusal_of(caller, reply, None, ("request_timeout", false))?;
            super::nothing_of(caller, &start)
        },
    },
    Case {
        id: "slow-reader",
        clauses: &["STR-19", "STR-20"],
        about: "a reader that takes nothing for 40 seconds is cut, and finds the whole run later",
        run: |caller| {
            let prompt = caller.terms.given(&caller.terms.flood_prompt, "--flood-prompt")?;
            let start = caller.start_of(prompt)?;
            let mut stream = caller.open(RUNS, &start)?;
            std::thread::sleep(Duration::from_secs(40));
            // What lies in the buffers between the two is still there to be read.
            let cut = loop {
                match stream.next() {
                    Ok(true) => {}
                    Ok(false) | Err(_) => break stream.terminal().is_err(),
                }
            };
            ensure!(cut, "the executor waited for it with {} frames", stream.frames.len());
            let body = serde_json::json!({"after": stream.seq(), "run": stream.run()?});
            let rest = caller.open(ATTACH, &caller.request("attach", body)?)?;
            let mut rest = rest.onward(stream.chained())?;
            rest.finish()?;
            ensure!(rest.terminal()?["outcome"] == "succeeded", "it ended {}", rest.terminal()?);
            Ok(())
        },
    },
];
