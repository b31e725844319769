//! The status that goes along with each operation. Last, because some of it cannot be taken back.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Case, refusal_of};
use crate::caller::{Caller, RUNS};
use crate::wire::{self, Envelope};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "status-expired",
        clauses: &["ID-16"],
        about: "an expired status is status_stale, unsigned",
        run: |caller| {
            // Newer than all that were shown, and expired already.
            std::thread::sleep(std::time::Duration::from_millis(20));
            let issued = wire::now() - 5;
            tried(caller, "status_stale", |status| {
                (status["issued"], status["seq"]) = (json!(issued), json!(issued));
                (status["expires"], status["refresh_ms"]) = (json!(issued + 1), json!(1));
            })
        },
    },
    Case {
        id: "status-older",
        clauses: &["ID-18"],
        about: "a good status that is older than one already shown is status_stale",
        run: |caller| {
            // The newer one has to be known first.
            caller.run(&caller.start()?)?;
            let issued = wire::now() - 3_000_000;
            tried(caller, "status_stale", |status| {
                (status["issued"], status["seq"]) = (json!(issued), json!(issued));
            })
        },
    },
    Case {
        id: "status-incarnation-back",
        clauses: &["ID-18"],
        about: "a newer status of an earlier incarnation is status_stale",
        run: |caller| {
            caller.run(&caller.start()?)?;
            tried(caller, "status_stale", |status| status["incarnation"]["n"] = json!(1))
        },
    },
    Case {
        id: "status-life",
        clauses: &["ID-17"],
        about: "a status that lives longer than a day is malformed",
        run: |caller| {
            tried(caller, "malformed", |status| {
                status["expires"] = json!(wire::now() + 90_000_000);
            })
        },
    },
    Case {
        id: "status-number",
        clauses: &["ID-17"],
        about: "a status whose seq is not its issued is malformed",
        run: |caller| {
            tried(caller, "malformed", |status| status["seq"] = json!(wire::now() + 1_000))
        },
    },
    Case {
        id: "status-future",
        clauses: &["ID-17"],
        about: "a status from more than a minute ahead is verification_failed",
        run: |caller| {
            let issued = wire::now() + 90_000;
            tried(caller, "verification_failed", |status| {
                (status["issued"], status["seq"]) = (json!(issued), json!(issued));
                (status["expires"], status["refresh_ms"]) = (json!(issued + 60_000), json!(30_000));
            })
        },
    },
    Case {
        id: "status-of-another",
        clauses: &["ID-15"],
        about: "a status in another gateway's name is verification_failed",
        run: |caller| {
            tried(caller, "verification_failed", |status| status["iss"] = json!(caller.gid))?;
            let nobody = format!("gw1-{}", "a".repeat(52));
            tried(caller, "verification_failed", |status| status["iss"] = json!(nobody))
        },
    },
    Case {
        id: "status-of-another-root",
        clauses: &["ID-15"],
        about: "a status that names another root of its version is verification_failed",
        run: |caller| {
            let other = wire::text_of([7; 32]);
            tried(caller, "verification_failed", |status| status["root"] = json!(other))
        },
    },
    Case {
        id: "status-root-unknown",
        clauses: &["ID-15"],
        about: "a status that names a root to come is root_unknown, with the newest that is known",
        run: |caller| {
            let mut status = caller.home.status(&[]);
            let next = caller.home.version() + 1;
            status["root_version"] = json!(next);
            status["root"] = json!(wire::text_of([7; 32]));
            let status = caller.key("status")?.seal("status", &wire::bytes_of(&status));
            let refusal = sent(caller, &status, "root_unknown")?;
            ensure!(refusal["have"] == next - 1, "it has {}", refusal["have"]);
            Ok(())
        },
    },
    Case {
        id: "status-signer",
        clauses: &["ENV-9"],
        about: "a status signed by the caller's key of another role is verification_failed",
        run: |caller| {
            let status = wire::bytes_of(&caller.home.status(&[]));
            for role in ["request", "stream", "root"] {
                let signed = caller.key(role)?.seal("status", &status);
                sent(caller, &signed, "verification_failed")?;
            }
            Ok(())
        },
    },
    Case {
        id: "revoked",
        clauses: &["ID-22", "ID-82"],
        about: "a key that a status revoked signs nothing more, also when a later one is silent",
        run: |caller| {
            let spare = caller.key("spare")?;
            let status = caller.key("status")?;
            for revoked in [&[spare.kid.as_str()][..], &[]] {
                let own = status.seal("status", &wire::bytes_of(&caller.home.status(revoked)));
                caller.restate(own);
                let start = caller.start()?;
                let signed = spare.seal("request", &wire::bytes_of(&start));
                let reply = caller.post(RUNS, caller.operation(&signed).as_bytes())?;
                refusal_of(caller, reply, None, ("verification_failed", false))?;
                super::nothing_of(caller, &start)?;
            }
            Ok(())
        },
    },
];

fn tried(caller: &Caller, code: &str, bend: impl FnOnce(&mut Value)) -> Result<()> {
    let mut status = caller.home.status(&[]);
    bend(&mut status);
    let signed = caller.key("status")?.seal("status", &wire::bytes_of(&status));
    sent(caller, &signed, code).map(drop)
}

fn sent(caller: &Caller, status: &Envelope, code: &str) -> Result<Value> {
    let start = caller.start()?;
    let request = caller.sign(&start)?;
    let body = format!(r#"{{"status":{},"request":{}}}"#, status.text(), request.text());
    let reply = caller.post(RUNS, body.as_bytes())?;
    let refusal = refusal_of(caller, reply, None, (code, false))?;
    super::nothing_of(caller, &start)?;
    Ok(refusal.problem)
}
