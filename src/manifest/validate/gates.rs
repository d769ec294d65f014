//! The rules of gates: what they may ask for, whose Jobs they are, and what such a Job takes from its Deployment.

use std::collections::{BTreeMap, BTreeSet};

use super::{World, references, wrong};
use crate::manifest::diagnostic::Problems;
use crate::manifest::objects::{Object, Objects, Spec};
use crate::manifest::place::At;
use crate::model::name::{Key, Kind, Name};
use crate::model::spec::{DeploymentSpec, Gate, Template};
use crate::model::time::Span;

/// The gates of one Deployment by themselves.
pub fn check(at: At<'_>, spec: &DeploymentSpec, problems: &mut Problems) {
    let at = at.field("gates");
    for (side, gates) in [("before", &spec.gates.before), ("after", &spec.gates.after)] {
        let (mut titles, ports) = (BTreeSet::new(), super::template::named_ports(&spec.template));
        for (index, gate) in gates.iter().enumerate() {
            let at = at.field(side).item(index);
            alone(at, gate, side == "before", &spec.template, problems);
            let title = gate.title();
            if titles.contains(&title) {
                wrong(problems, at, format!("{title} is there twice"));
            }
            titles.insert(title);
            super::template::gate(at, gate, &ports, problems);
        }
    }
}

fn alone(at: At<'_>, gate: &Gate, is_before: bool, template: &Template, problems: &mut Problems) {
    let given = [
        ("job", gate.job.is_some()),
        ("cronJob", gate.cron_job.is_some()),
        ("httpGet", gate.http_get.is_some()),
        ("tcpSocket", gate.tcp_socket.is_some()),
        ("grpc", gate.grpc.is_some()),
        ("exec", gate.exec.is_some()),
    ];
    super::template::one_of(at, &given, problems);
    if gate.by_name && is_before {
        wrong(
            problems,
            at.key("byName"),
            "before a rollout the Deployment's name leads to its old replicas, if to any",
        )
        .hint("write the check under 'after'");
    }
    let is_check = |name: &str| !["job", "cronJob"].contains(&name);
    for (name, _) in given.iter().filter(|(name, given)| is_before && !gate.by_name && *given && is_check(name)) {
        wrong(problems, at.key(name), "before a rollout there is no new replica to check")
            .hint("write it under 'after', or run a job");
    }
    for name in ["retries", "period", "timeout"] {
        let is_check = gate.job.is_none() && gate.cron_job.is_none();
        if !is_check && at.key(name).is_written() {
            wrong(problems, at.key(name), format!("'{name}' is for a check"))
                .hint("a Job has its own backoffLimit and activeDeadline");
        }
    }
    if gate.cron_job.is_none() && at.key("within").is_written() {
        wrong(problems, at.key("within"), "'within' is for a cronJob").hint("remove it");
    }
    if gate.by_name && !is_before {
        by_name(at, gate, template, problems);
    }
    if gate.period < Span::millis(100) {
        wrong(problems, at.field("period"), "a check's period is at least 100ms");
    }
    if gate.timeout == Span::ZERO {
        wrong(problems, at.field("timeout"), "a check needs some time: its timeout cannot be 0");
    }
}

/// That a check by the Deployment's name can be one.
fn by_name(at: At<'_>, gate: &Gate, template: &Template, problems: &mut Problems) {
    let at = at.key("byName");
    let probe = gate.probe().filter(|_| gate.exec.is_none());
    match probe {
        None => {
            wrong(problems, at, "'byName' is for httpGet, tcpSocket and grpc")
                .hint("a job or a command can use the name itself");
        }
        Some(probe) if probe.host().is_some() => {
            wrong(problems, at, "a name never leads to a loopback: 'byName' and 'host' exclude each other")
                .hint("remove one of them");
        }
        Some(_) if template.host_network => {
            wrong(problems, at, "on the host's network a Deployment has no name").hint("remove 'byName'");
        }
        Some(_) => {}
    }
}

/// That the Jobs and CronJobs of a Deployment's gates are there, and that nobody waits for one that waits for the rollout.
pub fn links(world: &World<'_>, object: &Object, spec: &DeploymentSpec, problems: &mut Problems) {
    let at = object.document.at().field("spec");
    for (side, gates) in [("before", &spec.gates.before), ("after", &spec.gates.after)] {
        for (index, gate) in gates.iter().enumerate() {
            let Some(of) = gate.object(&object.key) else { continue };
            let field = if gate.job.is_some() { "job" } else { "cronJob" };
            let at = at.field("gates").field(side).item(index).field(field);
            references::declared(world, &object.key, of.kind, &of.name, at, problems);
            if side == "after" && wants_quiet(world, &of, &object.key.name) {
                let message = format!(
                    "cronjob '{}' wants this Deployment quiet, which it is not before its gates are passed",
                    of.name
                );
                wrong(problems, at, message)
                    .hint("write it under 'before', or leave this Deployment out of its quiesce");
            }
        }
    }
    let own: BTreeSet<&Name> = jobs(spec).collect();
    for (index, dependency) in spec.template.depends_on.iter().enumerate() {
        let Some(job) = dependency.job.as_ref().filter(|job| own.contains(job)) else { continue };
        let at = at.field("template").field("dependsOn").item(index).field("job");
        wrong(problems, at, format!("job '{job}' is a gate of this Deployment: it runs when its dependencies are met"))
            .hint("remove it here: the rollout waits for its gates anyway");
    }
}

/// Whether a CronJob makes a Deployment quiet for its runs.
fn wants_quiet(world: &World<'_>, cron_job: &Key, deployment: &Name) -> bool {
    let found = world.objects.list.get(cron_job).map(|object| &object.spec);
    matches!(found, Some(Spec::CronJob(spec)) if spec.quiesce.iter().any(|quiesce| quiesce.deployment() == deployment))
}

/// A Job without an image is a gate of one Deployment, whose image it takes.
pub fn image(world: &World<'_>, object: &Object, template: &Template, problems: &mut Problems) {
    if template.names_an_image() || !world.objects.complete {
        return;
    }
    let at = object.document.at().field("spec").key("template");
    match world.wards.get(&object.key).map(Vec::as_slice).unwrap_or_default() {
        [_] => {}
        [] => {
            wrong(problems, at, "spec.template needs the field 'image'")
                .hint("a Job may leave it out when it is a gate of a Deployment: it takes that one's");
        }
        [first, second, ..] => {
            let message =
                format!("this Job is a gate of {} and of {}, so it needs an image of its own", first.name, second.name);
            wrong(problems, at, message).hint("write image: …, or a Job for each");
        }
    }
}

/// The Deployments that each Job is a gate of, those with mistakes included.
pub fn wards(objects: &Objects) -> BTreeMap<Key, Vec<&Key>> {
    let mut wards: BTreeMap<Key, Vec<&Key>> = BTreeMap::new();
    let flawed = objects.flawed.values().map(|(object, _)| object);
    for object in objects.list.values().chain(flawed) {
        let Spec::Deployment(spec) = &object.spec else { continue };
        for job in jobs(spec).collect::<BTreeSet<_>>() {
            wards.entry(object.key.sibling(Kind::Job, job)).or_default().push(&object.key);
        }
    }
    wards
}

/// The Jobs that are gates of a Deployment.
fn jobs(spec: &DeploymentSpec) -> impl Iterator<Item = &Name> {
    spec.gates.before.iter().chain(&spec.gates.after).filter_map(|gate| gate.job.as_ref())
}
