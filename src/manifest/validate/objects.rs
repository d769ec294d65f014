//! The rules of one Network, Volume or Deployment, apart from its template.

use super::subnet::Subnet;
use super::{reserved_labels, wrong};
use crate::manifest::diagnostic::Problems;
use crate::manifest::place::At;
use crate::model::name::Name;
use crate::model::spec::{DeploymentSpec, NetworkSpec, StrategyType, VolumeSpec};

/// A Deployment without its template.
pub fn deployment(at: At<'_>, spec: &DeploymentSpec, problems: &mut Problems) {
    let strategy = &spec.strategy;
    if strategy.kind == StrategyType::RollingUpdate && strategy.max_surge == 0 && strategy.max_unavailable == 0 {
        let problem = wrong(
            problems,
            at.field("strategy"),
            "maxSurge and maxUnavailable cannot both be 0: nothing could be replaced",
        );
        problem.hint("maxSurge: 1 starts the new replica first, maxUnavailable: 1 stops the old one first");
    }
    if spec.progress_deadline <= spec.min_ready {
        let message =
            format!("progressDeadline ({}) must be longer than minReady ({})", spec.progress_deadline, spec.min_ready);
        let place = if at.key("progressDeadline").is_written() { "progressDeadline" } else { "minReady" };
        wrong(problems, at.field(place), message);
    }
}

/// A Network.
pub fn network(at: At<'_>, name: &Name, spec: &NetworkSpec, problems: &mut Problems) {
    let at = at.field("spec");
    reserved_labels(at.field("labels"), &spec.labels, problems);
    engine_name(at, spec.name.as_deref(), problems);
    let called = spec.name.as_deref().unwrap_or(name.as_str());
    if (spec.external || spec.name.is_some()) && ["host", "none", "bridge"].contains(&called) {
        let problem = wrong(problems, at.field("name"), format!("Docker's own network '{called}' has no names on it"));
        problem.hint(if called == "host" { "use 'hostNetwork: true' in the template" } else { "declare a network" });
    }
    let ours = ["driver", "internal", "subnets", "options", "labels"];
    external(at, spec.external, &ours, problems);
    subnets(at.field("subnets"), &spec.subnets, problems);
}

/// A Volume.
pub fn volume(at: At<'_>, spec: &VolumeSpec, problems: &mut Problems) {
    let at = at.field("spec");
    reserved_labels(at.field("labels"), &spec.labels, problems);
    engine_name(at, spec.name.as_deref(), problems);
    external(at, spec.external, &["driver", "options", "labels"], problems);
}

/// What exists already is taken as it is.
fn external(at: At<'_>, external: bool, ours: &[&str], problems: &mut Problems) {
    if external && !at.key("name").is_written() {
        wrong(problems, at.key("external"), "what is external needs 'name'").hint("write what Docker calls it");
    }
    for name in ours.iter().filter(|name| external && at.key(name).is_written()) {
        let message = format!("'{name}' has no effect on what is external");
        wrong(problems, at.key(name), message).hint("remove it, or remove 'external'");
    }
}

/// Docker's rule for names of networks and volumes.
fn engine_name(at: At<'_>, name: Option<&str>, problems: &mut Problems) {
    let Some(name) = name else { return };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() < 2 || name.len() > 255 || !begins || !name.chars().all(legal) {
        let problem = wrong(problems, at.field("name"), format!("'{name}' cannot be a name in Docker"));
        problem.hint("2 to 255 letters, digits, '_', '.' and '-', beginning with a letter or digit");
    }
}

fn subnets(at: At<'_>, subnets: &[String], problems: &mut Problems) {
    let mut seen: Vec<Subnet> = Vec::new();
    for (index, text) in subnets.iter().enumerate() {
        match Subnet::parse(text) {
            Ok(subnet) if seen.iter().any(|other| other.is_ipv4() == subnet.is_ipv4()) => {
                let family = if subnet.is_ipv4() { "IPv4" } else { "IPv6" };
                wrong(problems, at.item(index), format!("a network has at most one {family} subnet"));
            }
            Ok(subnet) => seen.push(subnet),
            Err(message) => drop(wrong(problems, at.item(index), message)),
        }
    }
}
