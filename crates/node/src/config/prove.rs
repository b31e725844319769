//! From what was written to what is proven: every value in its form, every interplay kept.
//!
//! A section stops at its first fault, and all sections are looked at, so that one run of `config
//! check` tells most of what is wrong.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, InvalidName, TenantId};

use crate::net::endpoint::Network;

use super::raw::{Origin, Raw, RawRoute, Value, Written};
use super::scopes::scopes;
use super::{
    Approvals, Config, Federation, Gateway, Home, Limits, Local, Log, Period, Retention, Route,
    Size, TOKEN_RUNS_OPEN_MAX, TOKEN_STARTS_MAX, Wrong,
};

/// Proves the whole, defaults filled in.
pub(super) fn prove(raw: &Raw, home: &Home) -> Result<Config, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let federation = keep(federation(raw), &mut wrong);
    let local = keep(local(raw, home), &mut wrong);
    let gateway = keep(gateway(raw), &mut wrong);
    let offline = keep(offline(raw, home), &mut wrong);
    let limits = keep(limits(raw), &mut wrong);
    let retention = keep(retention(raw), &mut wrong);
    let log = keep(log(raw), &mut wrong);
    let approvals = keep(approvals(raw), &mut wrong);
    let scopes = keep(scopes(&raw.scopes), &mut wrong);
    let mut routes = BTreeMap::new();
    for (name, raw_route) in &raw.routes {
        if let Some((name, route)) = keep(route(name, raw_route, raw), &mut wrong) {
            routes.insert(name, route);
        }
    }
    match (federation, local, gateway, offline, limits, retention, log, approvals, scopes) {
        (
            Some(federation),
            Some(local),
            Some(gateway),
            Some(offline),
            Some(limits),
            Some(retention),
            Some(log),
            Some(approvals),
            Some(scopes),
        ) if wrong.is_empty() => {
            let effective = Vec::new();
            Ok(Config {
                federation,
                local,
                gateway,
                routes,
                offline,
                limits,
                retention,
                log,
                approvals,
                scopes,
                effective,
            })
        }
        _ => Err(wrong),
    }
}

fn keep<T>(proven: Result<T, Wrong>, wrong: &mut Vec<Wrong>) -> Option<T> {
    proven.map_err(|fault| wrong.push(fault)).ok()
}

fn federation(raw: &Raw) -> Result<Federation, Wrong> {
    let raw = &raw.federation;
    let listen: At<'_, SocketAddr> = required("federation.listen", &raw.listen, ADDRESS)?;
    let endpoint = optional("federation.endpoint", &raw.endpoint, "https://host:port")?;
    if endpoint.is_none() && listen.value.ip().is_unspecified() {
        let what = "a wildcard address tells peers nothing: set federation.endpoint too";
        return Err(listen.wrong(what, "an address that peers can dial, or an endpoint"));
    }
    let blocks = At::new("federation.danger_allow_addresses", &raw.danger_allow_addresses)?;
    let Value::List(texts) = &blocks.written.value else {
        return Err(blocks.wrong("not a list of texts", BLOCKS));
    };
    let parsed = texts.iter().map(|text| {
        Network::parse(text).ok_or_else(|| blocks.wrong(&format!("{text:?} is no block"), BLOCKS))
    });
    Ok(Federation {
        listen: listen.value,
        endpoint: endpoint.map(|endpoint| endpoint.value),
        danger_allow_addresses: parsed.collect::<Result<_, _>>()?,
    })
}

fn local(raw: &Raw, home: &Home) -> Result<Local, Wrong> {
    let socket: At<'_, PathBuf> = required("local.socket", &raw.local.socket, "a path")?;
    let path = home.path().join(&socket.value);
    let long = path.as_os_str().len() > SOCKET_BYTES_MAX;
    if long || socket.value.as_os_str().is_empty() {
        let what = format!("{} cannot be a socket's path", path.display());
        return Err(socket.wrong(&what, "1 to 107 bytes with the home directory"));
    }
    let listen = optional("local.listen", &raw.local.listen, ADDRESS)?;
    if let Some(listen) =
        listen.as_ref().filter(|at: &&At<'_, SocketAddr>| !at.value.ip().is_loopback())
    {
        let what = "the local plane is for this machine: the address is not loopback";
        return Err(listen.wrong(what, "127.0.0.1 or [::1] and a port"));
    }
    Ok(Local { socket: path, listen: listen.map(|at| at.value) })
}

fn gateway(raw: &Raw) -> Result<Gateway, Wrong> {
    let adapter: Option<At<'_, String>> =
        optional("gateway.adapter", &raw.gateway.adapter, "an adapter's name")?;
    let url = required("gateway.url", &raw.gateway.url, "ws:// on loopback, wss:// elsewhere")?;
    let handover_max =
        period("gateway.handover_max", &raw.gateway.handover_max, 1000, limit::DEADLINE_MS_MAX)?;
    Ok(Gateway { adapter: adapter.map(|adapter| adapter.value), url: url.value, handover_max })
}

fn offline(raw: &Raw, home: &Home) -> Result<PathBuf, Wrong> {
    let dir: Option<At<'_, PathBuf>> = optional("offline.dir", &raw.offline.dir, "a path")?;
    match dir {
        Some(dir) if dir.value.as_os_str().is_empty() => {
            Err(dir.wrong("an empty path", "a directory"))
        }
        Some(dir) => Ok(home.path().join(dir.value)),
        None => Ok(home.offline()),
    }
}

fn limits(raw: &Raw) -> Result<Limits, Wrong> {
    let raw = &raw.limits;
    let connections = number("limits.connections_max", &raw.connections_max, 1, 65_536)?;
    let per_address = number(
        "limits.connections_per_address_max",
        &raw.connections_per_address_max,
        1,
        connections,
    )?;
    let local = number("limits.local_connections_max", &raw.local_connections_max, 1, 65_536)?;
    let open = number("limits.runs_open_max", &raw.runs_open_max, 1, 10_000)?;
    let open_per_peer =
        number("limits.runs_open_per_peer_max", &raw.runs_open_per_peer_max, 1, open)?;
    let starts = number("limits.starts_per_minute_max", &raw.starts_per_minute_max, 1, 100_000)?;
    let token_open = number(
        "limits.token_runs_open_max",
        &raw.token_runs_open_max,
        1,
        TOKEN_RUNS_OPEN_MAX.cast_signed(),
    )?;
    let token_starts = number(
        "limits.token_starts_per_minute_max",
        &raw.token_starts_per_minute_max,
        1,
        i64::from(TOKEN_STARTS_MAX),
    )?;
    let deadline_max =
        period("limits.deadline_max", &raw.deadline_max, 1000, limit::DEADLINE_MS_MAX)?;
    let prompt: At<'_, Size> = required("limits.prompt_max", &raw.prompt_max, SIZES)?;
    if prompt.value.as_bytes() > PROMPT_BYTES_MAX {
        return Err(prompt.wrong("larger than a request can carry", "at most 960KiB"));
    }
    Ok(Limits {
        connections_max: size(connections),
        connections_per_address_max: size(per_address),
        local_connections_max: size(local),
        runs_open_max: open.unsigned_abs(),
        runs_open_per_peer_max: open_per_peer.unsigned_abs(),
        starts_per_minute_max: u32::try_from(starts).unwrap_or(u32::MAX),
        token_runs_open_max: token_open.unsigned_abs(),
        token_starts_per_minute_max: u32::try_from(token_starts).unwrap_or(u32::MAX),
        key_window: key_window(raw.key_window.as_ref())?,
        deadline_default: period(
            "limits.deadline_default",
            &raw.deadline_default,
            1000,
            deadline_max.as_ms(),
        )?,
        deadline_max,
        prompt_max: prompt.value,
    })
}

fn key_window(written: Option<&Written>) -> Result<Period, Wrong> {
    let written = written.cloned();
    period("limits.key_window", &written, limit::KEY_WINDOW_MS_MIN, KEEP_MS_MAX)
}

fn retention(raw: &Raw) -> Result<Retention, Wrong> {
    // A window that is wrong itself is told by its own section.
    let window = key_window(raw.limits.key_window.as_ref()).map_or(DAY_MS, Period::as_ms);
    let raw = &raw.retention;
    let frames = period("retention.frames", &raw.frames, window, KEEP_MS_MAX - STATUS_MORE_MS)?;
    let journal = period("retention.journal", &raw.journal, DAY_MS, KEEP_MS_MAX - STATUS_MORE_MS)?;
    let statuses_min = frames.max(journal).as_ms() + STATUS_MORE_MS;
    let statuses = match &raw.statuses {
        // The default follows what needs it; what was written is taken at its word.
        Some(Written { origin: Origin::Default, .. }) => {
            let default = period("retention.statuses", &raw.statuses, 1, KEEP_MS_MAX)?;
            Period::of_ms(statuses_min).map_or(default, |least| default.max(least))
        }
        written => period("retention.statuses", written, statuses_min, KEEP_MS_MAX)?,
    };
    Ok(Retention { frames, journal, statuses })
}

fn log(raw: &Raw) -> Result<Log, Wrong> {
    let format = required("log.format", &raw.log.format, "auto, plain, json")?;
    let level: At<'_, String> = required("log.level", &raw.log.level, LEVELS)?;
    let directive = |directive: &str| {
        let level = directive.rsplit('=').next().unwrap_or_default();
        ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
    };
    if !level.value.split(',').all(directive) {
        return Err(level.wrong("not a level or filter", LEVELS));
    }
    Ok(Log { format: format.value, level: level.value })
}

fn approvals(raw: &Raw) -> Result<Approvals, Wrong> {
    let raw = &raw.approvals;
    let life = |key, written, max| period(key, written, MINUTE_MS, max);
    Ok(Approvals {
        catalog_life: life(
            "approvals.catalog_life",
            &raw.catalog_life,
            limit::CATALOG_LIFE_MS_MAX,
        )?,
        credential_life: life(
            "approvals.credential_life",
            &raw.credential_life,
            limit::CREDENTIAL_LIFE_MS_MAX,
        )?,
    })
}

fn route(name: &str, route: &RawRoute, raw: &Raw) -> Result<(Alias, Route), Wrong> {
    let key = |setting: &str| format!("routes.{name}.{setting}");
    let written = [&route.peer, &route.tenant, &route.agent, &route.deadline_max];
    let origin = written.into_iter().flatten().next();
    let origin = || origin.map_or(Origin::Default, |written| written.origin.clone());
    let missing = |setting: &str, allowed: &str| Wrong {
        origin: origin(),
        key: key(setting),
        what: "a route needs this setting".to_owned(),
        allowed: Some(allowed.to_owned()),
    };
    let alias = name.parse().map_err(|error: InvalidName| Wrong {
        origin: origin(),
        key: format!("routes.{name}"),
        what: error.to_string(),
        allowed: None,
    })?;
    let peer = optional(&key("peer"), &route.peer, "an alias of `peer list`")?;
    let peer = peer.ok_or_else(|| missing("peer", "an alias of `peer list`"))?;
    let Some(tenant) = &route.tenant else { return Err(missing("tenant", TENANT)) };
    let (local_tenant, remote_tenant) = tenants(&key("tenant"), tenant)?;
    let agent = optional(&key("agent"), &route.agent, "an agent's name")?;
    let longest = period("", &raw.limits.deadline_max, 1, limit::DEADLINE_MS_MAX);
    let longest = longest.map_or(limit::DEADLINE_MS_MAX, Period::as_ms);
    let deadline_max = match &route.deadline_max {
        None => None,
        written => Some(period(&key("deadline_max"), written, 1000, longest)?),
    };
    let agent = agent.map(|agent| agent.value);
    Ok((alias, Route { peer: peer.value, local_tenant, remote_tenant, agent, deadline_max }))
}

fn tenants(key: &str, written: &Written) -> Result<(TenantId, TenantId), Wrong> {
    let at = At { key: key.to_owned(), written, value: () };
    let Value::Table(table) = &written.value else {
        return Err(at.wrong("not a pair of tenants", TENANT));
    };
    if let Some(other) = table.keys().find(|name| !["local", "remote"].contains(&name.as_str())) {
        return Err(at.wrong(&format!("there is no such setting: {other}"), TENANT));
    }
    let tenant = |name: &str| {
        let text =
            table.get(name).ok_or_else(|| at.wrong(&format!("{name} is missing"), TENANT))?;
        text.parse().map_err(|error| at.wrong(&format!("{name}: {error}"), TENANT))
    };
    Ok((tenant("local")?, tenant("remote")?))
}

/// A value and where it was written, for faults that show only later.
pub(super) struct At<'a, T> {
    key: String,
    pub(super) written: &'a Written,
    pub(super) value: T,
}

impl<'a> At<'a, ()> {
    pub(super) fn new(key: &str, written: &'a Option<Written>) -> Result<Self, Wrong> {
        let key = key.to_owned();
        match written {
            Some(written) => Ok(At { key, written, value: () }),
            None => {
                let what = "this setting is needed".to_owned();
                Err(Wrong { origin: Origin::Default, key, what, allowed: None })
            }
        }
    }
}

impl<T> At<'_, T> {
    pub(super) fn wrong(&self, what: &str, allowed: &str) -> Wrong {
        Wrong {
            origin: self.written.origin.clone(),
            key: self.key.clone(),
            what: what.to_owned(),
            allowed: Some(allowed.to_owned()),
        }
    }
}

pub(super) fn required<'a, T>(
    key: &str,
    written: &'a Option<Written>,
    allowed: &str,
) -> Result<At<'a, T>, Wrong>
where
    T: FromStr,
    T::Err: Display,
{
    let at = At::new(key, written)?;
    let Value::Text(text) = &at.written.value else {
        return Err(at.wrong("not a text in quotes", allowed));
    };
    match text.parse() {
        Ok(value) => Ok(At { key: at.key, written: at.written, value }),
        Err(error) => Err(at.wrong(&format!("{text:?}: {error}"), allowed)),
    }
}

fn optional<'a, T>(
    key: &str,
    written: &'a Option<Written>,
    allowed: &str,
) -> Result<Option<At<'a, T>>, Wrong>
where
    T: FromStr,
    T::Err: Display,
{
    if written.is_none() { Ok(None) } else { required(key, written, allowed).map(Some) }
}

pub(super) fn number(
    key: &str,
    written: &Option<Written>,
    min: i64,
    max: i64,
) -> Result<i64, Wrong> {
    let at = At::new(key, written)?;
    let allowed = format!("a whole number from {min} to {max}");
    match at.written.value {
        Value::Number(number) if (min..=max).contains(&number) => Ok(number),
        Value::Number(number) => Err(at.wrong(&format!("{number} is out of range"), &allowed)),
        _ => Err(at.wrong("not a whole number", &allowed)),
    }
}

fn period(key: &str, written: &Option<Written>, min: i64, max: i64) -> Result<Period, Wrong> {
    let at: At<'_, Period> = required(key, written, "a duration such as \"10m\"")?;
    if (min..=max).contains(&at.value.as_ms()) {
        return Ok(at.value);
    }
    let bound =
        |ms| Period::of_ms(ms).map_or_else(|| format!("{ms}ms"), |period| period.to_string());
    let what = format!("{} is out of range", at.value);
    Err(at.wrong(&what, &format!("{} to {}", bound(min), bound(max))))
}

/// A count that was checked to be small and positive.
fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const ADDRESS: &str = "an IP address and a port, such as 127.0.0.1:7443 or [::1]:7443";
const BLOCKS: &str = "a list of blocks, each by its first address and its bits, such as [\"10.0.0.0/8\", \"::1/128\"]";
const LEVELS: &str =
    "error, warn, info, debug, trace, or a filter such as info,landbridge_node=debug";
const SIZES: &str = "a size such as \"512KiB\"";
const TENANT: &str = "{ local = \"our tenant\", remote = \"the peer's tenant\" }";
/// What the system's socket addresses hold, without the closing zero.
const SOCKET_BYTES_MAX: usize = 107;
/// A request's payload, less its other members.
const PROMPT_BYTES_MAX: usize = limit::REQUEST_BYTES_MAX - 64 * 1024;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 3_600_000;
/// A run's longest deadline, and the life of the status that it may begin with.
const STATUS_MORE_MS: i64 = limit::DEADLINE_MS_MAX + limit::STATUS_LIFE_MS_MAX;
/// Ten years, less a little.
const KEEP_MS_MAX: i64 = 3650 * DAY_MS;
