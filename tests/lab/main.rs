//! What evenkeel does to real hosts, told as statements.
//!
//! Two labs of five hosts at most are booted for all of them and taken down at the end, also when some fail: most of
//! a statement's time goes into waiting for hosts. In a lab one statement runs after the other, each with a
//! fleet of its own name and ports. Without root, or without a program that a lab needs, all of them are ignored; so is a
//! statement that `needs` a program which is missing. In CI as root both are failures.
//!
//! To tools they are ordinary tests: arguments and output are libtest's. With `LABS=1` there is
//! one lab; with `LAB_SUITE=trixie` hosts run that release of Debian; with `KEEP_LAB=1` they stay up, to be looked at;
//! with `SHOW=1` what evenkeel says is shown.

mod builds;
mod change;
mod confined;
mod controller;
mod controllers;
mod controls;
mod copies;
mod daemon;
mod drift;
mod ends;
mod faults;
mod fleet;
mod frontend;
mod frontend_switch;
mod health;
mod host_failures;
mod jump;
mod kills;
mod labs;
mod left_out;
mod load;
mod networks;
mod order;
mod pool;
mod processes;
mod proposals;
mod proposing;
mod pulls;
mod python;
mod reconcile;
mod refusals;
mod release_transfer;
mod repository;
mod secrets;
mod server;
mod serving;
mod signed;
mod site_ownership;
mod sources;
mod strangers;
mod streams;
mod suites;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with tests/pulls, which uses more of it")]
mod support;
mod tls;
mod told;
mod trace;
mod undo;
mod units;
mod values;
mod waits;
mod world;

use std::{process::ExitCode, thread};

use clap::Parser as _;
use libtest_mimic::{Completion, Failed, Trial};
use pool::Labs;
use support::{dice, events, git, needs, waiting};
use world::World;

/// As many as make use of two cores.
const LABS: usize = 2;

/// A statement's name, the programs that it needs besides those of a lab, and what it does.
type Test = (&'static str, &'static [&'static str], fn(&World));

macro_rules! tests {
    ($($module:ident { $($name:ident $(needs $program:literal)?,)* })*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), &[$($program)?], $module::$name),)*)*]
    };
}

/// In the order in which they run: what takes hosts down comes last.
const TESTS: &[Test] = tests! {
    change {
        applying_twice_plans_nothing_and_writes_nothing,
        a_change_of_one_services_environment_restarts_it_alone,
        a_change_of_an_env_file_on_the_host_restarts_its_service_alone,
        an_apply_to_one_instance_is_not_recorded_as_all_done,
        a_branch_is_applied_where_the_default_branch_says,
        a_port_is_taken_over_in_one_commit,
        what_git_no_longer_declares_goes_and_nothing_else,
        a_declared_package_is_installed_once,
        what_dpkg_does_not_manage_is_told_with_what_mends_it,
        what_dpkg_left_half_way_is_said_and_no_fault_of_another_package,
        a_lock_of_dpkg_is_waited_for_and_its_holder_said,
        a_lock_of_dpkg_that_stays_condemns_no_commit,
        a_package_that_somebody_removes_comes_back,
        an_old_unit_is_replaced_in_the_same_phase,
        an_old_unit_that_runs_without_its_file_is_replaced,
    }
    refusals {
        a_port_that_another_program_holds,
        a_hint_stops_the_program_that_is_in_the_way_and_nothing_else,
        a_site_where_nginx_is_not_installed,
        a_user_that_does_not_exist,
        a_program_that_the_host_does_not_have,
        an_env_file_that_does_not_exist,
        another_services_secret_and_the_hosts_own_units,
        what_a_branch_grants_itself,
        an_alias_of_what_keeps_the_host_reachable,
        an_alias_of_the_unit_that_evenkeel_comes_in_by,
        a_file_of_somebody_else_in_the_way,
        a_second_apply_while_one_runs_on_the_host,
    }
    undo {
        a_service_that_never_becomes_healthy_is_rolled_back_everywhere,
        what_an_undo_cannot_start_again_is_started_by_the_next_apply,
        what_was_finished_when_power_went_is_not_undone,
        a_service_whose_process_exits_at_once_is_rolled_back,
        an_old_unit_runs_again_when_its_successor_fails,
        a_broken_nginx_file_of_somebody_else_rolls_the_site_back,
        a_site_that_nginx_refuses_is_a_failure_of_the_commit,
        a_reload_that_nginx_does_not_follow_rolls_the_site_back,
        a_journal_that_a_cut_left_within_a_line_or_empty_is_undone,
        of_units_that_start_as_one_each_that_fails_is_told,
        of_files_that_change_as_one_the_one_that_fails_is_told,
    }
    waits {
        what_a_host_prints_or_asks_at_a_login_is_part_of_no_answer,
        what_every_program_of_a_host_prints_besides_is_part_of_no_answer,
        a_login_that_ends_is_told_in_the_hosts_own_words,
        a_sudo_that_takes_its_time_is_waited_for_and_the_wait_is_said,
        the_log_tells_each_sync_with_its_parts,
    }
    signed {
        an_apply_by_hand_is_signed_by_the_listed_key_of_the_agent needs "ssh-agent",
    }
    left_out {
        a_generation_that_nobody_made_concerns_its_instance_alone,
        an_instance_that_fails_alone_is_left_out_where_that_is_declared,
        more_failures_than_may_be_left_out_undo_a_deployment_everywhere,
    }
    frontend {
        a_site_serves_its_frontend_and_leads_to_its_services,
        a_changed_frontend_is_served_without_a_reload,
        the_default_site_makes_room,
        the_last_site_goes_and_nginx_stays,
    }
    ends {
        what_served_before_nginx_makes_room_and_comes_back,
        a_folder_from_which_nothing_is_started_is_found_while_planning,
    }
    site_ownership {
        a_site_of_any_name_is_served_beside_the_distributions_own,
        a_server_of_somebody_else_that_answers_for_a_site_is_named_with_its_file,
        a_site_that_turns_out_not_to_be_served_is_undone_and_what_answers_is_named,
        what_keeps_nginx_from_serving_is_refused_before_anything_is_touched,
        nginx_starts_after_a_reboot_as_services_do,
        two_fleets_share_a_host_and_the_port_of_the_digest,
    }
    units {
        a_drop_in_of_somebody_else_is_told_with_what_it_sets_and_stays,
        a_unit_file_in_the_place_of_evenkeels_is_told_and_what_systemd_has_not_read_is_read,
        a_drop_in_that_hardens_all_services_is_named_and_no_commit_is_condemned_for_it,
        a_service_that_a_drop_in_breaks_fails_with_its_path,
        the_way_to_the_files_is_kept_open,
    }
    serving {
        what_has_a_hash_in_its_name_is_kept_and_all_else_asked_for_again,
        which_files_never_change_can_be_declared,
        a_single_page_answers_for_paths_and_never_for_files,
        text_is_packed_and_pictures_are_not,
        two_pages_of_one_size_are_never_taken_for_one_another,
        headers_are_sent_once_and_taken_away_when_told,
        a_service_is_told_of_the_request_that_reached_nginx,
        routes_are_patient_large_and_prompt_as_declared,
        a_service_gets_the_path_that_was_sent,
    }
    frontend_switch {
        an_old_hashed_file_is_there_after_two_switches_and_an_old_page_is_not,
        an_undone_switch_restores_every_link,
        ten_switches_under_load_lose_nothing,
        ten_switches_at_full_speed_close_no_connection needs "wrk",
        ten_reloads_under_load_lose_nothing,
        replicas_restarted_one_after_the_other_lose_what_is_in_flight_and_no_more,
        a_deployment_that_restarts_both_replicas_loses_nothing_once_they_are_back,
        five_rollouts_over_two_replicas_lose_no_request,
        a_rollout_that_fails_half_way_is_undone_and_loses_no_request,
        a_page_that_was_opened_before_a_switch_loads_the_rest_of_itself needs "chromium",
    }
    copies {
        five_rollouts_of_one_service_lose_no_request,
        a_new_copy_that_is_no_good_loses_no_request_and_the_old_one_goes_on,
        moving_to_two_copies_and_back_leaves_nothing,
    }
    suites {
        a_host_with_systemd_247_is_like_any_other,
        a_host_with_systemd_257_is_like_any_other,
        a_host_with_coreutils_in_rust_is_like_any_other,
        a_host_whose_login_shell_is_csh_is_like_any_other,
    }
    tls {
        a_site_speaks_tls_and_plain_http_leads_there,
        a_renewed_certificate_reloads_nginx_and_nothing_else,
        a_certificate_that_cannot_be_served_is_refused,
        what_nobody_can_check_is_warned_of,
        a_certificate_for_another_name_is_warned_of,
    }
    python {
        a_service_runs_in_a_virtual_environment_that_others_share,
        a_service_reads_the_compiled_files_that_are_there_and_writes_none_into_its_release,
        a_program_that_the_requirements_do_not_bring_is_found_before_anything_stops,
        going_back_needs_no_index,
        what_pip_cannot_install_changes_nothing_that_runs,
        a_virtual_environment_that_was_damaged_is_made_anew,
        what_ran_from_one_that_was_replaced_is_started_again_after_all,
        a_private_index_is_asked_with_what_lies_on_the_host,
        what_neither_the_manifest_nor_a_kept_deployment_names_goes,
        one_that_is_cut_off_while_it_is_made_is_nowhere,
    }
    release_transfer {
        what_an_instance_holds_is_shared_and_not_sent_again,
        a_file_of_a_release_that_somebody_changed_is_mended,
        a_host_reads_releases_again_when_it_has_time,
        neither_what_somebody_left_in_a_release_nor_its_folders_are_in_the_way_of_the_next,
        a_release_that_does_not_fit_is_refused_with_figures,
        an_upload_that_is_cut_off_leaves_no_half_release,
        releases_that_nothing_uses_any_more_are_collected,
    }
    processes {
        a_release_arrives_as_it_is_in_git,
        a_process_that_changes_its_directory_goes_on,
        limits_are_in_force,
        state_survives_a_new_release,
    }
    values {
        a_process_sees_exactly_the_environment_that_is_declared,
        a_process_gets_exactly_the_arguments_that_are_declared,
        a_health_command_gets_exactly_the_arguments_that_are_declared,
        systemd_shows_exactly_the_description_that_is_declared,
        routes_lead_where_they_say_and_nowhere_else,
        domains_are_answered_by_their_site_and_no_other,
        what_cannot_arrive_is_refused_by_name,
        a_package_that_is_like_another_is_not_that_one,
    }
    confined {
        a_service_sees_of_its_host_what_it_needs,
        what_a_service_says_that_it_needs_is_lifted,
        a_command_that_checks_health_sees_what_its_service_sees,
        a_fleet_that_ran_unconfined_is_confined_by_one_deployment,
    }
    secrets {
        no_digest_of_a_secret_is_told_anywhere,
        a_manifest_that_somebody_opened_is_closed_without_a_restart,
        a_manifest_of_before_is_taken_over_without_a_restart,
    }
    order {
        the_trace_of_a_host_is_read_as_it_is_written,
        files_change_in_the_order_that_survives_a_cut needs "strace",
    }
    health {
        one_that_notifies_counts_as_started_when_it_says_so,
        an_http_check_holds_back_what_comes_after,
        a_tcp_check_gates,
        what_listens_on_another_address_is_named,
        what_outlives_the_unit_that_is_replaced_keeps_its_successor_from_starting,
        a_service_that_does_not_stay_up_is_an_answer_at_once,
        what_cannot_start_any_more_is_drift_that_names_who_has_its_port,
        what_was_not_deployed_is_healthy_by_nobodys_answer,
        an_exec_check_gates,
    }
    reconcile {
        drift_is_planned_and_repaired_by_apply,
        drift_is_repaired_by_the_loop_without_a_new_generation,
        a_process_that_was_started_from_drifted_files_is_restarted,
        a_commit_goes_live_and_is_recorded,
        what_is_tried_on_one_instance_goes_nowhere_else,
        a_bad_commit_is_rolled_back_and_the_next_one_goes_live,
        a_host_that_cannot_be_written_is_no_fault_of_the_commit,
    }
    sources {
        a_branch_of_another_repository_that_moves_is_deployed_like_a_commit,
    }
    builds {
        a_build_that_fails_touches_no_host_and_what_is_built_goes_live needs "bwrap",
        a_build_reaches_what_this_machine_does needs "bwrap",
        apply_builds_what_is_merged_and_nothing_else needs "bwrap",
    }
    pulls {
        a_pull_request_has_one_comment_which_is_kept_up_to_date,
        with_a_token_there_are_statuses_and_no_check_runs,
        a_conflict_and_a_mistake_are_said_with_their_place,
        what_no_delivery_told_is_found_by_polling,
        what_is_merged_goes_live_and_the_others_are_planned_on_top_of_it,
        what_is_merged_is_told_where_people_look,
        several_environments_of_one_branch_are_told_of_each,
        what_fails_is_taken_back_and_a_pull_request_says_so,
        a_command_is_obeyed_for_whoever_has_the_right,
        a_command_goes_back_and_tries_again,
        what_is_merged_waits_for_the_checks_that_are_required,
        while_github_is_away_what_is_merged_goes_live_and_is_told_later,
        a_storm_of_pushes_costs_a_handful_of_writes,
    }
    proposals {
        a_pull_request_for_another_branch_is_planned_for_that_one,
        a_draft_is_planned_and_nothing_is_said_again_when_it_is_ready,
        a_fork_that_is_gone_is_a_fork_still,
        a_deployment_is_cancelled_from_its_pull_request,
        github_that_takes_no_more_is_waited_for_and_hosts_are_not,
        what_is_closed_is_let_go_of,
        pull_requests_of_different_environments_tell_of_their_own,
        what_waited_and_is_refused_is_told_as_refused,
    }
    strangers {
        a_fork_waits_until_somebody_asks_for_its_plan,
        hosts_are_looked_at_where_the_base_says_and_with_its_keys,
        nothing_of_a_proposal_runs_and_nothing_of_it_is_fetched,
        what_is_no_plain_tree_is_refused_or_read_as_it_is,
    }
    controller {
        the_packaged_unit_deploys_and_repairs_from_its_sandbox,
    }
    controls {
        what_is_held_stays_as_it_is_until_it_is_resumed,
        in_a_freeze_drift_is_repaired_and_a_commit_waits_until_it_ends,
        a_quarantined_commit_is_tried_again_when_somebody_asks,
        a_cancelled_deployment_is_undone_and_not_tried_again,
        a_rollback_is_a_branch_and_now_it_is_live_until_a_newer_commit,
        a_deployment_that_is_not_to_be_undone_stops_and_holds,
        a_branch_that_was_pushed_by_force_waits_for_a_person,
        a_pin_to_a_branch_that_nobody_merged_reaches_no_host,
    }
    drift {
        drift_is_repaired_reported_or_ignored_as_declared,
        a_repair_that_does_not_hold_is_no_loop,
        who_was_there_before_a_drift_is_in_its_record,
    }
    repository {
        while_the_repository_is_away_drift_is_repaired_and_recorded_later,
        a_repository_that_talks_nonsense_is_told_of_in_time,
        a_hook_that_refuses_the_history_leaves_everything_untouched,
        a_history_that_others_write_to_is_appended_to,
        a_fleet_that_stops_validating_leaves_the_last_good_one_kept_up,
        an_environment_whose_branch_is_gone_is_kept_up,
    }
    controllers {
        one_that_only_observes_changes_nothing,
        one_that_is_told_to_end_detaches_and_the_next_start_completes,
        of_two_one_deploys_and_the_other_stands_back_or_takes_over,
        hundreds_of_commits_end_at_the_last,
        an_instance_that_is_declared_no_more_is_let_go_of,
        a_failure_is_undone_in_the_opposite_order_of_the_plan,
    }
    kills {
        a_killed_controller_is_followed_by_one_that_ends_what_it_began,
    }
    host_failures {
        two_instances_at_one_address_are_found,
        a_login_that_lacks_something_is_told_with_the_next_move,
        a_clock_that_is_a_day_ahead_changes_nothing,
        a_port_that_is_taken_after_the_plan_rolls_back,
        a_read_only_file_system_rolls_back,
        a_full_disk_rolls_back,
        a_disk_without_inodes_rolls_back,
        a_probe_that_hangs_or_babbles_holds_up_no_other_instance,
        a_host_that_reboots_in_the_middle_is_undone_and_then_deployed,
        a_network_that_comes_back_in_time_lets_the_deployment_complete,
        a_network_that_blinks_again_and_again_lets_the_deployment_complete,
        hosts_that_are_lost_in_the_middle_are_named_and_healed_when_they_are_back,
    }
    jump {
        what_is_behind_a_jump_host_is_deployed_to_through_it_alone,
        a_jump_host_that_shows_another_key_leads_nowhere,
        a_jump_host_that_does_not_lead_there_is_told_with_the_next_move,
        an_instance_that_babbles_holds_up_no_other_behind_the_same_jump_host,
        a_jump_host_that_comes_back_leads_there_again,
    }
    networks {
        one_process_looks_after_hosts_in_a_network_namespace_and_outside_of_it,
    }
    labs {
        a_lab_whose_boot_was_killed_is_taken_down_whole,
        a_demo_that_is_interrupted_takes_its_lab_down,
        a_lab_that_is_up_is_listed_and_entered,
    }
    faults {
        a_wrong_host_key_is_refused_by_name,
        nothing_connects_to_an_instance_without_a_host_key,
        an_apply_that_is_killed_is_completed_by_the_next,
        an_unreachable_host_is_left_out_and_converges_when_it_is_back,
        what_turns_out_to_be_live_everywhere_can_be_gone_back_to,
    }
};

/// The labs of this run.
static RUN: Labs = Labs::new();

/// What libtest takes, and more than one part of a name, as it does.
#[derive(clap::Parser)]
struct Selection {
    #[command(flatten)]
    libtest: libtest_mimic::Arguments,
    more: Vec<String>,
}

impl Selection {
    /// Whether any of the parts of names fits.
    fn names(&self, name: &str) -> bool {
        let mut parts = self.libtest.filter.iter().chain(&self.more);
        parts.any(|part| if self.libtest.exact { name == part } else { name.contains(part.as_str()) })
    }
}

fn main() -> ExitCode {
    let mut selection = Selection::parse();
    let mut trials: Vec<Trial> = TESTS.iter().map(trial).collect();
    if !selection.more.is_empty() {
        trials.retain(|trial| selection.names(trial.name()));
        selection.libtest.filter = None;
    }
    let labs = std::env::var("LABS").map_or(LABS, |labs| labs.parse().expect("LABS is a number")).max(1);
    let libtest = &mut selection.libtest;
    libtest.test_threads = Some(libtest.test_threads.map_or(labs, |threads| threads.clamp(1, labs)));
    let conclusion = libtest_mimic::run(libtest, trials);
    RUN.down();
    conclusion.exit_code()
}

/// A statement as libtest sees it. One whose programs are not here is ignored, and says why; in CI as root it runs, too,
/// and fails.
fn trial(&(name, programs, statement): &Test) -> Trial {
    Trial::ignorable_test(name, move || {
        let missing = || World::lacks().or_else(|| needs::missing(programs));
        if !needs::is_strict()
            && let Some(why) = missing()
        {
            return Ok(Completion::ignored_with(why));
        }
        match RUN.lend(|world| holds(name, statement, world)) {
            Ok(true) => Ok(Completion::Completed),
            // The panic has told why.
            Ok(false) => Err(Failed::without_message()),
            Err(why) => Err(format!("a lab of real hosts is needed: {why}").into()),
        }
    })
}

/// In a thread with the statement's name, which is what a panic is told with.
fn holds(name: &str, statement: fn(&World), world: &World) -> bool {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name.to_owned());
        thread.spawn_scoped(scope, || statement(world)).expect("a thread can be started").join().is_ok()
    })
}
