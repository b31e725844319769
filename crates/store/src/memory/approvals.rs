//! Approvals and catalogs of the model.

use std::sync::Arc;

use landbridge_proto::machine::contract::{ApprovalFilter, ApprovalRow, ApprovalState, CatalogRow};
use landbridge_proto::wire::name::{GatewayId, TenantId, Timestamp};

use super::Model;
use super::write::{oldest, require};
use crate::fault::{Broken, Fault};

impl Model {
    pub(super) fn create_approval(&mut self, row: &ApprovalRow) -> Result<(), Fault> {
        require(row.is_dated(), || Broken::ApprovalUndated(row.id.clone()))?;
        let all = Arc::make_mut(&mut self.approvals);
        let old = all.insert(row.id.clone(), Arc::new(row.clone()));
        require(old.is_none(), || Broken::ApprovalExists(row.id.clone()))
    }

    pub(super) fn put_approval(&mut self, row: &ApprovalRow) -> Result<(), Fault> {
        require(row.is_dated(), || Broken::ApprovalUndated(row.id.clone()))?;
        let Some(old) = Arc::make_mut(&mut self.approvals).get_mut(&row.id) else {
            return Err(Broken::ApprovalUnknown(row.id.clone()).into());
        };
        let same = old.revision == row.revision
            && old.side == row.side
            && old.tenant == row.tenant
            && old.subject == row.subject
            && old.token == row.token
            && old.created == row.created;
        require(same, || Broken::ApprovalChanged(row.id.clone()))?;
        *old = Arc::new(ApprovalRow { revision: row.revision + 1, ..row.clone() });
        Ok(())
    }

    pub(super) fn put_catalog(&mut self, row: &CatalogRow) -> Result<(), Fault> {
        if let Some(old) = self.catalog(&row.gateway, &row.tenant) {
            require(row.version >= old.version, || Broken::CatalogOlder(row.version))?;
            if row.version == old.version {
                let same = row.envelope == old.envelope;
                return require(same, || Broken::CatalogDiffers(row.version));
            }
        }
        let place = (row.gateway.clone(), row.tenant.clone());
        Arc::make_mut(&mut self.catalogs).insert(place, row.clone());
        Ok(())
    }

    pub(super) fn catalog(&self, gateway: &GatewayId, tenant: &TenantId) -> Option<&CatalogRow> {
        self.catalogs.get(&(gateway.clone(), tenant.clone()))
    }

    pub(super) fn approvals(&self, filter: &ApprovalFilter) -> Vec<ApprovalRow> {
        let mut all: Vec<_> = self.approvals.values().filter(|row| wanted(row, filter)).collect();
        all.sort_by_key(|row| std::cmp::Reverse((row.created, row.id.clone())));
        all.into_iter().take(filter.limit as usize).map(|row| ApprovalRow::clone(row)).collect()
    }

    pub(super) fn open_approvals(&self) -> Vec<ApprovalRow> {
        let open = self.approvals.values().filter(|row| row.state == ApprovalState::Open);
        let mut open: Vec<_> = open.map(|row| ApprovalRow::clone(row)).collect();
        open.sort_by_key(|row| (row.created, row.id.clone()));
        open
    }

    /// After the runs: an approval goes with its run and never before it.
    pub(super) fn prune_approvals(&mut self, before: Timestamp, limit: usize) {
        let ended = self.approvals.values().filter(|row| row.state != ApprovalState::Open);
        //= APR-28
        let ended = ended.filter(|row| {
            let kept = |run| self.runs.contains_key(run) || self.entries.contains_key(run);
            !row.run.as_ref().is_some_and(kept)
        });
        let ended = ended.filter_map(|row| Some((row.decided?, row.id.clone())));
        for id in oldest(ended, before, limit) {
            Arc::make_mut(&mut self.approvals).remove(&id);
        }
    }
}

fn wanted(row: &ApprovalRow, filter: &ApprovalFilter) -> bool {
    filter.state.is_none_or(|state| row.state == state)
        && filter.side.is_none_or(|side| row.side == side)
        && (filter.tenants.is_empty() || filter.tenants.contains(&row.tenant))
        && (filter.token.is_none() || row.token == filter.token)
        && (filter.run.is_none() || row.run == filter.run)
}
