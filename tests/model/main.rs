//! The model check: every order in which a small world can go is tried, with the production plan deciding. A Deployment
//! and its Job, one that stops first, or both go from a good revision to a bad one and to a good one again; between any two
//! passes any part of what was planned may have taken effect, the controller may crash, a call may fail, the engine may restart.
//!
//! [`town`] is the small world, [`state`] what can happen in it, [`addresses`] what the engine chooses, [`promises`] what must
//! hold, [`neighbours`] why two Deployments are not tried in every order of both, [`likeness`] which states are the same,
//! [`search`] tries everything. `scripts/prove --model` searches the large ones.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests and their helpers may")]

mod addresses;
mod likeness;
mod neighbours;
mod promises;
mod search;
mod state;
#[path = "../support/mod.rs"]
mod support;
mod town;
mod wrong;

use evenkeel::plan::plan;
use search::{Found, search};
use state::Left;
use town::Town;

/// Searches everything, prints the figures, and fails with the way to what is wrong.
fn hold(town: &Town, left: Left) {
    let found = search(town, left);
    println!("{found}");
    assert!(found.wrong.is_none(), "{found}");
}

/// What a controller that decides in another way breaks.
fn broken_by(town: &Town, left: Left) -> String {
    let found = search(town, left);
    println!("{found}");
    found.wrong.expect("the search finds what is wrong")
}

const CALM: Left = Left { crashes: 0, restarts: 0, failures: 0 };

#[test]
fn one_deployment_with_its_job_keeps_its_promises() {
    hold(&Town::with_web(plan), CALM);
}

#[test]
fn a_deployment_that_stops_first_keeps_its_promises() {
    hold(&Town::with_api(plan), CALM);
}

#[test]
fn a_deployment_that_stops_first_keeps_its_promises_through_a_crash() {
    hold(&Town::with_api(plan), Left { crashes: 1, ..CALM });
}

#[test]
fn two_deployments_do_not_disturb_each_other_when_the_second_revision_is_bad() {
    hold(&Town::with_both(plan, "web").until(2), CALM);
    hold(&Town::with_both(plan, "api").until(2), CALM);
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn a_deployment_with_its_job_keeps_its_promises_through_two_crashes() {
    hold(&Town::with_web(plan), Left { crashes: 2, ..CALM });
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn a_deployment_that_stops_first_keeps_its_promises_through_two_crashes() {
    hold(&Town::with_api(plan), Left { crashes: 2, ..CALM });
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn a_deployment_with_its_job_keeps_its_promises_when_a_call_fails() {
    hold(&Town::with_web(plan), Left { failures: 1, ..CALM });
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn a_deployment_that_stops_first_keeps_its_promises_when_a_call_fails() {
    hold(&Town::with_api(plan), Left { failures: 1, ..CALM });
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn the_first_revision_of_a_deployment_with_its_job_comes_through_a_restart_of_the_engine() {
    hold(&Town::with_web(plan).until(1), Left { restarts: 1, ..CALM });
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn a_bad_revision_of_a_deployment_that_stops_first_goes_back_through_a_restart_of_the_engine() {
    hold(&Town::with_api(plan).until(2), Left { restarts: 1, ..CALM });
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn two_deployments_do_not_disturb_each_other_in_any_order_of_the_first_one_s_calls() {
    hold(&Town::with_both(plan, "api"), CALM);
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn two_deployments_do_not_disturb_each_other_in_any_order_of_the_second_one_s_calls() {
    hold(&Town::with_both(plan, "web"), CALM);
}

#[test]
#[ignore = "takes minutes: scripts/prove --model"]
fn two_deployments_do_not_disturb_each_other_through_a_crash() {
    hold(&Town::with_both(plan, "web"), Left { crashes: 1, ..CALM });
    hold(&Town::with_both(plan, "api"), Left { crashes: 1, ..CALM });
}

#[test]
fn a_step_that_does_not_ask_the_budget_is_found() {
    let wrong = broken_by(&Town::with_web(wrong::without_a_budget), CALM);
    assert!(wrong.contains("are promised"), "{wrong}");
}

#[test]
fn a_controller_that_forgets_what_it_rejected_is_found() {
    let wrong = broken_by(&Town::with_web(wrong::without_a_memory_of_failures), CALM);
    // It takes up what it gave up as soon as it is back.
    assert!(wrong.contains("its revision was rejected, and is tried again"), "{wrong}");
}

#[test]
fn a_controller_that_gives_no_names_is_found() {
    let wrong = broken_by(&Town::with_web(wrong::without_names), CALM);
    assert!(wrong.contains("never comes to rest"), "{wrong}");
}

#[test]
fn a_controller_that_does_not_keep_a_job_s_container_is_found() {
    let wrong = broken_by(&Town::with_web(wrong::without_a_ledger), CALM);
    assert!(wrong.contains("was started 2 times"), "{wrong}");
}

#[test]
fn a_controller_that_sweeps_up_after_a_crash_is_found() {
    let town = Town::with_web(wrong::forgetting_at_a_crash);
    hold(&town, CALM);
    let wrong = broken_by(&town, Left { crashes: 1, ..CALM });
    assert!(wrong.contains("was started 2 times"), "{wrong}");
}

#[test]
fn a_controller_that_takes_silence_for_a_no_is_found() {
    let town = Town::with_web(wrong::forgetting_at_a_timeout);
    let wrong = broken_by(&town, Left { failures: 1, ..CALM });
    assert!(wrong.contains("was started 2 times"), "{wrong}");
}

#[test]
fn a_controller_that_lets_rollouts_wait_for_each_other_is_found() {
    let wrong = broken_by(&Town::with_both(wrong::one_rollout_at_a_time, "web"), CALM);
    assert!(wrong.contains("not what would be if it were alone"), "{wrong}");
}

#[test]
fn the_same_search_gives_the_same_figures() {
    let figures = |found: Found| (found.states, found.transitions, found.depth);
    let town = Town::with_api(plan);
    assert_eq!(figures(search(&town, CALM)), figures(search(&town, CALM)));
}
