//! Waiting for runs to end, for scripts: no frames are printed, and the exit code tells how it went.
//!
//! A run is watched through its stream, behind the frames that are there already, so its end is known
//! at once and nobody polls. What is printed comes from the run itself after its end. A daemon that
//! restarts meanwhile is waited for, as when a run is followed.

use std::time::{Duration, Instant};

use landbridge_node::config::Period;
use landbridge_node::local::api::RunView;
use landbridge_proto::wire::name::RunId;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::out::Out;

/// What to wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// The first that ends is enough.
    pub(super) any: bool,
    /// For how long; `None`: to the end.
    pub(super) timeout: Option<Period>,
}

/// Waits, prints each run as it ends, and exits as they did.
pub(super) async fn wait(
    client: &Client,
    runs: &[RunId],
    until: Until,
    out: &Out,
) -> Result<Exit, Failure> {
    let mut named: Vec<RunId> = Vec::new();
    for run in runs {
        if !named.contains(run) {
            // What is not there is told before anything is waited for.
            show(client, run).await?;
            named.push(run.clone());
        }
    }
    let mut waiting = JoinSet::new();
    for (at, run) in named.iter().cloned().enumerate() {
        let client = client.clone();
        waiting.spawn(async move { (at, settled(&client, &run).await) });
    }
    let over = async {
        match until.timeout {
            Some(timeout) => tokio::time::sleep(timeout.as_duration()).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut exits = vec![None; named.len()];
    loop {
        let ended = tokio::select! {
            ended = waiting.join_next() => ended,
            () = &mut over => return Err(timed_out(&named, &exits, until)),
        };
        let Some(ended) = ended else { break };
        let (at, view) =
            ended.map_err(|error| Failure::new(Exit::Internal, "waiting failed").because(error))?;
        let view = view?;
        let outcome = view.outcome.clone().unwrap_or_default();
        out.data(&view, |view| format!("{}  {outcome}", view.run))?;
        let exit = Exit::of_outcome(&outcome);
        if until.any {
            return Ok(exit);
        }
        exits[at] = Some(exit);
    }
    Ok(verdict(&exits))
}

/// The first that did not succeed, in the order of the command line.
fn verdict(exits: &[Option<Exit>]) -> Exit {
    let failed = exits.iter().flatten().find(|exit| **exit != Exit::Success);
    failed.copied().unwrap_or(Exit::Success)
}

fn timed_out(runs: &[RunId], exits: &[Option<Exit>], until: Until) -> Failure {
    let open: Vec<&str> = runs
        .iter()
        .zip(exits)
        .filter(|(_, exit)| exit.is_none())
        .map(|(run, _)| run.as_str())
        .collect();
    let after = until.timeout.map(|timeout| timeout.to_string()).unwrap_or_default();
    let what = format!("{} of {} runs go on after {after}", open.len(), runs.len());
    Failure::new(Exit::WaitTimeout, what)
        .next(format!("landbridge run wait {}, or landbridge run cancel RUN", open.join(" ")))
}

async fn show(client: &Client, run: &RunId) -> Result<RunView, Failure> {
    client.get(&format!("/v1/runs/{run}")).await
}

/// The run once it has ended.
async fn settled(client: &Client, run: &RunId) -> Result<RunView, Failure> {
    let mut heard = Instant::now();
    loop {
        match watch(client, run).await {
            Ok(Some(view)) => return Ok(view),
            Ok(None) => heard = Instant::now(),
            Err(failure) if passing(&failure) && heard.elapsed() < PATIENCE => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Watches until the run ends or the answer does; `None`: the run goes on as far as is known.
async fn watch(client: &Client, run: &RunId) -> Result<Option<RunView>, Failure> {
    let view = show(client, run).await?;
    if view.outcome.is_some() {
        return Ok(Some(view));
    }
    let mut lines = client.lines(&format!("/v1/runs/{run}/frames?after={}", view.frames)).await?;
    while lines.next().await?.is_some() {}
    let view = show(client, run).await?;
    Ok(view.outcome.is_some().then_some(view))
}

/// A daemon that restarts, starts or drains will be back.
fn passing(failure: &Failure) -> bool {
    failure.exit() == Exit::NoBridge
        || matches!(failure.problem_code(), Some("draining" | "overloaded" | "not_ready"))
}

/// Between two looks at a run whose stream ended without its end.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// A restart of the daemon takes less than this.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_exit_as_the_first_on_the_command_line_that_did_not_succeed() {
        let exits = [Some(Exit::Success), Some(Exit::RunLost), Some(Exit::RunFailed)];
        assert_eq!(verdict(&exits), Exit::RunLost);
        assert_eq!(verdict(&[Some(Exit::Success)]), Exit::Success);
    }
}
