//! Strangers: who joins with what (`--hook invite=…`), and how little that is before a person accepted.

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{Case, refusal_of};
use crate::caller::{Caller, RUNS};
use crate::home::{self, Home};
use crate::http::{self, Reply};
use crate::succession::Next;
use crate::wire::{self, Envelope};

/// What comes of a pairing that does not hold.
const REFUSED: &str = "verification_failed";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "pairing-pending",
        clauses: &["ID-36", "ID-74"],
        about: "a newcomer is pending, told so as often as it asks, and may ask for nothing",
        run: |caller| {
            let (secret, newcomer) = (invited(caller)?, stranger(caller)?);
            for _ in 0..2 {
                let pairing = newcomer.pairing(&caller.gid, &secret)?;
                let told = pending(caller, &newcomer, &pairing)?;
                ensure!(told == json!({"pairing": "pending"}), "it is told {told}");
            }
            let by = Caller::new(newcomer, caller.terms.clone())?;
            let start = by.sign(&by.start()?)?;
            let reply = by.post(RUNS, by.operation(&start).as_bytes())?;
            refusal_of(&by, reply, None, (REFUSED, false)).map(drop)
        },
    },
    Case {
        id: "pairing-used-invite",
        clauses: &["ID-34", "ID-35"],
        about: "an invite that one newcomer used is of no use to another one",
        run: |caller| {
            let (secret, first) = (invited(caller)?, stranger(caller)?);
            pending(caller, &first, &first.pairing(&caller.gid, &secret)?)?;
            let second = stranger(caller)?;
            refused(caller, &second, &second.pairing(&caller.gid, &secret)?)
        },
    },
    Case {
        id: "pairing-unknown-invite",
        clauses: &["ID-34"],
        about: "an invite that there is not is verification_failed",
        run: |caller| {
            let newcomer = stranger(caller)?;
            refused(caller, &newcomer, &newcomer.pairing(&caller.gid, &wire::random::<32>()?)?)
        },
    },
    Case {
        id: "pairing-proof",
        clauses: &["ID-34"],
        about: "a proof of another secret, or of another newcomer, does not hold, and uses nothing up",
        run: |caller| {
            let (secret, newcomer) = (invited(caller)?, stranger(caller)?);
            let good = newcomer.pairing(&caller.gid, &secret)?;
            let other = newcomer.pairing(&caller.gid, &wire::random::<32>()?)?;
            let stolen = stranger(caller)?.pairing(&caller.gid, &secret)?;
            for from in [other, stolen] {
                let mut pairing = newcomer.pairing(&caller.gid, &secret)?;
                pairing["proof"] = from["proof"].clone();
                refused(caller, &newcomer, &pairing)?;
            }
            pending(caller, &newcomer, &good).map(drop)
        },
    },
    Case {
        id: "pairing-of-another",
        clauses: &["ID-34", "ID-4"],
        about: "a pairing in another's name or for another gateway is refused, and one whose genesis is not its name's",
        run: |caller| {
            let (secret, newcomer) = (invited(caller)?, stranger(caller)?);
            let bent = |members: &[(&str, Value)]| -> Result<Value> {
                let mut pairing = newcomer.pairing(&caller.gid, &secret)?;
                for (name, value) in members {
                    pairing[*name] = value.clone();
                }
                Ok(pairing)
            };
            let kit = &caller.home;
            let (name, genesis) = (json!(kit.gid), json!(kit.roots[0].name()));
            refused(caller, &newcomer, &bent(&[("iss", name), ("genesis", genesis)])?)?;
            refused(caller, &newcomer, &bent(&[("aud", json!(kit.gid))])?)?;
            let another = json!(wire::text_of([7; 32]));
            refused_as(caller, &newcomer, &bent(&[("genesis", another)])?, "malformed")
        },
    },
    Case {
        id: "pairing-signer",
        clauses: &["ENV-9", "ENV-10"],
        about: "a pairing that the newcomer's request key did not sign is verification_failed",
        run: |caller| {
            let (secret, newcomer) = (invited(caller)?, stranger(caller)?);
            let pairing = wire::bytes_of(&newcomer.pairing(&caller.gid, &secret)?);
            for role in ["status", "root"] {
                let signed = newcomer.key(role)?.seal("pairing", &pairing);
                let reply = shown(caller, &newcomer.introduction(&signed, &[])?)?;
                refusal_of(caller, reply, None, (REFUSED, false))?;
            }
            let signed = newcomer.key("request")?.seal("request", &pairing);
            let reply = shown(caller, &newcomer.introduction(&signed, &[])?)?;
            refusal_of(caller, reply, None, (REFUSED, false)).map(drop)
        },
    },
    Case {
        id: "pairing-time",
        clauses: &["REQ-14", "REQ-15"],
        about: "a pairing out of its time, or of too long a life, is refused",
        run: |caller| {
            let (secret, newcomer) = (invited(caller)?, stranger(caller)?);
            for (skew, life, code) in [
                (-200_000, 60_000, "clock_skew"),
                (90_000, 60_000, "clock_skew"),
                (0, 300_001, "malformed"),
            ] {
                let mut pairing = newcomer.pairing(&caller.gid, &secret)?;
                let iat = wire::now() + skew;
                (pairing["iat"], pairing["exp"]) = (json!(iat), json!(iat + life));
                refused_as(caller, &newcomer, &pairing, code)?;
            }
            Ok(())
        },
    },
    Case {
        id: "pairing-longest-chain",
        clauses: &["ID-79"],
        about: "a newcomer with 257 roots is too_large",
        run: |caller| {
            let (secret, mut newcomer) = (invited(caller)?, stranger(caller)?);
            let pairing = newcomer.pairing(&caller.gid, &secret)?;
            let signed = newcomer.key("request")?.seal("pairing", &wire::bytes_of(&pairing));
            let mut roots = newcomer.roots.clone();
            while roots.len() < 257 {
                roots.push(Next::after(&newcomer, &roots[roots.len() - 1])?.signed());
            }
            newcomer.roots = roots;
            let reply = shown(caller, &newcomer.introduction(&signed, &[])?)?;
            refusal_of(caller, reply, None, ("too_large", false)).map(drop)
        },
    },
];

/// The secret of a new invite.
fn invited(caller: &Caller) -> Result<Vec<u8>> {
    let invite = home::read_invite(&caller.terms.done("invite", "")?)?;
    let secret = invite["secret"].as_str().context("an invite has a secret")?;
    Ok(BASE64URL_NOPAD.decode(secret.as_bytes())?)
}

/// A gateway that nobody knows, which knows the executor.
pub(super) fn stranger(caller: &Caller) -> Result<Home> {
    let name = format!("stranger-{}", BASE64URL_NOPAD.encode(&wire::random::<6>()?));
    let path = caller.home.path.join(name);
    let home = Home::open(&path)?.acquainted(&caller.gid, &caller.place);
    // It is known by what is in memory, and to nobody later.
    std::fs::remove_dir_all(path)?;
    Ok(home)
}

/// A pairing that is taken, and what it is told.
fn pending(caller: &Caller, by: &Home, pairing: &Value) -> Result<Value> {
    let signed = by.key("request")?.seal("pairing", &wire::bytes_of(pairing));
    answer(caller, by, &signed, shown(caller, &by.introduction(&signed, &[])?)?)
}

/// What a newcomer is told whose pairing or admission is taken.
pub(super) fn answer(
    caller: &Caller,
    by: &Home,
    signed: &Envelope,
    mut reply: Reply,
) -> Result<Value> {
    let bytes = reply.all()?;
    let said = String::from_utf8_lossy(&bytes);
    ensure!(reply.status == 200, "it is answered {}: {said}", reply.status);
    let roots = caller.roots();
    let newest = roots.last().context("there are roots")?;
    let answer = Envelope::read(&bytes)?.verified("answer", newest, "stream", wire::now())?;
    ensure!(answer["aud"] == by.gid, "an answer for another gateway");
    ensure!(answer["request"] == signed.name(), "an answer to something else");
    Ok(answer["result"].clone())
}

fn refused(caller: &Caller, by: &Home, pairing: &Value) -> Result<()> {
    refused_as(caller, by, pairing, REFUSED)
}

fn refused_as(caller: &Caller, by: &Home, pairing: &Value, code: &str) -> Result<()> {
    let signed = by.key("request")?.seal("pairing", &wire::bytes_of(pairing));
    turned_away(caller, shown(caller, &by.introduction(&signed, &[])?)?, code)
}

/// What a newcomer is told whose pairing or admission is not taken.
pub(super) fn turned_away(caller: &Caller, mut reply: Reply, code: &str) -> Result<()> {
    ensure!(reply.status != 200, "it is taken");
    let told = told(caller, &mut reply)?;
    ensure!(told["code"] == code, "{code} was due, and it is {told}");
    Ok(())
}

/// The problem of a reply, signed or not.
fn told(caller: &Caller, reply: &mut Reply) -> Result<Value> {
    let bytes = reply.all()?;
    if reply.header("content-type") == Some("application/problem+json") {
        return Ok(serde_json::from_slice(&bytes)?);
    }
    let roots = caller.roots();
    let newest = roots.last().context("there are roots")?;
    let told = Envelope::read(&bytes)?.verified("problem", newest, "stream", wire::now())?;
    Ok(told["problem"].clone())
}

fn shown(caller: &Caller, body: &str) -> Result<Reply> {
    posted(caller, "/federation/v1/pairing", body)
}

/// How a newcomer asks.
pub(super) fn posted(caller: &Caller, path: &str, body: &str) -> Result<Reply> {
    let json = [("Content-Type", "application/json")];
    http::ask(&caller.place, ("POST", path), &json, body.as_bytes())
}
