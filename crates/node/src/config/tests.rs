#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use std::collections::BTreeSet;

use super::example::{example, reference, variable};
use super::raw::{FIELDS, Value};
use super::*;

fn home() -> Home {
    Home::at("/home/bridge")
}

fn parse_with(text: &str, overrides: &Overrides) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("landbridge.toml"), &home(), overrides)
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, &Overrides::none())
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_example_means_the_defaults_and_shows_every_setting() {
    let text = example();
    let [example, empty] = [text.as_str(), ""].map(|text| parse(text).unwrap());
    for (example, empty) in example.effective.iter().zip(&empty.effective) {
        assert_eq!((&example.setting, &example.value), (&empty.setting, &empty.value));
        assert!(example.origin.starts_with("landbridge.toml:") && empty.origin == "default");
    }
    assert_eq!(Config { effective: empty.effective.clone(), ..example }, empty);
    // With the settings that have no default switched on, every setting is written exactly once.
    let all: String = text
        .lines()
        .map(|line| {
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#']));
            format!("{}\n", setting.unwrap_or(line))
        })
        .collect();
    let config = parse(&all).unwrap();
    assert_eq!(config.routes.len(), 1);
    assert!(config.federation.endpoint.is_some() && config.local.listen.is_some());
    let (mut raw, wrong) = read::read(&all, Path::new("landbridge.toml"));
    assert_eq!(wrong, []);
    for field in FIELDS {
        let slot = match field.section {
            "routes" => raw.route_slot("eu", field.key),
            "scopes" => raw.scope_slot(0, field.key),
            section => raw.slot(section, field.key),
        };
        let written = slot.unwrap().as_ref();
        assert!(written.is_some(), "{}.{}", field.section, field.key);
        assert_eq!(written.unwrap().value, read::literal(field.shown));
    }
}

#[test]
fn every_setting_says_when_a_change_takes_effect() {
    let mut names = BTreeSet::new();
    for field in FIELDS {
        assert!(names.insert((field.section, field.key)));
        let words = field.words.join(" ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("akes effect "), "{}.{}", field.section, field.key);
        assert!(!matches!(read::literal(field.shown), Value::Other(_)), "{}", field.key);
    }
}

#[test]
fn the_documentation_holds_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once("<!-- reference: begin -->\n").unwrap();
    let (found, tail) = rest.split_once("<!-- reference: end -->").unwrap();
    let wanted = format!("\n{}", reference());
    if std::env::var_os("BLESS").is_some() {
        let page =
            format!("{head}<!-- reference: begin -->\n{wanted}<!-- reference: end -->{tail}");
        std::fs::write(&path, page).unwrap();
    } else {
        assert_eq!(found, wanted, "run this test with BLESS=1");
    }
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_likely_name() {
    assert_eq!(
        refusal("[federation]\n\nlisten = \"127.0.0.1:1\"\nendpont = \"x\"\n"),
        "landbridge.toml:4: federation.endpont: there is no such setting; did you mean endpoint?; \
         allowed: listen, endpoint, danger_allow_addresses"
    );
    assert!(refusal("[federaton]\n").contains("did you mean federation?"));
    assert!(refusal("[routes.eu]\npear = \"x\"\n").contains("routes.eu.pear"));
    assert!(refusal("[federation]\nallow_addresses = []\n").contains("did you mean danger_allow"));
    assert!(
        refusal("federation = 1\n").starts_with("landbridge.toml:1: federation: this is a section")
    );
}

#[test]
fn broken_toml_is_told_with_its_line() {
    assert!(
        refusal("[log]\nlevel = \"info\nformat = \"json\"\n").starts_with("landbridge.toml:2: ")
    );
    assert!(refusal("[log]\nlevel = \"info\"\nlevel = \"info\"\n").contains("landbridge.toml:3"));
}

#[test]
fn all_sections_are_looked_at() {
    let text =
        "[log]\nformat = \"xml\"\n[local]\nlisten = \"0.0.0.0:80\"\n[limits]\nruns_open_max = 0\n";
    let errors = parse(text).unwrap_err().0;
    let keys: BTreeSet<_> = errors.iter().map(|wrong| wrong.key.as_str()).collect();
    assert_eq!(keys, BTreeSet::from(["limits.runs_open_max", "local.listen", "log.format"]));
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let file = "[federation]\nlisten = \"127.0.0.1:2\"\n";
    let variable = ("LANDBRIDGE_FEDERATION_LISTEN".to_owned(), "127.0.0.1:3".to_owned());
    let environment = Overrides::of_environment([variable]);
    let flag = environment.clone().flag("federation.listen", "127.0.0.1:4");
    let port = |text: &str, overrides: &Overrides| {
        parse_with(text, overrides).unwrap().federation.listen.port()
    };
    assert_eq!(port("", &Overrides::none()), 7443);
    assert_eq!(port(file, &Overrides::none()), 2);
    assert_eq!(port(file, &environment), 3);
    assert_eq!(port(file, &flag), 4);
}

#[test]
fn every_setting_can_be_set_by_its_variable() {
    let in_file_only = |section: &str| matches!(section, "routes" | "scopes");
    for field in FIELDS.iter().filter(|field| !in_file_only(field.section)) {
        let text = match read::literal(field.shown) {
            Value::Text(text) => text,
            Value::Number(number) => number.to_string(),
            Value::List(_) => "10.0.0.0/8, ::1/128".to_owned(),
            other => panic!("{other:?}"),
        };
        let overrides = Overrides::of_environment([(variable(field), text)]);
        assert!(parse_with("", &overrides).is_ok(), "{}", variable(field));
    }
}

#[test]
fn a_wrong_variable_is_told_by_its_name_and_foreign_ones_are_left_alone() {
    let set = |name: &str, value: &str| {
        let overrides = Overrides::of_environment([(name.to_owned(), value.to_owned())]);
        parse_with("", &overrides).map_err(|errors| errors.to_string())
    };
    let unknown = set("LANDBRIDGE_LOG_LEVL", "info").unwrap_err();
    assert!(unknown.contains("LANDBRIDGE_LOG_LEVL") && unknown.contains("did you mean level?"));
    assert!(set("LANDBRIDGE_LIMITS_RUNS_OPEN_MAX", "many").unwrap_err().contains("whole number"));
    assert!(set("LANDBRIDGE_ROUTES_EU_PEER", "x").unwrap_err().contains("in the file only"));
    for foreign in ["LANDBRIDGE_HOME", "LANDBRIDGE_TOKEN", "LANDBRIDGE_LOGLEVEL", "PATH"] {
        assert!(set(foreign, "x").is_ok(), "{foreign}");
    }
}

#[test]
fn dangerous_or_contradicting_settings_are_refused() {
    for (text, expected) in [
        ("[local]\nlisten = \"192.0.2.1:80\"", "not loopback"),
        ("[federation]\nlisten = \"0.0.0.0:7443\"", "set federation.endpoint"),
        ("[federation]\nendpoint = \"http://a.example:1\"", "https://host:port"),
        ("[federation]\ndanger_allow_addresses = [\"10.0.0.1/8\"]", "\"10.0.0.1/8\" is no block"),
        ("[federation]\ndanger_allow_addresses = true", "not a list"),
        ("[gateway]\nurl = \"ws://gw.example:1\"", "use wss://"),
        ("[gateway]\nadapter = 7", "gateway.adapter: not a text"),
        ("[limits]\nkey_window = \"23h\"", "1d to 3650d"),
        ("[limits]\nkey_window = \"8d\"", "retention.frames: 7d is out of range"),
        ("[limits]\ndeadline_max = \"5m\"", "limits.deadline_default"),
        ("[limits]\nconnections_max = 8", "limits.connections_per_address_max"),
        ("[limits]\nprompt_max = \"1MiB\"", "at most 960KiB"),
        ("[log]\nlevel = \"loud\"", "not a level"),
        ("[routes.eu]\npeer = \"x\"", "routes.eu.tenant: a route needs this setting"),
        ("[routes.EU]\npeer = \"x\"", "routes.EU: byte 0"),
        ("[routes.eu]\npeer = \"x\"\ntenant = { local = \"a\" }", "remote is missing"),
        ("[approvals]\ncatalog_life = \"25h\"", "allowed: 1m to 1d"),
        ("[approvals]\ncredential_life = \"30s\"", "allowed: 1m to 1d"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(expected), "{text}: {refusal}");
    }
    let long = Home::at(format!("/{}", "h".repeat(100)));
    assert!(Config::parse("", Path::new("x"), &long, &Overrides::none()).is_err());
}

#[test]
fn a_route_is_proven() {
    let text = "[routes.eu]\npeer = \"eu-gateway\"\ntenant = { local = \"acme\", remote = \"acme-eu\" }\n\
                agent = \"researcher\"\ndeadline_max = \"1h\"\n";
    let config = parse(text).unwrap();
    let route = &config.routes[&Alias::new("eu").unwrap()];
    assert_eq!(route.peer.as_str(), "eu-gateway");
    assert_eq!((route.local_tenant.as_str(), route.remote_tenant.as_str()), ("acme", "acme-eu"));
    assert_eq!(route.deadline_max.unwrap().as_ms(), 3_600_000);
}

#[test]
fn scopes_are_proven_each_and_together() {
    let one = |tenant: &str, name: &str, more: &str| {
        format!(
            "[[scopes]]\ntenant = \"{tenant}\"\nname = \"{name}\"\ndescription = \"x\"\n{more}\n"
        )
    };
    let text = [one("b", "two", ""), one("a", "two", "deprecated = true"), one("a", "one", "")];
    let config = parse(&text.concat()).unwrap();
    let names = |tenant: &str| {
        let scopes = &config.scopes[&TenantId::new(tenant).unwrap()];
        scopes.iter().map(|scope| (scope.name.as_str(), scope.deprecated)).collect::<Vec<_>>()
    };
    assert_eq!(names("a"), [("one", false), ("two", true)], "in the order of a catalog");
    assert_eq!(names("b"), [("two", false)]);
    let scope = &config.scopes.values().next().unwrap()[0];
    assert_eq!((scope.assurance.methods.len(), scope.assurance.min_signers), (4, 1));
    let shown = config.effective.iter().find(|each| each.setting == "scopes.2.deprecated").unwrap();
    assert_eq!((shown.value.as_str(), shown.origin.as_str()), ("true", "landbridge.toml:10"));
    for (text, expected) in [
        ("[scopes]\ntenant = \"a\"".to_owned(), "landbridge.toml:1: scopes: write [[scopes]]"),
        ("[[scopes]]\ntenant = \"a\"".to_owned(), "scopes.1.name: a scope needs this setting"),
        ([one("a", "x", ""), one("a", "y", "tennant = \"b\"")].concat(), "scopes.2.tennant"),
        ([one("a", "x", ""), one("a", "x", "")].concat(), "has this scope already"),
        (one("a", "operator.x", ""), "never crosses"),
        (one("a", "X", ""), "scopes.1.name"),
        (one("a", "x", "methods = [\"pgp\"]"), "\"pgp\" is no kind of key"),
        (one("a", "x", "methods = []"), "no kind of key would exercise it"),
        (one("a", "x", "min_signers = 17"), "a whole number from 1 to 16"),
        (one("a", "x", "deprecated = \"yes\""), "neither true nor false"),
        (one("a", "x", "").replace("\"x\"\n\n", "\"\"\n"), "allowed: 1 to 512 bytes"),
        ((0..65).map(|n| one("a", &format!("s{n}"), "")).collect(), "too many scopes"),
    ] {
        let refusal = refusal(&text);
        assert!(refusal.contains(expected), "{text}: {refusal}");
    }
}

#[test]
fn paths_begin_in_the_home_and_peers_are_told_where_we_listen() {
    let config = parse("").unwrap();
    assert_eq!(config.local.socket, home().socket());
    assert_eq!(config.federation.told_endpoint().to_string(), "https://127.0.0.1:7443");
    let open = parse("[federation]\ndanger_allow_addresses = [\"127.0.0.0/8\"]").unwrap();
    for (config, allowed) in [(&config, false), (&open, true)] {
        let loopback = std::net::Ipv4Addr::LOCALHOST.into();
        assert_eq!(config.federation.address_policy().allows(loopback), allowed);
    }
    let config = parse("[local]\nsocket = \"/run/bridge.sock\"").unwrap();
    assert_eq!(config.local.socket, Path::new("/run/bridge.sock"));
}

#[test]
fn retention_has_bounds_and_says_them() {
    for (text, allowed) in [
        ("[retention]\nframes = \"1h\"", "7d to 3648d"),
        ("[retention]\njournal = \"23h\"", "1d to 3648d"),
        ("[retention]\nstatuses = \"31d\"", "32d to 3650d"),
        ("[retention]\nstatuses = \"40d\"\njournal = \"60d\"", "62d to 3650d"),
        ("[limits]\nkey_window = \"1h\"", "1d to 3650d"),
        ("[limits]\nkey_window = \"9d\"", "9d to 3648d"),
        ("[limits]\ntoken_runs_open_max = 0", "a whole number from 1 to 10000"),
        ("[limits]\ntoken_starts_per_minute_max = 0", "a whole number from 1 to 100000"),
    ] {
        let said = refusal(text);
        assert!(said.contains(&format!("allowed: {allowed}")), "{text}\n{said}");
    }
    let kept = parse("[retention]\nstatuses = \"32d\"").unwrap().retention;
    assert_eq!(kept.statuses.to_string(), "32d");
    // Unless it is written, it follows what needs it.
    let config = parse("[retention]\njournal = \"60d\"").unwrap();
    assert_eq!(config.retention.statuses.to_string(), "62d");
    let shown = config.effective.iter().find(|each| each.setting == "retention.statuses");
    assert_eq!(shown.map(|each| each.value.as_str()), Some("\"62d\""));
}

#[test]
fn effective_settings_say_where_they_come_from() {
    let text = "[retention]\njournal = \"60d\"\n[routes.eu]\npeer = \"b\"\n\
                tenant = { local = \"a\", remote = \"c\" }\n";
    let environment = [("LANDBRIDGE_LIMITS_RUNS_OPEN_MAX".to_owned(), "32".to_owned())];
    let overrides = Overrides::of_environment(environment).flag("log.level", "warn");
    let config = parse_with(text, &overrides).unwrap();
    let shown = |setting: &str| {
        let found = config.effective.iter().find(|each| each.setting == setting).unwrap();
        (found.value.as_str(), found.origin.as_str())
    };
    assert_eq!(shown("retention.frames"), ("\"7d\"", "default"));
    assert_eq!(shown("retention.journal"), ("\"60d\"", "landbridge.toml:2"));
    assert_eq!(
        shown("limits.runs_open_max"),
        ("32", "environment variable LANDBRIDGE_LIMITS_RUNS_OPEN_MAX")
    );
    assert_eq!(shown("log.level"), ("\"warn\"", "command line, log.level"));
    assert_eq!(shown("routes.eu.tenant").0, "{ local = \"a\", remote = \"c\" }");
    assert!(config.effective.iter().all(|each| each.setting != "local.listen"), "it is unset");
}
