//! `doctor`: looks at everything that a bridge needs, and names the next command for what is wrong.
//!
//! What needs no daemon is looked at first, because a daemon that does not start is why people call a
//! doctor. One finding never hides another.

mod approvals;

use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::config::{Config, Home};
use landbridge_node::halt;
use landbridge_node::identity::{Identity, KeyFile};
use landbridge_node::local::api::{BridgeView, PeerView, RouteView};
use landbridge_node::rotation;
use landbridge_proto::wire::kind::{Role, SignedBy};
use landbridge_proto::wire::name::Timestamp;
use serde::Serialize;

use crate::client::Client;
use crate::command::config::{adapter, environment, wrong};
use crate::command::init::home_failure;
use crate::command::peer;
use crate::exit::{Exit, Failure};
use crate::offline::identity_failure;
use crate::out::{Look, Out, instant, printable};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Fail,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        check: impl Into<String>,
        state: State,
        detail: impl Into<String>,
        next: Option<String>,
    ) {
        self.0.push(Finding { check: check.into(), state, detail: detail.into(), next });
    }

    fn ok(&mut self, check: impl Into<String>, detail: impl Into<String>) {
        self.add(check, State::Ok, detail, None);
    }

    fn failure(&mut self, check: impl Into<String>, failure: &Failure) {
        self.add(check, State::Fail, failure.to_string(), failure.next_step().map(str::to_owned));
    }
}

/// Looks, and says what was found.
pub(super) async fn doctor(client: &Client, out: &Out) -> Result<Exit, Failure> {
    let mut findings = Findings::default();
    look_at_home(client.home(), &mut findings);
    match client.get::<BridgeView>("/v1/admin/bridge").await {
        Ok(view) => {
            look_at_bridge(client, &view, &mut findings).await;
            look_at_peers(client, &mut findings).await;
            look_at_routes(client, &mut findings).await;
            approvals::look(client, &view, &mut findings).await;
        }
        Err(failure) => findings.failure("bridge", &failure),
    }
    out.data(&findings.0, |findings| text(findings, out))?;
    let worst = |state| findings.0.iter().any(|finding| finding.state == state);
    if worst(State::Fail) {
        out.say(Look::Red, "something is wrong");
        return Ok(Exit::Failed);
    }
    let warned = worst(State::Warn);
    out.say(
        if warned { Look::Yellow } else { Look::Green },
        if warned { "it works, and something is worth a look" } else { "all is well" },
    );
    Ok(Exit::Success)
}

fn look_at_home(path: &Path, findings: &mut Findings) {
    let home = match Home::open(path) {
        Ok(home) => home,
        Err(fault) => return findings.failure("home", &home_failure(&fault)),
    };
    findings.ok("home", format!("{} is its owner's only", path.display()));
    if let Some(halted) = halt::look(&path.join(halt::FILE)) {
        let since = halted.at.map_or(String::new(), |at| format!(" since {}", instant(at)));
        let because = halted.because.map_or(String::new(), |because| format!(": {because}"));
        let next = Some("once it is safe: landbridge resume".to_owned());
        findings.add("kill switch", State::Fail, format!("halted{since}{because}"), next);
    }
    match Config::load(&home, &environment()) {
        Ok(config) => match adapter(&config.gateway) {
            Ok(_) => findings.ok("settings", format!("{} routes", config.routes.len())),
            Err(failure) => findings.failure("settings", &failure),
        },
        Err(errors) => findings.failure("settings", &wrong(&errors)),
    }
    match Identity::load(path) {
        Err(error) => findings.failure("keys", &identity_failure(&error)),
        Ok(identity) => {
            findings.ok("keys", format!("those of {}", identity.gateway()));
            for (what, expires) in rotation::ends(identity.root()) {
                look_at_end(&what, expires, findings);
            }
        }
    }
    look_at_root_keys(&home, findings);
}

/// Root keys that lie in the home, where whoever breaks in finds them.
fn look_at_root_keys(home: &Home, findings: &mut Findings) {
    let entries = std::fs::read_dir(home.offline()).into_iter().flatten();
    let files = entries.filter_map(|entry| KeyFile::read(&entry.ok()?.path()).ok());
    let here: Vec<KeyFile> =
        files.filter(|file| file.holder() == SignedBy::Role(Role::Root)).collect();
    match here.iter().find(|file| !file.is_sealed()) {
        Some(file) => {
            let next = format!(
                "landbridge key passphrase {0}, or take {0} off this machine",
                file.path().display()
            );
            let detail = "it lies beside the running bridge, not encrypted";
            findings.add("root key", State::Warn, detail, Some(next));
        }
        None if here.is_empty() => findings.ok("root key", "it is kept elsewhere"),
        None => findings.ok("root key", "it is encrypted"),
    }
}

fn look_at_end(what: &str, expires: Timestamp, findings: &mut Findings) {
    let days = expires.since_ms(SystemClock.now()) / 86_400_000;
    let detail = format!("good until {}, {days} days", instant(expires));
    let next = || {
        let named = what.strip_suffix(" key").unwrap_or("--all-online --due");
        Some(format!("landbridge key rotate {named}, where the root key is"))
    };
    match days {
        ..0 => findings.add(what, State::Fail, format!("expired at {}", instant(expires)), next()),
        0..30 => findings.add(what, State::Warn, detail, next()),
        _ => findings.ok(what, detail),
    }
}

async fn look_at_bridge(client: &Client, view: &BridgeView, findings: &mut Findings) {
    let ours = env!("CARGO_PKG_VERSION");
    if view.version == ours {
        findings.ok("bridge", format!("version {ours} runs as process {}", view.pid));
    } else {
        let detail = format!("version {} runs, and this command is {ours}", view.version);
        findings.add("bridge", State::Warn, detail, Some("restart the bridge".to_owned()));
    }
    if let Some(found) = &view.rolled_back {
        let detail = format!(
            "rolled back: its state is older than what it has done (told by {}); it does nothing",
            found.told_by
        );
        let next =
            "put newer state back if it exists; else stop the bridge, then landbridge recover";
        findings.add("history", State::Fail, detail, Some(next.to_owned()));
    } else {
        findings.ok("history", format!("incarnation {}", view.incarnation));
    }
    for key in &view.withdrawn {
        let next = Some("landbridge key rotate ROLE --now".to_owned());
        findings.add("keys", State::Fail, format!("revoked and not replaced: {key}"), next);
    }
    if let Some(what) = &view.audit_altered {
        let detail = format!("changed behind the bridge's back: {what}");
        let next = "landbridge audit verify; then ask a peer: landbridge audit heads --all";
        findings.add("audit", State::Fail, detail, Some(next.to_owned()));
    }
    match client.bytes("/readyz").await {
        Ok(_) => findings.ok("state", format!("takes work; audit log: {}", view.audit)),
        Err(failure) => findings.failure("state", &failure),
    }
    let adapter = &view.adapter;
    let detail = adapter.detail.clone().unwrap_or_default();
    if adapter.reachable {
        let agents = adapter.agents.len();
        findings.ok(
            "gateway",
            format!("{} {}, {agents} agents {detail}", adapter.adapter, adapter.software),
        );
        match &adapter.approvals {
            None => findings.ok("approvals", "a run can wait for a person"),
            Some(why) => findings.ok("approvals", format!("no run can wait for a person: {why}")),
        }
        for caution in &adapter.cautions {
            let next = Some("docs/operating/openclaw.md".to_owned());
            findings.add("walls", State::Warn, caution.clone(), next);
        }
    } else {
        let next = Some("landbridge gateway status, or landbridge gateway connect".to_owned());
        findings.add(
            "gateway",
            State::Fail,
            format!("{} cannot be asked: {detail}", adapter.adapter),
            next,
        );
    }
}

async fn look_at_peers(client: &Client, findings: &mut Findings) {
    let peers: Vec<PeerView> = match client.get("/v1/admin/peers").await {
        Ok(peers) => peers,
        Err(failure) => return findings.failure("peers", &failure),
    };
    if peers.is_empty() {
        let next = Some("landbridge peer invite ALIAS".to_owned());
        return findings.add("peers", State::Warn, "there are none", next);
    }
    for peer in &peers {
        let check = format!("peer {}", peer.alias);
        for alarm in &peer.alarms {
            let next = format!("ask its operator; landbridge peer show {}", peer.alias);
            findings.add(check.clone(), State::Fail, alarm.clone(), Some(next));
        }
        if peer.state == "unusable" {
            continue;
        }
        if peer.state != "active" {
            if peer.state == "revoked" {
                findings.ok(check, "revoked for good");
                continue;
            }
            let resume = format!("landbridge peer resume {} --because TEXT", peer.alias);
            let (detail, next) =
                peer::waiting(peer).unwrap_or_else(|| (peer.state.clone(), resume));
            findings.add(check, State::Warn, detail, Some(next));
            continue;
        }
        if let Some((what, next)) = peer::trouble(peer) {
            findings.add(check, State::Warn, what, Some(next));
            continue;
        }
        match peer.status_issued.as_deref().map(age_ms) {
            Some(Some(ms)) if ms < -CLOCK_AHEAD_MS => {
                let detail = format!(
                    "its newest status is {} s in our future: a clock is wrong",
                    -ms / 1000
                );
                let next = Some("set this machine's clock, and compare with the peer's".to_owned());
                findings.add(check, State::Fail, detail, next);
            }
            Some(Some(ms)) => {
                findings.ok(check, format!("active; status from {} s ago", ms.max(0) / 1000))
            }
            _ => findings.ok(check, "active; no status of it is known yet"),
        }
    }
}

async fn look_at_routes(client: &Client, findings: &mut Findings) {
    let routes: Vec<RouteView> = match client.get("/v1/gateways").await {
        Ok(routes) => routes,
        Err(failure) => return findings.failure("routes", &failure),
    };
    for route in &routes {
        let check = format!("route {}", route.gateway);
        if route.usable {
            findings.ok(check, route.detail.clone());
        } else {
            let next = Some(format!("landbridge route test {}", route.gateway));
            findings.add(check, State::Fail, route.detail.clone(), next);
        }
    }
}

/// How long ago a time was, in milliseconds; negative when it is to come.
fn age_ms(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(SystemClock.now().since_ms(Timestamp(time.as_millisecond())))
}

fn text(findings: &[Finding], out: &Out) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let (mark, look) = match finding.state {
            State::Ok => ("ok  ", Look::Green),
            State::Warn => ("warn", Look::Yellow),
            State::Fail => ("FAIL", Look::Red),
        };
        let mark = if out.live() { out.dressed(look, mark) } else { mark.to_owned() };
        let detail = printable(finding.detail.trim());
        text.push_str(&format!("{mark}  {:width$}  {detail}\n", finding.check));
        if let Some(next) = &finding.next {
            text.push_str(&format!("      {:width$}  try: {}\n", "", printable(next)));
        }
    }
    text
}

/// Clocks may differ by as much as the contract tolerates.
const CLOCK_AHEAD_MS: i64 = landbridge_proto::wire::limit::CLOCK_SKEW_MS_MAX;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn one_finding_never_hides_another() {
        let dir = tempfile::tempdir().unwrap();
        let client = Client::new(dir.path().join("none"));
        let mut findings = Findings::default();
        look_at_home(client.home(), &mut findings);
        assert_eq!(findings.0.len(), 1);
        assert_eq!(doctor(&client, &Out::new(true)).await.unwrap(), Exit::Failed);
    }

    #[test]
    fn a_root_that_ends_soon_is_worth_a_look() {
        let mut findings = Findings::default();
        let day = 86_400_000;
        for days in [-2, 5, 100] {
            look_at_end("root", SystemClock.now().plus_ms(days * day + day / 2), &mut findings);
        }
        let states: Vec<State> = findings.0.iter().map(|finding| finding.state).collect();
        assert_eq!(states, [State::Fail, State::Warn, State::Ok]);
    }
}
