//! Approvals: the kit relies, and the executor's operators decide (`--scope`, `--hook approve=…`, `deny=…`).

use anyhow::{Context, Result, ensure};
use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};

use super::catalogs::verified;
use super::{Case, refusal_of, refused};
use crate::caller::{Caller, RUNS};
use crate::stream::Stream;
use crate::wire::{self, Envelope};

/// What is to be approved.
const SUBJECT: &str = "systemctl restart kit";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "approval-given",
        clauses: &["APR-10", "APR-16", "APR-34", "APR-35"],
        about: "an approve arrives with catalog and credential, all of it holds, and the run succeeds",
        run: |caller| decided(caller, "approve", ("succeeded", None)),
    },
    Case {
        id: "approval-denied",
        clauses: &["APR-10", "APR-34"],
        about: "a deny arrives the same way, and the run fails with approval_denied",
        run: |caller| decided(caller, "deny", ("failed", Some("approval_denied"))),
    },
    Case {
        id: "approval-not-in-time",
        clauses: &["APR-16", "APR-25"],
        about: "a question that nobody answers by its end fails with approval_expired",
        run: |caller| {
            let question = question(caller, |asked| asked["expires"] = json!(wire::now() + 2_000))?;
            let run = caller.run(&asking(caller, &question.0)?)?;
            ensure!(resolutions(&run)?.is_empty(), "somebody decided");
            refused_in_the_run(&run, "approval_expired")
        },
    },
    Case {
        id: "approval-asked-again",
        clauses: &["REQ-19", "APR-34"],
        about: "a question that was decided tells the same decision to whoever asks again",
        run: |caller| {
            caller.terms.needs(&["approve"])?;
            let (asked, id) = question(caller, |_| {})?;
            let start = asking(caller, &asked)?;
            let mut run = caller.open(RUNS, &start)?;
            run.until(1)?;
            caller.terms.done("approve", &id)?;
            run.finish()?;
            let again = caller.run(&caller.again(&start)?)?;
            ensure!(again.frames == run.frames, "another decision");
            Ok(())
        },
    },
    Case {
        id: "question-forged",
        clauses: &["APR-14"],
        about: "a question that another key signed is approval_refused",
        run: |caller| {
            let asked = doubtful(caller, |_| {})?;
            let mut other = asked.clone();
            other.signatures[0].1[0] ^= 1;
            bad(caller, &other)?;
            bad(caller, &caller.key("status")?.seal("approval-request", &asked.payload))
        },
    },
    Case {
        id: "question-to-another",
        clauses: &["APR-14"],
        about: "a question to or from another gateway, or about other tenants, is approval_refused",
        run: |caller| {
            let nobody = format!("gw1-{}", "a".repeat(52));
            for (pointer, value) in [
                ("/aud", nobody.as_str()),
                ("/iss", &nobody),
                ("/tenant/deciding", "kit-nobody"),
                ("/tenant/relying", "kit-nobody"),
            ] {
                let bend = |asked: &mut Value| {
                    if let Some(place) = asked.pointer_mut(pointer) {
                        *place = json!(value);
                    }
                };
                bad(caller, &doubtful(caller, bend)?)?;
            }
            Ok(())
        },
    },
    Case {
        id: "question-expired",
        clauses: &["APR-14"],
        about: "a question that ended, or that would live for more than a day, is approval_refused",
        run: |caller| {
            let old = wire::now() - 600_000;
            let over = |asked: &mut Value| {
                (asked["issued"], asked["expires"]) = (json!(old), json!(old + 300_000));
            };
            bad(caller, &doubtful(caller, over)?)?;
            let long = |asked: &mut Value| asked["expires"] = json!(wire::now() + 86_500_000);
            bad(caller, &doubtful(caller, long)?)
        },
    },
    Case {
        id: "question-of-other-bytes",
        clauses: &["APR-14"],
        about: "a question whose subject has another digest or size is approval_refused",
        run: |caller| {
            let digest = wire::text_of([7; 32]);
            bad(caller, &doubtful(caller, |asked| asked["subject"]["digest"] = json!(digest))?)?;
            bad(caller, &doubtful(caller, |asked| asked["subject"]["size"] = json!(1))?)
        },
    },
    Case {
        id: "approval-target",
        clauses: &["APR-32"],
        about: "a question to another agent than `operators` is malformed",
        run: |caller| {
            let mut start = asking(caller, &question(caller, |_| {})?.0)?;
            start["body"]["agentTarget"]["agent"] = json!(caller.terms.agent);
            refused(caller, &start, ("malformed", false))
        },
    },
    Case {
        id: "approval-unknown",
        clauses: &["APR-31"],
        about: "a decision about an approval that there is not ends as approval_unknown",
        run: |caller| {
            caller.terms.given(&caller.terms.scope, "--scope")?;
            let decision = own_decision(caller)?;
            let mut start = about_approvals(caller)?;
            start["body"]["approvalGrant"] = json!({"approval": fresh()?, "decision": decision});
            refused_in_the_run(&caller.run(&start)?, "approval_unknown")
        },
    },
    Case {
        id: "approval-without-a-route",
        clauses: &["APR-29"],
        about: "a run that nobody could approve does not wait: an error frame says no_approval_route",
        run: |caller| {
            let prompt = caller.terms.given(&caller.terms.waiting_prompt, "--waiting-prompt")?;
            let run = caller.run(&caller.start_of(prompt)?)?;
            let frames: Result<Vec<Value>> =
                (0..run.frames.len()).map(|at| run.frame(at)).collect();
            let told = frames?.iter().any(|frame| {
                frame["event"] == "error" && frame["payload"]["code"] == "no_approval_route"
            });
            ensure!(told, "no error frame says so");
            Ok(())
        },
    },
];

/// A question is asked, an operator decides, and everything that comes of it is judged.
fn decided(caller: &Caller, vote: &str, (outcome, code): (&str, Option<&str>)) -> Result<()> {
    caller.terms.needs(&[vote])?;
    let (asked, id) = question(caller, |_| {})?;
    let mut run = caller.open(RUNS, &asking(caller, &asked)?)?;
    run.until(1)?;
    caller.terms.done(vote, &id)?;
    run.finish()?;
    let resolutions = resolutions(&run)?;
    ensure!(resolutions.len() == 1, "{} decisions", resolutions.len());
    let told = &resolutions[0];
    ensure!(told["by"] == "operator" && told["decision"] == vote, "it tells {told}");
    judged(caller, &asked, told["evidence"].as_str().context("a decision is told")?, vote)?;
    let terminal = run.terminal()?;
    ensure!(terminal["outcome"] == outcome, "it ended as {terminal}");
    ensure!(terminal["problem"]["code"].as_str() == code, "it ended as {terminal}");
    Ok(())
}

/// Judges a decision as a relying gateway has to (APR-11, APR-12, APR-17 to APR-19).
fn judged(caller: &Caller, asked: &Envelope, evidence: &str, vote: &str) -> Result<()> {
    let decision: Value = serde_json::from_str(evidence).context("a decision is JSON")?;
    let read = |name: &str| Envelope::read(decision[name].to_string().as_bytes());
    let catalog = verified(caller, "catalog", "catalog", &read("catalog")?)?;
    let sent = read("credential")?;
    let credential = verified(caller, "operator-credential", "operator-ca", &sent)?;
    let (approval, proof) = (&decision["approval"], &decision["approval"]["proof"]);
    ensure!(proof["kind"] == "file", "the kit judges keys in files, not {}", proof["kind"]);
    let payload = BASE64.decode(approval["payload"].as_str().unwrap_or_default().as_bytes())?;
    let said = wire::document(&payload)?;
    let named = |key: &&Value| key["kid"] == proof["kid"] && key["kind"] == "file";
    let key = credential["keys"].as_array().and_then(|keys| keys.iter().find(named));
    let key = key.context("the credential does not list the key")?;
    let public = BASE64URL_NOPAD.decode(key["pub"].as_str().unwrap_or_default().as_bytes())?;
    let name = wire::text_of(wire::hash(&[b"GFP-KEY-v1\ned25519\n", &public]));
    ensure!(key["kid"] == json!(name), "a key's name is its digest");
    let public: [u8; 32] = public.try_into().ok().context("a key has 32 bytes")?;
    let sig = BASE64.decode(proof["sig"].as_str().unwrap_or_default().as_bytes())?;
    let signed = wire::pae(&wire::media("approval"), &payload);
    VerifyingKey::from_bytes(&public)?
        .verify_strict(&signed, &Signature::from_slice(&sig)?)
        .context("the operator's signature does not hold")?;

    let (scope, tenant) = (caller.terms.given(&caller.terms.scope, "--scope")?, tenants(caller));
    let digest = wire::text_of(sent.digest());
    for (name, due) in [
        ("aud", json!(caller.home.gid)),
        ("credential", json!(digest)),
        ("decision", json!(vote)),
        ("iss", json!(caller.gid)),
        ("max_uses", json!(1)),
        ("request", json!(asked.name())),
        ("scope", json!(scope)),
        ("sub", credential["sub"].clone()),
        ("subject", json!(subject_digest())),
        ("tenant", tenant),
    ] {
        ensure!(said[name] == due, "its {name} is {}", said[name]);
    }
    let lists = |list: &Value| list.as_array().is_some_and(|all| all.contains(&json!(scope)));
    ensure!(lists(&credential["scopes"]), "the credential does not list {scope}");
    for one in [&catalog, &credential] {
        ensure!(one["iss"] == caller.gid, "a document of another gateway: {one}");
        ensure!(one["tenant"] == json!(caller.terms.dst), "a document of another tenant: {one}");
    }
    for (document, since, until) in
        [(&said, "iat", "exp"), (&credential, "issued", "expires"), (&catalog, "issued", "expires")]
    {
        let time = |name: &str| document[name].as_i64().unwrap_or_default();
        let (life, now) = (time(until) - time(since), wire::now());
        ensure!((1..=86_400_000).contains(&life), "it lives {life} ms: {document}");
        ensure!(time(since) <= now + 60_000 && now < time(until), "out of time: {document}");
    }
    Ok(())
}

/// A question to the executor's operators, signed as it stands after a change, and its id.
fn question(caller: &Caller, bend: impl FnOnce(&mut Value)) -> Result<(Envelope, String)> {
    let scope = caller.terms.given(&caller.terms.scope, "--scope")?;
    let (id, now) = (fresh()?, wire::now());
    let mut asked = json!({
        "aud": caller.gid, "expires": now + 600_000, "id": id, "iss": caller.home.gid,
        "issued": now, "quorum": 1,
        "requester": {"gateway": caller.home.gid, "principal": "conformance-kit"},
        "scope": "kit-lead", "scopes": [scope],
        "subject": {
            "binding": "exact", "digest": subject_digest(), "kind": "exec", "media": "text/plain",
            "size": SUBJECT.len(),
        },
        "tenant": tenants(caller), "v": 1,
    });
    bend(&mut asked);
    Ok((caller.key("request")?.seal("approval-request", &wire::bytes_of(&asked)), id))
}

/// A question that must be refused; whoever takes it all the same finds that it ends soon.
fn doubtful(caller: &Caller, bend: impl FnOnce(&mut Value)) -> Result<Envelope> {
    let soon = |asked: &mut Value| {
        asked["expires"] = json!(wire::now() + 3_000);
        bend(asked);
    };
    Ok(question(caller, soon)?.0)
}

/// A start that brings a question.
fn asking(caller: &Caller, asked: &Envelope) -> Result<Value> {
    let mut start = about_approvals(caller)?;
    let request: Value = serde_json::from_str(&asked.text())?;
    start["body"]["approvalRequest"] = json!({"request": request, "subject": SUBJECT});
    Ok(start)
}

fn about_approvals(caller: &Caller) -> Result<Value> {
    let mut start = caller.start()?;
    start["body"].as_object_mut().map(|body| body.remove("prompt"));
    start["body"]["agentTarget"] = json!({"agent": "operators", "mode": "session"});
    Ok(start)
}

/// A question that is refused, in an answer or as the end of its run.
fn bad(caller: &Caller, asked: &Envelope) -> Result<()> {
    let start = asking(caller, asked)?;
    let (reply, signed) = caller.send(RUNS, &start)?;
    if reply.status != 200 {
        refusal_of(caller, reply, Some(&signed), ("approval_refused", true))?;
        return super::nothing_of(caller, &start);
    }
    let mut run = caller.stream(reply, &signed)?;
    run.finish()?;
    refused_in_the_run(&run, "approval_refused")
}

fn refused_in_the_run(run: &Stream<'_>, code: &str) -> Result<()> {
    let terminal = run.terminal()?;
    ensure!(terminal["outcome"] == "failed", "it ended as {terminal}");
    ensure!(terminal["problem"]["code"] == code, "it ended as {terminal}");
    Ok(())
}

/// The payloads of the run's decisions.
fn resolutions(run: &Stream<'_>) -> Result<Vec<Value>> {
    let frames: Result<Vec<Value>> = (0..run.frames.len()).map(|at| run.frame(at)).collect();
    let mut frames = frames?;
    frames.retain(|frame| frame["event"] == "approvalResolved");
    Ok(frames.into_iter().map(|frame| frame["payload"].clone()).collect())
}

/// A decision of the kit's own making: well formed, and worth nothing.
fn own_decision(caller: &Caller) -> Result<Value> {
    let (now, tenant) = (wire::now(), tenants(caller));
    let key = caller.key("policy")?;
    let (gid, day) = (&caller.home.gid, now + 3_600_000);
    let scope = caller.terms.scope.as_deref().unwrap_or_default();
    let catalog = key.seal(
        "catalog",
        &wire::bytes_of(&json!({
            "expires": day, "iss": gid, "issued": now, "scopes": [], "tenant": caller.terms.src,
            "v": 1, "version": 1,
        })),
    );
    let keys = json!([{"alg": "ed25519", "kid": key.kid, "kind": "file", "pub": key.public()}]);
    let credential = key.seal(
        "operator-credential",
        &wire::bytes_of(&json!({
            "expires": day, "iss": gid, "issued": now, "keys": keys, "scopes": [scope],
            "sub": "kit", "tenant": caller.terms.src, "v": 1,
        })),
    );
    let said = wire::bytes_of(&json!({
        "aud": caller.gid, "credential": credential.name(), "decision": "approve", "exp": day,
        "iat": now, "iss": gid, "jti": BASE64URL_NOPAD.encode(&wire::random::<16>()?),
        "max_uses": 1, "request": wire::text_of([7; 32]), "scope": scope, "sub": "kit",
        "subject": subject_digest(), "tenant": {"deciding": tenant["relying"], "relying": tenant["deciding"]},
        "v": 1,
    }));
    let media = wire::media("approval");
    let sig = BASE64.encode(&key.sign(&wire::pae(&media, &said)));
    let read = |envelope: &Envelope| serde_json::from_str::<Value>(&envelope.text());
    Ok(json!({
        "approval": {
            "payload": BASE64.encode(&said), "payloadType": media,
            "proof": {"kid": key.kid, "kind": "file", "sig": sig},
        },
        "catalog": read(&catalog)?, "credential": read(&credential)?,
    }))
}

fn tenants(caller: &Caller) -> Value {
    json!({"deciding": caller.terms.dst, "relying": caller.terms.src})
}

fn subject_digest() -> String {
    wire::text_of(wire::hash(&[b"GFP-SUBJECT-v1\n", SUBJECT.as_bytes()]))
}

/// An approval's id that nothing has.
fn fresh() -> Result<String> {
    Ok(format!("apr-{}", BASE32_NOPAD.encode(&wire::random::<16>()?).to_ascii_lowercase()))
}
