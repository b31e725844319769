//! What was written, where, and what may be written: the one place for every setting's words.
//!
//! A setting stands in the table below once: its words, its form, and its default (`=`) or, where there
//! is none, an example (`~`). The struct that holds what was written, the defaults, the example file and
//! the reference are all made from this table, so they cannot disagree.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::Wrong;
use super::read;

/// A value as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A list of texts.
    List(Vec<String>),
    /// Named texts.
    Table(BTreeMap<String, String>),
    /// Yes or no.
    Flag(bool),
    /// Anything else, by its type's name.
    Other(&'static str),
}

/// The form that a setting is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A text.
    Text,
    /// A duration, such as `"30s"`.
    Period,
    /// A size, such as `"1MiB"`.
    Size,
    /// A whole number.
    Number,
    /// A list of texts; in the environment and in flags with commas between.
    List,
    /// Named texts.
    Table,
    /// Yes or no.
    Flag,
}

/// Where a value was written. Flags beat the environment, which beats the file, which beats defaults.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Nowhere: the default holds.
    Default,
    /// In the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In the environment, in this variable.
    Environment(String),
    /// On the command line, for this setting.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "command line, {name}"),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written {
    /// The value.
    pub value: Value,
    /// Where.
    pub origin: Origin,
}

/// A setting: what may be written.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its section; `routes` stands for each `routes.<name>`, `scopes` for each of them.
    pub section: &'static str,
    /// Its name in the section.
    pub key: &'static str,
    /// Its form.
    pub form: Form,
    /// Its default, as TOML; `None`: unset.
    pub default: Option<&'static str>,
    /// A value to show, as TOML: the default where there is one.
    pub shown: &'static str,
    /// What it does: unit, interplay, and whether a running bridge takes a change.
    pub words: &'static [&'static str],
}

/// A section's words.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub words: &'static [&'static str],
}

macro_rules! settings {
    (@default =, $text:literal) => { Some($text) };
    (@default ~, $text:literal) => { None };
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $name:ident {
            $($(#[doc = $words:literal])+ $key:ident: $form:ident $mark:tt $text:literal;)*
        }
    )*) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, Default, Eq, PartialEq)]
            pub struct $name {
                $($(#[doc = $words])+ pub $key: Option<Written>,)*
            }

            impl $name {
                fn slot(&mut self, key: &str) -> Option<&mut Option<Written>> {
                    match key {
                        $(stringify!($key) => Some(&mut self.$key),)*
                        _ => None,
                    }
                }
            }
        )*

        /// Every section, in the file's order.
        pub const SECTIONS: &[Section] = &[$(Section {
            name: stringify!($section),
            words: &[$($about),+],
        },)*];

        /// Every setting, in the file's order.
        pub const FIELDS: &[Field] = &[$($(Field {
            section: stringify!($section),
            key: stringify!($key),
            form: Form::$form,
            default: settings!(@default $mark, $text),
            shown: $text,
            words: &[$($words),+],
        },)*)*];
    };
}

settings! {
    /// The federation plane: where peer bridges reach this one, always over TLS 1.3.
    federation: RawFederation {
        /// The address and port to listen on. Peers on other machines need another address than
        /// loopback, and then usually `endpoint` too. Takes effect at the next start.
        listen: Text = "\"127.0.0.1:7443\"";
        /// The URL that peers are told, `https://host:port`; needed when `listen` is a wildcard such
        /// as `0.0.0.0`, or behind a translated address. Unset: `https://` and `listen`. It is written
        /// into the root document by `init`; takes effect with the next root.
        endpoint: Text ~ "\"https://bridge.example.org:7443\"";
        /// Blocks of addresses that this bridge may dial although they are not public: loopback,
        /// private networks, link-local. A peer names its own endpoints, so each block lets peers
        /// make this bridge open connections there; list the narrowest that will do. Takes effect at
        /// the next start.
        danger_allow_addresses: List = "[]";
    }
    /// The local plane: workflow engines and the command line of this machine.
    local: RawLocal {
        /// The unix socket of the local API and of administration. A relative path begins in the home
        /// directory; at most 107 bytes in all. Takes effect at the next start.
        socket: Text = "\"landbridge.sock\"";
        /// A loopback address and port for clients with tokens, beside the socket. Other addresses
        /// than loopback are refused. Unset: the socket only. Takes effect at the next start.
        listen: Text ~ "\"127.0.0.1:7480\"";
    }
    /// The gateway beside this bridge, which does the work that peers are granted.
    gateway: RawGateway {
        /// `openclaw` for a real gateway, `scripted` for the embedded one of demonstrations and
        /// tests. Unset: `openclaw`. Takes effect at the next start.
        adapter: Text ~ "\"scripted\"";
        /// The WebSocket of the OpenClaw gateway; `ws://` for loopback, `wss://` for anything else.
        /// Not used by `scripted`. Takes effect at the next start.
        url: Text = "\"ws://127.0.0.1:18789\"";
        /// How long a bridge that was told to stop waits for its gateway: to take the work that it was
        /// just given, and to answer tool calls, whose answers no later process could learn. What is not
        /// done by then ends as `interrupted`, side effects unknown. Supervisors must wait ten seconds
        /// longer. At most `24h`. Takes effect at the next start.
        handover_max: Period = "\"12s\"";
    }
    /// The keys that the running bridge never reads: root and policy.
    offline: RawOffline {
        /// The directory where commands find them, such as one on a stick that is mounted only when
        /// something is signed. A relative path begins in the home directory. Unset: `offline` in the home
        /// directory. Takes effect at the next command.
        dir: Text ~ "\"/media/operator/landbridge\"";
    }
    /// Limits. Each protects this process; none of them widens what a grant allows.
    limits: RawLimits {
        /// Connections of the federation plane at once; more are refused. Takes effect at the next
        /// start.
        connections_max: Number = "256";
        /// Of these, connections from one IPv4 address or one IPv6 /64; at most `connections_max`.
        /// Takes effect at the next start.
        connections_per_address_max: Number = "32";
        /// Connections of the local plane at once, socket and loopback together. Takes effect at the
        /// next start.
        local_connections_max: Number = "128";
        /// Open runs that this bridge executes for peers; more starts are answered `overloaded`.
        /// Takes effect at the next start.
        runs_open_max: Number = "64";
        /// Of these, open runs of one peer and tenant pair, unless its grant says otherwise; at most
        /// `runs_open_max`, and where several tenant pairs have grants, at most as many as are free.
        /// Takes effect at the next start.
        runs_open_per_peer_max: Number = "16";
        /// New runs of one peer and tenant pair in a minute, unless its grant says how many in a
        /// second; more are answered `rate_limited`. Takes effect at the next start.
        starts_per_minute_max: Number = "60";
        /// Runs that one local token may have open at once, unless the token says otherwise; more are
        /// answered 429. The socket without a token has no such limit. Takes effect at the next start.
        token_runs_open_max: Number = "256";
        /// New runs of one local token in a minute, unless the token says otherwise; more are answered
        /// 429. Takes effect at the next start.
        token_starts_per_minute_max: Number = "600";
        /// For how long after its terminal frame a run's idempotency key is remembered: a key
        /// that comes again later is refused, not run. At least `24h`. Takes effect at the next start.
        key_window: Period = "\"7d\"";
        /// A run's deadline when its client names none; at most `deadline_max`. Takes effect at the
        /// next start.
        deadline_default: Period = "\"10m\"";
        /// The longest deadline of a run, executed here or asked of a peer; longer ones are cut down
        /// to it. At most `24h`. Takes effect at the next start.
        deadline_max: Period = "\"24h\"";
        /// The largest prompt that the local API takes, in bytes of UTF-8. A request has at most 1 MiB
        /// as JSON, where quotes and line feeds count twice. At most `960KiB`. Takes effect at the
        /// next start.
        prompt_max: Size = "\"512KiB\"";
    }
    /// How long settled things are kept; what is open is always kept.
    retention: RawRetention {
        /// Runs executed for peers, with their frames and keys, from their end. At least
        /// `limits.key_window`, because a repeated key is answered from them. Takes effect at the next
        /// start.
        frames: Period = "\"7d\"";
        /// Runs asked of peers, with their frames and seals, from their end: for so long a transcript
        /// can be exported. At least `24h`. Takes effect at the next start.
        journal: Period = "\"30d\"";
        /// Statuses, this bridge's and its peers', from when a newer one was issued; the newest of each
        /// gateway, each that told of a revocation and one of every 30 days are always kept. Transcripts need those of their run's time, so at least two days
        /// more than `frames` and `journal`: a run lasts a day at most, and so does a status. Unset:
        /// `40d`, or as much as that needs. Takes effect at the next start.
        statuses: Period = "\"40d\"";
    }
    /// Logs, on stderr. They hold no prompts, outputs, tokens or keys at any level.
    log: RawLog {
        /// `plain` for people, `json` for machines, `auto` for plain on a terminal and JSON elsewhere.
        /// Takes effect at the next start.
        format: Text = "\"auto\"";
        /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as
        /// `info,landbridge_node=debug`. Takes effect at the next start.
        level: Text = "\"info\"";
    }
    /// Scopes and approvals: how long what this bridge signs about them is good.
    approvals: RawApprovals {
        /// How long a catalog of our scopes is good; it is signed anew while half of that is left. For so
        /// long a peer may go by words that were changed here. From `1m` to `24h`. Takes effect at the
        /// next start.
        catalog_life: Period = "\"12h\"";
        /// How long an operator's credential is good, from `1m` to `24h`. Half of it at least is left
        /// when it is handed out. A scope that is taken from an operator counts for so long elsewhere; a
        /// key that is taken away counts nowhere at once. Takes effect at the next start.
        credential_life: Period = "\"12h\"";
    }
    /// A scope: what operators of ours may decide for one tenant, in words for the people at other
    /// gateways who map it to a scope of theirs. One `[[scopes]]` for each. Nothing of it is told before
    /// `landbridge scope publish` showed what changes.
    scopes: RawScope {
        /// Our tenant. Required. Takes effect with `landbridge scope publish`.
        tenant: Text ~ "\"acme\"";
        /// Its name: 1 to 64 of `a-z 0-9 . _ -`, not beginning with `operator.`, which never crosses.
        /// Required. Takes effect with `landbridge scope publish`.
        name: Text ~ "\"sre-lead\"";
        /// What a holder may decide, at most 512 bytes. Whoever mapped the scope must read changed words
        /// before approvals count there again. Required. Takes effect with `landbridge scope publish`.
        description: Text ~ "\"Leads an incident; may change production.\"";
        /// Kinds of keys with which it is exercised: `file`, `ssh`, `ssh_sk`, `webauthn`. Unset: all of
        /// them. Takes effect with `landbridge scope publish`.
        methods: List ~ "[\"ssh_sk\", \"webauthn\"]";
        /// People who must agree at least, from 1 to 16. Unset: 1. Takes effect with `landbridge scope
        /// publish`.
        min_signers: Number ~ "1";
        /// Not to be mapped anew. Unset: false. Takes effect with `landbridge scope publish`.
        deprecated: Flag ~ "false";
    }
    /// A logical gateway id: what clients name, and what it means. One section for each.
    routes: RawRoute {
        /// The peer, by the alias that this bridge has for it. Required. Takes effect at the next
        /// start.
        peer: Text ~ "\"eu-gateway\"";
        /// Our tenant and the peer's; the peering must name this pair. Required. Takes effect at the
        /// next start.
        tenant: Table ~ "{ local = \"acme\", remote = \"acme-eu\" }";
        /// The agent at the peer, for clients that name none. Unset: clients must name one. Takes
        /// effect at the next start.
        agent: Text ~ "\"researcher\"";
        /// The longest deadline of a run by this route; at most `limits.deadline_max`. Unset: that.
        /// Takes effect at the next start.
        deadline_max: Period ~ "\"1h\"";
    }
}

/// What was written, in all places together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Raw {
    /// `[federation]`.
    pub federation: RawFederation,
    /// `[local]`.
    pub local: RawLocal,
    /// `[gateway]`.
    pub gateway: RawGateway,
    /// `[offline]`.
    pub offline: RawOffline,
    /// `[limits]`.
    pub limits: RawLimits,
    /// `[retention]`.
    pub retention: RawRetention,
    /// `[log]`.
    pub log: RawLog,
    /// `[approvals]`.
    pub approvals: RawApprovals,
    /// `[[scopes]]`, in the file's order.
    pub scopes: Vec<RawScope>,
    /// `[routes.<name>]`.
    pub routes: BTreeMap<String, RawRoute>,
}

/// What is set outside the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Overrides {
    environment: Vec<(String, String)>,
    flags: Vec<(String, String)>,
}

impl Overrides {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The variables `LANDBRIDGE_<SECTION>_<KEY>` among `variables`; others are not ours.
    #[must_use]
    pub fn of_environment(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |name: &str| {
            let rest = name.strip_prefix(ENVIRONMENT_PREFIX)?;
            SECTIONS.iter().find(|section| {
                let upper = section.name.to_ascii_uppercase();
                rest.strip_prefix(upper.as_str()).is_some_and(|rest| rest.starts_with('_'))
            })
        };
        let environment = variables.into_iter().filter(|(name, _)| ours(name).is_some()).collect();
        Self { environment, flags: Vec::new() }
    }

    /// Also a flag: `key` as in `federation.listen`, `value` as in the environment.
    #[must_use]
    pub fn flag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.flags.push((key.into(), value.into()));
        self
    }
}

impl Raw {
    /// Where a setting of a fixed section is held; `None`: there is no such setting.
    pub(super) fn slot(&mut self, section: &str, key: &str) -> Option<&mut Option<Written>> {
        match section {
            "federation" => self.federation.slot(key),
            "local" => self.local.slot(key),
            "gateway" => self.gateway.slot(key),
            "offline" => self.offline.slot(key),
            "limits" => self.limits.slot(key),
            "retention" => self.retention.slot(key),
            "log" => self.log.slot(key),
            "approvals" => self.approvals.slot(key),
            _ => None,
        }
    }

    /// Where a setting of a route is held.
    pub(super) fn route_slot(&mut self, route: &str, key: &str) -> Option<&mut Option<Written>> {
        self.routes.entry(route.to_owned()).or_default().slot(key)
    }

    /// Where a setting of a scope is held; `None`: there is no such setting, or no such scope.
    pub(super) fn scope_slot(&mut self, at: usize, key: &str) -> Option<&mut Option<Written>> {
        self.scopes.get_mut(at)?.slot(key)
    }

    /// Sets what the environment and the flags say, in this order, and tells what is wrong with them.
    pub(super) fn apply(&mut self, overrides: &Overrides) -> Vec<Wrong> {
        let environment = overrides.environment.iter().map(|(name, text)| {
            let rest = name.strip_prefix(ENVIRONMENT_PREFIX).unwrap_or(name).to_ascii_lowercase();
            let key = rest.replacen('_', ".", 1);
            (key, text, Origin::Environment(name.clone()))
        });
        let flags = overrides.flags.iter();
        let flags = flags.map(|(key, text)| (key.clone(), text, Origin::Flag(key.clone())));
        environment
            .chain(flags)
            .filter_map(|(key, text, origin)| self.set(&key, text, origin).err())
            .collect()
    }

    fn set(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), Wrong> {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        if matches!(section, "routes" | "scopes") {
            let what = format!("{section} are set in the file only");
            return Err(Wrong { origin, key: key.to_owned(), what, allowed: None });
        }
        let form = field(section, name).map(|field| field.form);
        let (Some(slot), Some(form)) = (self.slot(section, name), form) else {
            return Err(read::unknown_key(section, name, origin));
        };
        let value = match form {
            Form::Number => {
                text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Number)
            }
            Form::List => Value::List(
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
            Form::Flag => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Flag),
            Form::Text | Form::Period | Form::Size | Form::Table => Value::Text(text.to_owned()),
        };
        *slot = Some(Written { value, origin });
        Ok(())
    }

    /// Writes the default of everything that was not written and has one.
    pub(super) fn fill_defaults(&mut self) {
        for field in FIELDS {
            let Some(default) = field.default else { continue };
            let value = read::literal(default);
            if let Some(slot @ None) = self.slot(field.section, field.key) {
                *slot = Some(Written { value, origin: Origin::Default });
            }
        }
    }
}

/// The setting of this name.
pub(super) fn field(section: &str, key: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.section == section && field.key == key)
}

/// Begins every variable of the environment that is a setting.
const ENVIRONMENT_PREFIX: &str = "LANDBRIDGE_";
