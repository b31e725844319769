//! Stored rows, as clients and administrators see them.

use landbridge_proto::machine::contract::{EntryBrief, EntryPhase, Sees, TokenRow};
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::problem::Problem;

use super::Bridge;
use crate::core::unreadable;
use crate::local::api::{RunView, SeesView, TokenView};

impl Bridge {
    pub(super) fn view_of(&self, entry: &EntryBrief, attached: bool) -> RunView {
        let phase = match entry.phase {
            EntryPhase::AwaitAccept => "awaitAccept",
            EntryPhase::Streaming => "streaming",
            EntryPhase::Settled => "settled",
        };
        RunView {
            run: entry.run.clone(),
            gateway: entry.gateway.clone(),
            peer: entry.peer.clone(),
            tenant: entry.tenant.clone(),
            agent: Some(entry.agent.clone()),
            idempotency_key: entry.key.clone(),
            phase: phase.to_owned(),
            outcome: entry.outcome.clone(),
            remote_run: entry.remote.clone(),
            session: entry.session.clone(),
            frames: entry.seq,
            cancel_requested: entry.cancel.is_some(),
            labels: entry.labels.clone(),
            created: instant(entry.created),
            deadline: instant(entry.deadline),
            ended: entry.ended.map(instant),
            attached,
            connection: self.calls.connection(&entry.run),
        }
    }

    /// A token, with its quotas as they apply now.
    pub(super) fn token_view(
        &self,
        row: TokenRow,
        secret: Option<String>,
    ) -> Result<TokenView, Problem> {
        let open = self.core.store.reads().open_entries_of(&row.id);
        let settings = &self.core.settings;
        Ok(TokenView {
            runs_open: open.map_err(|fault| unreadable(&fault))?,
            runs_open_max: row.runs_open_max.unwrap_or(settings.token_runs_open_max),
            starts_per_minute_max: row
                .starts_per_minute_max
                .unwrap_or(settings.token_starts_per_minute_max),
            id: row.id,
            name: row.name,
            routes: row.routes,
            tenants: row.tenants,
            sees: match row.sees {
                Sees::Own => SeesView::Own,
                Sees::Tenants => SeesView::Tenants,
            },
            verbs: row.verbs,
            created: instant(row.created),
            expires: row.expires.map(instant),
            revoked: row.revoked.map(instant),
            secret,
        })
    }
}

/// RFC 3339 in UTC.
pub(super) fn instant(at: Timestamp) -> String {
    let known = jiff::Timestamp::from_millisecond(at.0);
    known.map_or_else(|_| at.to_string(), |at| at.to_string())
}
