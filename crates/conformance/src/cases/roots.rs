//! The caller's own roots after the first. The kit goes on by the good ones, and keeps them in its home.

use anyhow::{Result, ensure};
use curve25519_dalek::constants;
use serde_json::{Value, json};

use super::endings::{cancel, endless};
use super::{Case, refusal_of};
use crate::caller::{Caller, RUNS};
use crate::home::Home;
use crate::succession::Next;
use crate::wire::{self, Envelope, Key};

/// What comes of a root that nobody may believe.
const REFUSED: &str = "verification_failed";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "root-next",
        clauses: &["ID-5", "ID-6", "ID-12"],
        about: "a further root with a new request key is taken, and what the new key signs is served",
        run: |caller| {
            advanced(caller, |next| next.renewed("request", &["request", "spare"])).map(drop)
        },
    },
    Case {
        id: "root-former-key",
        clauses: &["ENV-9", "ID-12"],
        about: "a key that a root no longer names signs nothing, also beside the newer root",
        run: |caller| {
            let former = caller.renewed()?.key("request")?;
            let later = advanced(caller, |next| next.renewed("request", &["request", "spare"]))?;
            let start = later.start()?;
            let signed = former.seal("request", &wire::bytes_of(&start));
            super::unheard(&later, &start, &later.operation(&signed), REFUSED)?;
            let shown = later.operation_of(&[later.home.root().clone()], &signed);
            super::unheard(&later, &start, &shown, REFUSED)
        },
    },
    Case {
        id: "root-key-rotated",
        clauses: &["ID-6"],
        about: "a root with a new root key, signed by the old and the new one, is taken",
        run: |caller| advanced(caller, |next| next.renewed("root", &["root"])).map(drop),
    },
    Case {
        id: "root-status-key-rotated",
        clauses: &["ID-20"],
        about: "a new status key begins its numbers anew, below those of the former one",
        run: |caller| {
            let mut home = Home::open(&caller.home.path)?;
            let before = home.root().clone();
            Next::after(&home, &before)?.renewed("status", &["status"])?.adopted(&mut home)?;
            let mut status = home.status(&[]);
            for name in ["issued", "seq"] {
                status[name] = json!(wire::now() - 1_800_000);
            }
            let later = Caller::new(home, caller.terms.clone())?;
            later.restate(later.key("status")?.seal("status", &wire::bytes_of(&status)));
            served(&later)
        },
    },
    Case {
        id: "root-key-revoked",
        clauses: &["ID-22", "ID-66"],
        about: "a stream that a key opened ends with verification_failed once its owner revokes the key",
        run: |caller| {
            endless(caller)?;
            let later = advanced(caller, |next| next.renewed("request", &["request", "spare"]))?;
            let (start, spare) = (endless(&later)?, later.key("spare")?);
            let signed = spare.seal("request", &wire::bytes_of(&start));
            let reply = later.post(RUNS, later.operation(&signed).as_bytes())?;
            let mut stream = later.stream(reply, &signed)?;
            stream.until(1)?;
            let revoking = wire::bytes_of(&later.home.status(&[&spare.kid]));
            later.restate(later.key("status")?.seal("status", &revoking));
            later.run(&later.start()?)?;
            let code = stream.cut_off()?;
            ensure!(code == "verification_failed", "the stream ends with {code}");
            // The run is the owner's, and not the key's.
            let answer = cancel(&later, &start)?;
            ensure!(answer["cancel"] == "requested", "it is answered {answer}");
            Ok(())
        },
    },
    Case {
        id: "root-of-the-new-key-alone",
        clauses: &["ID-6"],
        about: "a root that the former root key did not sign is verification_failed",
        run: |caller| {
            bad(caller, |next| {
                let mut next = next.renewed("root", &["root"])?;
                next.signers.remove(0);
                Ok(next)
            })
        },
    },
    Case {
        id: "root-of-the-old-key-alone",
        clauses: &["ID-6"],
        about: "a root that its own root key did not sign is verification_failed",
        run: |caller| {
            bad(caller, |next| {
                let mut next = next.renewed("root", &["root"])?;
                next.signers.truncate(1);
                Ok(next)
            })
        },
    },
    Case {
        id: "root-of-a-stranger-beside",
        clauses: &["ENV-9", "ID-4"],
        about: "a root that a stranger signed as well is verification_failed",
        run: |caller| {
            bad(caller, |mut next| {
                next.signers.push(Key::of(wire::random()?));
                Ok(next)
            })
        },
    },
    Case {
        id: "root-threshold",
        clauses: &["ENV-11", "ID-6", "ID-7"],
        about: "a root with a threshold of no key, or of more keys than there are, is refused",
        run: |caller| {
            for (role, threshold) in [("root", 2), ("stream", 2), ("stream", 0)] {
                bent(caller, |root| root["roles"][role]["threshold"] = json!(threshold))?;
            }
            Ok(())
        },
    },
    Case {
        id: "root-gap",
        clauses: &["ID-5"],
        about: "a root two versions ahead, without the one between or as if there were none, is refused",
        run: |caller| {
            bent(caller, |root| root["version"] = json!(root["version"].as_u64().map(|v| v + 1)))?;
            let caller = caller.renewed()?;
            let between = Next::after(&caller.home, caller.home.root())?.signed();
            refused(&caller, &[Next::after(&caller.home, &between)?.signed()], REFUSED)
        },
    },
    Case {
        id: "root-other-predecessor",
        clauses: &["ID-5"],
        about: "a root that names another predecessor is verification_failed",
        run: |caller| bent(caller, |root| root["prev"] = json!(wire::text_of([7; 32]))),
    },
    Case {
        id: "root-issued",
        clauses: &["ID-5"],
        about: "a root from before its predecessor, or from minutes ahead, is verification_failed",
        run: |caller| {
            bent(caller, |root| root["issued"] = json!(wire::now() - 86_400_000))?;
            bent(caller, |root| root["issued"] = json!(wire::now() + 120_000))
        },
    },
    Case {
        id: "root-written-anew",
        clauses: &["ID-12"],
        about: "another root of a version that is known is verification_failed",
        run: |caller| {
            let later = advanced(caller, Ok)?;
            let before = &later.home.roots[later.home.version() - 2];
            refused(&later, &[Next::after(&later.home, before)?.signed()], REFUSED)
        },
    },
    Case {
        id: "root-expired",
        clauses: &["ID-9"],
        about: "a chain whose last root expired is verification_failed; one further on, it is taken",
        run: |caller| {
            let caller = caller.renewed()?;
            let mut home = Home::open(&caller.home.path)?;
            let before = home.root().clone();
            let mut short = Next::after(&home, &before)?;
            let issued: Value = serde_json::from_slice(&before.payload)?;
            // Good for a moment, which has passed by the time at which it is shown.
            let ends = wire::now() + 300;
            let lives: Vec<String> = keys(&short.root);
            for kid in &lives {
                short.root["keys"][kid]["exp"] = json!(ends);
            }
            (short.root["issued"], short.root["expires"]) = (json!(wire::now()), json!(ends));
            let short = short.signed();
            std::thread::sleep(std::time::Duration::from_millis(400));
            refused(&caller, std::slice::from_ref(&short), REFUSED)?;
            let mut next = Next::after(&home, &short)?;
            // Root keys are judged at the time at which what they sign was issued.
            next.root["issued"] = json!(ends - 1);
            next.root["expires"] = issued["expires"].clone();
            for kid in &lives {
                next.root["keys"][kid]["exp"] = issued["keys"][kid]["exp"].clone();
            }
            home.adopt(short.clone(), &[])?;
            let last = next.adopted(&mut home)?;
            let later = Caller::new(home, caller.terms.clone())?;
            started(&later, &[short, last])
        },
    },
    Case {
        id: "root-life",
        clauses: &["ID-8"],
        about: "a root that lives for more than 400 days, or for no time, is verification_failed",
        run: |caller| {
            bent(caller, |root| root["expires"] = json!(wire::now() + 34_560_060_000))?;
            bent(caller, |root| root["expires"] = root["issued"].clone())
        },
    },
    Case {
        id: "root-key-in-two-roles",
        clauses: &["ID-7"],
        about: "a root in which a key has two roles is verification_failed",
        run: |caller| {
            bent(caller, |root| {
                root["roles"]["stream"]["keyids"] = root["roles"]["status"]["keyids"].clone();
                let kept: Vec<String> = named(root);
                let unnamed = |kid: &String| !kept.contains(kid);
                for kid in keys(root).into_iter().filter(unnamed) {
                    root["keys"].as_object_mut().map(|keys| keys.remove(&kid));
                }
            })
        },
    },
    Case {
        id: "root-keys-and-roles",
        clauses: &["ID-7"],
        about: "a root with a key of no role, a role without its key, or a role less is refused",
        run: |caller| {
            let kid =
                |root: &Value| root["roles"]["stream"]["keyids"][0].as_str().map(str::to_owned);
            bent(caller, |root| {
                let stranger = Key::of([9; 32]);
                let mut entry = root["keys"][&keys(root)[0]].clone();
                entry["pub"] = json!(stranger.public());
                root["keys"][&stranger.kid] = entry;
            })?;
            bent(caller, |root| {
                let kid = kid(root).unwrap_or_default();
                root["keys"].as_object_mut().map(|keys| keys.remove(&kid));
            })?;
            bent(caller, |root| {
                let kid = kid(root).unwrap_or_default();
                root["keys"].as_object_mut().map(|keys| keys.remove(&kid));
                root["roles"].as_object_mut().map(|roles| roles.remove("stream"));
            })
        },
    },
    Case {
        id: "root-key-outlives-it",
        clauses: &["ID-7"],
        about: "a root with a key that is good for longer than the root is verification_failed",
        run: |caller| {
            bent(caller, |root| {
                let (kid, expires) = (keys(root)[0].clone(), root["expires"].as_i64());
                root["keys"][&kid]["exp"] = json!(expires.unwrap_or_default() + 1);
            })
        },
    },
    Case {
        id: "root-key-misnamed",
        clauses: &["ID-1"],
        about: "a root in which a key stands under another name is verification_failed",
        run: |caller| {
            bent(caller, |root| {
                let kid = root["roles"]["stream"]["keyids"][0].as_str().map(str::to_owned);
                let other = Key::of([9; 32]).public();
                root["keys"][&kid.unwrap_or_default()]["pub"] = json!(other);
            })
        },
    },
    Case {
        id: "root-key-points",
        clauses: &["ID-2"],
        about: "a key of small order, with a torsion, or not spelt canonically is refused",
        run: |caller| {
            let beside = constants::ED25519_BASEPOINT_POINT + constants::EIGHT_TORSION[1];
            let small = constants::EIGHT_TORSION;
            // The neutral point again, by a y of p + 1.
            let mut other = [0xff; 32];
            (other[0], other[31]) = (0xee, 0x7f);
            let points = [small[0], small[1], beside].map(|one| one.compress().to_bytes());
            for point in points.into_iter().chain([other]) {
                bent(caller, |root| {
                    let kid = root["roles"]["stream"]["keyids"][0].as_str().map(str::to_owned);
                    let kid = kid.unwrap_or_default();
                    let mut entry = root["keys"][&kid].clone();
                    root["keys"].as_object_mut().map(|keys| keys.remove(&kid));
                    entry["pub"] = json!(wire::text_of(point));
                    let name = wire::text_of(wire::hash(&[b"GFP-KEY-v1\ned25519\n", &point]));
                    root["keys"][&name] = entry;
                    root["roles"]["stream"]["keyids"] = json!([name]);
                })?;
            }
            Ok(())
        },
    },
    Case {
        id: "root-steps",
        clauses: &["ID-10"],
        about: "33 roots in one update are too_large",
        run: |caller| {
            let caller = caller.renewed()?;
            let mut chain = vec![Next::after(&caller.home, caller.home.root())?.signed()];
            while chain.len() < 33 {
                chain.push(Next::after(&caller.home, &chain[chain.len() - 1])?.signed());
            }
            refused(&caller, &chain, "too_large")
        },
    },
    Case {
        id: "root-beside-a-bad-status",
        clauses: &["ID-81", "REQ-10"],
        about: "a good root is kept although the status that came with it is refused",
        run: |caller| {
            let mut home = Home::open(&caller.home.path)?;
            let before = home.root().clone();
            let root = Next::after(&home, &before)?.adopted(&mut home)?;
            let later = Caller::new(home, caller.terms.clone())?;
            let mut bad = later.status();
            bad.signatures[0].1[0] ^= 1;
            let good = later.status();
            later.restate(bad);
            refused(&later, &[root], REFUSED)?;
            later.restate(good);
            // Without the root this time.
            later.run(&later.start()?).map(drop)
        },
    },
];

fn keys(root: &Value) -> Vec<String> {
    root["keys"].as_object().map_or_else(Vec::new, |keys| keys.keys().cloned().collect())
}

fn named(root: &Value) -> Vec<String> {
    let kids = root["roles"].as_object().into_iter().flatten().flat_map(|(_, role)| {
        role["keyids"].as_array().into_iter().flatten().filter_map(Value::as_str)
    });
    kids.map(str::to_owned).collect()
}

/// The kit goes on by a further root, shows it with a start, and is served.
fn advanced(caller: &Caller, change: impl FnOnce(Next) -> Result<Next>) -> Result<Caller> {
    let mut home = Home::open(&caller.home.path)?;
    let before = home.root().clone();
    change(Next::after(&home, &before)?)?.adopted(&mut home)?;
    let later = Caller::new(home, caller.terms.clone())?;
    served(&later)?;
    Ok(later)
}

/// A start that shows the newest root is served, and one that does not as well.
fn served(later: &Caller) -> Result<()> {
    started(later, &[later.home.root().clone()])?;
    later.run(&later.start()?).map(drop)
}

fn started(caller: &Caller, roots: &[Envelope]) -> Result<()> {
    let signed = caller.sign(&caller.start()?)?;
    let reply = caller.post(RUNS, caller.operation_of(roots, &signed).as_bytes())?;
    caller.stream(reply, &signed)?.finish()
}

/// A further root with something in it that is wrong, rightly signed.
fn bent(caller: &Caller, bend: impl FnOnce(&mut Value)) -> Result<()> {
    bad(caller, |mut next| {
        bend(&mut next.root);
        Ok(next)
    })
}

fn bad(caller: &Caller, change: impl FnOnce(Next) -> Result<Next>) -> Result<()> {
    let caller = caller.renewed()?;
    let next = change(Next::after(&caller.home, caller.home.root())?)?;
    refused(&caller, &[next.signed()], REFUSED)
}

/// Roots that are refused, beside a start that is good under what was known.
fn refused(caller: &Caller, roots: &[Envelope], code: &str) -> Result<()> {
    let start = caller.start()?;
    let signed = caller.sign(&start)?;
    let reply = caller.post(RUNS, caller.operation_of(roots, &signed).as_bytes())?;
    ensure!(reply.status != 200, "it is served, and {code} was due");
    refusal_of(caller, reply, None, (code, false)).map(drop)
}
