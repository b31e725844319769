//! What peers' tenants spend in a day.

use landbridge_proto::machine::budget::{Day, Spent};
use landbridge_proto::wire::limit::INTEGER_MAX;
use landbridge_proto::wire::name::Owner;
use rusqlite::{Connection, params};

use super::execute;
use crate::fault::Fault;
use crate::sqlite::row::int;

pub(super) fn book(db: &Connection, owner: &Owner, day: Day, spent: Spent) -> Result<(), Fault> {
    // Both parts are at most INTEGER_MAX, so their sum is far from where SQLite's integers end.
    let sql = "INSERT INTO spent (caller, dst, src, day, tokens, cost_micro_usd)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (caller, dst, src, day) DO UPDATE SET
                   tokens = min(tokens + excluded.tokens, ?7),
                   cost_micro_usd = min(cost_micro_usd + excluded.cost_micro_usd, ?7)";
    let (caller, pair) = (owner.caller.as_str(), &owner.tenant);
    let (dst, src) = (pair.dst.as_str(), pair.src.as_str());
    let Spent { tokens, cost_micro_usd } = Spent::default().plus(spent);
    let params = params![caller, dst, src, day.0, int(tokens)?, int(cost_micro_usd)?, INTEGER_MAX];
    execute(db, sql, params)?;
    Ok(())
}
