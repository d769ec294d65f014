//! Creating a container: a specification in the words of `POST /containers/create`.
//!
//! What the engine would merge in from the image by itself is left out, unless the template says something about it.

#![allow(clippy::disallowed_types, reason = "the engine's client wants unordered maps")]

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    NetworkingConfig, PortBinding, PortMap, ResourcesUlimits,
};

use super::limits;
use super::mounts;
use super::{EngineError, Provided, devices};
use crate::model::container::{Attachment, ContainerSpec};
use crate::model::observed::Fault;
use crate::model::spec::{HealthCheck, HostPort, Logging, Port, Template};
use crate::model::time::Span;

/// The body, or why there can be none: the message never holds a value of the environment.
pub(super) fn body(spec: &ContainerSpec, provided: &Provided) -> Result<ContainerCreateBody, EngineError> {
    let failed = |fault, message| EngineError { attempted: format!("create {}", spec.name), message, fault };
    let template = &spec.template;
    Ok(ContainerCreateBody {
        image: Some(spec.image.clone()),
        labels: Some(unordered(&spec.labels)),
        env: Some(environment(provided).map_err(|message| failed(Fault::Invalid, message))?),
        entrypoint: list(&template.command),
        cmd: list(&template.args),
        working_dir: template.working_dir.clone(),
        user: template.user.clone(),
        hostname: template.hostname.clone(),
        tty: Some(template.tty),
        open_stdin: Some(template.stdin),
        exposed_ports: list(&exposed(&template.ports)),
        healthcheck: template.health_check.as_ref().map(health_check),
        stop_signal: template.stop_signal.clone(),
        stop_timeout: Some(whole_seconds(template.termination_grace_period)),
        // Files that could not be written are our trouble and not the specification's.
        host_config: Some(host_config(spec, provided).map_err(|message| failed(Fault::Unavailable, message))?),
        networking_config: spec.networks.first().map(networking),
        ..ContainerCreateBody::default()
    })
}

fn host_config(spec: &ContainerSpec, provided: &Provided) -> Result<HostConfig, String> {
    let template = &spec.template;
    let limits = limits::of(&template.resources.limits, &template.resources.requests);
    Ok(HostConfig {
        network_mode: Some(network_mode(spec)),
        port_bindings: published(&template.ports),
        restart_policy: Some(limits::restart_policy(spec.restart_policy)),
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        memory: limits.memory,
        memory_swap: limits.memory,
        memory_reservation: limits.memory_reservation,
        pids_limit: limits.pids,
        mounts: Some(mounts::mounts(&spec.mounts, provided)?),
        log_config: Some(log_config(template.logging.as_ref())),
        dns: list(&template.dns.servers.iter().map(ToString::to_string).collect::<Vec<_>>()),
        dns_search: list(&template.dns.search),
        dns_options: dns_options(template),
        extra_hosts: list(&extra_hosts(&template.extra_hosts)),
        cap_add: list(&template.capabilities.add),
        cap_drop: list(&template.capabilities.drop),
        privileged: Some(template.privileged),
        security_opt: list(&template.security_options),
        readonly_rootfs: Some(template.read_only_root_filesystem),
        group_add: list(&template.group_add),
        devices: list(&template.devices.iter().map(|device| devices::mapping(device)).collect::<Vec<_>>()),
        device_requests: template.gpus.as_deref().map(|gpus| vec![devices::gpus(gpus)]),
        sysctls: (!template.sysctls.is_empty()).then(|| unordered(&template.sysctls)),
        ulimits: list(&ulimits(template)),
        shm_size: template.shm_size.map(|size| limits::bytes(size.0)),
        init: template.init,
        ipc_mode: template.ipc_mode.clone(),
        pid_mode: template.pid_mode.clone(),
        uts_mode: template.uts_mode.clone(),
        runtime: template.runtime.clone(),
        ..HostConfig::default()
    })
}

/// The engine wants text, so bytes that are none cannot be passed on.
fn environment(provided: &Provided) -> Result<Vec<String>, String> {
    let entry = |(name, value): &(String, crate::model::secret::SecretBytes)| match std::str::from_utf8(value.expose())
    {
        Ok(text) if !text.contains('\0') => Ok(format!("{name}={text}")),
        _ => Err(format!("the value of the environment variable {name} is not text")),
    };
    provided.env.iter().map(entry).collect()
}

/// Only the first network: Engine 20.10 takes no more at once. The others are connected before the start.
fn networking(first: &Attachment) -> NetworkingConfig {
    let settings = EndpointSettings {
        aliases: Some(first.aliases.iter().cloned().collect()),
        ipam_config: first
            .address
            .map(|address| EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..Default::default() }),
        ..EndpointSettings::default()
    };
    NetworkingConfig { endpoints_config: Some(HashMap::from([(first.network.clone(), settings)])) }
}

fn network_mode(spec: &ContainerSpec) -> String {
    match spec.networks.first() {
        _ if spec.template.host_network => "host".into(),
        Some(first) => first.network.clone(),
        // Never the engine's default bridge: there is no name resolution on it.
        None => "none".into(),
    }
}

fn port_key(port: &Port) -> String {
    format!("{}/{}", port.port, port.protocol.word())
}

/// The engine ignores a binding of a port that is not exposed too.
fn exposed(ports: &[Port]) -> Vec<String> {
    ports.iter().map(port_key).collect()
}

fn published(ports: &[Port]) -> Option<PortMap> {
    let mut bindings = PortMap::new();
    for port in ports {
        let Some(host_port) = &port.host_port else { continue };
        let host_port = match host_port {
            HostPort::Fixed(port) => port.to_string(),
            HostPort::Range(range) => range.clone(),
        };
        let binding = PortBinding { host_ip: Some(port.host_ip.to_string()), host_port: Some(host_port) };
        bindings.entry(port_key(port)).or_default().get_or_insert_default().push(binding);
    }
    (!bindings.is_empty()).then_some(bindings)
}

/// Logs that grow without end fill the disk, so the drivers that write files are bounded unless the template says how.
fn log_config(logging: Option<&Logging>) -> HostConfigLogConfig {
    let driver = logging.map_or("local", |logging| &logging.driver);
    let mut options = logging.map(|logging| unordered(&logging.options)).unwrap_or_default();
    if matches!(driver, "local" | "json-file") {
        options.entry("max-size".into()).or_insert_with(|| "10m".into());
        options.entry("max-file".into()).or_insert_with(|| "5".into());
    }
    HostConfigLogConfig { typ: Some(driver.to_owned()), config: Some(options) }
}

/// `ndots:1` keeps the name of a Deployment that is down from being asked of servers outside.
fn dns_options(template: &Template) -> Option<Vec<String>> {
    match &template.dns.options[..] {
        [] if template.host_network => None,
        [] => Some(vec!["ndots:1".into()]),
        options => Some(options.to_vec()),
    }
}

fn extra_hosts(hosts: &BTreeMap<String, String>) -> Vec<String> {
    hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()
}

fn ulimits(template: &Template) -> Vec<ResourcesUlimits> {
    let ulimit = |(name, limit): (&String, &crate::model::spec::Ulimit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    template.ulimits.iter().map(ulimit).collect()
}

fn health_check(check: &HealthCheck) -> HealthConfig {
    if check.disable {
        return HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() };
    }
    let nanos = |span: Option<Span>| span.and_then(|span| i64::try_from(span.0.saturating_mul(1_000_000)).ok());
    HealthConfig {
        // Without a command the image's own is kept, with other times.
        test: (!check.command.is_empty())
            .then(|| std::iter::once("CMD".to_owned()).chain(check.command.iter().cloned()).collect()),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        start_period: nanos(check.start_period),
        retries: check.retries.map(i64::from),
        ..HealthConfig::default()
    }
}

/// The engine counts a grace period in seconds; a part of one is given whole.
pub(super) fn whole_seconds(span: Span) -> i64 {
    i64::try_from(span.0.div_ceil(1000)).unwrap_or(i64::MAX)
}

fn list<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}

pub(super) fn unordered(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::model::container::{Files, MountSource, MountSpec};
    use crate::model::revision::ContentId;
    use crate::model::secret::SecretBytes;
    use crate::model::spec::RestartPolicy;

    fn spec(template: serde_json::Value) -> ContainerSpec {
        ContainerSpec {
            name: "shop.web.3f9a2c71d0.0".into(),
            labels: [("evenkeel.dev/instance".to_owned(), "evenkeel".to_owned())].into(),
            image: "sha256:aa".into(),
            template: serde_json::from_value(template).unwrap(),
            env: Vec::new(),
            networks: vec![Attachment {
                network: "shop.default".into(),
                aliases: ["web".to_owned()].into(),
                address: None,
            }],
            mounts: Vec::new(),
            restart_policy: RestartPolicy::Always,
        }
    }

    fn files(key: Option<&str>) -> Files {
        Files { content: ContentId("c-1".into()), key: key.map(str::to_owned), mode: 0o444, uid: 0, gid: 0 }
    }

    fn json(spec: &ContainerSpec, provided: &Provided) -> serde_json::Value {
        serde_json::to_value(body(spec, provided).unwrap()).unwrap()
    }

    /// Through a value, because the client's maps have no order.
    fn pretty(spec: &ContainerSpec, provided: &Provided) -> String {
        serde_json::to_string_pretty(&json(spec, provided)).unwrap()
    }

    #[test]
    fn a_small_template_says_only_what_matters() {
        insta::assert_snapshot!(pretty(&spec(json!({"image": "web:1"})), &Provided::default()));
    }

    #[test]
    fn every_field_of_a_template_reaches_the_engine() {
        let mut spec = spec(json!({
            "image": "web:1", "command": ["/entry", "-x"], "args": ["serve", "--all"], "workingDir": "/srv",
            "ports": [
                {"name": "http", "port": 8080, "hostPort": 3001},
                {"port": 8080, "hostPort": 3002, "hostIP": "0.0.0.0"},
                {"port": 9000, "hostPort": "3100-3109", "protocol": "udp"},
                {"port": 7000},
            ],
            "resources": {"limits": {"cpu": "1500m", "memory": "64Mi", "pids": 512}, "requests": {"cpu": "500m", "memory": "32Mi"}},
            "healthCheck": {"command": ["/check", "it"], "interval": "5s", "timeout": "1s 500ms", "startPeriod": "90s", "retries": 4},
            "terminationGracePeriod": "1m 500ms", "stopSignal": "SIGQUIT",
            "user": "1000:1000", "groupAdd": ["audio", "44"], "readOnlyRootFilesystem": true,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}, "privileged": true,
            "securityOptions": ["no-new-privileges"], "devices": ["/dev/fuse", "/dev/x:/dev/y:r"], "gpus": "all",
            "sysctls": {"net.core.somaxconn": "1024"}, "ulimits": {"nofile": {"soft": 1024, "hard": 4096}},
            "shmSize": "128Mi", "hostname": "box", "extraHosts": {"db.local": "10.0.0.9", "host": "host-gateway"},
            "dns": {"servers": ["9.9.9.9"], "search": ["example.org"], "options": ["ndots:2", "timeout:1"]},
            "init": true, "ipcMode": "shareable", "pidMode": "host", "utsMode": "host", "runtime": "runc",
            "platform": "linux/amd64", "tty": true, "stdin": true,
            "logging": {"driver": "json-file", "options": {"max-size": "1m", "tag": "x"}},
        }));
        spec.restart_policy = RestartPolicy::OnFailure;
        spec.networks[0].address = Some("10.89.0.9".parse().unwrap());
        spec.networks.push(Attachment { network: "shop.data".into(), aliases: Default::default(), address: None });
        let mount = |path: &str, source, read_only| MountSpec { path: path.into(), source, read_only };
        spec.mounts = vec![
            mount("/data", MountSource::Volume("shop.data".into()), false),
            mount("/host", MountSource::HostPath("/srv/host".into()), true),
            mount("/tmp", MountSource::Tmpfs { size: Some(64 << 20), mode: Some(0o1777) }, false),
            mount("/etc/web", MountSource::Files(files(None)), true),
            mount("/etc/one", MountSource::Files(files(Some("one"))), true),
        ];
        let provided = Provided {
            env: vec![("A".into(), SecretBytes::new(b"1=2".to_vec())), ("B".into(), SecretBytes::new(Vec::new()))],
            files: [(files(None), PathBuf::from("/run/x/c-1")), (files(Some("one")), PathBuf::from("/run/x/c-1/one"))]
                .into(),
        };
        insta::assert_snapshot!(pretty(&spec, &provided));
    }

    #[test]
    fn on_the_hosts_network_there_are_no_endpoints_and_no_resolver_options() {
        let mut spec = spec(json!({"image": "web:1", "hostNetwork": true}));
        spec.networks.clear();
        let body = json(&spec, &Provided::default());
        assert_eq!(body["HostConfig"]["NetworkMode"], "host");
        assert_eq!((&body["NetworkingConfig"], &body["HostConfig"]["DnsOptions"]), (&json!(null), &json!(null)));
    }

    #[test]
    fn a_health_check_can_be_switched_off_or_only_timed_otherwise() {
        let check = |check| {
            let template = json!({"image": "web:1", "healthCheck": check});
            json(&spec(template), &Provided::default())["Healthcheck"].clone()
        };
        assert_eq!(check(json!({"disable": true})), json!({"Test": ["NONE"]}));
        assert_eq!(check(json!({"interval": "1s"})), json!({"Interval": 1_000_000_000}));
    }

    #[test]
    fn a_log_driver_that_writes_no_files_gets_no_sizes() {
        let template = json!({"image": "web:1", "logging": {"driver": "journald"}});
        let body = json(&spec(template), &Provided::default());
        assert_eq!(body["HostConfig"]["LogConfig"], json!({"Type": "journald", "Config": {}}));
    }

    #[test]
    fn what_cannot_be_created_is_said_without_the_secret_itself() {
        let provided =
            Provided { env: vec![("KEY".into(), SecretBytes::new(b"\xffhunter2".to_vec()))], ..Provided::default() };
        let error = body(&spec(json!({"image": "web:1"})), &provided).unwrap_err();
        assert!(error.message.contains("KEY") && !error.message.contains("hunter"), "{error}");
        assert_eq!(error.fault, Fault::Invalid);

        let mut spec = spec(json!({"image": "web:1"}));
        spec.mounts =
            vec![MountSpec { path: "/etc/web".into(), source: MountSource::Files(files(None)), read_only: true }];
        let error = body(&spec, &Provided::default()).unwrap_err();
        assert_eq!(
            (error.fault, error.message.as_str()),
            (Fault::Unavailable, "the files for /etc/web were not written")
        );
    }
}
