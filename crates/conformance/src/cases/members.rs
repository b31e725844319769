//! Members: who joins by the word of a federation root that the executor trusts (`--hook federation=…`), and
//! what it may do when a person accepted it (`--hook admit=…`).

use std::slice::from_ref;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::pairing::{answer, posted, stranger, turned_away};
use super::{Case, refusal_of};
use crate::caller::{Caller, RUNS};
use crate::home::Home;
use crate::http::Reply;
use crate::wire::{self, Envelope, Key};

/// What comes of a membership or an admission that does not hold.
const REFUSED: &str = "verification_failed";
/// A second tenant of the kit's, for which the executor grants nothing.
const ELSEWHERE: &str = "elsewhere";
/// Where a newcomer shows its membership.
const ADMISSION: &str = "/federation/v1/admission";
/// How long a membership lives, in milliseconds.
const LIFE: i64 = 86_400_000;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "member-pending",
        clauses: &["ID-68", "ID-69"],
        about: "who shows a membership is pending, told so as often as it asks, and may ask for nothing",
        run: |caller| {
            let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
            let membership = federation.signed(&federation.membership(&member));
            for _ in 0..2 {
                let told = taken(caller, &member, &membership)?;
                ensure!(told == json!({"pairing": "pending"}), "it is told {told}");
            }
            let by = Caller::new(member, caller.terms.clone())?;
            let start = by.sign(&by.start()?)?;
            let reply = by.post(RUNS, by.operation(&start).as_bytes())?;
            refusal_of(&by, reply, None, (REFUSED, false)).map(drop)
        },
    },
    Case {
        id: "member-served",
        clauses: &["ID-69", "ID-71"],
        about: "a member that a person accepted is told so, and served under its grant",
        run: |caller| {
            let (federation, by) = admitted(caller)?;
            let membership = federation.signed(&federation.membership(&by.home));
            let told = taken(caller, &by.home, &membership)?;
            ensure!(told == json!({"pairing": "accepted"}), "it is told {told}");
            by.run(&by.start()?).map(drop)
        },
    },
    Case {
        id: "member-lapsed",
        clauses: &["ID-32", "ID-70"],
        about: "a member is peer_suspended from when its membership lapses until it shows a newer one",
        run: |caller| {
            let (federation, by) = admitted(caller)?;
            let brief = federation.changed(&by.home, "expires", wire::now() + 1_500)?;
            taken(caller, &by.home, &brief)?;
            sleep(Duration::from_millis(2_000));
            let start = by.sign(&by.start()?)?;
            let mut reply = by.post(RUNS, by.operation(&start).as_bytes())?;
            ensure!(reply.status != 200, "it is served");
            let code = by.refusal(&mut reply, Some(&start))?.code;
            ensure!(code == "peer_suspended", "peer_suspended was due, and it is {code}");
            taken(caller, &by.home, &federation.signed(&federation.membership(&by.home)))?;
            by.run(&by.start()?).map(drop)
        },
    },
    Case {
        id: "member-of-another-tenant",
        clauses: &["ID-71"],
        about: "a grant for a tenant that the membership does not name grants nothing",
        run: |caller| {
            let (federation, by) = admitted(caller)?;
            let elsewhere = federation.changed(&by.home, "tenants", json!([ELSEWHERE]))?;
            taken(caller, &by.home, &elsewhere)?;
            let (reply, signed) = by.send(RUNS, &by.start()?)?;
            refusal_of(&by, reply, Some(&signed), ("not_granted", true)).map(drop)
        },
    },
    Case {
        id: "membership-older",
        clauses: &["ID-72"],
        about: "a membership that was issued before one that was taken is verification_failed",
        run: |caller| {
            let (federation, by) = admitted(caller)?;
            let older = federation.changed(&by.home, "issued", wire::now() - 60_000)?;
            refused(caller, &by.home, &older)
        },
    },
    Case {
        id: "membership-time",
        clauses: &["ID-32"],
        about: "a membership that has expired, lives too long or is of the future does not count",
        run: |caller| {
            let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
            for (issued, life) in [(-LIFE, LIFE - 1_000), (0, 7 * LIFE + 1), (120_000, LIFE)] {
                let mut membership = federation.membership(&member);
                let issued = wire::now() + issued;
                (membership["issued"], membership["expires"]) =
                    (json!(issued), json!(issued + life));
                refused(caller, &member, &federation.signed(&membership))?;
            }
            taken(caller, &member, &federation.signed(&federation.membership(&member))).map(drop)
        },
    },
    Case {
        id: "membership-signer",
        clauses: &["ID-30", "ID-32", "ENV-9"],
        about: "a membership that no key of the named federation root signed does not count",
        run: |caller| {
            let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
            let membership = wire::bytes_of(&federation.membership(&member));
            let another = Key::of(wire::random()?);
            for key in [another, member.key("request")?, member.key("root")?] {
                refused(caller, &member, &key.seal("membership", &membership))?;
            }
            let unknown = federation.changed(&member, "federation", "nobody-knows-it")?;
            refused(caller, &member, &unknown)?;
            let mut bent = federation.key.seal("membership", &membership);
            bent.signatures[0].1[0] ^= 1;
            refused(caller, &member, &bent)
        },
    },
    Case {
        id: "membership-tenants",
        clauses: &["ID-32"],
        about: "a membership for a tenant that the federation root may not speak for does not count",
        run: |caller| {
            let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
            let wider = federation.changed(&member, "tenants", json!([ELSEWHERE, "nowhere"]))?;
            refused(caller, &member, &wider)
        },
    },
    Case {
        id: "membership-places",
        clauses: &["ID-32"],
        about: "one member more than the federation root may bring does not count, also while the first waits",
        run: |caller| {
            let federation = Federation::trusted(caller, 1)?;
            let (first, second) = (stranger(caller)?, stranger(caller)?);
            taken(caller, &first, &federation.signed(&federation.membership(&first)))?;
            refused(caller, &second, &federation.signed(&federation.membership(&second)))?;
            taken(caller, &first, &federation.signed(&federation.membership(&first))).map(drop)
        },
    },
    Case {
        id: "admission-of-another",
        clauses: &["ID-68"],
        about: "a membership is of use to its member alone, at the gateway for which it asks, and as it was shown",
        run: |caller| {
            let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
            let membership = federation.signed(&federation.membership(&member));
            refused(caller, &stranger(caller)?, &membership)?;
            for (name, value) in [
                ("aud", json!(caller.home.gid)),
                ("iss", json!(caller.home.gid)),
                ("membership", json!(wire::text_of([7; 32]))),
            ] {
                let mut admission = admission(caller, &member, &membership);
                admission[name] = value;
                let reply = shown(caller, &member, &admission, from_ref(&membership))?;
                turned_away(caller, reply, REFUSED)?;
            }
            taken(caller, &member, &membership).map(drop)
        },
    },
    Case {
        id: "admission-time",
        clauses: &["ID-68"],
        about: "an admission out of its time is verification_failed",
        run: |caller| {
            let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
            let membership = federation.signed(&federation.membership(&member));
            for skew in [-200_000, 90_000] {
                let mut admission = admission(caller, &member, &membership);
                let iat = wire::now() + skew;
                (admission["iat"], admission["exp"]) = (json!(iat), json!(iat + 60_000));
                let reply = shown(caller, &member, &admission, from_ref(&membership))?;
                turned_away(caller, reply, REFUSED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "admission-signer",
        clauses: &["ENV-8", "ENV-9", "ID-68"],
        about: "an admission that the member's request key did not sign is verification_failed",
        run: |caller| {
            let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
            let membership = federation.signed(&federation.membership(&member));
            let admission = wire::bytes_of(&admission(caller, &member, &membership));
            for (role, kind) in
                [("status", "admission"), ("root", "admission"), ("request", "pairing")]
            {
                let signed = member.key(role)?.seal(kind, &admission);
                let body = member.introduction(&signed, from_ref(&membership))?;
                turned_away(caller, posted(caller, ADMISSION, &body)?, REFUSED)?;
            }
            Ok(())
        },
    },
    Case {
        id: "admission-count",
        clauses: &["ID-68"],
        about: "an admission with no membership, or with two, is malformed",
        run: |caller| {
            let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
            let membership = federation.signed(&federation.membership(&member));
            let admission = admission(caller, &member, &membership);
            for held in [vec![], vec![membership.clone(), membership]] {
                turned_away(caller, shown(caller, &member, &admission, &held)?, "malformed")?;
            }
            Ok(())
        },
    },
];

/// A federation root that the executor trusts, and its key.
struct Federation {
    name: String,
    key: Key,
    tenant: String,
}

impl Federation {
    /// A new one, for so many members, who may speak for the kit's tenant and for another one.
    fn trusted(caller: &Caller, members: u32) -> Result<Self> {
        let name = format!("kit-{}", HEXLOWER.encode(&wire::random::<6>()?));
        let (key, tenant) = (Key::of(wire::random()?), caller.terms.src.clone());
        let about = format!("{name} {} {members} {tenant},{ELSEWHERE}", key.public());
        caller.terms.done("federation", &about)?;
        Ok(Self { name, key, tenant })
    }

    /// A membership that nothing is wrong with, and that names the kit's tenant.
    fn membership(&self, member: &Home) -> Value {
        let now = wire::now();
        json!({
            "expires": now + LIFE, "federation": self.name, "genesis": member.roots[0].name(),
            "issued": now, "member": member.gid, "tenants": [self.tenant], "v": 1,
        })
    }

    /// The same with one member changed, signed.
    fn changed(&self, member: &Home, name: &str, value: impl Into<Value>) -> Result<Envelope> {
        let mut membership = self.membership(member);
        *membership.get_mut(name).context("a member that is there")? = value.into();
        Ok(self.signed(&membership))
    }

    fn signed(&self, membership: &Value) -> Envelope {
        self.key.seal("membership", &wire::bytes_of(membership))
    }
}

/// A member that showed its membership and was accepted, with a grant of its own.
fn admitted(caller: &Caller) -> Result<(Federation, Caller)> {
    caller.terms.needs(&["federation", "admit"])?;
    let (federation, member) = (Federation::trusted(caller, 1)?, stranger(caller)?);
    taken(caller, &member, &federation.signed(&federation.membership(&member)))?;
    // No two peers may be granted one agent.
    let agent = federation.name.clone();
    let tenants = format!("{}:{}", caller.terms.dst, caller.terms.src);
    caller.terms.done("admit", &format!("{} {agent} {tenants}", member.gid))?;
    let by = Caller::new(member, crate::terms::Terms { agent, ..caller.terms.clone() })?;
    Ok((federation, by))
}

fn admission(caller: &Caller, member: &Home, membership: &Envelope) -> Value {
    let now = wire::now();
    json!({
        "aud": caller.gid, "exp": now + 60_000, "iat": now, "iss": member.gid,
        "membership": membership.name(), "v": 1,
    })
}

/// A membership that is taken, and what its member is told.
fn taken(caller: &Caller, member: &Home, membership: &Envelope) -> Result<Value> {
    let admission = wire::bytes_of(&admission(caller, member, membership));
    let signed = member.key("request")?.seal("admission", &admission);
    let body = member.introduction(&signed, from_ref(membership))?;
    answer(caller, member, &signed, posted(caller, ADMISSION, &body)?)
}

fn refused(caller: &Caller, member: &Home, membership: &Envelope) -> Result<()> {
    let admission = admission(caller, member, membership);
    let reply = shown(caller, member, &admission, from_ref(membership))?;
    turned_away(caller, reply, REFUSED)
}

fn shown(caller: &Caller, member: &Home, admission: &Value, held: &[Envelope]) -> Result<Reply> {
    let signed = member.key("request")?.seal("admission", &wire::bytes_of(admission));
    posted(caller, ADMISSION, &member.introduction(&signed, held)?)
}
