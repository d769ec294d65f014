//! One container as the house sees it. The engine's normal forms end here: 0, null and -1 all mean "no limit".

use std::collections::BTreeMap;

use bollard::models::{
    ContainerInspectResponse, ContainerState as EngineState, ContainerStateStatusEnum as Word, EndpointSettings,
    HealthStatusEnum, HostConfig, MountPoint, PortBinding, PortMap, RestartPolicyNameEnum,
};

use super::client::{Api, CALL, Client};
use super::errors::readable;
use super::rfc3339::timestamp;
use super::start_words;
use super::{EngineError, Ownership};
use crate::model::container::Adjustable;
use crate::model::observed::{
    Container, ContainerId, ContainerState, Endpoint, Exit, Health, NetworkId, Probes, StartError,
};
use crate::model::quantity::{Cpu, Memory};
use crate::model::revision::ImageId;
use crate::model::spec::{HostPort, Limits, Port, Protocol, Requests, RestartPolicy, published};

/// What a fresh look at an id finds.
pub(super) enum Look {
    /// No such container.
    Gone,
    /// Somebody else's.
    Foreign,
    /// Ours.
    Ours(Box<Container>),
}

pub(super) async fn look(client: &Client, ownership: &Ownership, id: &ContainerId) -> Result<Look, EngineError> {
    let attempted = || format!("inspect {}", short(id));
    let api = client.session().await.map_err(|failed| failed.attempting(attempted()))?.api;
    let wanted = id.0.clone();
    match client.call(CALL, |api| async move { api.inspect_container(&wanted, None).await }).await {
        Err(failed) if failed.is(404) => Ok(Look::Gone),
        Err(failed) => Err(failed.attempting(attempted())),
        Ok(found) => Ok(container(found, ownership, api).map_or(Look::Foreign, |ours| Look::Ours(Box::new(ours)))),
    }
}

/// An id as people know it.
pub(super) fn short(id: &ContainerId) -> &str {
    id.0.get(..12).unwrap_or(&id.0)
}

/// None when it is not ours.
fn container(found: ContainerInspectResponse, ownership: &Ownership, api: Api) -> Option<Container> {
    let name = found.name?.trim_start_matches('/').to_owned();
    let config = found.config.unwrap_or_default();
    let identity = ownership.identity(&name, &config.labels.unwrap_or_default())?;
    let id = ContainerId(found.id?);
    let state = found.state.unwrap_or_default();
    let added = Added { name: &name, short_id: short(&id), hostname: config.hostname.as_deref(), api };
    let host = found.host_config.unwrap_or_default();
    let endpoints = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let networks: BTreeMap<String, Endpoint> =
        endpoints.into_iter().map(|(network, settings)| (network, endpoint(settings, &added))).collect();
    Some(Container {
        owner: identity.owner,
        revision: identity.revision,
        template: identity.template,
        slot: identity.slot,
        image: ImageId(found.image.unwrap_or_default()),
        reference: config.image.clone().unwrap_or_default(),
        process: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        health: health(&state),
        ended_at: state.finished_at.as_deref().and_then(timestamp).filter(|at| at.0 > 0),
        // A list goes on saying that it is being removed.
        dead: state.status == Some(Word::DEAD),
        state: container_state(state),
        restart_count: u32::try_from(found.restart_count.unwrap_or(0)).unwrap_or(0),
        created_at: found.created.as_deref().and_then(timestamp).unwrap_or_default(),
        networks,
        adjustable: adjustable(&host),
        published: bound(host.port_bindings.as_ref()),
        volumes: found.mounts.unwrap_or_default().into_iter().filter_map(volume).collect(),
        probes: Probes::default(),
        last_log: Vec::new(),
        id,
        name,
    })
}

fn container_state(state: EngineState) -> ContainerState {
    let at = |text: &Option<String>| text.as_deref().and_then(timestamp).unwrap_or_default();
    let exit_code = state.exit_code.unwrap_or(0);
    let out_of_memory = state.oom_killed.unwrap_or(false);
    match state.status.unwrap_or(Word::EMPTY) {
        Word::RUNNING | Word::STOPPING => ContainerState::Running { since: at(&state.started_at) },
        Word::PAUSED => ContainerState::Paused,
        Word::RESTARTING => ContainerState::Restarting { exit_code, out_of_memory },
        Word::REMOVING | Word::DEAD => ContainerState::Removing,
        Word::EXITED => ContainerState::Exited(Exit {
            code: exit_code,
            out_of_memory,
            started_at: at(&state.started_at),
            finished_at: at(&state.finished_at),
        }),
        Word::CREATED | Word::EMPTY => ContainerState::Created { error: start_error(exit_code, state.error) },
    }
}

/// The volume that is mounted, if it is one and can be written to.
pub(super) fn volume(mount: MountPoint) -> Option<String> {
    mount.name.filter(|_| mount.typ.as_deref() == Some("volume") && mount.rw != Some(false))
}

fn start_error(exit_code: i64, message: Option<String>) -> Option<StartError> {
    let message = readable(&start_words::explained(&message.unwrap_or_default()));
    (exit_code != 0 || !message.is_empty()).then_some(StartError { exit_code, message })
}

/// Only of a container that runs: stop and pause make the engine say "unhealthy".
fn health(state: &EngineState) -> Health {
    let Some(health) = state.health.as_ref().filter(|_| state.status == Some(Word::RUNNING)) else {
        return Health::None;
    };
    match health.status.unwrap_or(HealthStatusEnum::NONE) {
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => Health::None,
        HealthStatusEnum::STARTING => Health::Starting,
        HealthStatusEnum::HEALTHY => Health::Healthy,
        HealthStatusEnum::UNHEALTHY => {
            let last = health.log.as_deref().unwrap_or_default().last();
            Health::Unhealthy { message: readable(last.and_then(|check| check.output.as_deref()).unwrap_or_default()) }
        }
    }
}

/// What engines add to the aliases that somebody asked for.
struct Added<'a> {
    name: &'a str,
    short_id: &'a str,
    hostname: Option<&'a str>,
    api: Api,
}

impl Added<'_> {
    fn contains(&self, alias: &str) -> bool {
        alias == self.name
            || alias == self.short_id
            || (self.api.adds_aliases() && self.hostname.is_some_and(|hostname| hostname == alias))
    }
}

fn endpoint(settings: EndpointSettings, added: &Added<'_>) -> Endpoint {
    Endpoint {
        network: NetworkId(settings.network_id.unwrap_or_default()),
        address: settings.ip_address.and_then(|address| address.parse().ok()),
        fixed: settings.ipam_config.and_then(|config| config.ipv4_address?.parse().ok()),
        aliases: settings.aliases.unwrap_or_default().into_iter().filter(|alias| !added.contains(alias)).collect(),
    }
}

/// The ports that it was made to publish; those that the engine chooses itself are none of ours.
fn bound(bindings: Option<&PortMap>) -> Vec<Port> {
    let all = bindings.into_iter().flatten().flat_map(|(key, bound)| bound.iter().flatten().map(move |one| (key, one)));
    let ports: Vec<Port> = all.filter_map(|(key, binding)| port(key, binding)).collect();
    published(&ports)
}

/// `80/tcp` and where it is on the host.
fn port(key: &str, binding: &PortBinding) -> Option<Port> {
    let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let host_port = binding.host_port.as_deref().filter(|text| !matches!(*text, "" | "0"))?;
    let address = binding.host_ip.as_deref().filter(|text| !text.is_empty()).unwrap_or("0.0.0.0");
    Some(Port {
        name: None,
        port: port.parse().ok()?,
        host_port: Some(host_port.parse().map_or(HostPort::Range(host_port.to_owned()), HostPort::Fixed)),
        host_ip: address.parse().ok()?,
        protocol: Protocol::of_word(protocol)?,
    })
}

fn adjustable(config: &HostConfig) -> Adjustable {
    let positive = |value: Option<i64>| value.filter(|value| *value > 0).map(|value| value.unsigned_abs());
    Adjustable {
        limits: Limits {
            cpu: positive(config.nano_cpus).map(|nano| Cpu(nano / 1_000_000)).or_else(|| quota(config)),
            memory: positive(config.memory).map(Memory),
            pids: positive(config.pids_limit).and_then(|pids| u32::try_from(pids).ok()),
        },
        requests: Requests {
            cpu: positive(config.cpu_shares).map(cpu_of_shares),
            memory: positive(config.memory_reservation).map(Memory),
        },
        restart_policy: match config.restart_policy.as_ref().and_then(|policy| policy.name) {
            Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::Always,
            Some(RestartPolicyNameEnum::ON_FAILURE) => RestartPolicy::OnFailure,
            Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => RestartPolicy::Never,
        },
    }
}

/// A CPU limit that somebody set by hand in the older way.
fn quota(config: &HostConfig) -> Option<Cpu> {
    let quota = u64::try_from(config.cpu_quota?).ok().filter(|quota| *quota > 0)?;
    let period = config.cpu_period.and_then(|period| u64::try_from(period).ok()).filter(|period| *period > 0);
    Some(Cpu(quota.saturating_mul(1000) / period.unwrap_or(100_000)))
}

/// One core is 1024 shares. Rounded both ways, so that each thousandth of a core comes back as it was.
pub(super) fn shares_of_cpu(cpu: Cpu) -> i64 {
    let shares = (cpu.0.saturating_mul(1024).saturating_add(500)) / 1000;
    // Less than 2 is no weight that the kernel knows.
    i64::try_from(shares).unwrap_or(i64::MAX).max(2)
}

fn cpu_of_shares(shares: u64) -> Cpu {
    Cpu((shares.saturating_mul(1000).saturating_add(512)) / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Name;
    use crate::model::time::Timestamp;
    use serde_json::json;

    fn read(change: impl FnOnce(&mut serde_json::Value), api: &str) -> Option<Container> {
        let mut found = json!({
            "Id": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "Created": "2026-11-21T10:00:00.5Z",
            "Name": "/shop.web.3f9a2c71d0.2",
            "Image": "sha256:aa",
            "RestartCount": 3,
            "State": {"Status": "running", "Running": true, "StartedAt": "2026-11-21T10:00:01Z", "Pid": 4711,
                      "FinishedAt": "0001-01-01T00:00:00Z", "ExitCode": 0, "Error": ""},
            "Config": {"Hostname": "0123456789ab", "Labels": {
                "evenkeel.dev/instance": "evenkeel", "evenkeel.dev/kind": "deployment",
                "evenkeel.dev/namespace": "shop", "evenkeel.dev/name": "web", "evenkeel.dev/revision": "3f9a2c71d0",
                "evenkeel.dev/template": "00", "evenkeel.dev/slot": "2"}},
            "HostConfig": {"Memory": 0, "NanoCpus": 0, "PidsLimit": null, "CpuShares": 0, "MemoryReservation": 0,
                           "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}},
            "NetworkSettings": {"Networks": {"shop.app": {"NetworkID": "n1", "IPAddress": "10.89.0.2",
                                "Aliases": ["web", "0123456789ab", "shop.web.3f9a2c71d0.2"]}}},
        });
        change(&mut found);
        let ownership = Ownership { instance: Name::new("evenkeel").unwrap() };
        let api = Api::parse(api).unwrap();
        container(serde_json::from_value(found).unwrap(), &ownership, api)
    }

    fn state(state: serde_json::Value) -> Container {
        read(|found| found["State"] = state, "1.45").unwrap()
    }

    #[test]
    fn published_ports_are_in_order_and_those_that_the_engine_chooses_are_left_out() {
        let bindings = json!({
            "9090/tcp": [{"HostIp": "127.0.0.1", "HostPort": "3001-3003"}],
            "53/udp": [{"HostIp": "", "HostPort": "5353"}],
            "80/tcp": [{"HostIp": "", "HostPort": ""}, {"HostIp": "::1", "HostPort": "8080"}],
            "81/tcp": null,
        });
        let read = read(|found| found["HostConfig"]["PortBindings"] = bindings, "1.45").unwrap();
        let port = |port, host_port, host_ip: &str, protocol| {
            let host_ip = host_ip.parse().unwrap();
            Port { name: None, port, host_port: Some(host_port), host_ip, protocol }
        };
        let expected = [
            port(53, HostPort::Fixed(5353), "0.0.0.0", Protocol::Udp),
            port(80, HostPort::Fixed(8080), "::1", Protocol::Tcp),
            port(9090, HostPort::Range("3001-3003".into()), "127.0.0.1", Protocol::Tcp),
        ];
        assert_eq!(read.published, expected);
    }

    #[test]
    fn volumes_that_can_be_written_to_are_known_by_name() {
        let mounts = json!([
            {"Type": "volume", "Name": "shop.data", "Source": "/var/lib/docker/volumes/shop.data/_data", "Destination": "/data"},
            {"Type": "volume", "Name": "shop.fonts", "Source": "/x", "Destination": "/fonts", "RW": false},
            {"Type": "bind", "Source": "/srv/www", "Destination": "/www"},
            {"Type": "tmpfs", "Source": "", "Destination": "/tmp"},
        ]);
        let read = read(|found| found["Mounts"] = mounts, "1.45").unwrap();
        assert_eq!(read.volumes.iter().collect::<Vec<_>>(), ["shop.data"]);
    }

    #[test]
    fn a_running_container_is_read_whole() {
        let container = read(|_| (), "1.41").unwrap();
        assert_eq!(container.name, "shop.web.3f9a2c71d0.2");
        assert_eq!(container.state, ContainerState::Running { since: Timestamp(1_795_255_201_000) });
        assert_eq!(container.created_at, Timestamp(1_795_255_200_500));
        assert_eq!((container.restart_count, container.slot, container.health), (3, 2, Health::None));
        assert_eq!(container.process, Some(4711));
        let endpoint = &container.networks["shop.app"];
        assert_eq!(endpoint.address, Some("10.89.0.2".parse().unwrap()));
        assert_eq!(endpoint.aliases.iter().collect::<Vec<_>>(), ["web"]);
    }

    #[test]
    fn a_host_name_counts_as_an_alias_only_where_the_engine_does_not_add_it() {
        let named = |found: &mut serde_json::Value| found["Config"]["Hostname"] = json!("web");
        assert!(read(named, "1.41").unwrap().networks["shop.app"].aliases.is_empty());
        assert!(read(named, "1.45").unwrap().networks["shop.app"].aliases.contains("web"));
    }

    #[test]
    fn a_start_that_failed_says_why() {
        let container = state(json!({"Status": "created", "ExitCode": 127, "Error": "exec: \"x\":\nnot found"}));
        let error = Some(StartError { exit_code: 127, message: "exec: \"x\": not found".into() });
        assert_eq!(container.state, ContainerState::Created { error });
        let container = state(json!({"Status": "created", "ExitCode": 0, "Error": "", "Pid": 0}));
        assert_eq!((container.state, container.process), (ContainerState::Created { error: None }, None));
    }

    #[test]
    fn every_word_of_the_engine_has_a_state() {
        let at = "2026-11-21T10:00:01Z";
        let exit = |code, out_of_memory| {
            let at = Timestamp(1_795_255_201_000);
            ContainerState::Exited(Exit { code, out_of_memory, started_at: at, finished_at: at })
        };
        for (given, wanted) in [
            (json!({"Status": "paused"}), ContainerState::Paused),
            (
                json!({"Status": "restarting", "ExitCode": 1}),
                ContainerState::Restarting { exit_code: 1, out_of_memory: false },
            ),
            (
                json!({"Status": "restarting", "ExitCode": 137, "OOMKilled": true}),
                ContainerState::Restarting { exit_code: 137, out_of_memory: true },
            ),
            (json!({"Status": "removing"}), ContainerState::Removing),
            (json!({"Status": "dead"}), ContainerState::Removing),
            (
                json!({"Status": "exited", "ExitCode": 137, "OOMKilled": true, "StartedAt": at, "FinishedAt": at}),
                exit(137, true),
            ),
        ] {
            assert_eq!(state(given.clone()).state, wanted, "{given}");
        }
    }

    #[test]
    fn health_is_read_only_while_it_runs() {
        let health = json!({"Status": "unhealthy", "Log": [{"Output": "old"}, {"Output": "\u{1b}[31mrefused\n"}]});
        let running = state(json!({"Status": "running", "Health": health}));
        assert_eq!(running.health, Health::Unhealthy { message: "[31mrefused".into() });
        assert_eq!(state(json!({"Status": "paused", "Health": health})).health, Health::None);
        let starting = state(json!({"Status": "running", "Health": {"Status": "starting", "Log": null}}));
        assert_eq!(starting.health, Health::Starting);
    }

    #[test]
    fn no_limit_has_one_form_whatever_the_engine_writes() {
        let nothing = read(|_| (), "1.41").unwrap().adjustable;
        let zeroes = |found: &mut serde_json::Value| {
            found["HostConfig"]["PidsLimit"] = json!(0);
            found["HostConfig"]["MemorySwap"] = json!(-1);
        };
        assert_eq!(read(zeroes, "1.45").unwrap().adjustable, nothing);
        assert_eq!((&nothing.limits, &nothing.requests), (&Limits::default(), &Requests::default()));
    }

    #[test]
    fn restart_policies_are_read_by_name() {
        for (word, policy) in [
            ("", RestartPolicy::Never),
            ("no", RestartPolicy::Never),
            ("on-failure", RestartPolicy::OnFailure),
            ("unless-stopped", RestartPolicy::Always),
        ] {
            let named = |found: &mut serde_json::Value| found["HostConfig"]["RestartPolicy"]["Name"] = json!(word);
            assert_eq!(read(named, "1.45").unwrap().adjustable.restart_policy, policy, "{word}");
        }
    }

    #[test]
    fn each_thousandth_of_a_core_survives_the_way_to_shares_and_back() {
        for millis in 2..20_000 {
            assert_eq!(cpu_of_shares(shares_of_cpu(Cpu(millis)).unsigned_abs()), Cpu(millis));
        }
    }

    #[test]
    fn a_container_with_copied_labels_is_not_ours() {
        assert!(read(|found| found["Name"] = json!("/copy"), "1.45").is_none());
        assert!(read(|found| found["Config"]["Labels"] = json!(null), "1.45").is_none());
    }
}
