//! What a new run has to find room in before its key is bound: its owner's day, places, and rate.
//!
//! The order is from what lasts longest to what passes soonest, and nothing is used up by a start that is
//! refused later: a place that was taken is given back when it is dropped, and a token is taken last.

use landbridge_planted::planted;
use landbridge_proto::machine::admission::Admitted;
use landbridge_proto::machine::budget::{Budget, Day};
use landbridge_proto::wire::document::Grant;
use landbridge_proto::wire::name::Owner;
use landbridge_proto::wire::problem::{Code, Problem};

use super::Federation;
use super::rate::Rate;
use crate::core::unreadable;
use crate::line::{NoPlace, Places, Turn};
use crate::seats::{NoSeat, Room, Seat};

/// How soon a peer that found no room may ask again, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Requests that are decided at once: enough to fill a group commit, few enough that whoever comes next
/// waits for one group only.
const DECIDED_AT_ONCE: usize = 16;
/// Requests of one owner that wait for that.
const WAITING_OF_OWNER_MAX: usize = 256;
/// Requests that wait for that, whoever they are.
const WAITING_MAX: usize = 1_024;

/// The places of the line in which admitted requests wait.
pub(super) const PLACES: Places =
    Places { served: DECIDED_AT_ONCE, own: WAITING_OF_OWNER_MAX, all: WAITING_MAX };

impl Federation {
    /// Waits until the owner's next request may be decided.
    //= REQ-61
    pub(super) async fn turn(&self, owner: &Owner) -> Result<Turn<Owner>, Problem> {
        self.line.turn(owner).await.map_err(|full| match full {
            NoPlace::Own => too_much("own_line", "too many requests of this tenant pair wait"),
            NoPlace::All => full_here("line", Code::Overloaded),
        })
    }

    /// Refuses new work beyond what the grant and this bridge allow. The key stays free.
    pub(super) fn room(&self, admitted: &Admitted) -> Result<Seat, Problem> {
        //= REQ-73
        if self.core.draining.is_cancelled() {
            return Err(full_here("draining", Code::Draining));
        }
        let grant = admitted.grant();
        self.check_day(admitted.owner(), grant)?;
        let seat = self.seat(admitted.owner(), grant)?;
        self.check_rate(admitted.owner(), grant)?;
        Ok(seat)
    }

    //= REQ-56
    fn check_day(&self, owner: &Owner, grant: Option<&Grant>) -> Result<(), Problem> {
        let budget = grant.map(Budget::of_day).unwrap_or_default();
        if !budget.is_limited() {
            return Ok(());
        }
        let now = self.core.now();
        let spent = self.core.store.reads().spent(owner, Day::of(now));
        let used_up = budget.is_used_up(spent.map_err(|fault| unreadable(&fault))?);
        if used_up && !planted!("day_budget_ignored") {
            let used_up = too_much("day", "the day's tokens or cost are used up");
            return Err(used_up.with_retry_after_ms(Day::left_ms(now)));
        }
        Ok(())
    }

    fn seat(&self, owner: &Owner, grant: Option<&Grant>) -> Result<Seat, Problem> {
        let settings = &self.core.settings;
        let granted = grant.and_then(|grant| grant.concurrent_max);
        let granted = granted.unwrap_or(settings.executing_per_owner_max);
        let room = Room {
            max: settings.executing_max,
            granted: usize::try_from(granted).unwrap_or(usize::MAX),
            shared: self.others_may_come(),
        };
        self.executions.seats().take(owner, room).map_err(|none| match none {
            NoSeat::Full => full_here("places", Code::Overloaded),
            NoSeat::Granted => {
                let detail = "as many runs as are allowed at the same time are open";
                too_much("granted_places", detail)
            }
            NoSeat::Shared => {
                too_much("shared_places", "the rest of this executor's places is kept for others")
            }
        })
    }

    /// More than one tenant pair has a grant.
    fn others_may_come(&self) -> bool {
        let state = self.core.trust.state();
        let document = state.federation.as_ref().map(|trusted| trusted.document());
        let peers = document.into_iter().flat_map(|document| &document.peers);
        peers.map(|peer| peer.grants.len()).sum::<usize>() > 1
    }

    fn check_rate(&self, owner: &Owner, grant: Option<&Grant>) -> Result<(), Problem> {
        let granted = grant.and_then(|grant| grant.starts_per_second);
        //= REQ-59
        let rate = granted.map_or_else(
            || Rate::per_minute(self.core.settings.starts_per_minute_max),
            |starts| Rate::per_second(u32::try_from(starts).unwrap_or(u32::MAX)),
        );
        let taken = self.rates.take(owner, rate, self.core.now());
        if planted!("start_rate_ignored") {
            return Ok(());
        }
        taken.map_err(|ms| too_much("rate", "too many starts").with_retry_after_ms(ms))
    }
}

/// The owner's own part is used up.
fn too_much(reason: &'static str, detail: &str) -> Problem {
    full_here(reason, Code::RateLimited).with_detail(detail)
}

fn full_here(reason: &'static str, code: Code) -> Problem {
    metrics::counter!(crate::observe::STARTS_REFUSED, "reason" => reason).increment(1);
    Problem::new(code).with_retry_after_ms(RETRY_AFTER_MS)
}
