//! Where the simulated cluster differs from a real one.

/// Cases that fail on the simulated cluster, and why that is left so. One that passes there must leave this table.
pub const DIFFERENCES: &[(&str, &str)] = &[
    ("api::a_namespace_of_another_object_is_refused", "the message carries both namespaces"),
    ("exec::input", "a script in a container does not read the input of `exec`"),
    ("logs::since", "what a script prints is all written when it ends"),
    ("policy::nobody_gives_what_he_lacks", "the escalation check of RBAC is not modelled"),
    ("services::endpoints_follow_readiness", "BusyBox' `cat` words its errors as coreutils does"),
    ("workloads::a_rollout_keeps_its_history", "annotations written by the Deployment controller raise the generation"),
    ("writes::generation_follows_the_spec", "annotations written by the Deployment controller raise the generation"),
];
