//! `approval request`: a workflow here waits for other gateways' operators.

use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use landbridge_node::config::Period;
use landbridge_node::local::api::{ApprovalView, AskApproval};
use landbridge_proto::machine::contract::ApprovalState;
use landbridge_proto::wire::approval::Binding;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::ApprovalId;

use super::{get, stands};
use crate::cli::ApprovalRequestArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// Asks, and waits if that is wanted.
pub(super) async fn request(
    client: &Client,
    args: ApprovalRequestArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let (wait, timeout) = (args.wait, args.timeout);
    let view: ApprovalView = client.post("/v1/approvals", &body(args)?).await?;
    let id = view.brief.id.clone();
    let asked: Vec<String> = view
        .brief
        .peers
        .iter()
        .map(|peer| peer.alias.as_ref().map_or(peer.gateway.to_string(), ToString::to_string))
        .collect();
    out.say(Look::Dim, format!("asked {} as {id}", asked.join(" and ")));
    if !wait {
        out.data(&view, |view| view.brief.id.to_string())?;
        return Ok(Exit::Success);
    }
    let view = ended(client, &id, timeout).await?;
    out.data(&view, |view| format!("{}  {}", view.brief.id, view.brief.state.as_str()))?;
    let (look, state) = stands(view.brief.state);
    out.say(look, state);
    for one in &view.decisions {
        out.say(Look::Dim, format!("{}: {} of {}", one.vote.as_str(), one.sub, one.gateway));
    }
    Ok(exit_of(view.brief.state))
}

/// The exit that tells how an approval ended.
const fn exit_of(state: ApprovalState) -> Exit {
    match state {
        ApprovalState::Approved => Exit::Success,
        ApprovalState::Denied => Exit::ApprovalDenied,
        ApprovalState::Open => Exit::WaitTimeout,
        ApprovalState::Expired | ApprovalState::Closed => Exit::ApprovalEnded,
    }
}

/// Looks again and again until it has ended. A bridge that restarts meanwhile is waited for.
async fn ended(
    client: &Client,
    id: &ApprovalId,
    timeout: Option<Period>,
) -> Result<ApprovalView, Failure> {
    let since = Instant::now();
    let mut heard = Instant::now();
    loop {
        match get(client, id).await {
            Ok(view) if view.brief.state != ApprovalState::Open => return Ok(view),
            Ok(_) => heard = Instant::now(),
            Err(failure) if passing(&failure) && heard.elapsed() < PATIENCE => {}
            Err(failure) => return Err(failure),
        }
        if timeout.is_some_and(|timeout| since.elapsed() >= timeout.as_duration()) {
            return Err(Failure::new(Exit::WaitTimeout, format!("{id} is open"))
                .why("the time to wait is over; it can still be decided")
                .next(format!("landbridge approval show {id}")));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn passing(failure: &Failure) -> bool {
    failure.exit() == Exit::NoBridge
        || matches!(failure.problem_code(), Some("draining" | "overloaded" | "not_ready"))
}

fn body(args: ApprovalRequestArgs) -> Result<AskApproval, Failure> {
    let media = args.media.or_else(|| args.file.as_deref().and_then(media_of).map(str::to_owned));
    let subject = match args.text {
        Some(text) => text,
        None => read(args.file.as_deref().unwrap_or(Path::new("-")))?,
    };
    fits(subject.as_bytes())?;
    Ok(AskApproval {
        subject,
        media,
        kind: args.kind,
        scope: args.scope,
        tenant: args.tenant,
        quorum: Some(args.quorum),
        expires_in_ms: Some(args.expires_in.as_ms()),
        principal: args.principal,
        binding: args.observed.then_some(Binding::Observed),
    })
}

fn fits(subject: &[u8]) -> Result<(), Failure> {
    let max = limit::SUBJECT_BYTES_MAX;
    if (1..=max).contains(&subject.len()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, format!("what is to be approved has 1 to {max} bytes")))
}

/// What a file's name says that it is.
fn media_of(file: &Path) -> Option<&'static str> {
    (file.extension()? == "json").then_some("application/json")
}

fn read(file: &Path) -> Result<String, Failure> {
    let name = || file.display();
    // One byte more than allowed, so that too much is noticed and nothing is read without end.
    let max = limit::SUBJECT_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(max).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(max).read_to_end(&mut bytes))
    };
    read.or_fail(Exit::Usage, || format!("cannot read the subject from {}", name()))?;
    fits(&bytes)?;
    String::from_utf8(bytes)
        .or_fail(Exit::Usage, || format!("the subject in {} is not UTF-8 text", name()))
}

/// Between two looks at an approval that people decide.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A restart of the daemon takes less than this.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_exit_tells_how_it_ended() {
        assert_eq!(exit_of(ApprovalState::Approved), Exit::Success);
        assert_eq!(exit_of(ApprovalState::Denied), Exit::ApprovalDenied);
        assert_eq!(exit_of(ApprovalState::Expired), Exit::ApprovalEnded);
        assert_eq!(exit_of(ApprovalState::Closed), Exit::ApprovalEnded);
    }

    #[test]
    fn a_subject_is_text_and_never_cut() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("subject.json");
        assert_eq!(media_of(&file), Some("application/json"));
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(read(&file).unwrap_err().exit(), Exit::Usage);
        std::fs::write(&file, "a\r\nb\n").unwrap();
        assert_eq!(read(&file).unwrap(), "a\r\nb\n");
        std::fs::write(&file, "x".repeat(limit::SUBJECT_BYTES_MAX + 9)).unwrap();
        assert!(read(&file).unwrap_err().what().contains("1 to 65536 bytes"));
    }
}
