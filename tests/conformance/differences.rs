//! Where the simulated cluster differs from a real one.

/// Cases that fail on the simulated cluster, and why that is left so. One that passes there must leave this table.
pub const DIFFERENCES: &[(&str, &str)] =
    &[("logs::since", "all that a container's script prints carries one instant, at most two seconds after its start")];
