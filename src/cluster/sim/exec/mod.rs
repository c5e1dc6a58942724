//! Programs run by `kubectl exec`.
