//! Roots and keys that come and go while runs are led, and roots that must not be taken.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cases::Case;
use crate::script::{self, Script};
use crate::stage::Stage;
use crate::wire::{self, Key};

pub(super) const CASES: &[Case<Stage>] = &[
    Case {
        id: "root-is-asked-for",
        clauses: &["ID-52", "ID-14", "ID-51"],
        about: "a key of a root that the caller does not know: it asks, and goes on",
        run: |stage| {
            let (mut run, mut open) = stage.begun()?;
            stage.host().rotate(true)?;
            // Nothing told the caller of the root but the key itself.
            let _left = open.write(run.batch(3, 5)?);
            open.close();
            run.serve()
        },
    },
    Case {
        id: "root-told-by-status",
        clauses: &["ID-52", "ID-51"],
        about: "a status in the stream names a new root: the stream goes on under its key",
        run: |stage| {
            let (mut run, mut open) = stage.begun()?;
            let status = stage.host().rotate(true)?;
            open.write(script::event("status", &[&status.text()]) + &run.batch(3, 5)?)?;
            open.close();
            run.must_end("succeeded").or_else(|_| run.serve())
        },
    },
    Case {
        id: "root-not-signed-by-the-former",
        clauses: &["ID-6"],
        about: "a root that the former root's key did not sign",
        run: |stage| {
            let (former, own) = (stage.host().key("root")?, Key::of(wire::random::<32>()?));
            usurped(stage, |root| replace(root, &former, &own), std::slice::from_ref(&own))
        },
    },
    Case {
        id: "root-not-signed-by-its-own",
        clauses: &["ID-6"],
        about: "a root that its own root key did not sign",
        run: |stage| {
            let (former, own) = (stage.host().key("root")?, Key::of(wire::random::<32>()?));
            usurped(stage, |root| replace(root, &former, &own), &[stage.host().key("root")?])
        },
    },
    Case {
        id: "root-version",
        clauses: &["ID-5"],
        about: "a root whose version is not the next",
        run: |stage| {
            well_signed(stage, |root| {
                root["version"] = json!(root["version"].as_u64().unwrap_or(0) + 1)
            })
        },
    },
    Case {
        id: "root-prev",
        clauses: &["ID-5"],
        about: "a root that follows another one than it should",
        run: |stage| well_signed(stage, |root| root["prev"] = json!("A".repeat(43))),
    },
    Case {
        id: "root-issued-earlier",
        clauses: &["ID-5"],
        about: "a root that was issued before the one that it follows",
        run: |stage| {
            well_signed(stage, |root| {
                root["issued"] = json!(root["issued"].as_i64().unwrap_or(0) - 10 * 86_400_000);
            })
        },
    },
    Case {
        id: "root-lives-too-long",
        clauses: &["ID-8"],
        about: "a root that lives longer than 400 days",
        run: |stage| {
            well_signed(stage, |root| {
                root["expires"] = json!(root["issued"].as_i64().unwrap_or(0) + 34_560_000_001);
            })
        },
    },
    Case {
        id: "root-key-in-two-roles",
        clauses: &["ID-7"],
        about: "a root in which one key has two roles",
        run: |stage| {
            well_signed(stage, |root| {
                let (policy, request) =
                    (&root["roles"]["policy"], root["roles"]["request"].clone());
                let gone = policy["keyids"][0].as_str().unwrap_or_default().to_owned();
                root["roles"]["policy"] = request;
                root["keys"].as_object_mut().map(|keys| keys.remove(&gone));
            })
        },
    },
    Case {
        id: "root-key-name",
        clauses: &["ID-1"],
        about: "a root in which a key stands under another name",
        run: |stage| {
            well_signed(stage, |root| {
                let kid =
                    root["roles"]["policy"]["keyids"][0].as_str().unwrap_or_default().to_owned();
                let other = Key::of([7; 32]).public();
                root["keys"][&kid]["pub"] = json!(other);
            })
        },
    },
    Case {
        id: "root-with-a-bad-status",
        clauses: &["ID-81"],
        about: "a root is kept although the status that came with it is refused",
        run: |stage| {
            let host = stage.host();
            let (mut run, mut open) = stage.begun()?;
            host.rotate(true)?;
            host.publish(host.status(|status| status["root"] = json!("A".repeat(43)))?);
            let _left = open.write(run.batch(3, 5)?);
            open.close();
            let came = run.serve();
            host.publish(host.status(|_| {})?);
            came
        },
    },
    Case {
        id: "key-not-yet",
        clauses: &["ENV-13", "STR-10"],
        about: "a seal by a key whose time has not come",
        run: |stage| timed(stage, |now| (now + 3_600_000, now + 86_400_000), Duration::ZERO),
    },
    Case {
        id: "key-no-more",
        clauses: &["ENV-13", "STR-10"],
        about: "a seal by a key whose time is over",
        run: |stage| timed(stage, |now| (now - 1, now + 1_500), Duration::from_secs(2)),
    },
    Case {
        id: "endpoint-moved",
        clauses: &["ID-77"],
        about: "a root that is newer than the person's word says where the executor is",
        run: |stage| {
            let host = stage.host();
            let before = wire::document(&host.root(host.version()).context("a root")?.payload)?;
            let before = before["endpoints"].clone();
            let mut moved = before.clone();
            moved[0]["url"] = json!(stage.server.listen_elsewhere()?);
            let to = |endpoints: Value| {
                let change = |root: &mut Value| {
                    root["endpoints"] = endpoints;
                    Ok(())
                };
                host.rotate_as(change, &[host.key("root")?])
            };
            to(moved)?;
            stage.start()?.serve()?;
            let since = stage.server.log().len();
            let came = stage.start()?.serve();
            let log = stage.server.log();
            to(before)?;
            stage.start()?.serve()?;
            came?;
            let asked = |entry: &&String| entry.contains("POST");
            let first = log[since..].iter().find(asked).context("a start")?;
            ensure!(first.starts_with("moved "), "the start went to the former address");
            Ok(())
        },
    },
    Case {
        id: "accept-by-former-key",
        clauses: &["ID-53"],
        about: "an accept by a key that left the root counts once a present key seals it",
        run: |stage| {
            let host = stage.host();
            let former = host.stream_key()?;
            let version = host.version();
            host.rotate(false)?;
            // So that the caller knows that the key is a former one.
            stage.start()?.serve()?;
            let mut run = stage.start()?;
            let asked = run.asked("start")?;
            let mut accept = Script::accept_of(host, &asked)?;
            accept["root_version"] = json!(version);
            let accept = former.seal("accept", &wire::bytes_of(&accept));
            run.lead(Script::under(accept, &script::five())?);
            asked.accept(run.script()?)?.close();
            let again = run.asked_for_frames()?;
            ensure!(again.op() == "start", "an accept that nobody vouches for now was acted on");
            let mut open = again.accept(run.script()?)?;
            open.write(run.batch(1, 2)?)?;
            open.close();
            run.must_be_told(2)?;
            ensure!(run.asked_for_frames()?.op() == "attach", "an accept that a seal names");
            run.serve()
        },
    },
    Case {
        id: "seal-by-former-key",
        clauses: &["STR-10", "ENV-9"],
        about: "a seal by a key that left the root",
        run: |stage| {
            let former = stage.host().stream_key()?;
            stage.host().rotate(false)?;
            // So that the caller has the root before the former key signs.
            stage.start()?.serve()?;
            super::seals::resealed(stage, &former)
        },
    },
    Case {
        id: "seal-by-revoked-key",
        clauses: &["ID-22", "STR-10"],
        about: "a status in the stream revokes a key: what it seals from then on is not told",
        run: revoked,
    },
];

/// The next root is wrong in one way and signed as it should be.
fn well_signed(stage: &Stage, change: impl FnOnce(&mut Value)) -> Result<()> {
    let change = |root: &mut Value| {
        change(root);
        Ok(())
    };
    usurped(stage, change, &[stage.host().key("root")?])
}

/// The kit serves a next root that must not be taken, and seals by a key that it names. The caller asks for it
/// and tells nothing; then the kit has its key again.
fn usurped(
    stage: &Stage,
    change: impl FnOnce(&mut Value) -> Result<()>,
    signers: &[Key],
) -> Result<()> {
    let host = stage.host();
    let (mut run, mut open) = stage.begun()?;
    let came = host.usurp(change, signers).and_then(|()| {
        let _left = open.write(run.batch(3, 5)?);
        open.must_be_left()?;
        let root = format!("GET /federation/v1/root/{}", host.version());
        stage.server.must_be_asked(&root)?;
        // Had it taken the root, it would come again and believe the key.
        if let Some(asked) = run.asked_within("attach", Duration::from_secs(1))? {
            let first = asked.after() + 1;
            let mut open = asked.accept(run.script()?)?;
            let _left = open.write(run.batch(first, 5)?);
            open.must_be_left()?;
        }
        Ok(())
    });
    let told = run.must_be_told(2);
    host.depose()?;
    came?;
    told?;
    run.serve()
}

/// A good root names the key that the kit seals with, and the key has another time. A third key ends the run.
fn timed(stage: &Stage, time: impl Fn(i64) -> (i64, i64), wait: Duration) -> Result<()> {
    let host = stage.host();
    let (mut run, mut open) = stage.begun()?;
    let change = |root: &mut Value| {
        let (nbf, exp) = time(wire::now());
        let kid = host.stream_key()?.kid;
        root["keys"][&kid]["nbf"] = json!(nbf);
        root["keys"][&kid]["exp"] = json!(exp);
        Ok(())
    };
    let came = host.rotate_as(change, &[host.key("root")?]).and_then(|status| {
        open.write(script::event("status", &[&status.text()]))?;
        std::thread::sleep(wait);
        let _left = open.write(run.batch(3, 5)?);
        open.must_be_left()?;
        if let Some(asked) = run.asked_within("attach", Duration::from_secs(1))? {
            let first = asked.after() + 1;
            let mut open = asked.accept(run.script()?)?;
            let _left = open.write(run.batch(first, 5)?);
            open.must_be_left()?;
        }
        Ok(())
    });
    let told = run.must_be_told(2);
    host.rotate(true)?;
    came?;
    told?;
    run.serve()
}

/// One root key in place of another.
fn replace(root: &mut Value, former: &Key, own: &Key) -> Result<()> {
    let keys = root["keys"].as_object_mut().context("a root has keys")?;
    let mut life = keys.remove(&former.kid).context("a root key")?;
    life["pub"] = json!(own.public());
    keys.insert(own.kid.clone(), life);
    root["roles"]["root"]["keyids"] = json!([own.kid]);
    Ok(())
}

fn revoked(stage: &Stage) -> Result<()> {
    let host = stage.host();
    let former = host.stream_key()?;
    host.rotate(true)?;
    let (mut run, mut open) = stage.begun()?;
    let status = host.revoke(&former.kid)?;
    open.write(script::event("status", &[&status.text()]))?;
    let seal = former.seal("seal", &run.script()?.seal(host, 3)?.payload);
    open.write(run.script()?.batch_under(3, 3, &seal))?;
    open.must_be_left()?;
    run.must_be_told(2)?;
    run.serve()
}
