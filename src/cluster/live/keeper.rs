//! Keeping a lease while nobody calls: a trainer may think for minutes between two steps.

#![allow(clippy::disallowed_methods, reason = "a lease is kept by a thread of its own, beside whatever the caller does")]

use super::LiveCluster;
use crate::cluster::environment::{EnvironmentError, Held, Holder, Place, renew};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a lease is renewed: three times within its duration.
const EVERY: Duration = Duration::from_secs(10);

/// Renews a lease until it is stopped.
pub(super) struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    lost: Arc<Mutex<Option<EnvironmentError>>>,
}

impl Keeper {
    /// Begins to keep a lease.
    pub(super) fn start(mut cluster: LiveCluster, place: Place, held: Held) -> Keeper {
        let (stop, stopped) = channel::<()>();
        let lost = Arc::new(Mutex::new(None));
        let noted = lost.clone();
        let keep = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let outcome = renew(&mut cluster, &place, &held);
                let now_lost = match outcome {
                    Err(error @ EnvironmentError::Held { .. }) => Some(error),
                    // The server may be away for a while; whoever took the lease meanwhile is seen when it is back.
                    Err(error) => {
                        tracing::warn!(namespace = %place.namespace, %error, "the environment's lease could not be renewed");
                        None
                    }
                    Ok(()) => None,
                };
                if let Some(error) = now_lost {
                    *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("aiopslab-lease".to_owned()).spawn(keep).ok();
        Keeper { stop: Some(stop), thread, lost }
    }

    /// Whether the lease is still ours.
    pub(super) fn check(&self) -> Result<(), EnvironmentError> {
        match &*self.lost.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Ends it; a renewal under way is waited for.
    pub(super) fn stop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// This process as the holder of one more lease.
pub(super) fn this_holder() -> Holder {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let session = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let process = std::process::id();
    Holder { machine: machine(), process: format!("{process}-{}", started(process).unwrap_or_default()), session: session.to_string() }
}

/// What tells this machine from others; a container has a boot id in common with its host, so the host's name counts too.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let name = format!("{}-{}", read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/random/boot_id"));
    let namespace = std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    let digits: String = namespace.chars().filter(char::is_ascii_digit).collect();
    format!("{name}-{digits}")
}

/// The start time of a process, in ticks since the machine's start: what tells it from a later one of the same number.
fn started(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

/// Whether a process of this machine, as [`Holder::process`] names it, has ended; `false` where that cannot be known.
pub(super) fn is_over(process: &str) -> bool {
    if !std::path::Path::new("/proc/self/stat").exists() {
        return false;
    }
    let Some((number, start)) = process.split_once('-') else { return false };
    let Ok(number) = number.parse() else { return false };
    started(number).is_none_or(|now| now != start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_told_from_one_that_runs() {
        let own = this_holder();
        assert!(!is_over(&own.process));
        assert!(is_over("1-999999999999"), "another process of the same number");
        assert!(is_over("4194305-1"), "no such process");
        assert!(!is_over("what is this"));
        assert_ne!(own, this_holder(), "every environment of a process has a holder of its own");
    }
}
