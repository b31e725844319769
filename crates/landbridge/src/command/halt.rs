//! `halt` and `resume`: the kill switch.
//!
//! The file is the order. The bridge is asked afterwards only, and briefly, so that the operator knows
//! whether it was heard: a bridge that does not answer must not keep anybody from stopping it.

use std::path::Path;
use std::time::Duration;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::halt::{self, BECAUSE_BYTES_MAX, FILE, Halted};
use landbridge_node::local::api::BridgeView;
use serde::Serialize;

use crate::cli::HaltArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// How long the bridge has to say that it heard.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What the switch did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Switched {
    halted: bool,
    /// It was not so before.
    changed: bool,
    bridge: Bridge,
}

/// What the bridge says of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Bridge {
    /// It goes by it.
    Heard,
    /// None runs here; the next one goes by it from its start.
    NotRunning,
    /// It runs, and does not answer; it looks for the file all the same.
    NoAnswer,
}

/// Throws the switch.
pub(super) async fn halt(client: &Client, args: &HaltArgs, out: &Out) -> Result<Exit, Failure> {
    if args.because.as_ref().is_some_and(|text| text.len() > BECAUSE_BYTES_MAX) {
        let what = format!("--because has at most {BECAUSE_BYTES_MAX} bytes");
        return Err(Failure::new(Exit::Usage, what));
    }
    let home = client.home();
    let changed = halt::look(&home.join(FILE)).is_none();
    let halted = Halted { at: Some(SystemClock.now()), because: args.because.clone() };
    halt::order(home, &halted)
        .or_fail(Exit::CannotCreate, || format!("cannot make {}", home.join(FILE).display()))
        .map_err(|failure| failure.next("stop the bridge's process; it is not halted"))?;
    let bridge = heard(client, true).await;
    out.data(&Switched { halted: true, changed, bridge }, |_| String::new())?;
    match bridge {
        Bridge::Heard => out.say(Look::Green, "halted: the bridge does nothing any more"),
        Bridge::NotRunning => {
            out.say(Look::Green, "halted: no bridge runs here, and the next one does nothing")
        }
        Bridge::NoAnswer => {
            out.say(Look::Yellow, "halted, and the bridge does not answer");
            out.say(Look::Dim, "it looks for the file by itself; to be certain, end its process: it stays halted after a restart");
        }
    }
    out.say(Look::Dim, "to go on: landbridge resume");
    Ok(Exit::Success)
}

/// Takes the switch back.
pub(super) async fn resume(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let home: &Path = client.home();
    let changed = halt::lift(home)
        .or_fail(Exit::CannotCreate, || format!("cannot remove {}", home.join(FILE).display()))
        .map_err(|failure| failure.next(format!("remove {} by hand", home.join(FILE).display())))?;
    let bridge = heard(client, false).await;
    out.data(&Switched { halted: false, changed, bridge }, |_| String::new())?;
    match (changed, bridge) {
        (false, _) => out.say(Look::Dim, "nothing was halted"),
        (true, Bridge::Heard) => out.say(Look::Green, "the bridge goes on"),
        (true, Bridge::NotRunning) => {
            out.say(Look::Green, "nothing is halted; no bridge runs here")
        }
        (true, Bridge::NoAnswer) => {
            out.say(Look::Yellow, "nothing is halted, and the bridge does not answer");
            out.say(Look::Dim, "landbridge doctor");
        }
    }
    Ok(Exit::Success)
}

async fn heard(client: &Client, halted: bool) -> Bridge {
    let mut last = Bridge::NoAnswer;
    let asking = async {
        loop {
            match client.get::<BridgeView>("/v1/admin/bridge").await {
                Ok(view) if view.halted.is_some() == halted => return Bridge::Heard,
                Ok(_) => {}
                Err(failure) if failure.exit() == Exit::NoBridge => return Bridge::NotRunning,
                Err(_) => last = Bridge::NoAnswer,
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let found = tokio::time::timeout(HEARD_WITHIN, asking).await;
    found.unwrap_or(last)
}
