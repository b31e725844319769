//! What people see from outside: metrics and the form of logs. Names and meanings live here only.
//!
//! A metric's labels have few values by construction (codes, routes, aliases): a label whose values a
//! peer can choose would let it fill our memory. Neither metrics nor logs ever hold payloads, prompts,
//! tokens or keys.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// What a metric measures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// A level.
    Gauge,
    /// A distribution.
    Histogram,
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
    };
}

metrics! {
    LOCAL_REQUESTS = "local_requests_total", Counter, ["route", "status"], "Requests to the local API.";
    LOCAL_FEDERATION = "local_federation_requests_total", Counter, [], "Federation requests that were sent to the local API and refused.";
    FEDERATION_REQUESTS = "federation_requests_total", Counter, ["op", "code"], "Operations of peers; the code is ok or the problem's.";
    FEDERATION_UNVERIFIED = "federation_unverified_total", Counter, ["code"], "Requests to the federation plane that failed before a signature held.";
    CONNECTIONS = "connections", Gauge, ["plane"], "Open connections.";
    CONNECTIONS_REFUSED = "connections_refused_total", Counter, ["plane", "reason"], "Connections that were refused or cut.";
    EXECUTED_RUNS_OPEN = "executed_runs_open", Gauge, [], "Runs of peers that are open here.";
    EXECUTED_RUNS = "executed_runs_total", Counter, ["outcome"], "Runs of peers that ended here.";
    CALLED_RUNS_OPEN = "called_runs_open", Gauge, [], "Runs that we asked of peers and that are open.";
    CALLED_RUNS = "called_runs_total", Counter, ["gateway", "outcome"], "Runs that we asked of peers and that ended.";
    FRAMES_APPENDED = "frames_appended_total", Counter, [], "Frames of peers' runs that became durable here.";
    FRAMES_RELEASED = "frames_released_total", Counter, [], "Received frames whose seal held and that became durable here.";
    STREAM_ATTEMPTS = "stream_attempts_total", Counter, ["gateway", "result"], "Connections made to read a run's stream.";
    VERIFICATION_FAILURES = "verification_failures_total", Counter, ["what"], "Envelopes, chains and seals that did not hold.";
    COMMIT_SECONDS = "commit_seconds", Histogram, [], "How long a group commit took.";
    COMMIT_BATCHES = "commit_batches", Histogram, [], "How many batches shared a commit.";
    AUDIT_ROWS = "audit_rows", Gauge, [], "Rows of the audit log.";
    GATEWAY_REACHABLE = "gateway_reachable", Gauge, ["adapter"], "1 while the adapter can ask its gateway.";
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
        let handle = builder().and_then(PrometheusBuilder::install_recorder)?;
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

fn builder() -> Result<PrometheusBuilder, BuildError> {
    use metrics_exporter_prometheus::Matcher;
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(COMMIT_SECONDS.to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full(COMMIT_BATCHES.to_owned()), COUNTS)
}

fn describe() {
    for metric in METRICS {
        let unit = if metric.name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.meaning),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.meaning),
            Kind::Histogram => describe_histogram!(metric.name, unit, metric.meaning),
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

/// Bounds of durations, from a quiet disk's commit to a stuck one.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0];
/// Bounds of small counts.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

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

    #[test]
    fn what_is_counted_is_rendered_with_its_meaning() {
        let recorder = builder().unwrap().build_recorder();
        let exporter = Exporter(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            describe();
            local_request("/v1/runs/{run}", StatusCode::NOT_FOUND);
            federation_on_local();
            metrics::histogram!(COMMIT_SECONDS).record(0.003);
        });
        let text = exporter.render();
        for expected in [
            "landbridge_local_requests_total{route=\"/v1/runs/{run}\",status=\"404\"} 1",
            "# HELP landbridge_local_federation_requests_total Federation requests that were sent",
            "landbridge_commit_seconds_bucket{le=\"0.005\"} 1",
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
