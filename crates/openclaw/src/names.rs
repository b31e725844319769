//! Under which names the gateway knows a run.
//!
//! Keys at the gateway are global over all its clients, so each is a hash over everything that owns the
//! run. The session handle begins with a hash over the owner: a handle of another caller or tenant pair
//! is recognised without asking anybody.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use landbridge_node::adapter::{Intent, Work};
use landbridge_planted::planted;
use landbridge_proto::wire::name::{InvalidName, SessionHandle, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is committed before the gateway is called.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Names {
    /// The form of this record.
    pub v: u32,
    /// The gateway's start that was asked.
    pub boot: String,
    /// The gateway's own identity.
    pub gateway: String,
    /// The bridge's device: only it may stop the run.
    pub device: String,
    /// The session at the gateway.
    pub session: String,
    /// The run at the gateway, equal to the idempotency key.
    pub key: String,
    /// When this was decided.
    pub at: Timestamp,
}

impl Names {
    /// Reads what was committed.
    pub(crate) fn read(intent: &Intent) -> Option<Self> {
        serde_json::from_value(intent.0.clone()).ok().filter(|names: &Self| names.v == 1)
    }

    /// The record as the bridge commits it.
    pub(crate) fn intent(&self) -> Intent {
        Intent(serde_json::to_value(self).unwrap_or_default())
    }
}

/// The handle of the session that the work is led in; `None` when the wanted one is not the owner's.
pub(crate) fn handle(work: &Work) -> Option<SessionHandle> {
    let owner = short(&[
        "session-owner",
        work.caller.as_str(),
        work.tenant.src.as_str(),
        work.tenant.dst.as_str(),
        &agent(work),
    ]);
    match &work.session {
        //= REQ-50
        Some(handle) => {
            let own = is_handle_of(handle.as_str(), &owner) && !planted!("no_session_opens");
            own.then(|| handle.clone())
        }
        None => {
            made(&format!("{PREFIX}{owner}-{}", short(&["session-run", work.run.as_str()]))).ok()
        }
    }
}

/// The session's key at the gateway.
pub(crate) fn session_key(work: &Work, handle: &SessionHandle) -> String {
    format!("agent:{}:{handle}", agent(work))
}

/// The run's key at the gateway.
pub(crate) fn run_key(work: &Work) -> String {
    let fields = [
        "run",
        work.caller.as_str(),
        work.tenant.src.as_str(),
        work.tenant.dst.as_str(),
        work.run.as_str(),
    ];
    format!("{PREFIX}{}", HEXLOWER.encode(&digest(&fields)))
}

/// Under which label the gateway books the child that a run starts: how a later process finds it.
pub(crate) fn child_label(work: &Work) -> String {
    let key = run_key(work);
    format!("{PREFIX}{}", short(&["child", &key]))
}

/// The gateway writes agent ids in lower case, also inside session keys.
pub(crate) fn agent(work: &Work) -> String {
    work.agent.as_str().to_ascii_lowercase()
}

/// Whether a session at the gateway has a name as bridges give it.
pub(crate) fn is_of_a_bridge(key: &str) -> bool {
    let handle = key.strip_prefix("agent:").and_then(|rest| rest.split_once(':'));
    let owned = handle.and_then(|(_, handle)| handle.strip_prefix(PREFIX)?.split_once('-'));
    owned.is_some_and(|(owner, run)| {
        owner.len() == SHORT && is_handle_of(&format!("{PREFIX}{owner}-{run}"), owner)
    })
}

fn made(text: &str) -> Result<SessionHandle, InvalidName> {
    SessionHandle::new(text)
}

fn is_handle_of(handle: &str, owner: &str) -> bool {
    let Some(rest) = handle.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(owner)) else {
        return false;
    };
    rest.strip_prefix('-').is_some_and(|run| {
        run.len() == owner.len()
            && run.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    })
}

/// [`SHORT`] letters of the digest, which are 130 bits, in the alphabet of gateway session keys.
fn short(fields: &[&str]) -> String {
    let mut text = BASE32_NOPAD.encode(&digest(fields)).to_ascii_lowercase();
    text.truncate(SHORT);
    text
}

fn digest(fields: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(b"LANDBRIDGE-OPENCLAW-v1\n");
    for field in fields {
        hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().into()
}

/// What marks the bridge's own sessions and runs at the gateway.
pub(crate) const PREFIX: &str = "fed-";
/// How long a digest in a name is.
const SHORT: usize = 26;

/// OpenClaw has an agent by exactly this id. It bends other names until they are ids, so that `Main` and
/// `main`, or `a.b` and `a-b`, are one agent there and two in a grant: those are refused.
pub(crate) fn is_agent(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = name.bytes();
    name.len() <= 64
        && bytes.next().is_some_and(plain)
        && bytes.all(|byte| plain(byte) || byte == b'-' || byte == b'_')
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use landbridge_node::adapter::Ask;
    use landbridge_proto::wire::name::{AgentName, GatewayId, RunId, TenantId, TenantPair};

    pub(crate) fn work(run: char, src: &str) -> Work {
        Work {
            run: RunId::new(format!("run-{}", run.to_string().repeat(26))).unwrap(),
            caller: GatewayId::new(format!("gw1-{}", "a".repeat(52))).unwrap(),
            tenant: TenantPair {
                src: TenantId::new(src).unwrap(),
                dst: TenantId::new("here").unwrap(),
            },
            agent: AgentName::new("auto").unwrap(),
            mode: landbridge_node::adapter::Mode::Session,
            session: None,
            ask: Ask::Prompt("hello".to_owned()),
            deadline: Timestamp(0),
        }
    }

    #[test]
    fn a_session_opens_to_its_owner_alone() {
        let first = work('a', "acme");
        let own = handle(&first).unwrap();
        let again = Work { session: Some(own.clone()), ..work('b', "acme") };
        assert_eq!(handle(&again), Some(own.clone()));
        assert_eq!(handle(&Work { session: Some(own.clone()), ..work('b', "umbrella") }), None);
        let mut agent = Work { session: Some(own), ..work('b', "acme") };
        agent.agent = AgentName::new("main").unwrap();
        assert_eq!(handle(&agent), None);
        for foreign in ["main", "fed-", "subagent:x", "fed-x:subagent:1"] {
            let foreign =
                Work { session: Some(SessionHandle::new(foreign).unwrap()), ..work('b', "acme") };
            assert_eq!(handle(&foreign), None);
        }
    }

    #[test]
    fn sessions_of_bridges_are_told_from_others() {
        let work = work('a', "acme");
        let key = session_key(&work, &handle(&work).unwrap());
        assert!(is_of_a_bridge(&key), "{key}");
        let inside = key.strip_prefix("agent:auto:").unwrap();
        for other in [
            inside.to_owned(),
            "agent:auto:main".to_owned(),
            format!("agent:auto:x{inside}"),
            format!("{key}a"),
            key.replace("fed-", "fad-"),
            key.get(..key.len() - 1).unwrap().to_owned(),
        ] {
            assert!(!is_of_a_bridge(&other), "{other}");
        }
    }

    #[test]
    fn keys_differ_by_run_and_tenant_and_are_stable() {
        let keys = [work('a', "acme"), work('b', "acme"), work('a', "umbrella")]
            .map(|work| run_key(&work));
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
        assert_eq!(keys[0], run_key(&work('a', "acme")));
        assert!(!keys[0].contains("acme"));
    }

    //= ID-29
    #[test]
    fn only_names_that_the_gateway_leaves_as_they_are_name_an_agent() {
        for good in ["main", "a", "7", "tri-age_2"] {
            assert!(is_agent(good), "{good}");
        }
        for bad in ["", "Main", "tri.age", "-main", "_x", "a b", "ma\u{ef}n", &"a".repeat(65)] {
            assert!(!is_agent(bad), "{bad}");
        }
    }
}
