//! Whether a replica can serve. It reads results; who made them (Docker, our probes, mere running) is the template's choice.

use super::world::World;
use crate::model::history::DeploymentHistory;
use crate::model::observed::{Container, ContainerState, Health, ProbeResult};
use crate::model::spec::Template;
use crate::model::time::{Span, Timestamp};

/// Whether a replica can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can, since then.
    Ready(Timestamp),
    /// It cannot, for this reason.
    NotReady(String),
    /// Nobody knows yet (the controller has just started): its name is left as it is, and nothing is built on it.
    Unknown(String),
}

impl Readiness {
    /// Whether it can serve.
    pub fn is_ready(&self) -> bool {
        matches!(self, Readiness::Ready(_))
    }

    /// Whether it certainly cannot.
    pub fn is_not_ready(&self) -> bool {
        matches!(self, Readiness::NotReady(_))
    }

    /// Whether it has been ready for `min_ready`.
    pub fn is_available(&self, min_ready: Span, now: Timestamp) -> bool {
        matches!(self, Readiness::Ready(since) if *since + min_ready <= now)
    }

    /// Why it is not ready, for people.
    pub fn message(&self) -> &str {
        match self {
            Readiness::Ready(_) => "",
            Readiness::NotReady(why) | Readiness::Unknown(why) => why,
        }
    }
}

/// What the checks say of a container now.
enum Verdict {
    Ready,
    NotReady(String),
    Unknown(String),
    /// Nothing could be found out, for this reason.
    Unmade(String),
}

/// Whether `container` can serve. `history` remembers since when; the caller writes a new moment back.
pub fn readiness(
    world: World,
    container: &Container,
    template: &Template,
    min_ready: Span,
    history: &DeploymentHistory,
) -> Readiness {
    let now = world.now;
    let running_since = match &container.state {
        ContainerState::Running { since } => *since,
        ContainerState::Created { error: None } => return Readiness::NotReady("not started yet".into()),
        ContainerState::Created { error: Some(error) } => {
            return Readiness::NotReady(format!("cannot start: {}", error.message));
        }
        ContainerState::Paused => return Readiness::NotReady("paused".into()),
        ContainerState::Restarting { exit_code, out_of_memory } => {
            let how = crash_words(*exit_code, *out_of_memory);
            return Readiness::NotReady(format!("{how}; Docker is restarting it"));
        }
        ContainerState::Exited(exit) => return Readiness::NotReady(exit_text(exit)),
        ContainerState::Removing => return Readiness::NotReady("being removed".into()),
    };
    let checked = has_check(container, template);
    let was_ready = history.ready_since.get(&container.id).is_some_and(|since| *since >= running_since);
    let was_there = !history.judged.contains(&container.id)
        && (is_named(container) || running_since < world.observed.watched_since);
    match verdict(container, template) {
        Verdict::NotReady(why) => Readiness::NotReady(why),
        // As with one that has no result yet, below, but its reason is told: no check is on its way.
        Verdict::Unmade(why) if was_ready || was_there => Readiness::Unknown(why),
        Verdict::Unmade(why) => Readiness::NotReady(why),
        // A name is given to ready replicas only, so one that has it was ready before this process looked.
        Verdict::Unknown(_) if is_named(container) && !history.judged.contains(&container.id) => {
            Readiness::Unknown("not probed yet".into())
        }
        // A probe that was added to a manifest has no result yet; what was ready in this run does not lose its name for it.
        Verdict::Unknown(_) if was_ready => Readiness::Unknown("a new probe was not made yet".into()),
        // It may have lost its name a moment before this process began.
        Verdict::Unknown(why)
            if running_since < world.observed.watched_since && !history.judged.contains(&container.id) =>
        {
            Readiness::Unknown(why)
        }
        Verdict::Unknown(why) => Readiness::NotReady(why),
        // With nothing to check, running for `minReady` is all there is to go by.
        Verdict::Ready if !checked && running_since + min_ready <= world.as_of() => Readiness::Ready(running_since),
        Verdict::Ready if !checked && is_named(container) && !history.judged.contains(&container.id) => {
            Readiness::Unknown("running, but not for minReady yet".into())
        }
        Verdict::Ready if !checked && was_ready => {
            Readiness::Unknown("running, but not for the new minReady yet".into())
        }
        Verdict::Ready if !checked => Readiness::NotReady("running, but not for minReady yet".into()),
        Verdict::Ready => {
            let seen = history.ready_since.get(&container.id).copied().filter(|since| *since >= running_since);
            let first_look = if is_named(container) { running_since } else { now };
            Readiness::Ready(seen.unwrap_or(first_look))
        }
    }
}

/// How a container ended, for people.
pub fn exit_text(exit: &crate::model::observed::Exit) -> String {
    exit_words(exit.code, exit.out_of_memory)
}

/// How the program of a replica ended that the engine starts again, or that crashes: nobody has stopped it. One that ends well
/// is as bad there as any other, and says the least.
pub fn crash_words(code: i64, out_of_memory: bool) -> String {
    let words = exit_words(code, out_of_memory);
    if code != 0 || out_of_memory { words } else { format!("{words} ({ENDED_BY_ITSELF})") }
}

/// What exit code 0 means where a program is to go on.
const ENDED_BY_ITSELF: &str = "the program ended by itself, and a Deployment's must go on running in the foreground: one that \
     puts itself into the background is started without that, and a one-off command is a Job";

/// The same, with what the number means. (128 + n after signal n; the rest of the meanings are a shell's.)
pub fn exit_words(code: i64, out_of_memory: bool) -> String {
    let meaning = match code {
        _ if out_of_memory => " (out of memory: more than resources.limits.memory, or than the host has)",
        126 => " (not executable: its permissions, or made for another platform)",
        127 => " (command not found: it is not in the image, or not in PATH)",
        129 => " (SIGHUP)",
        130 => " (SIGINT)",
        131 => " (SIGQUIT)",
        132 => " (SIGILL: an instruction that this processor does not have)",
        134 => " (SIGABRT: the program gave up by itself)",
        135 => " (SIGBUS: the program crashed)",
        136 => " (SIGFPE: the program crashed)",
        137 => " (SIGKILL: killed from outside, or for want of memory)",
        139 => " (SIGSEGV: the program crashed)",
        141 => " (SIGPIPE: what it wrote to was closed)",
        143 => " (SIGTERM: asked to end)",
        159 => " (SIGSYS: a system call that is not allowed)",
        _ => "",
    };
    format!("exited with code {code}{meaning}")
}

/// Whether the container has a name other than its own on some network.
pub fn is_named(container: &Container) -> bool {
    container.networks.values().any(|endpoint| !endpoint.aliases.is_empty())
}

/// Whether a replica is ready the moment it runs: nothing is checked and nothing is waited for. Then it may have its
/// name from the start, which spares a reconnection.
pub fn is_ready_at_once(template: &Template, min_ready: Span, image_has_check: bool) -> bool {
    let check = match &template.health_check {
        Some(check) => !check.disable,
        None => image_has_check,
    };
    min_ready == Span::ZERO && !check && template.startup_probe.is_none() && template.readiness_probe.is_none()
}

/// Whether anything but running decides.
fn has_check(container: &Container, template: &Template) -> bool {
    template.startup_probe.is_some() || template.readiness_probe.is_some() || container.health != Health::None
}

/// Whether the probe that decides was not made once since the container runs: a look that hangs holds them back.
pub fn is_unprobed(container: &Container, template: &Template) -> bool {
    let probes = &container.probes;
    let runs = matches!(container.state, ContainerState::Running { .. });
    let startup = template.startup_probe.is_some() && made(probes.startup.as_ref()).is_none();
    let started = template.startup_probe.is_none() || probes.startup == Some(ProbeResult::Success);
    let readiness = template.readiness_probe.is_some() && started && made(probes.readiness.as_ref()).is_none();
    runs && (startup || readiness)
}

fn verdict(container: &Container, template: &Template) -> Verdict {
    let probes = &container.probes;
    if template.startup_probe.is_some() {
        match probe_verdict("startup probe", probes.startup.as_ref()) {
            Verdict::Ready => {}
            other => return other,
        }
    }
    if template.liveness_probe.is_some()
        && let Some(ProbeResult::Failure { message }) = &probes.liveness
    {
        return Verdict::NotReady(format!("liveness probe: {message}"));
    }
    if template.readiness_probe.is_some() {
        return probe_verdict("readiness probe", probes.readiness.as_ref());
    }
    match &container.health {
        Health::None | Health::Healthy => Verdict::Ready,
        Health::Starting => Verdict::NotReady("health check has not succeeded yet".into()),
        Health::Unhealthy { message } => Verdict::NotReady(format!("health check: {message}")),
    }
}

/// What a probe found, if it was made since the container runs.
fn made(result: Option<&ProbeResult>) -> Option<&ProbeResult> {
    result.filter(|result| is_made(result))
}

/// Whether a probe was made since the container runs.
pub fn is_made(result: &ProbeResult) -> bool {
    match result {
        ProbeResult::Unknown { message } => !message.is_empty(),
        ProbeResult::Unmade { .. } => false,
        ProbeResult::Success | ProbeResult::Failure { .. } => true,
    }
}

fn probe_verdict(name: &str, result: Option<&ProbeResult>) -> Verdict {
    match result {
        None => Verdict::Unknown(format!("{name} not made yet")),
        Some(ProbeResult::Unknown { message }) if message.is_empty() => {
            Verdict::Unknown(format!("{name} not made yet"))
        }
        Some(ProbeResult::Unknown { message }) => Verdict::Unknown(format!("{name}: {message}")),
        Some(ProbeResult::Unmade { message }) => Verdict::Unmade(format!("{name}: {message}")),
        Some(ProbeResult::Success) => Verdict::Ready,
        Some(ProbeResult::Failure { message }) => Verdict::NotReady(format!("{name}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::model::container::Adjustable;
    use crate::model::desired::Desired;
    use crate::model::name::Key;
    use crate::model::observed::{ContainerId, Endpoint, NetworkId, Observed, Probes};
    use crate::model::revision::{ImageId, RevisionId, TemplateHash};
    use crate::model::spec::{Limits, Requests, RestartPolicy};
    use crate::plan::headroom::Promised;
    use crate::plan::holdings::Holdings;

    /// When the controller began to look.
    const WATCHED: Timestamp = Timestamp(100_000);

    /// A replica that runs since then, with or without its name, and what its readiness probe found.
    fn replica(since: Timestamp, is_named: bool, probe: Option<ProbeResult>) -> Container {
        let aliases = if is_named { ["web".to_string()].into() } else { [].into() };
        let endpoint = Endpoint { network: NetworkId("n".into()), address: None, fixed: None, aliases };
        Container {
            id: ContainerId("c".into()),
            name: "shop.web.0123456789.0".into(),
            owner: Key::try_from("deployment/shop/web".to_string()).unwrap(),
            revision: RevisionId("r".into()),
            template: TemplateHash("t".into()),
            slot: 0,
            image: ImageId("i".into()),
            reference: "web:1".into(),
            state: ContainerState::Running { since },
            dead: false,
            process: None,
            health: Health::None,
            restart_count: 0,
            ended_at: None,
            created_at: since,
            networks: [("shop.default".to_string(), endpoint)].into(),
            adjustable: Adjustable {
                limits: Limits::default(),
                requests: Requests::default(),
                restart_policy: RestartPolicy::Always,
            },
            published: Vec::new(),
            volumes: [].into(),
            probes: Probes { readiness: probe, ..Probes::default() },
            last_log: Vec::new(),
        }
    }

    /// Whether it can serve, a minute after the controller began to look, if that has judged it already or has not.
    fn seen(container: &Container, is_judged: bool, ready_since: Option<Timestamp>) -> Readiness {
        let desired = Desired::default();
        let observed = Observed { watched_since: WATCHED, ..Observed::default() };
        let (by_owner, holdings, promised) = (BTreeMap::new(), Holdings::default(), Promised::default());
        let (follows, gone, now) = (BTreeMap::new(), BTreeMap::new(), WATCHED + Span::secs(60));
        let (desired, observed) = (&desired, &observed);
        let wards = crate::plan::world::wards(desired);
        let (by_owner, wards, holdings, promised, follows, gone) =
            (&by_owner, &wards, &holdings, &promised, &follows, &gone);
        let world = World { desired, observed, now, by_owner, wards, holdings, promised, follows, gone };
        let template = json!({"image": "web:1", "readinessProbe": {"httpGet": {"port": 80}}});
        let template: Template = serde_json::from_value(template).unwrap();
        let mut history = DeploymentHistory::default();
        if is_judged {
            history.judged.insert(container.id.clone());
        }
        history.ready_since.extend(ready_since.map(|since| (container.id.clone(), since)));
        readiness(world, container, &template, Span::ZERO, &history)
    }

    fn unmade() -> Option<ProbeResult> {
        Some(ProbeResult::Unmade { message: "no entry".into() })
    }

    #[test]
    fn what_cannot_be_probed_stays_what_it_was_before_the_controller_began_to_look() {
        let (before, after) = (Timestamp(50_000), WATCHED + Span::secs(1));
        let unknown = Readiness::Unknown("readiness probe: no entry".into());
        let not_ready = Readiness::NotReady("readiness probe: no entry".into());
        for (since, is_named, is_judged, expected) in [
            (before, true, false, &unknown),
            (before, false, false, &unknown),
            (after, true, false, &unknown),
            // It was started while somebody looked, and has never been ready.
            (after, false, false, &not_ready),
            (WATCHED, false, false, &not_ready),
            // The controller has seen that it is not ready.
            (before, true, true, &not_ready),
            (before, false, true, &not_ready),
            (after, true, true, &not_ready),
        ] {
            let container = replica(since, is_named, unmade());
            let found = seen(&container, is_judged, None);
            assert_eq!(found, *expected, "since {since:?}, named: {is_named}, judged: {is_judged}");
        }
        let ready = seen(&replica(after, false, unmade()), true, Some(after + Span::secs(1)));
        assert_eq!(ready, unknown, "it was ready in this run");
    }

    #[test]
    fn what_was_not_probed_yet_keeps_its_name_only_if_it_had_it_before_anybody_looked() {
        let (before, after) = (Timestamp(50_000), WATCHED + Span::secs(1));
        let named = seen(&replica(after, true, None), false, None);
        assert_eq!(named, Readiness::Unknown("not probed yet".into()));
        let unnamed = seen(&replica(before, false, None), false, None);
        assert_eq!(unnamed, Readiness::Unknown("readiness probe not made yet".into()), "it may have lost it just now");
        for (container, is_judged) in [
            (replica(after, false, None), false),
            (replica(WATCHED, false, None), false),
            (replica(after, true, None), true),
            (replica(before, true, None), true),
        ] {
            assert_eq!(
                seen(&container, is_judged, None),
                Readiness::NotReady("readiness probe not made yet".into()),
                "{:?}, judged: {is_judged}",
                container.state
            );
        }
    }

    #[test]
    fn a_probe_without_a_result_says_why_if_anybody_knows() {
        let unknown = |message: &str| Some(ProbeResult::Unknown { message: message.into() });
        let told = |probe| seen(&replica(WATCHED, false, probe), true, None).message().to_owned();
        assert_eq!(told(unknown("")), "readiness probe not made yet");
        assert_eq!(told(unknown("timed out once")), "readiness probe: timed out once");
        assert!(!is_made(&ProbeResult::Unknown { message: String::new() }));
        assert!(is_made(&ProbeResult::Unknown { message: "timed out once".into() }));
        assert!(!is_made(&ProbeResult::Unmade { message: "no entry".into() }));
    }

    #[test]
    fn an_exit_code_that_means_something_is_explained() {
        for (code, meaning) in [
            (126, "not executable"),
            (127, "command not found"),
            (129, "SIGHUP"),
            (130, "SIGINT"),
            (131, "SIGQUIT"),
            (132, "SIGILL"),
            (134, "SIGABRT"),
            (135, "SIGBUS"),
            (136, "SIGFPE"),
            (137, "SIGKILL"),
            (139, "SIGSEGV"),
            (141, "SIGPIPE"),
            (143, "SIGTERM"),
            (159, "SIGSYS"),
        ] {
            let words = exit_words(code, false);
            assert!(words.starts_with(&format!("exited with code {code} (")) && words.contains(meaning), "{words}");
        }
        assert_eq!(exit_words(3, false), "exited with code 3");
        assert!(exit_words(137, true).contains("out of memory"), "that says more than the signal");
    }
}
