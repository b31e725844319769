//! Lists of journal entries: one index is walked from its newest end until the page is full.
//!
//! Which index that is follows from what is asked, not from the planner's guess: the statements name
//! it, so that a list's cost does not change with the statistics of a database. Whatever else is asked
//! is looked at row by row on the way. Several tenants are several walks, merged: one walk over all
//! entries would read those of every other tenant too. The texts of entries, a megabyte each at worst,
//! are in a table of their own that a list never looks into. Lists of approvals, of which there are few,
//! walk an index likewise.

use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, ApprovalState, EntryBrief, EntryFilter,
};
use landbridge_proto::wire::name::{RunId, TenantId};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::row::{self, APPROVAL_COLUMNS, BRIEF_COLUMNS};
use crate::fault::Fault;

/// Entries, newest first.
pub(super) fn entries(db: &Connection, filter: &EntryFilter) -> Result<Vec<EntryBrief>, Fault> {
    let walks = Walk::all(filter);
    let merged = walks.len() > 1;
    let mut found = Vec::new();
    for walk in walks {
        let mut statement = db.prepare_cached(&walk.sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(walk.values), row::brief)?;
        for entry in rows {
            found.push(entry?);
        }
    }
    if merged {
        found.sort_by(|a, b| (b.created, &b.run).cmp(&(a.created, &a.run)));
        found.truncate(filter.limit as usize);
    }
    Ok(found)
}

/// Approvals, newest first.
pub(super) fn approvals(
    db: &Connection,
    filter: &ApprovalFilter,
) -> Result<Vec<ApprovalRow>, Fault> {
    let walk = Walk::of_approvals(filter);
    let mut statement = db.prepare_cached(&walk.sql)?;
    let rows = statement.query_map(rusqlite::params_from_iter(walk.values), row::approval)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One statement and its values.
struct Walk {
    sql: String,
    values: Vec<Value>,
}

impl Walk {
    fn all(filter: &EntryFilter) -> Vec<Self> {
        let narrower = !filter.labels.is_empty()
            || filter.outcome.is_some()
            || filter.settled == Some(false)
            || filter.token.is_some()
            || filter.gateways.len() == 1;
        match filter.tenants.as_slice() {
            [] => vec![Self::new(filter, &[])],
            several if narrower => vec![Self::new(filter, several)],
            several => several
                .iter()
                .map(|tenant| Self::new(filter, std::slice::from_ref(tenant)))
                .collect(),
        }
    }

    fn new(filter: &EntryFilter, tenants: &[TenantId]) -> Self {
        let mut walk = Self { sql: String::new(), values: Vec::new() };
        let by_label = !filter.labels.is_empty();
        let index = match filter {
            _ if by_label => "",
            EntryFilter { settled: Some(false), .. } => " INDEXED BY entries_open",
            EntryFilter { outcome: Some(_), .. } => " INDEXED BY entries_outcome",
            EntryFilter { token: Some(_), .. } => " INDEXED BY entries_token",
            EntryFilter { gateways, .. } if gateways.len() == 1 => " INDEXED BY entries_gateway",
            _ if tenants.len() == 1 => " INDEXED BY entries_src",
            _ => " INDEXED BY entries_created",
        };
        let (from, at) = if by_label {
            ("entry_labels l CROSS JOIN entries e ON e.run = l.run".to_owned(), "l")
        } else {
            (format!("entries e{index}"), "e")
        };
        walk.sql = format!("SELECT {BRIEF_COLUMNS} FROM {from} WHERE 1");
        for (n, (name, value)) in filter.labels.iter().enumerate() {
            let values = [Value::from(name.clone()), Value::from(value.clone())];
            if n == 0 {
                walk.and("l.name = ? AND l.value = ?", values);
            } else {
                let has = "EXISTS (SELECT 1 FROM entry_labels m WHERE m.name = ? AND m.value = ?
                               AND m.created = e.created AND m.run = e.run)";
                walk.and(has, values);
            }
        }
        walk.add_columns(filter, tenants);
        if let Some(before) = &filter.before {
            let values = [Value::from(before.created.0), before.run.as_str().to_owned().into()];
            walk.and(&format!("({at}.created, {at}.run) < (?, ?)"), values);
        }
        if let Some(since) = filter.since {
            walk.and(&format!("{at}.created >= ?"), [since.0.into()]);
        }
        if let Some(until) = filter.until {
            walk.and(&format!("{at}.created < ?"), [until.0.into()]);
        }
        walk.sql.push_str(&format!(" ORDER BY {at}.created DESC, {at}.run DESC LIMIT ?"));
        walk.values.push(i64::from(filter.limit).into());
        walk
    }

    fn of_approvals(filter: &ApprovalFilter) -> Self {
        let index = match filter {
            ApprovalFilter { run: Some(_), .. } => "approvals_run",
            ApprovalFilter { state: Some(ApprovalState::Open), .. } => "approvals_open",
            _ => "approvals_created",
        };
        let sql = format!("SELECT {APPROVAL_COLUMNS} FROM approvals INDEXED BY {index} WHERE 1");
        let mut walk = Self { sql, values: Vec::new() };
        match filter.state {
            // As the partial index says it.
            Some(ApprovalState::Open) => walk.and("state = 'open'", []),
            Some(state) => walk.and("state = ?", [state.as_str().to_owned().into()]),
            None => {}
        }
        if let Some(side) = filter.side {
            walk.and("side = ?", [side.as_str().to_owned().into()]);
        }
        if let Some(token) = &filter.token {
            walk.and("token = ?", [token.clone().into()]);
        }
        walk.one_of("run", filter.run.iter().map(RunId::as_str));
        walk.one_of("tenant", filter.tenants.iter().map(TenantId::as_str));
        walk.sql.push_str(" ORDER BY created DESC, id DESC LIMIT ?");
        walk.values.push(i64::from(filter.limit).into());
        walk
    }

    fn add_columns(&mut self, filter: &EntryFilter, tenants: &[TenantId]) {
        match filter.settled {
            Some(true) => self.and("e.phase = 'settled'", []),
            Some(false) => self.and("e.phase <> 'settled'", []),
            None => {}
        }
        if let Some(outcome) = &filter.outcome {
            self.and("e.outcome = ?", [outcome.clone().into()]);
        }
        if let Some(token) = &filter.token {
            self.and("e.token = ?", [token.clone().into()]);
        }
        self.one_of("e.gateway", filter.gateways.iter().map(|alias| alias.as_str()));
        self.one_of("e.src", tenants.iter().map(TenantId::as_str));
    }

    fn and<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// One value is an equation, which an index can serve in the order of the list; more are not.
    fn one_of<'a>(&mut self, column: &str, among: impl ExactSizeIterator<Item = &'a str>) {
        let condition = match among.len() {
            0 => return,
            1 => format!(" AND {column} = ?"),
            more => format!(" AND {column} IN ({})", vec!["?"; more].join(", ")),
        };
        self.sql.push_str(&condition);
        self.values.extend(among.map(|text| Value::from(text.to_owned())));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use landbridge_proto::machine::contract::EntryPlace;
    use landbridge_proto::wire::name::{Alias, RunId, Timestamp};

    use super::*;
    use crate::sqlite::schema;

    fn plans(filter: &EntryFilter) -> Vec<String> {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let walks = Walk::all(filter).into_iter();
        walks
            .map(|walk| {
                let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {}", walk.sql)).unwrap();
                let rows = explain.query_map(rusqlite::params_from_iter(walk.values), |row| {
                    row.get::<_, String>(3)
                });
                rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap().join("\n")
            })
            .collect()
    }

    fn filters() -> Vec<(EntryFilter, &'static str)> {
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let label = |name: &str| (name.to_owned(), "x".to_owned());
        let all = EntryFilter { limit: 10, ..EntryFilter::default() };
        let gateways = vec![Alias::new("eu").unwrap()];
        vec![
            (all.clone(), "entries_created"),
            (EntryFilter { settled: Some(true), ..all.clone() }, "entries_created"),
            (EntryFilter { settled: Some(false), ..all.clone() }, "entries_open"),
            (EntryFilter { outcome: Some("lost".into()), ..all.clone() }, "entries_outcome"),
            (EntryFilter { token: Some("t".into()), ..all.clone() }, "entries_token"),
            (EntryFilter { gateways: gateways.clone(), ..all.clone() }, "entries_gateway"),
            (EntryFilter { tenants: vec![tenant("a")], ..all.clone() }, "entries_src"),
            (EntryFilter { tenants: vec![tenant("a"), tenant("b")], ..all.clone() }, "entries_src"),
            (EntryFilter { labels: [label("a")].into(), ..all.clone() }, "PRIMARY KEY"),
            (
                EntryFilter {
                    labels: [label("a"), label("b")].into(),
                    gateways,
                    tenants: vec![tenant("a"), tenant("b")],
                    ..all
                },
                "PRIMARY KEY",
            ),
        ]
    }

    #[test]
    fn a_page_is_walked_along_an_index_and_nothing_is_sorted() {
        for (filter, index) in filters() {
            for plan in plans(&filter) {
                assert!(plan.lines().next().unwrap().contains(index), "{filter:?}\n{plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{filter:?}\n{plan}");
            }
        }
    }

    #[test]
    fn approvals_are_walked_along_an_index_and_nothing_is_sorted() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        let run = RunId::new(format!("run-{}", "a".repeat(26))).unwrap();
        let all = ApprovalFilter { limit: 10, ..ApprovalFilter::default() };
        let both = vec![TenantId::new("a").unwrap(), TenantId::new("b").unwrap()];
        for (filter, index) in [
            (all.clone(), "approvals_created"),
            (ApprovalFilter { tenants: both, ..all.clone() }, "approvals_created"),
            (ApprovalFilter { state: Some(ApprovalState::Open), ..all.clone() }, "approvals_open"),
            (ApprovalFilter { run: Some(run), ..all }, "approvals_run"),
        ] {
            let walk = Walk::of_approvals(&filter);
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {}", walk.sql)).unwrap();
            let values = rusqlite::params_from_iter(walk.values);
            let rows = explain.query_map(values, |row| row.get::<_, String>(3)).unwrap();
            let plan = rows.collect::<Result<Vec<_>, _>>().unwrap().join("\n");
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{filter:?}\n{plan}");
        }
    }

    #[test]
    fn a_page_reads_no_text() {
        for (filter, _) in filters() {
            for plan in plans(&filter) {
                assert!(!plan.contains("texts") && !plan.contains(" t "), "{filter:?}\n{plan}");
            }
        }
    }

    #[test]
    fn a_later_page_is_found_and_not_walked_to() {
        let run = RunId::new(format!("run-{}", "a".repeat(26))).unwrap();
        let before = Some(EntryPlace { created: Timestamp(5), run });
        for (filter, index) in filters() {
            for further in [
                EntryFilter { before: before.clone(), ..filter.clone() },
                EntryFilter { until: Some(Timestamp(5)), ..filter.clone() },
                EntryFilter { since: Some(Timestamp(5)), ..filter },
            ] {
                for plan in plans(&further) {
                    let first = plan.lines().next().unwrap();
                    assert!(first.starts_with("SEARCH") && first.contains(index), "{plan}");
                    assert!(first.contains("created"), "{further:?}\n{plan}");
                    assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
                }
            }
        }
    }
}
