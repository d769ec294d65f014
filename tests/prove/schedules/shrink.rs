//! Making a failing schedule small: leave out what it fails without. It judges nothing: whoever asks says what fails.

use super::schedule::{Schedule, Turn};

/// The smallest schedule that was found in so many tries and still fails.
pub fn shrink(schedule: &Schedule, mut fails: impl FnMut(&Schedule) -> bool, tries: usize) -> Schedule {
    let (mut smallest, mut left) = (schedule.clone(), tries);
    loop {
        let smaller = smaller(&smallest).into_iter().take(left).find_map(|candidate| {
            left = left.saturating_sub(1);
            fails(&candidate).then_some(candidate)
        });
        match smaller {
            Some(found) if left > 0 => smallest = found,
            Some(found) => return found,
            None => return smallest,
        }
    }
}

/// Schedules with a part left out, the largest parts first.
fn smaller(of: &Schedule) -> Vec<Schedule> {
    let mut candidates = Vec::new();
    let mut size = of.turns.len() / 2;
    while size > 0 {
        candidates.extend((0..of.turns.len()).step_by(size).map(|at| without_turns(of, at, size)));
        size /= 2;
    }
    candidates.extend(without_a_deployment(of));
    candidates.extend(plainer(of));
    candidates
}

fn without_turns(of: &Schedule, at: usize, size: usize) -> Schedule {
    let mut turns = of.turns.clone();
    turns.drain(at..(at + size).min(of.turns.len()));
    Schedule { turns, ..of.clone() }
}

/// Without its last Deployment, if nothing happens to that.
fn without_a_deployment(of: &Schedule) -> Option<Schedule> {
    let last = of.shop.deployments.len().checked_sub(1).filter(|last| *last > 0)?;
    let is_of_last = |turn: &Turn| match turn {
        Turn::Edit(number, _) | Turn::Remove(number) | Turn::Return(number) => *number == last,
        Turn::Config(_) | Turn::Secret(_) | Turn::Job(_) | Turn::Cron(_) | Turn::Say(_) => false,
    };
    let mut smaller = of.clone();
    smaller.shop.deployments.pop();
    smaller.turns.retain(|turn| !is_of_last(turn));
    Some(smaller)
}

/// With a plainer shop: no job, no CronJob, fewer uses and rules, the plainest strategy, one replica less.
fn plainer(of: &Schedule) -> Vec<Schedule> {
    let mut candidates = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Schedule)| {
        let mut candidate = of.clone();
        change(&mut candidate);
        if candidate != *of {
            candidates.push(candidate);
        }
    };
    let asks = |line: &str| line.contains("job: task");
    let depends = of.shop.deployments.iter().any(|d| d.uses.iter().any(|l| asks(l)) || d.rules.iter().any(|l| asks(l)));
    if !depends {
        offer(&|s| s.shop.job = None);
    }
    offer(&|s| s.shop.cron = None);
    for number in 0..of.shop.deployments.len() {
        for index in 0..of.shop.deployments[number].uses.len() {
            offer(&|s| drop(s.shop.deployments[number].uses.remove(index)));
        }
        for index in 0..of.shop.deployments[number].rules.len() {
            offer(&|s| {
                s.shop.deployments[number].rules.remove(index);
            });
        }
        offer(&|s| s.shop.deployments[number].strategy = "type: RollingUpdate, maxSurge: 1, maxUnavailable: 0");
        offer(&|s| s.shop.deployments[number].check = "readinessProbe: {httpGet: {port: http}, period: 1s}");
        offer(&|s| s.shop.deployments[number].restart = "Always");
        offer(&|s| s.shop.deployments[number].on_failure = "Rollback");
        if of.shop.deployments[number].replicas > 1 {
            offer(&|s| s.shop.deployments[number].replicas -= 1);
        }
    }
    candidates
}
