//! Metrics: time series with their names and labels.

use crate::time::SimTime;
use arcstr::ArcStr;

/// One time series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The metric's name.
    pub name: ArcStr,
    /// Labels, sorted by name.
    pub labels: Vec<(ArcStr, ArcStr)>,
    /// Values in order of time.
    pub samples: Vec<(SimTime, f64)>,
}

impl Series {
    /// The value of a label; empty when it is not there, as in Prometheus.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }
}

/// The metrics of cAdvisor that AIOpsLab collects, in its order.
pub const CONTAINER_METRICS: &[&str] = &[
    "container_cpu_usage_seconds_total",
    "container_cpu_user_seconds_total",
    "container_cpu_system_seconds_total",
    "container_cpu_cfs_throttled_seconds_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_load_average_10s",
    "container_memory_cache",
    "container_memory_usage_bytes",
    "container_memory_working_set_bytes",
    "container_memory_rss",
    "container_memory_mapped_file",
    "container_spec_cpu_period",
    "container_spec_cpu_quota",
    "container_spec_memory_limit_bytes",
    "container_spec_cpu_shares",
    "container_threads",
    "container_threads_max",
    "container_network_receive_errors_total",
    "container_network_receive_packets_dropped_total",
    "container_network_receive_packets_total",
    "container_network_receive_bytes_total",
    "container_network_transmit_bytes_total",
    "container_network_transmit_errors_total",
    "container_network_transmit_packets_dropped_total",
    "container_network_transmit_packets_total",
    "container_start_time_seconds",
];

/// What programs count themselves.
pub const APPLICATION_METRICS: &[&str] = &[
    "requests_total",
    "request_duration_seconds_bucket",
    "request_duration_seconds_sum",
    "request_duration_seconds_count",
    "process_start_time_seconds",
];

/// What is known of containers from their pods.
pub const POD_METRICS: &[&str] = &["kube_pod_container_status_restarts_total"];

/// Upper bounds of the latency histogram `request_duration_seconds`, in seconds.
pub const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
