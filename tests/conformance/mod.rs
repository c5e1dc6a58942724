//! The conformance suite: what every cluster behind the `Cluster` trait does, written once. `tests/it` runs it on the simulated
//! cluster, `tests/live` on a real one; each case is a test of its own name in both.
//!
//! A binary that includes this module has a module `conformance_backend` with `run(name, case)`.

pub mod api;
pub mod bench;
pub mod differences;
pub mod exec;
pub mod logs;
pub mod policy;
pub mod services;
pub mod watch;
pub mod workloads;
pub mod writes;

pub use bench::Bench;

/// One case: panics where the cluster does something else.
pub type Case = fn(&mut Bench);

/// The table of cases: a test each, and their names.
macro_rules! cases {
    ($($module:ident { $($name:ident)* })*) => {
        /// Every case, `module::name`.
        pub const NAMES: &[&str] = &[$($(concat!(stringify!($module), "::", stringify!($name))),*),*];

        mod cases {
            $(mod $module {
                $(#[test]
                fn $name() {
                    crate::conformance_backend::run(concat!(stringify!($module), "::", stringify!($name)), super::super::$module::$name);
                })*
            })*
        }
    };
}

cases! {
    api {
        create_and_get
        list_by_labels
        list_by_fields
        a_bad_selector_is_refused
        a_missing_object_is_404
        an_object_that_exists_is_409
        names_are_generated
        a_namespace_of_another_object_is_refused
        many_reads_keep_their_order
        discovery_knows_the_kinds
        the_body_of_another_kind_is_refused
        a_list_has_a_version
    }
    writes {
        json_patch
        json_patch_that_tests_in_vain
        merge_patch
        strategic_patch
        apply_conflicts_and_forces
        apply_takes_fields_away
        generation_follows_the_spec
        a_stale_update_is_409
        an_update_of_nothing_changes_nothing
        invalid_objects_name_their_causes
        a_dry_run_leaves_nothing
        unknown_fields_warn
        unknown_fields_are_refused
        immutable_fields_stay
        immutable_config_maps_stay
        the_scale_is_a_part
        the_status_is_a_part
        finalizers_hold_a_deletion
        a_uid_guards_a_deletion
        dependents_are_collected
        dependents_are_orphaned
        a_foreground_deletion_waits
        a_pod_ends_with_grace
        collections_are_deleted
        a_namespace_takes_everything_along
        a_terminating_namespace_takes_nothing
    }
    policy {
        a_quota_is_kept
        a_quota_needs_requests
        a_limit_range_fills_in
        a_limit_range_refuses
        forbidden_texts
        what_is_granted_is_allowed
        rights_are_asked_for
        the_operator_can
        nobody_gives_what_he_lacks
        secrets_are_base64
        an_eviction_obeys_its_budget
        an_eviction_ends_a_pod
        a_service_account_appears
    }
    services {
        addresses_are_allocated
        node_ports_are_allocated
        a_taken_node_port_is_refused
        a_cluster_ip_stays
        endpoints_follow_readiness
        a_volume_is_bound
        a_claim_waits_for_a_volume
    }
    workloads {
        a_pod_runs
        a_rollout_completes
        a_rollout_keeps_its_history
        a_rollout_gets_stuck
        recreate_stops_first
        a_paused_rollout_waits
        a_crash_loop_backs_off
        an_image_that_is_not_there
        a_missing_config_map
        a_missing_key
        a_pod_that_fits_nowhere
        a_selector_that_no_node_has
        a_readiness_probe_fails
        a_liveness_probe_restarts
        an_init_container_fails
        a_job_completes
        a_job_gives_up
        a_killed_pod_is_replaced
        a_command_that_is_not_there
        events_tell_a_start
        a_daemon_set_is_on_every_node
        a_stateful_set_goes_in_order
    }
    exec {
        output_and_errors
        exit_codes
        input
        large_output
        a_missing_program
        a_missing_container
        a_missing_pod
        the_environment
        mounted_files
        a_pod_that_does_not_run
        the_agent_may_not
    }
    logs {
        the_whole_log
        the_tail
        since
        with_timestamps
        the_run_before
        no_run_before
        so_many_bytes
        a_missing_pod
        a_missing_container
        which_container
        a_container_that_waits
        an_ended_container
    }
    watch {
        somebody_elses_change_wakes
        other_changes_do_not
        a_name_narrows
        nothing_happens_until_the_time
        a_deletion_wakes
        a_change_since_the_last_look_wakes
    }
}

#[test]
fn differences_name_cases() {
    for (name, _) in differences::DIFFERENCES {
        assert!(NAMES.contains(name), "{name} is no case");
    }
}
