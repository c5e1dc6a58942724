//! [`LiveConfig`]: which live cluster, and what may be done to it.

use serde::{Deserialize, Serialize};

/// Which live cluster, and what may be done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveConfig {
    /// Path of a kubeconfig; `None` looks where kubectl does (`$KUBECONFIG`, `~/.kube/config`, the pod's own service account).
    pub kubeconfig: Option<String>,
    /// Context of the kubeconfig; `None` for its current one.
    pub context: Option<String>,
    /// Ends the name of the environment's namespaces and cluster-scoped objects; `None` takes the first that nobody holds: none, `2`, `3` …
    pub suffix: Option<String>,
    /// What becomes of the namespaces when the environment is closed.
    pub on_close: OnClose,
    /// Factor on CPU requests and limits of the application's containers, above 0, at most 1: for small clusters.
    pub cpu_scale: f64,
    /// Image of our own pod (load, probes, `curl` of the agent).
    pub image: String,
    /// Longest wait for one request to the API server, in seconds, 1 to 300.
    pub request_timeout_s: f64,
    /// Longest wait for the application to become ready, in seconds, 10 to 3600.
    pub ready_timeout_s: f64,
    /// Upper bound on the wait for a repaired application to converge when it is graded, in seconds, 1 to 330.
    pub grade_patience_s: u64,
    /// Take a Kubernetes that was never tried.
    pub any_version: bool,
    /// Where the agent's shell runs.
    pub shell: ShellKind,
}

/// What becomes of an environment's namespaces when it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnClose {
    /// The application is put back as it was and stays, for the next environment.
    Keep,
    /// Everything that the library made is deleted.
    Delete,
}

/// Where the agent's shell runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShellKind {
    /// In this process, over files of its own: nothing of this machine can be reached.
    Builtin,
}

impl Default for LiveConfig {
    fn default() -> Self {
        LiveConfig {
            kubeconfig: None,
            context: None,
            suffix: None,
            on_close: OnClose::Keep,
            cpu_scale: 1.0,
            image: concat!("docker.io/aiopslab/testbed:", env!("CARGO_PKG_VERSION")).to_owned(),
            request_timeout_s: 30.0,
            ready_timeout_s: 300.0,
            grade_patience_s: 330,
            any_version: false,
            shell: ShellKind::Builtin,
        }
    }
}

impl LiveConfig {
    /// Checks ranges.
    ///
    /// # Errors
    /// Which value is out of range, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: f64, low: f64, high: f64| {
            let fits = (low..=high).contains(&value);
            if fits { Ok(()) } else { Err(format!("cluster.{name} is {value}; it must be {low} to {high}")) }
        };
        if !(self.cpu_scale > 0.0 && self.cpu_scale <= 1.0) {
            return Err(format!("cluster.cpu_scale is {}; it must be above 0 and at most 1", self.cpu_scale));
        }
        within("request_timeout_s", self.request_timeout_s, 1.0, 300.0)?;
        within("ready_timeout_s", self.ready_timeout_s, 10.0, 3600.0)?;
        within("grade_patience_s", self.grade_patience_s as f64, 1.0, 330.0)?;
        if let Some(suffix) = &self.suffix
            && (suffix.len() > 20 || !suffix.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
        {
            return Err(format!("cluster.suffix is {suffix:?}; it must be at most 20 lower-case letters and digits"));
        }
        if self.image.trim().is_empty() {
            return Err("cluster.image is empty; name the testbed's image".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_say_what_is_right() {
        let check = |change: fn(&mut LiveConfig), expect: &str| {
            let mut config = LiveConfig::default();
            change(&mut config);
            assert_eq!(config.check().expect_err("wrong"), expect);
        };
        assert_eq!(LiveConfig::default().check(), Ok(()));
        check(|c| c.cpu_scale = 0.0, "cluster.cpu_scale is 0; it must be above 0 and at most 1");
        check(|c| c.request_timeout_s = f64::NAN, "cluster.request_timeout_s is NaN; it must be 1 to 300");
        check(|c| c.ready_timeout_s = 1.0, "cluster.ready_timeout_s is 1; it must be 10 to 3600");
        check(|c| c.grade_patience_s = 0, "cluster.grade_patience_s is 0; it must be 1 to 330");
        check(|c| c.suffix = Some("A_b".into()), "cluster.suffix is \"A_b\"; it must be at most 20 lower-case letters and digits");
        check(|c| c.image = " ".into(), "cluster.image is empty; name the testbed's image");
    }
}
