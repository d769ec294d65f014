//! Which addresses the engine gives. It may give any that is free, so no address is more than a name: what counts is who has the
//! same, and whether it is one that somebody wants back who has left it for a moment. Both are tried; nothing else is told apart.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use evenkeel::model::action::Call;

use crate::state::{State, UnderWay};
use crate::support::sim::container::Container;

/// More than any step needs.
const FRESH: u8 = 16;

/// In how many ways the engine can choose when this takes effect.
pub fn ways(state: &State, under_way: &UnderWay) -> usize {
    let asks = match &under_way.action.call {
        Call::Connect(c) | Call::Reconnect(c) => c.address.is_none(),
        Call::Start { .. } | Call::Restart(_) => under_way.container(&state.world).is_some_and(takes_any),
        _ => false,
    };
    if asks { 1 + wanted(state).len() } else { 1 }
}

/// In how many ways it can when it starts everything that runs.
pub fn ways_of_a_restart(state: &State) -> usize {
    let asking = state.world.containers.values().filter(|c| c.is_alive() && takes_any(c)).count();
    let choices = 1 + everybodys(state).len();
    // Two that take what a third one wants are as many as can meet here.
    choices.pow(asking.min(2) as u32)
}

fn takes_any(container: &Container) -> bool {
    container.endpoints.values().any(|endpoint| endpoint.fixed.is_none())
}

/// What it gives, in this order, if it chooses in this way: first nobody's, or one that somebody wants back.
pub fn chosen(state: &State, way: usize) -> Vec<Ipv4Addr> {
    given(state, &wanted(state), way)
}

/// The same for a restart, where everybody has to get an address again.
pub fn chosen_at_a_restart(state: &State, way: usize) -> Vec<Ipv4Addr> {
    given(state, &everybodys(state), way)
}

fn given(state: &State, wanted: &[Ipv4Addr], way: usize) -> Vec<Ipv4Addr> {
    let everybodys = everybodys(state);
    let held = held(state);
    let mut fresh = (2..FRESH + 2).map(|n| Ipv4Addr::new(10, 201, 0, n));
    let mut fresh: Vec<Ipv4Addr> =
        fresh.by_ref().filter(|address| !held.contains(address) && !everybodys.contains(address)).collect();
    fresh.reverse();
    let choices = wanted.len() + 1;
    let mut order = Vec::new();
    for choice in [way % choices, way / choices] {
        match choice.checked_sub(1) {
            Some(number) => order.push(wanted[number]),
            None => order.extend(fresh.pop()),
        }
    }
    fresh.reverse();
    order.extend(fresh);
    order
}

/// Addresses that are free, and that somebody is going to ask for.
fn wanted(state: &State) -> Vec<Ipv4Addr> {
    let held = held(state);
    everybodys(state).into_iter().filter(|address| !held.contains(address)).collect()
}

fn held(state: &State) -> BTreeSet<Ipv4Addr> {
    let endpoints = state.world.containers.values().flat_map(|c| c.endpoints.values());
    endpoints.filter_map(|endpoint| endpoint.address).collect()
}

/// Addresses that are somebody's own, whether it has them now or not.
fn everybodys(state: &State) -> Vec<Ipv4Addr> {
    let endpoints = state.world.containers.values().flat_map(|c| c.endpoints.values());
    let own = endpoints.filter_map(|endpoint| endpoint.fixed);
    let asked = state.under_way.iter().filter_map(|under_way| match &under_way.action.call {
        Call::Connect(c) | Call::Reconnect(c) => c.address,
        _ => None,
    });
    own.chain(asked).collect::<BTreeSet<_>>().into_iter().collect()
}
