//! What to think of what the engine says of itself. Pure.

use super::finding::Finding;
use super::pools;
use crate::engine::{Host, Pool, Survey};
use crate::model::text::listed;
use crate::model::time::Timestamp;

/// How much the engine's clock may differ from ours, in milliseconds: more, and times in logs and events do not fit together.
const DIFFERENCE_MAX: i64 = 2_000;
/// With room for fewer networks than this, somebody should make some.
const FEW: u64 = 5;
/// The first patch of 20.10 that does not lock itself up.
const LOCKUP_MENDED_IN: u32 = 27;
/// The most names that are listed.
const NAMED: usize = 5;

/// Every finding. The engine said it at some time from `asked_at` to `told_at`; `pool` is where our networks get their subnets from.
pub fn judge(survey: &Survey, asked_at: Timestamp, told_at: Timestamp, pool: &str) -> Vec<Finding> {
    let mut findings = vec![version(survey)];
    findings.push(time(survey, asked_at, told_at));
    // Networks of ours name their subnets: these are for everybody else's.
    findings.push(networks("engine's address pools", &docker_pools(survey), survey, GROW_DOCKERS, Finding::warn));
    let ours = [Pool { base: pool.into(), size: 24 }];
    findings.push(networks(
        "Evenkeel's address pool",
        &ours,
        survey,
        "give the daemon a wider one with --subnet-pool",
        Finding::fail,
    ));
    findings.push(logs(survey));
    findings.push(match survey.live_restore {
        true => Finding::ok("live-restore", "on: containers go on running while the engine is restarted"),
        false => Finding::warn(
            "live-restore",
            "off: a restart or an upgrade of the engine stops all containers",
            "write \"live-restore\": true into /etc/docker/daemon.json, and: systemctl reload docker",
        ),
    });
    findings.extend(limits(survey));
    findings
}

/// The engine does not answer, and `why`.
pub fn unreachable(at: &Host, why: &str) -> Finding {
    let lower = why.to_lowercase();
    let way_out = match at {
        Host::Unix(path) if lower.contains("permission denied") => {
            format!("run it as root, or as a member of the group that owns {} (usually docker)", path.display())
        }
        Host::Unix(path) if lower.contains("no such") => format!(
            "there is no {}: install Docker Engine 20.10 or newer, or start it (systemctl start docker), or set DOCKER_HOST",
            path.display()
        ),
        _ if lower.contains("is too old") => "upgrade it to Docker Engine 20.10 or newer".into(),
        Host::Unix(_) => "start it and look at its log: systemctl start docker; journalctl -u docker".into(),
        Host::Tcp(_) | Host::Tls { .. } => {
            "see whether DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are right".into()
        }
    };
    Finding::fail("engine", format!("the engine at {at} is of no use: {why}"), way_out)
}

/// In 20.10 before 20.10.27, one part of the engine's network code can wait for another for ever.
fn version(survey: &Survey) -> Finding {
    let version = &survey.version;
    let message = format!("version {} (API {}) answers", version.version, version.api);
    let patch = version.version.strip_prefix("20.10.").map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let patch = patch.flatten().and_then(|patch| patch.parse::<u32>().ok());
    if patch.is_none_or(|patch| patch >= LOCKUP_MENDED_IN) {
        return Finding::ok("engine", message);
    }
    let why = "and rarely locks itself up for good while containers start and end (moby/moby#46661): requests are not answered then";
    let way_out = "upgrade it to 20.10.27 or newer; when it has happened: systemctl restart docker";
    Finding::warn("engine", format!("{message}, {why}"), way_out)
}

fn time(survey: &Survey, asked_at: Timestamp, told_at: Timestamp) -> Finding {
    let Some(time) = survey.time else {
        return Finding::warn("engine's clock", "the engine does not say what time it is", "look at its version");
    };
    let difference = if time < asked_at { time.0 - asked_at.0 } else { (time.0 - told_at.0).max(0) };
    if difference.abs() <= DIFFERENCE_MAX {
        return Finding::ok("engine's clock", "shows the same time as this host's");
    }
    let way = if difference < 0 { "behind" } else { "ahead of" };
    let message = format!("is {} s {way} this host's", difference.abs() / 1000);
    Finding::warn(
        "engine's clock",
        message,
        "synchronise both with NTP; a virtual machine's clock may have stood still",
    )
}

fn docker_pools(survey: &Survey) -> Vec<Pool> {
    match survey.pools.is_empty() {
        true => pools::built_in(),
        false => survey.pools.clone(),
    }
}

const GROW_DOCKERS: &str = "name more default-address-pools in /etc/docker/daemon.json (for example base 10.202.0.0/16, size 24) \
    and restart docker, or remove networks that nobody uses: docker network prune";

/// What a finding is made by.
type Made = fn(&'static str, String, &'static str) -> Finding;

fn networks(check: &'static str, pools: &[Pool], survey: &Survey, way_out: &'static str, exhausted: Made) -> Finding {
    let (total, taken) = pools::room(pools, &survey.subnets);
    let left = total.saturating_sub(taken);
    let message = format!("room for {left} more networks of {total}");
    match left {
        0 => exhausted(check, message, way_out),
        left if left <= FEW => Finding::warn(check, message, way_out),
        _ => Finding::ok(check, message),
    }
}

fn logs(survey: &Survey) -> Finding {
    let check = "logs of other containers";
    if survey.boundless.is_empty() {
        return Finding::ok(
            check,
            format!("none grows without end (the engine's log driver is {})", survey.log_driver),
        );
    }
    let names = listed(survey.boundless.iter(), NAMED);
    Finding::warn(
        check,
        format!("grow without end: {names} (json-file without max-size)"),
        "write \"log-driver\": \"local\" into /etc/docker/daemon.json, restart docker, and make these containers anew",
    )
}

fn limits(survey: &Survey) -> Vec<Finding> {
    let boot =
        "on Debian and Ubuntu add cgroup_enable=memory swapaccount=1 to GRUB_CMDLINE_LINUX, update-grub, and reboot";
    let mut findings = Vec::new();
    if !survey.limits_memory {
        let message = "the kernel does not limit memory: limits in manifests have no effect";
        findings.push(Finding::fail("memory limits", message, boot));
    }
    for warning in &survey.warnings {
        let way_out = if warning.contains("swap") || warning.contains("memory") { boot } else { "see docker info" };
        findings.push(Finding::warn("engine's warning", warning.as_str(), way_out));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("limits", "memory and CPU can be limited, and the engine warns of nothing"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict::{self, Fail, Ok, Warn};
    use super::*;
    use crate::engine::EngineVersion;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn well() -> Survey {
        Survey {
            version: EngineVersion { version: "26.1.5".into(), api: "1.45".into(), ..EngineVersion::default() },
            time: Some(NOW),
            root: "/var/lib/docker".into(),
            live_restore: true,
            log_driver: "local".into(),
            limits_memory: true,
            subnets: vec!["172.17.0.0/16".into(), "10.201.0.0/24".into()],
            ..Survey::default()
        }
    }

    fn verdicts(survey: &Survey) -> Vec<(&'static str, Verdict)> {
        let findings = judge(survey, NOW, NOW, "10.201.0.0/16");
        for finding in &findings {
            assert_eq!(finding.way_out.is_none(), finding.verdict == Ok, "{finding:?}");
        }
        findings.iter().map(|finding| (finding.check, finding.verdict)).collect()
    }

    fn verdict(survey: &Survey, check: &str) -> Verdict {
        verdicts(survey).into_iter().find(|(found, _)| *found == check).unwrap().1
    }

    #[test]
    fn a_well_kept_engine_has_nothing_to_say_against_it() {
        assert!(verdicts(&well()).iter().all(|(_, verdict)| *verdict == Ok));
    }

    #[test]
    fn an_engine_that_may_lock_itself_up_is_told() {
        for (version, expected) in
            [("20.10.24+dfsg1", Warn), ("20.10.5", Warn), ("20.10.27", Ok), ("23.0.1", Ok), ("20.10.x", Ok)]
        {
            let version = EngineVersion { version: version.into(), api: "1.41".into(), ..EngineVersion::default() };
            assert_eq!(verdict(&Survey { version: version.clone(), ..well() }, "engine"), expected, "{version:?}");
        }
    }

    #[test]
    fn few_networks_are_a_warning_and_none_of_ours_is_a_failure() {
        let with = |count: u32| {
            let subnets = (0..count).map(|number| format!("10.9.{number}.0/24")).collect();
            Survey { pools: vec![Pool { base: "10.9.0.0/20".into(), size: 24 }], subnets, ..well() }
        };
        for (count, expected) in [(10, Ok), (11, Warn), (15, Warn), (16, Warn)] {
            assert_eq!(verdict(&with(count), "engine's address pools"), expected, "{count}");
        }
        let all = vec!["10.201.0.0/16".to_string()];
        assert_eq!(verdict(&Survey { subnets: all, ..well() }, "Evenkeel's address pool"), Fail);
    }

    #[test]
    fn a_clock_that_differs_is_told_with_its_direction() {
        for (millis, expected) in [(-2_000, Ok), (2_000, Ok), (-2_001, Warn), (2_001, Warn)] {
            let survey = Survey { time: Some(Timestamp(NOW.0 + millis)), ..well() };
            assert_eq!(verdict(&survey, "engine's clock"), expected, "{millis}");
        }
        let ahead = time(&Survey { time: Some(Timestamp(NOW.0 + 90_000)), ..well() }, NOW, NOW);
        assert_eq!(ahead.message, "is 90 s ahead of this host's");
        let slow = time(&well(), Timestamp(NOW.0 - 15_000), Timestamp(NOW.0 + 15_000));
        assert_eq!(slow.verdict, Ok, "an answer that takes its time is no difference");
        assert_eq!(verdict(&Survey { time: None, ..well() }, "engine's clock"), Warn);
    }

    #[test]
    fn logs_without_end_are_named() {
        let boundless = (0..7).map(|number| format!("c{number}")).collect();
        let finding = logs(&Survey { boundless, ..well() });
        assert_eq!(finding.message, "grow without end: c0, c1, c2, c3, c4 and 2 more (json-file without max-size)");
    }

    #[test]
    fn what_cannot_be_limited_and_what_the_engine_warns_of_is_told() {
        let survey = Survey { limits_memory: false, warnings: vec!["WARNING: No swap limit support".into()], ..well() };
        assert_eq!(verdict(&survey, "memory limits"), Fail);
        assert_eq!(verdict(&survey, "engine's warning"), Warn);
        assert_eq!(verdict(&Survey { live_restore: false, ..well() }, "live-restore"), Warn);
    }

    #[test]
    fn an_engine_that_does_not_answer_comes_with_the_way_out_that_fits() {
        let at = Host::Unix("/var/run/docker.sock".into());
        let way_out = |why: &str| unreachable(&at, why).way_out.unwrap();
        assert!(way_out("Permission denied (os error 13)").contains("group"));
        assert!(way_out("Docker Engine at unix:///var/run/docker.sock: no such socket").contains("install Docker"));
        assert!(way_out("Connection refused").contains("systemctl start docker"));
        assert!(unreachable(&Host::Tcp("box:2375".into()), "refused").way_out.unwrap().contains("DOCKER_HOST"));
    }
}
