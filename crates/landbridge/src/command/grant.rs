//! `grant`: what a peer may ask of this gateway.
//!
//! Grants are read from the federation document itself, verified here, and not from what the daemon
//! says about it: an operator who asks what a peer may do wants the signed answer.

use std::collections::BTreeSet;

use landbridge_node::local::api::BridgeView;
use landbridge_node::local::usage::UsageView;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::wire::approval::ApprovalRule;
use landbridge_proto::wire::document::{Ask, Disclose, Disclosure, Grant, Mode, Peer};
use landbridge_proto::wire::name::{Alias, TenantPair};

use landbridge_openclaw::is_closed_to_peers;

use crate::cli::{
    AskChoice, DisclosureChoice, GrantAddArgs, GrantCommand, GrantListArgs, GrantRemoveArgs,
    ModeChoice, TenantArg, dollars,
};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::offline;
use crate::out::{Look, Out, table};

/// Runs a grant command.
pub(super) async fn run(
    client: &Client,
    command: GrantCommand,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        GrantCommand::Add(args) => add(client, &args, out).await,
        GrantCommand::List(args) => list(client, &args, out).await,
        GrantCommand::Remove(args) => remove(client, &args, out).await,
    }
}

async fn add(client: &Client, args: &GrantAddArgs, out: &Out) -> Result<Exit, Failure> {
    let (mut granted, mut tenants) = (None, 0);
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        let peer = peer_called(trusted, &args.peer)?;
        tenants = trusted.map_or(0, |trusted| other_tenants(trusted, peer, &args.tenant)) + 1;
        let grant = widened(find(peer, &args.tenant).cloned(), args);
        granted = Some(grant.clone());
        draft.put_grant(&peer.gid, grant).map_err(|error| Failure::new(Exit::Failed, error))
    })
    .await?;
    out.data(&granted, |_| String::new())?;
    if applied {
        let agents: Vec<&str> = args.agents.iter().map(|agent| agent.as_str()).collect();
        let what = if agents.is_empty() {
            "ask what was named".to_owned()
        } else {
            format!("use {}", agents.join(", "))
        };
        out.say(Look::Green, format!("{} may {what}", args.peer));
    }
    if let Some(rule) = granted.as_ref().and_then(|grant| grant.approval.as_ref()) {
        warn_of_approvals(client, args, rule, out).await;
    }
    if let Some(grant) = granted.filter(|_| !args.tools.is_empty()) {
        warn_of_tools(&grant, out);
    }
    if tenants > 1 {
        warn_of_walls(client, out).await;
    }
    Ok(Exit::Success)
}

/// Tenant pairs that have a grant, this one not counted.
fn other_tenants(trusted: &TrustedFederation, peer: &Peer, tenant: &TenantArg) -> usize {
    let all = trusted.document().peers.iter().map(|one| one.grants.len()).sum::<usize>();
    all - usize::from(find(peer, tenant).is_some())
}

/// A second tenant is kept from the first one's words by the gateway's own walls.
async fn warn_of_walls(client: &Client, out: &Out) {
    // A bridge that is stopped is looked at by `doctor` once it runs.
    let Ok(view) = client.get::<BridgeView>("/v1/admin/bridge").await else { return };
    for caution in &view.adapter.cautions {
        let more = "more than one tenant pair has a grant now (docs/operating/openclaw.md)";
        out.say(Look::Yellow, format!("{caution}; {more}"));
    }
}

/// A run waits only for what could come.
async fn warn_of_approvals(client: &Client, args: &GrantAddArgs, rule: &ApprovalRule, out: &Out) {
    let Ok(trusted) = offline::current(client).await else { return };
    let peer = trusted.as_ref().and_then(|trusted| trusted.peer_called(&args.peer));
    let counts = |peer: &&Peer| {
        peer.projections.iter().any(|one| {
            one.local == args.tenant.local
                && one.remote == args.tenant.remote
                && one.local_scope == rule.scope
        })
    };
    if peer.filter(counts).is_some() {
        return;
    }
    let line = format!("nobody's approvals count for {} yet, so runs are denied", rule.scope);
    out.say(Look::Yellow, line);
    let next = format!(
        "landbridge scope map add {} --remote-scope SCOPE --remote-tenant {} --scope {} --tenant {}",
        args.peer, args.tenant.remote, rule.scope, args.tenant.local
    );
    out.say(Look::Dim, next);
}

/// A grant of a tool says less than its owner may think.
fn warn_of_tools(grant: &Grant, out: &Out) {
    for tool in grant.tools.iter().filter(|tool| is_closed_to_peers(tool.as_str())) {
        out.say(
            Look::Yellow,
            format!(
                "{tool} is granted and stays closed: at an OpenClaw gateway no peer calls tools about \
                 other sessions, memory, files or the gateway itself"
            ),
        );
    }
    if grant.disclose.tool_results != Disclosure::Full || grant.disclose.output != Disclosure::Full
    {
        let more = "--disclose-output full --disclose-tool-results full";
        out.say(
            Look::Yellow,
            format!("the peer does not read what the tools answer; to let it, add {more}"),
        );
    }
}

async fn remove(client: &Client, args: &GrantRemoveArgs, out: &Out) -> Result<Exit, Failure> {
    let mut left = None;
    let applied = offline::change(client, &args.policy, out, |draft, trusted| {
        let peer = peer_called(trusted, &args.peer)?;
        let missing = |what: String| {
            Failure::new(Exit::Failed, format!("{} has no grant {what}", args.peer))
                .next(format!("landbridge grant list {}", args.peer))
        };
        let pair = format!("for the tenants {}:{}", args.tenant.local, args.tenant.remote);
        let mut grant = find(peer, &args.tenant).ok_or_else(|| missing(pair))?.clone();
        for agent in &args.agents {
            if !grant.agents.remove(agent) {
                return Err(missing(format!("of agent {agent}")));
            }
        }
        for tool in &args.tools {
            if !grant.tools.remove(tool) {
                return Err(missing(format!("of tool {tool}")));
            }
        }
        if grant.tools.is_empty() {
            grant.asks.remove(&Ask::ToolCall);
        }
        if grant.agents.is_empty() {
            grant.asks.remove(&Ask::Prompt);
        }
        let whole = args.agents.is_empty() && args.tools.is_empty();
        let changed = if whole || grant.asks.is_empty() {
            draft.remove_grant(&peer.gid, &pair_of(&args.tenant)).map(drop)
        } else {
            left = Some(grant.clone());
            draft.put_grant(&peer.gid, grant)
        };
        changed.map_err(|error| Failure::new(Exit::Failed, error))
    })
    .await?;
    out.data(&left, |_| String::new())?;
    if applied {
        out.say(
            Look::Green,
            format!("taken back from {}; runs that exist stay visible to it", args.peer),
        );
    }
    Ok(Exit::Success)
}

async fn list(client: &Client, args: &GrantListArgs, out: &Out) -> Result<Exit, Failure> {
    let trusted = offline::current(client).await?;
    if let Some(alias) = &args.peer {
        peer_called(trusted.as_ref(), alias)?;
    }
    let peers =
        trusted.as_ref().map(|trusted| trusted.document().peers.as_slice()).unwrap_or_default();
    let wanted =
        peers.iter().filter(|peer| args.peer.as_ref().is_none_or(|alias| *alias == peer.alias));
    let grants: Vec<(&Alias, &Grant)> =
        wanted.flat_map(|peer| peer.grants.iter().map(|grant| (&peer.alias, grant))).collect();
    // The document says what is allowed; only the bridge knows what was used, and it may be stopped.
    let usage: Option<Vec<UsageView>> = client.get("/v1/admin/usage").await.ok();
    let used = |peer: &Alias, grant: &Grant| {
        usage.iter().flatten().find(|one| {
            let tenant = &one.tenant;
            one.peer == *peer
                && tenant.local == grant.local.as_str()
                && tenant.remote == grant.remote.as_str()
        })
    };
    if out.json() {
        let rows: Vec<_> = grants
            .iter()
            .map(|(peer, grant)| {
                serde_json::json!({"peer": peer, "grant": grant, "used": used(peer, grant)})
            })
            .collect();
        out.data(&rows, |_| String::new())?;
        return Ok(Exit::Success);
    }
    if grants.is_empty() {
        out.say(
            Look::Dim,
            "no peer may ask anything; grant: landbridge grant add PEER --agent AGENT",
        );
        return Ok(Exit::Success);
    }
    let heading = [
        "PEER", "TENANTS", "AGENTS", "ASKS", "APPROVAL", "TOOLS", "MODES", "DEADLINE", "SHOWS",
        "LIMITS", "TODAY",
    ];
    let mut rows = vec![heading.map(String::from).to_vec()];
    rows.extend(grants.iter().map(|(peer, grant)| row(peer, grant, used(peer, grant))));
    out.line(&table(&rows))?;
    Ok(Exit::Success)
}

fn row(peer: &Alias, grant: &Grant, used: Option<&UsageView>) -> Vec<String> {
    let agents: Vec<&str> = grant.agents.iter().map(|agent| agent.as_str()).collect();
    let shows = format!(
        "output {}, args {}, results {}",
        word(&grant.disclose.output),
        word(&grant.disclose.tool_args),
        word(&grant.disclose.tool_results)
    );
    vec![
        peer.to_string(),
        format!("{}:{}", grant.local, grant.remote),
        agents.join(","),
        grant.asks.iter().map(word).collect::<Vec<_>>().join(","),
        approval_of(grant),
        grant.tools.iter().map(|tool| tool.as_str()).collect::<Vec<_>>().join(","),
        grant.modes.iter().map(word).collect::<Vec<_>>().join(","),
        format!("{} s", grant.deadline_ms_max / 1000),
        shows,
        limits_of(grant),
        used.map_or_else(|| "unknown".to_owned(), today),
    ]
}

fn approval_of(grant: &Grant) -> String {
    let Some(rule) = &grant.approval else { return "denied".to_owned() };
    match rule.quorum {
        1 => rule.scope.to_string(),
        count => format!("{count} of {}", rule.scope),
    }
}

fn limits_of(grant: &Grant) -> String {
    let counts = [
        (grant.concurrent_max, "at once"),
        (grant.starts_per_second, "starts a second"),
        (grant.frames_max, "frames a run"),
        (grant.bytes_max, "bytes a run"),
        (grant.tokens_per_day, "tokens a day"),
    ];
    let counts = counts.into_iter().filter_map(|(limit, what)| Some(format!("{} {what}", limit?)));
    let cost = grant.cost_micro_usd_per_day.map(|micro| format!("{} a day", dollars(micro)));
    let all: Vec<_> = counts.chain(cost).collect();
    if all.is_empty() { "the bridge's".to_owned() } else { all.join(", ") }
}

fn today(used: &UsageView) -> String {
    let cost = dollars(used.cost_micro_usd_today);
    format!("{} open, {} tokens, {cost}", used.open, used.tokens_today)
}

/// The word that stands in the document.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn peer_called<'a>(
    trusted: Option<&'a TrustedFederation>,
    alias: &Alias,
) -> Result<&'a Peer, Failure> {
    trusted.and_then(|trusted| trusted.peer_called(alias)).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("no accepted peer is called {alias}"))
            .next(format!("landbridge peer list, and landbridge peer accept {alias} if it waits"))
    })
}

fn find<'a>(peer: &'a Peer, tenant: &TenantArg) -> Option<&'a Grant> {
    let pair = pair_of(tenant);
    peer.grants.iter().find(|grant| grant.pair() == pair)
}

fn pair_of(tenant: &TenantArg) -> TenantPair {
    TenantPair { src: tenant.remote.clone(), dst: tenant.local.clone() }
}

/// What a grant allows when nothing more was asked for.
fn least(tenant: &TenantArg) -> Grant {
    Grant {
        agents: BTreeSet::new(),
        approval: None,
        asks: BTreeSet::from([Ask::Prompt]),
        bytes_max: None,
        concurrent_max: None,
        cost_micro_usd_per_day: None,
        deadline_ms_max: 3_600_000,
        disclose: Disclose {
            output: Disclosure::Full,
            tool_args: Disclosure::Digest,
            tool_results: Disclosure::Digest,
        },
        frames_max: None,
        local: tenant.local.clone(),
        modes: BTreeSet::from([Mode::Session]),
        remote: tenant.remote.clone(),
        starts_per_second: None,
        tokens_per_day: None,
        tools: BTreeSet::new(),
    }
}

/// The grant with the named agents, kinds of work and tools, and with what the arguments say; the rest
/// stays.
fn widened(known: Option<Grant>, args: &GrantAddArgs) -> Grant {
    let is_new = known.is_none();
    let mut grant = known.unwrap_or_else(|| least(&args.tenant));
    grant.agents.extend(args.agents.iter().cloned());
    grant.tools.extend(args.tools.iter().cloned());
    let mut asks: BTreeSet<Ask> = args.asks.iter().map(|&ask| ask_of(ask)).collect();
    if !args.tools.is_empty() {
        asks.insert(Ask::ToolCall);
    }
    if is_new && !asks.is_empty() {
        grant.asks.clear();
    }
    grant.asks.extend(asks);
    if let Some(scope) = &args.approval_scope {
        let quorum = args.approval_quorum.unwrap_or(1);
        grant.approval = Some(ApprovalRule { quorum, scope: scope.clone() });
        // Without it the caller's operators could decide and nobody could tell us.
        grant.asks.insert(Ask::ApprovalGrant);
    } else if args.no_approval {
        grant.approval = None;
    }
    if !args.modes.is_empty() {
        grant.modes = args.modes.iter().map(|&mode| mode_of(mode)).collect();
    }
    if let Some(ms) = args.deadline_max {
        grant.deadline_ms_max = ms;
    }
    let limits = &args.limits;
    for (given, place) in [
        (limits.concurrent, &mut grant.concurrent_max),
        (limits.starts_per_second, &mut grant.starts_per_second),
        (limits.frames, &mut grant.frames_max),
        (limits.bytes, &mut grant.bytes_max),
        (limits.tokens_per_day, &mut grant.tokens_per_day),
    ] {
        if let Some(limit) = given {
            *place = limit.0;
        }
    }
    if let Some(limit) = limits.cost_per_day {
        grant.cost_micro_usd_per_day = limit.0;
    }
    let shows = &mut grant.disclose;
    for (given, place) in [
        (args.disclose_output, &mut shows.output),
        (args.disclose_tool_args, &mut shows.tool_args),
        (args.disclose_tool_results, &mut shows.tool_results),
    ] {
        if let Some(choice) = given {
            *place = disclosure_of(choice);
        }
    }
    grant
}

const fn ask_of(ask: AskChoice) -> Ask {
    match ask {
        AskChoice::Prompt => Ask::Prompt,
        AskChoice::ToolCall => Ask::ToolCall,
        AskChoice::ApprovalGrant => Ask::ApprovalGrant,
        AskChoice::ApprovalRequest => Ask::ApprovalRequest,
    }
}

const fn mode_of(mode: ModeChoice) -> Mode {
    match mode {
        ModeChoice::Session => Mode::Session,
        ModeChoice::Turn => Mode::Turn,
        ModeChoice::Subagent => Mode::Subagent,
    }
}

const fn disclosure_of(choice: DisclosureChoice) -> Disclosure {
    match choice {
        DisclosureChoice::None => Disclosure::None,
        DisclosureChoice::Digest => Disclosure::Digest,
        DisclosureChoice::Full => Disclosure::Full,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    fn parsed(line: &str) -> GrantAddArgs {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Grant(GrantCommand::Add(args)) = cli.command else { panic!("{line}") };
        args
    }

    #[test]
    fn a_second_grant_keeps_what_it_does_not_name() {
        let first = parsed(
            "landbridge grant add eu --agent ops --mode turn --disclose-tool-args none --deadline-max 5m",
        );
        let grant = widened(None, &first);
        let second = parsed("landbridge grant add eu --agent sre --mode session");
        let grant = widened(Some(grant), &second);
        assert_eq!(grant.agents.len(), 2);
        assert_eq!(grant.deadline_ms_max, 300_000);
        assert_eq!(grant.disclose.tool_args, Disclosure::None);
        assert_eq!(grant.modes, BTreeSet::from([Mode::Session]));
    }

    #[test]
    fn limits_are_set_kept_and_taken_away() {
        let line = "landbridge grant add eu --agent ops --tokens-per-day 1000 --cost-per-day 2.50 \
            --starts-per-second 5 --concurrent 4 --frames 100 --bytes 4096 --deadline 5m";
        let args = parsed(line);
        let grant = widened(None, &args);
        assert_eq!(
            (grant.tokens_per_day, grant.cost_micro_usd_per_day),
            (Some(1000), Some(2_500_000))
        );
        assert_eq!((grant.starts_per_second, grant.concurrent_max), (Some(5), Some(4)));
        assert_eq!((grant.frames_max, grant.bytes_max), (Some(100), Some(4096)));
        assert_eq!(grant.deadline_ms_max, 300_000);
        let said = "4 at once, 5 starts a second, 100 frames a run, 4096 bytes a run, \
            1000 tokens a day, $2.50 a day";
        assert_eq!(limits_of(&grant), said);
        let line = "landbridge grant add eu --agent ops --tokens-per-day none --cost-per-day none";
        let grant = widened(Some(grant), &parsed(line));
        assert_eq!((grant.tokens_per_day, grant.cost_micro_usd_per_day), (None, None));
        assert_eq!(grant.concurrent_max, Some(4));
        let refused =
            Cli::try_parse_from("landbridge grant add eu --agent x --frames 0".split(' '));
        assert!(refused.is_err());
    }

    #[test]
    fn tools_are_granted_by_name_and_beside_prompts_only_when_both_are_asked_for() {
        let only = parsed("landbridge grant add eu --agent ops --tool find --tool note");
        let grant = widened(None, &only);
        assert_eq!(grant.asks, BTreeSet::from([Ask::ToolCall]));
        assert_eq!(grant.tools.len(), 2);
        let both =
            parsed("landbridge grant add eu --agent ops --ask prompt --ask tool-call --tool find");
        assert_eq!(widened(None, &both).asks, BTreeSet::from([Ask::Prompt, Ask::ToolCall]));
        let later = parsed("landbridge grant add eu --agent ops --ask prompt");
        let grant = widened(Some(grant), &later);
        assert_eq!(grant.asks, BTreeSet::from([Ask::Prompt, Ask::ToolCall]));
        assert_eq!(grant.tools.len(), 2);
    }

    #[test]
    fn a_grant_that_is_only_about_approvals_needs_no_agent() {
        let args = parsed("landbridge grant add eu --ask approval-request --ask approval-grant");
        let grant = widened(None, &args);
        assert!(grant.agents.is_empty() && grant.approval.is_none());
        assert_eq!(grant.asks, BTreeSet::from([Ask::ApprovalGrant, Ask::ApprovalRequest]));
    }

    #[test]
    fn a_rule_for_approvals_is_set_changed_and_taken_away() {
        let line = "landbridge grant add eu --agent ops --approval-scope sre-lead";
        let grant = widened(None, &parsed(line));
        // What the caller's operators decided must be able to come.
        assert_eq!(grant.asks, BTreeSet::from([Ask::ApprovalGrant, Ask::Prompt]));
        assert_eq!(approval_of(&grant), "sre-lead");
        let line = "landbridge grant add eu --approval-scope sre-lead --approval-quorum 2";
        let grant = widened(Some(grant), &parsed(line));
        assert_eq!((approval_of(&grant).as_str(), grant.agents.len()), ("2 of sre-lead", 1));
        let grant = widened(Some(grant), &parsed("landbridge grant add eu --agent b"));
        assert_eq!(approval_of(&grant), "2 of sre-lead");
        let grant =
            widened(Some(grant), &parsed("landbridge grant add eu --agent b --no-approval"));
        assert_eq!(approval_of(&grant), "denied");
    }

    #[test]
    fn by_default_a_peer_sees_digests_of_what_tools_do() {
        let args = parsed("landbridge grant add eu --agent ops");
        let grant = widened(None, &args);
        assert_eq!(grant.disclose.tool_args, Disclosure::Digest);
        assert_eq!(grant.disclose.tool_results, Disclosure::Digest);
        assert!(grant.tools.is_empty() && !grant.asks.contains(&Ask::ToolCall));
    }
}
