//! What people see from outside: metrics and the form of logs. Names and meanings live here only.
//!
//! A metric's labels have few values by construction (codes, routes, aliases): a label whose values a
//! peer can choose would let it fill our memory. Neither metrics nor logs ever hold payloads, prompts,
//! tokens or keys.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use metrics::{Unit, counter, describe_counter, describe_gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// What a metric measures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// A level.
    Gauge,
}

/// A metric: its name, labels and meaning.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, with the unit last.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub meaning: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:ident, [$($label:literal),*], $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $constant: &str = concat!("landbridge_", $name);)*

        /// Every metric of the bridge.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $constant,
            kind: Kind::$kind,
            labels: &[$($label),*],
            meaning: $meaning,
        },)*];

        #[cfg(test)]
        const CONSTANTS: &[&str] = &[$(stringify!($constant)),*];
    };
}

metrics! {
    LOCAL_REQUESTS = "local_requests_total", Counter, ["route", "status"], "Requests to the local API.";
    LOCAL_FEDERATION = "local_federation_requests_total", Counter, [], "Federation requests that were sent to the local API and refused.";
    FEDERATION_REQUESTS = "federation_requests_total", Counter, ["op", "status"], "Requests to the federation plane, by operation and HTTP status.";
    STRANGERS_REFUSED = "strangers_refused_total", Counter, ["code"], "Refusals that are only counted: of strangers, and of peers beyond their quota of records.";
    RUNS_EXECUTED = "runs_executed_total", Counter, ["outcome"], "Runs of peers that ended here.";
    STARTS_REFUSED = "starts_refused_total", Counter, ["reason"], "New runs of peers that found no room: draining, day, places, granted_places, shared_places, rate, own_line, line.";
    SPENT_TOKENS = "spent_tokens_total", Counter, [], "Model tokens that runs of peers were booked with.";
    SPENT_COST = "spent_micro_usd_total", Counter, [], "Millionths of a dollar that runs of peers were booked with.";
    OWNERS_EXECUTING = "owners_executing", Gauge, [], "Peers' tenant pairs with an open run.";
    OWNER_EXECUTING_MAX = "owner_executing_max", Gauge, [], "Open runs of the tenant pair that has the most.";
    RUNS_CALLED = "runs_called_total", Counter, ["outcome"], "Runs that we asked of peers and that ended.";
    EXECUTING = "executing", Gauge, [], "Open runs of peers that are at work here; with waiting, as many as places for runs are taken.";
    WAITING = "waiting", Gauge, [], "Open runs of peers that wait for an earlier run of their session; each holds a place.";
    CALLING = "calling", Gauge, [], "Runs that we asked of peers and that are open.";
    STREAMS = "streams", Gauge, [], "Streams of runs that peers read now.";
    STREAMS_CUT = "streams_cut_total", Counter, ["reason"], "Streams that were cut because their reader took nothing.";
    STREAM_MISMATCHES = "stream_mismatches_total", Counter, [], "Streams of peers that did not fit together; nothing of them was released.";
    STREAMS_ENDED = "streams_ended_by_peers_total", Counter, ["code"], "Streams that peers ended before the terminal with a signed problem.";
    PEER_AUDITS_WENT_BACK = "peer_audits_went_back_total", Counter, [], "Statuses of peers that name a shorter or another audit log than before.";
    REQUESTS = "requests_total", Counter, [], "HTTP requests on every plane.";
    CONNECTIONS = "connections", Gauge, [], "Open connections on every plane.";
    CONNECTIONS_REFUSED = "connections_refused_total", Counter, ["reason"], "Connections that found no place.";
    CONNECTIONS_CUT = "connections_cut_total", Counter, ["reason"], "Connections that were cut because of what came over them.";
    CONNECTIONS_ENDED = "connections_ended_total", Counter, ["reason"], "Connections that ended, and how.";
    CLIENT_CONNECTIONS = "client_connections_total", Counter, [], "Connections that were opened to peers.";
    COMMITS = "commits_total", Counter, [], "Group commits of the store.";
    COMMITTED_BATCHES = "committed_batches_total", Counter, [], "Batches that shared these commits.";
    COMMIT_SECONDS_MAX = "commit_max_seconds", Gauge, [], "How long the slowest commit took.";
    AUDIT_ROWS = "audit_rows", Gauge, [], "Rows of the audit log.";
    STORE_FULL = "store_full", Gauge, [], "1 while there is no room for new work: the disk is full.";
    KEY_SECONDS_LEFT = "key_seconds_left", Gauge, ["what"], "How long the root and the last key of each role are still good.";
    HALTED = "halted", Gauge, [], "1 while the operator's kill switch stops the bridge.";
    READY = "ready", Gauge, [], "1 while the bridge takes new work.";
}

/// Renders what was measured, in Prometheus' text form.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Installs the recorder of the process and describes every metric.
    ///
    /// # Errors
    ///
    /// Fails when a recorder was installed before.
    pub fn install() -> Result<Self, NotInstalled> {
        let handle = PrometheusBuilder::new().install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// What was measured so far.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what histograms collected; to be called every few seconds, or they grow.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exporter")
    }
}

/// The recorder could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("metrics could not be installed")]
pub struct NotInstalled(#[from] BuildError);

fn describe() {
    for metric in METRICS {
        let unit = if metric.name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.meaning),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.meaning),
        }
    }
}

/// Counts a request to the local API; `route` is the pattern, never the path.
pub(crate) fn local_request(route: &str, status: StatusCode) {
    let status = status.as_str().to_owned();
    counter!(LOCAL_REQUESTS, "route" => route.to_owned(), "status" => status).increment(1);
}

/// Counts a federation request on the local API.
pub(crate) fn federation_on_local() {
    counter!(LOCAL_FEDERATION).increment(1);
}

/// The form of log lines, as configured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Text.
    Plain,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Whether lines are JSON, given whether people watch.
    #[must_use]
    pub const fn is_json(self, on_terminal: bool) -> bool {
        match self {
            Self::Auto => !on_terminal,
            Self::Plain => false,
            Self::Json => true,
        }
    }
}

/// Not a form of log lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("allowed: auto, plain, json")]
pub struct UnknownLogFormat;

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(text: &str) -> Result<Self, UnknownLogFormat> {
        match text {
            "auto" => Ok(Self::Auto),
            "plain" => Ok(Self::Plain),
            "json" => Ok(Self::Json),
            _ => Err(UnknownLogFormat),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_one_pattern_and_are_unique() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.name.starts_with("landbridge_"), "{}", metric.name);
            let total = metric.name.ends_with("_total");
            assert_eq!(total, metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.meaning.ends_with('.'), "{}", metric.name);
        }
    }

    /// The sources of this crate but for this file.
    fn sources(directory: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if !path.ends_with("observe.rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_metric_is_recorded_somewhere_and_none_is_recorded_by_another_name() {
        let mut text = String::new();
        sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
        for constant in CONSTANTS.iter().filter(|name| !name.starts_with("LOCAL_")) {
            assert!(text.contains(&format!("observe::{constant}")), "{constant} is not recorded");
        }
        for form in ["counter!", "gauge!", "histogram!"] {
            assert!(!text.contains(&format!("{form}(\"")), "{form} with a name of its own");
        }
    }

    #[test]
    fn what_is_counted_is_rendered_with_its_meaning() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let exporter = Exporter(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            describe();
            local_request("/v1/runs/{run}", StatusCode::NOT_FOUND);
            federation_on_local();
            metrics::gauge!(COMMIT_SECONDS_MAX).set(0.25);
        });
        let text = exporter.render();
        for expected in [
            "landbridge_local_requests_total{route=\"/v1/runs/{run}\",status=\"404\"} 1",
            "# HELP landbridge_local_federation_requests_total Federation requests that were sent",
            "landbridge_commit_max_seconds 0.25",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn a_pipe_gets_json_and_a_terminal_text() {
        assert!(LogFormat::Auto.is_json(false) && !LogFormat::Auto.is_json(true));
        assert!(LogFormat::Json.is_json(true) && !LogFormat::Plain.is_json(false));
        assert!("text".parse::<LogFormat>().is_err());
    }
}
