//! The request document: its form, who asks whom, when, and for what.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Case, changed, operation_refused, refusal_of, refused, unheard, with};
use crate::caller::{ATTACH, CANCEL, Caller, RUNS};
use crate::wire;

/// Refused by its form or by who asks: nobody is authenticated yet.
const MALFORMED: (&str, bool) = ("malformed", false);

pub(super) const CASES: &[Case] = &[
    Case {
        id: "payload-white-space",
        clauses: &["ENV-16"],
        about: "a signed payload with white space is malformed",
        run: |caller| spelt(caller, |text| text.replacen(':', ": ", 1)),
    },
    Case {
        id: "payload-order",
        clauses: &["ENV-16"],
        about: "a signed payload with its members in another order is malformed",
        run: |caller| {
            spelt(caller, |text| text.replacen(r#","v":1}"#, "}", 1).replacen('{', r#"{"v":1,"#, 1))
        },
    },
    Case {
        id: "payload-escapes",
        clauses: &["ENV-16"],
        about: "a signed payload with an escape that is not needed is malformed",
        run: |caller| spelt(caller, |text| text.replacen(r#""aud""#, r#""\u0061ud""#, 1)),
    },
    Case {
        id: "payload-member-twice",
        clauses: &["ENV-16", "ENV-19"],
        about: "a signed payload with a member twice is malformed",
        run: |caller| spelt(caller, |text| text.replacen(r#","v":1}"#, r#","v":1,"v":1}"#, 1)),
    },
    Case {
        id: "payload-numbers",
        clauses: &["ENV-17"],
        about: "a signed payload with a fraction, an exponent, or a number too large is malformed",
        run: |caller| {
            for one in ["1.0", "1e0", "9007199254740992", "-0"] {
                let value = format!(r#","v":{one}}}"#);
                spelt(caller, |text| text.replacen(r#","v":1}"#, &value, 1))?;
            }
            Ok(())
        },
    },
    Case {
        id: "payload-depth",
        clauses: &["ENV-18"],
        about: "a signed payload nested ten thousand deep is malformed",
        run: |caller| {
            let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
            let value = format!(r#","v":{deep}}}"#);
            spelt(caller, |text| text.replacen(r#","v":1}"#, &value, 1))
        },
    },
    Case {
        id: "payload-unknown-member",
        clauses: &["ENV-19"],
        about: "a member that is not defined, in the request or its body, is malformed",
        run: |caller| {
            let mut start = caller.start()?;
            start["extra"] = json!(1);
            refused(caller, &start, MALFORMED)?;
            refused(caller, &with(caller, "extra", json!(1))?, MALFORMED)
        },
    },
    Case {
        id: "payload-member-missing",
        clauses: &["ENV-19"],
        about: "a request without a required member is malformed",
        run: |caller| {
            for name in ["aud", "exp", "iat", "iss", "jti", "op", "proto", "seen", "tenant", "v"] {
                let mut start = caller.start()?;
                start.as_object_mut().map(|members| members.remove(name));
                refused(caller, &start, MALFORMED)?;
            }
            for name in ["agentTarget", "callerIdentity", "invokedAt"] {
                let mut start = caller.start()?;
                start["body"].as_object_mut().map(|members| members.remove(name));
                refused(caller, &start, MALFORMED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "payload-types",
        clauses: &["ENV-19"],
        about: "a member of another type is malformed",
        run: |caller| {
            for (pointer, value) in [
                ("/exp", json!("60000")),
                ("/aud", json!([caller.gid])),
                ("/proto", json!(1)),
                ("/body/prompt", json!({"text": "x"})),
                ("/body/invokedAt", Value::Null),
            ] {
                refused(caller, &changed(caller, pointer, value)?, MALFORMED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "names",
        clauses: &["ID-3"],
        about: "a tenant, agent or jti outside its alphabet or length is malformed",
        run: |caller| {
            for (pointer, value) in [
                ("/tenant/src", json!("Acme")),
                ("/tenant/dst", json!("")),
                ("/tenant/dst", json!("a".repeat(65))),
                ("/tenant/src", json!("d\u{435}fault")),
                ("/body/agentTarget/agent", json!("a/b")),
                ("/body/agentTarget/agent", json!("a".repeat(129))),
                ("/jti", json!("short")),
                ("/jti", json!("A".repeat(65))),
                ("/jti", json!("+".repeat(22))),
            ] {
                refused(caller, &changed(caller, pointer, value)?, MALFORMED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "key-length",
        clauses: &["ID-3"],
        about: "an idempotency key of 15 or 129 characters, or with a space, is malformed",
        run: |caller| {
            for key in ["k".repeat(15), "k".repeat(129), "a key with a space".to_owned()] {
                let start = changed(caller, "/body/idempotencyKey", json!(key))?;
                let signed = caller.sign(&start)?;
                let reply = caller.post(RUNS, caller.operation(&signed).as_bytes())?;
                refusal_of(caller, reply, Some(&signed), MALFORMED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "audience",
        clauses: &["REQ-11", "PRB-4"],
        about: "a request for another gateway is verification_failed, unsigned",
        run: |caller| {
            let other = json!(caller.home.gid);
            refused(caller, &changed(caller, "/aud", other)?, ("verification_failed", false))
        },
    },
    Case {
        id: "issuer",
        clauses: &["REQ-11", "PRB-4"],
        about: "a request in another gateway's name is verification_failed, unsigned",
        run: |caller| {
            let other = json!(caller.gid);
            refused(caller, &changed(caller, "/iss", other)?, ("verification_failed", false))
        },
    },
    Case {
        id: "operation-of-another-route",
        clauses: &["REQ-12", "PRB-1"],
        about: "a start that is sent to the route of cancels or attaches is malformed, signed",
        run: |caller| {
            for path in [CANCEL, ATTACH] {
                let start = caller.start()?;
                operation_refused(caller, path, &start, "malformed")?;
                super::nothing_of(caller, &start)?;
            }
            Ok(())
        },
    },
    Case {
        id: "tenant-without-grant",
        clauses: &["REQ-13", "PRB-1"],
        about: "a tenant pair without a grant is not_granted, signed",
        run: |caller| {
            for pointer in ["/tenant/src", "/tenant/dst"] {
                let start = changed(caller, pointer, json!("kit-nobody"))?;
                let (reply, signed) = caller.send(RUNS, &start)?;
                refusal_of(caller, reply, Some(&signed), ("not_granted", true))?;
                super::nothing_of(caller, &start)?;
            }
            Ok(())
        },
    },
    Case {
        id: "clock-ahead",
        clauses: &["REQ-14"],
        about: "an iat more than a minute ahead is clock_skew, signed",
        run: |caller| timed(caller, 75_000, 60_000, "clock_skew"),
    },
    Case {
        id: "clock-expired",
        clauses: &["REQ-14"],
        about: "an exp more than a minute ago is clock_skew, signed",
        run: |caller| timed(caller, -135_000, 60_000, "clock_skew"),
    },
    Case {
        id: "clock-tolerated",
        clauses: &["REQ-14", "REQ-15"],
        about: "half a minute of skew and the longest life are served",
        run: |caller| {
            for (skew, life) in [(30_000, 60_000), (-90_000, 60_000), (0, 300_000)] {
                caller.run(&dated(caller, skew, life)?)?;
            }
            Ok(())
        },
    },
    Case {
        id: "life",
        clauses: &["REQ-15"],
        about: "a life of 0, below it, or beyond REQUEST_LIFE_MS_MAX is malformed, signed",
        run: |caller| {
            for life in [0, -1, 300_001] {
                timed(caller, 0, life, "malformed")?;
            }
            Ok(())
        },
    },
    Case {
        id: "protocol-versions",
        clauses: &["REQ-16"],
        about: "versions without 1 are protocol_unsupported, signed; 1 among others is served",
        run: |caller| {
            let other = changed(caller, "/proto", json!([2]))?;
            refused(caller, &other, ("protocol_unsupported", true))?;
            caller.run(&changed(caller, "/proto", json!([1, 2]))?).map(drop)
        },
    },
    Case {
        id: "seen-beyond",
        clauses: &["ID-41"],
        about: "a seen of a status or an incarnation still to come is rolled_back, signed",
        run: |caller| {
            let n = caller.theirs["incarnation"]["n"].as_u64().unwrap_or_default();
            for n in [n, n + 7] {
                let seen = json!({"n": n, "seq": wire::now() + 5_000});
                refused(caller, &changed(caller, "/seen", seen)?, ("rolled_back", true))?;
            }
            Ok(())
        },
    },
    Case {
        id: "replayed",
        clauses: &["REQ-17", "PRB-1"],
        about: "the same request again is replayed, signed, also when its run has ended",
        run: |caller| {
            let start = caller.start()?;
            let signed = caller.sign(&start)?;
            let body = caller.operation(&signed);
            let first = caller.post(RUNS, body.as_bytes())?;
            let mut stream = caller.stream(first, &signed)?;
            let second = caller.post(RUNS, body.as_bytes())?;
            refusal_of(caller, second, Some(&signed), ("replayed", true))?;
            stream.finish()?;
            let third = caller.post(RUNS, body.as_bytes())?;
            refusal_of(caller, third, Some(&signed), ("replayed", true)).map(drop)
        },
    },
    Case {
        id: "replayed-id",
        clauses: &["REQ-17"],
        about: "a jti that another request had is replayed, signed, and starts nothing",
        run: |caller| {
            let first = caller.start()?;
            caller.run(&first)?;
            refused(caller, &changed(caller, "/jti", first["jti"].clone())?, ("replayed", true))
        },
    },
    Case {
        id: "credentials-in-headers",
        clauses: &["REQ-5"],
        about: "a credential in a header makes no bad request good",
        run: |caller| {
            let start = caller.start()?;
            let mut signed = caller.sign(&start)?;
            signed.signatures[0].1[0] ^= 1;
            let body = caller.operation(&signed);
            let headers = [
                ("Content-Type", "application/json"),
                ("Authorization", "Bearer operator"),
                ("Cookie", "session=operator"),
            ];
            let reply = crate::http::ask(&caller.place, ("POST", RUNS), &headers, body.as_bytes())?;
            refusal_of(caller, reply, None, ("verification_failed", false))?;
            super::nothing_of(caller, &start)
        },
    },
    Case {
        id: "start-asks-one-thing",
        clauses: &["REQ-8"],
        about: "a start that asks for nothing, or for two things, is malformed",
        run: |caller| {
            let mut none = caller.start()?;
            none["body"].as_object_mut().map(|body| body.remove("prompt"));
            refused(caller, &none, MALFORMED)?;
            let call = json!({"args": "{}", "tool": "clock"});
            refused(caller, &with(caller, "toolCall", call)?, MALFORMED)
        },
    },
    Case {
        id: "start-session",
        clauses: &["REQ-8"],
        about: "a session that does not fit the mode is malformed",
        run: |caller| {
            let (agent, target) = (json!(caller.terms.agent), "/body/agentTarget");
            let more = json!({"agent": agent, "mode": "session", "session": "s-1"});
            refused(caller, &changed(caller, target, more)?, MALFORMED)?;
            let less = json!({"agent": agent, "mode": "turn"});
            refused(caller, &changed(caller, target, less)?, MALFORMED)
        },
    },
    Case {
        id: "start-limits",
        clauses: &["REQ-58"],
        about: "limits without a member, or with one of 0, are malformed",
        run: |caller| {
            refused(caller, &with(caller, "limits", json!({}))?, MALFORMED)?;
            refused(caller, &with(caller, "limits", json!({"frames": 0}))?, MALFORMED)
        },
    },
    Case {
        id: "tool-args",
        clauses: &["REQ-40"],
        about: "tool arguments that are no one object, or name a member twice, are malformed",
        run: |caller| {
            for args in ["", "[]", "1", "{", r#"{"a":1,"a":2}"#, r#"{"a":1} {}"#] {
                let mut start = caller.start()?;
                start["body"].as_object_mut().map(|body| body.remove("prompt"));
                start["body"]["toolCall"] = json!({"args": args, "tool": "clock"});
                refused(caller, &start, MALFORMED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "not-granted",
        clauses: &["REQ-22", "REQ-24"],
        about: "an agent or a tool without a grant is not_granted, and the key stays free",
        run: |caller| {
            let due = ("not_granted", true);
            let other = changed(caller, "/body/agentTarget/agent", json!("kit-nobody"))?;
            refused(caller, &other, due)?;
            let mut tool = caller.start()?;
            tool["body"].as_object_mut().map(|body| body.remove("prompt"));
            tool["body"]["toolCall"] = json!({"args": "{}", "tool": "kit_no_such_tool"});
            refused(caller, &tool, due)?;
            let key = other["body"]["idempotencyKey"].clone();
            caller.run(&changed(caller, "/body/idempotencyKey", key)?).map(drop)
        },
    },
    Case {
        id: "invoked-long-ago",
        clauses: &["REQ-21"],
        about: "an unknown key that was invoked before the key window is key_expired",
        run: |caller| {
            let first = caller.theirs["incarnation"]["n"] == 1;
            let code = if first { "key_expired" } else { "lost_history" };
            refused(caller, &changed(caller, "/body/invokedAt", json!(1))?, (code, true))
        },
    },
    Case {
        id: "invoked-in-the-future",
        clauses: &["REQ-68"],
        about: "an unknown key that was invoked more than a minute ahead is clock_skew",
        run: |caller| {
            let ahead = json!(wire::now() + 90_000);
            refused(caller, &changed(caller, "/body/invokedAt", ahead)?, ("clock_skew", true))
        },
    },
];

fn dated(caller: &Caller, skew: i64, life: i64) -> Result<Value> {
    let mut start = caller.start()?;
    let iat = wire::now() + skew;
    (start["iat"], start["exp"]) = (json!(iat), json!(iat + life));
    Ok(start)
}

fn timed(caller: &Caller, skew: i64, life: i64, code: &str) -> Result<()> {
    refused(caller, &dated(caller, skew, life)?, (code, true))
}

/// A good start whose payload is signed in another spelling, which is malformed.
fn spelt(caller: &Caller, spell: impl FnOnce(&str) -> String) -> Result<()> {
    let start = caller.start()?;
    let text = start.to_string();
    let other = spell(&text);
    anyhow::ensure!(other != text, "the kit did not change the spelling");
    let signed = caller.sign_bytes(other.as_bytes())?;
    unheard(caller, &start, &caller.operation(&signed), "malformed")
}
