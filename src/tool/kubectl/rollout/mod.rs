//! `kubectl rollout`: status, history, undo, restart, pause and resume of Deployments, DaemonSets and StatefulSets.

pub mod progress;
