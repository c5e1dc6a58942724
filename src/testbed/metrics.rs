//! What a program counts, as Prometheus reads it.

use super::http::Answer;
use super::role::locked;
use crate::telemetry::BOUNDS;
use crate::time::SimTime;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

/// Requests to one operation.
#[derive(Clone, Debug, Default)]
struct Counted {
    by_status: BTreeMap<String, u64>,
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
    all: u64,
}

/// What a program counts.
#[derive(Debug)]
pub struct Metrics {
    started: SimTime,
    operations: Mutex<BTreeMap<String, Counted>>,
}

impl Metrics {
    /// Nothing yet, of a process that started at this instant.
    pub fn new(started: SimTime) -> Metrics {
        Metrics { started, operations: Mutex::default() }
    }

    /// When the process started.
    pub fn started(&self) -> SimTime {
        self.started
    }

    /// A request was answered.
    pub fn count(&self, operation: &str, status: &str, took: Duration) {
        let mut operations = locked(&self.operations);
        let counted = operations.entry(operation.to_owned()).or_default();
        *counted.by_status.entry(status.to_owned()).or_default() += 1;
        counted.all += 1;
        counted.seconds += took.as_secs_f64();
        for (bucket, _) in counted.buckets.iter_mut().zip(BOUNDS).filter(|(_, bound)| took.as_secs_f64() <= *bound) {
            *bucket += 1;
        }
    }

    /// The text format.
    pub fn text(&self, service: &str) -> String {
        let mut out = String::new();
        let started = self.started.as_nanos() as f64 / 1e9;
        // Writing to a text cannot fail.
        let _ = writeln!(out, "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.");
        let _ = writeln!(out, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started:.3}");
        let operations = locked(&self.operations);
        let _ = writeln!(out, "# HELP requests_total Requests answered, by operation and status.\n# TYPE requests_total counter");
        for (operation, counted) in operations.iter() {
            for (status, count) in &counted.by_status {
                let _ = writeln!(out, "requests_total{{service=\"{service}\",operation=\"{operation}\",status=\"{status}\"}} {count}");
            }
        }
        let name = "request_duration_seconds";
        let _ = writeln!(out, "# HELP {name} Time to the answer.\n# TYPE {name} histogram");
        for (operation, counted) in operations.iter() {
            let labels = format!("service=\"{service}\",operation=\"{operation}\"");
            for (bucket, bound) in counted.buckets.iter().zip(BOUNDS) {
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {bucket}");
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", counted.all);
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {}", counted.seconds, counted.all);
        }
        out
    }

    /// The answer to who asks for it.
    pub fn answer(&self, service: &str) -> Answer {
        Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", self.text(service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_histograms() {
        let metrics = Metrics::new(SimTime::from_secs(5));
        metrics.count("GET /hotels", "200", Duration::from_millis(3));
        metrics.count("GET /hotels", "500", Duration::from_secs(60));
        let text = metrics.text("frontend");
        for line in [
            "process_start_time_seconds 5.000",
            "requests_total{service=\"frontend\",operation=\"GET /hotels\",status=\"500\"} 1",
            "request_duration_seconds_bucket{service=\"frontend\",operation=\"GET /hotels\",le=\"0.005\"} 1",
            "request_duration_seconds_bucket{service=\"frontend\",operation=\"GET /hotels\",le=\"+Inf\"} 2",
            "request_duration_seconds_count{service=\"frontend\",operation=\"GET /hotels\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
