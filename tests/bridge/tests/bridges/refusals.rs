//! What B must not do for anybody who asks wrongly: one test for each kind of wrong, each with the code
//! of the registry, the record in the audit log, and nothing changed; and each with its twin, the same
//! request unharmed, which is served.

mod local;
mod plane;
mod request;
mod time;

use landbridge_harness::bridge::{Bridge, Pair};
use serde_json::Value;

use crate::forge::{Forge, RUNS, Reply};
use crate::lifecycle::until;

/// Two paired bridges, B granting `demo`, and somebody with A's keys.
struct Scene {
    pair: Pair,
    forge: Forge,
}

/// What must not change when somebody is refused.
#[derive(Debug, Eq, PartialEq)]
struct State {
    runs: i64,
    blocked: i64,
    requests: i64,
    executions: usize,
}

impl Scene {
    async fn set() -> Self {
        let pair = Pair::granted(&[], &[], &[]).await.unwrap();
        let forge = Forge::of(&pair.a, &pair.b).await;
        Self { pair, forge }
    }

    async fn state(&self) -> State {
        state(&self.pair.b).await
    }

    /// The request is refused so, nothing changes, and B's audit log has a record exactly when the
    /// refusal is signed: garbage of strangers is only counted.
    async fn refused(&self, path: &str, request: &Value, status: u16, code: &str, signed: bool) {
        let before = (self.state().await, refusals(&self.pair.b, code).await);
        let reply = self.forge.send(path, request).await;
        self.held(&reply, before, (status, code, signed)).await;
    }

    /// The reply is this refusal, and nothing changed since `before`.
    async fn held(&self, reply: &Reply, before: (State, usize), refusal: (u16, &str, bool)) {
        assert_eq!(reply.refusal(), refusal, "{}", reply.text);
        assert_eq!(self.state().await, before.0, "{refusal:?}");
        let records = refusals(&self.pair.b, refusal.1).await;
        assert_eq!(records - before.1, usize::from(refusal.2), "audit of {refusal:?}");
    }

    /// The start is served: it runs once and ends.
    async fn served(&self, start: &Value) {
        let before = self.state().await;
        let reply = self.forge.send(RUNS, start).await;
        assert!(reply.is_whole_stream(), "{} {}", reply.status, reply.text);
        let after = self.state().await;
        assert_eq!((after.runs, after.executions), (before.runs + 1, before.executions + 1));
    }
}

/// What B has stored and done, once it executes nothing: a run that has just ended may still be let go.
async fn state(b: &Bridge) -> State {
    let idle = |view: &Value| view["executing"] == 0;
    until(&b.api(), "/v1/admin/bridge", idle).await;
    let database = rusqlite::Connection::open(b.home().join("state/landbridge.db")).unwrap();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    State {
        runs: count("runs"),
        blocked: count("blocked_keys"),
        requests: count("jtis"),
        executions: b.executions().unwrap().len(),
    }
}

/// How many refusals with this code B's audit log has.
async fn refusals(b: &Bridge, code: &str) -> usize {
    let events = b.audit().await.unwrap();
    let refused =
        |event: &&Value| event["deed"] == "request_refused" && event["detail"]["code"] == code;
    events.iter().filter(refused).count()
}
