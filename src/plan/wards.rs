//! The Deployments that a Job or CronJob is a gate of, and what they ask of it. What a gate found, `gates` knows.

use super::gates::{Side, all, gated, is_recent, is_the_manifests, run_since, title};
use super::world::World;
use crate::model::desired::{Declared, Desired};
use crate::model::gate::GateRecord;
use crate::model::history::{History, Revision};
use crate::model::name::Key;
use crate::model::spec::{DeploymentSpec, Gate};

/// The Deployments that a Job or CronJob is a gate of.
pub fn wards<'a>(desired: &'a Desired, job: &'a Key) -> impl Iterator<Item = &'a Key> {
    let deployments = desired.deployments.iter().filter(move |(key, _)| key.namespace == job.namespace);
    let names = move |(_, declared): &(&Key, &Declared<DeploymentSpec>)| {
        all(&declared.spec).any(|(.., gate)| gate.is_about(job))
    };
    deployments.filter(names).map(|(key, _)| key)
}

/// The Deployments that a Job is a gate of, for people; none if it is none.
pub fn in_words(world: World, job: &Key) -> Option<String> {
    let names: Vec<String> = world.wards(job).iter().map(|ward| format!("deployment/{}", ward.name)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The Deployment that has come to a gate which a run of this CronJob has to pass, with the revision, if one is to be
/// begun for it: none has ended well lately, none is under way, and none was begun since.
pub fn run_wanted<'a>(world: World<'a>, past: &'a History, cron_job: &'a Key) -> Option<(&'a Key, u64)> {
    let known = past.cron_jobs.get(cron_job)?;
    if known.under_way().next().is_some() {
        return None;
    }
    world.wards(cron_job).iter().copied().find_map(|ward| {
        let (declared, history) = (world.desired.deployments.get(ward)?, past.deployments.get(ward)?);
        let revision = gated(history).filter(|r| is_the_manifests(world, ward, &declared.spec, history, r))?;
        let own = all(&declared.spec).filter(|(.., gate)| gate.object(ward).as_ref() == Some(cron_job));
        let wants = |(side, _, gate): (Side, u8, &Gate)| {
            let record = revision.gates.get(&title(side, gate)).filter(|record| record.result.is_none())?;
            let begun = run_since(known, record).is_some();
            (!begun && !is_recent(known, gate, record)).then_some(())
        };
        own.filter_map(wants).next().map(|()| (ward, revision.number))
    })
}

/// What a Job is to do.
pub enum Role<'a> {
    /// It runs by itself, once for each revision.
    Own,
    /// It is a gate, and nobody has come to it.
    Idle,
    /// It is a gate, and a Deployment has come to it.
    Gate {
        /// That one.
        ward: &'a Key,
        /// With this revision.
        revision: &'a Revision,
        /// The attempt that failed, after which a person asked for another one.
        again_after: Option<u32>,
    },
}

impl<'a> Role<'a> {
    /// The revision that it is a gate of.
    pub fn revision(&self) -> Option<&'a Revision> {
        match self {
            Role::Gate { revision, .. } => Some(revision),
            Role::Own | Role::Idle => None,
        }
    }
}

/// What a Job is to do in this pass, by what the Deployments asked for in the last one.
pub fn role<'a>(world: World<'a>, past: &'a History, job: &'a Key) -> Role<'a> {
    let wards = world.wards(job);
    if wards.is_empty() {
        return Role::Own;
    }
    let asks = |ward: &'a Key| {
        let history = past.deployments.get(ward)?;
        let declared = world.desired.deployments.get(ward)?;
        let revision = gated(history).filter(|r| is_the_manifests(world, ward, &declared.spec, history, r))?;
        let open = |record: &&GateRecord| record.result.as_ref().is_none_or(|result| result.failure.is_some());
        let asked = all(&declared.spec).filter(|(.., gate)| gate.job.as_ref() == Some(&job.name));
        let asked = asked.map(|(side, _, gate)| title(side, gate));
        let record = asked.filter_map(|title| revision.gates.get(&title)).find(open)?;
        Some(Role::Gate { ward, revision, again_after: record.again_after })
    };
    wards.iter().copied().find_map(asks).unwrap_or(Role::Idle)
}
