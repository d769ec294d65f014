//! A container to be, field by field. Every field of a template is named here once: one that is added without a word
//! about what it may do to the host does not compile.

use super::Judge;
use crate::model::container::{ContainerSpec, EnvSource, MountSource, MountSpec};
use crate::model::spec::{Capabilities, HostPort, Port, Template};

/// Capabilities that baseline lets a container add: those that Docker gives by itself and that lead nowhere.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The only one that restricted lets it add.
const RESTRICTED_CAPABILITIES: [&str; 1] = ["NET_BIND_SERVICE"];

/// The first port that any program of the host may open.
const FIRST_FREE_PORT: u16 = 1024;

impl Judge<'_> {
    /// Judges everything that the engine would be asked for.
    pub(super) fn container(&mut self, spec: &ContainerSpec) {
        // Names, labels and the restart policy are Evenkeel's own affair.
        let ContainerSpec { name: _, labels: _, image: _, template, env, networks, mounts, restart_policy: _ } = spec;
        self.variables();
        let contents = env.iter().filter_map(|source| match source {
            EnvSource::Text { .. } => None,
            EnvSource::Key { content, .. } | EnvSource::AllKeys { content, .. } => Some(content),
        });
        self.contents("template.env", contents);
        for attachment in networks {
            self.network("template.networks", &attachment.network);
        }
        for (index, mount) in mounts.iter().enumerate() {
            self.mount(&format!("template.mounts[{index}]"), mount);
        }
        self.template(template);
    }

    fn template(&mut self, template: &Template) {
        let Template {
            // What the program is and how it is watched; all of it stays inside of the container.
            image: _,
            build: _,
            image_policy: _,
            image_pull_policy: _,
            command: _,
            args: _,
            working_dir: _,
            startup_probe: _,
            readiness_probe: _,
            liveness_probe: _,
            health_check: _,
            lifecycle: _,
            drain: _,
            termination_grace_period: _,
            stop_signal: _,
            depends_on: _,
            restart_policy: _,
            platform: _,
            tty: _,
            stdin: _,
            init: _,
            labels: _,
            // Limits only take away, and what they allow comes out of the container's own share.
            resources: _,
            ulimits: _,
            shm_size: _,
            // Its own names and name servers.
            hostname: _,
            extra_hosts: _,
            dns: _,
            group_add: _,
            read_only_root_filesystem: _,
            // Judged as what they became: the environment, mounts and networks of the container.
            env: _,
            env_from: _,
            required_env: _,
            networks: _,
            mounts: _,
            image_pull_secrets,
            ports,
            host_network,
            user,
            capabilities,
            privileged,
            security_options,
            devices,
            gpus,
            sysctls,
            ipc_mode,
            pid_mode,
            uts_mode,
            runtime,
            logging,
        } = template;
        if *privileged {
            self.refuse("template.privileged", "privileged", "gives the container the whole host", None);
        }
        if *host_network {
            self.refuse("template.hostNetwork", "host-namespace", "shares the host's network", None);
        }
        self.namespace_mode("template.ipcMode", ipc_mode.as_deref(), &["private", "shareable", "none"]);
        self.namespace_mode("template.pidMode", pid_mode.as_deref(), &["private"]);
        self.namespace_mode("template.utsMode", uts_mode.as_deref(), &["private"]);
        self.pull_secrets(image_pull_secrets);
        self.user(user.as_deref());
        self.capabilities(capabilities);
        self.security_options(security_options);
        self.devices(devices, gpus.as_deref());
        self.sysctls(sysctls);
        self.runtime(runtime.as_deref());
        self.logging(logging.as_ref());
        ports.iter().enumerate().for_each(|(index, port)| self.port(index, port));
    }

    fn mount(&mut self, field: &str, mount: &MountSpec) {
        match &mount.source {
            MountSource::HostPath(path) => {
                self.host_path(&format!("{field}.hostPath"), "host-path", path, !mount.read_only);
            }
            MountSource::Volume(name) => self.mounted_volume(&format!("{field}.volume"), name, mount.read_only),
            MountSource::Files(files) => self.contents(field, std::iter::once(&files.content)),
            MountSource::Tmpfs { .. } => {}
        }
    }

    /// A mode that shares something with the host or another container.
    fn namespace_mode(&mut self, field: &str, mode: Option<&str>, own: &[&str]) {
        let Some(mode) = mode.filter(|mode| !mode.is_empty() && !own.contains(mode)) else { return };
        let whose = match mode {
            "host" => "the host".to_owned(),
            _ if mode.starts_with("container:") => "another container, whoever's it is".to_owned(),
            _ => format!("whatever '{mode}' means to the engine"),
        };
        let rule = if mode.starts_with("container:") { "container-namespace" } else { "host-namespace" };
        self.refuse(field, rule, format!("shares a namespace with {whose}"), None);
    }

    /// Restricted: a number other than 0, because a name means what the image says.
    fn user(&mut self, user: Option<&str>) {
        if !self.is_restricted() {
            return;
        }
        let why = match user.map(|user| user.split(':').next().unwrap_or(user)) {
            None | Some("") => "is not set, so the image's user counts, which may be root".to_owned(),
            Some(user) => match user.parse::<u32>() {
                Ok(0) => format!("'{user}' is root"),
                Ok(_) => return,
                Err(_) => format!("'{user}' is a name, which may be root's in the image; write its number"),
            },
        };
        self.refuse("template.user", "run-as-root", why, None);
    }

    fn capabilities(&mut self, capabilities: &Capabilities) {
        let Capabilities { add, drop } = capabilities;
        let allowed: &[&str] = if self.is_restricted() { &RESTRICTED_CAPABILITIES } else { &BASELINE_CAPABILITIES };
        let excepted: Vec<String> =
            self.exceptions.capabilities.iter().map(|capability| capability_name(capability)).collect();
        for (index, capability) in add.iter().enumerate() {
            let name = capability_name(capability);
            if !allowed.contains(&name.as_str()) && !excepted.contains(&name) {
                let why = format!("'{name}' is more than this level gives");
                let entry = format!("`capabilities: [{name}]`");
                self.refuse(format!("template.capabilities.add[{index}]"), "capability", why, Some(entry));
            }
        }
        if self.is_restricted() && !drop.iter().any(|capability| capability_name(capability) == "ALL") {
            let why = "does not drop ALL (write `drop: [ALL]`)";
            self.refuse("template.capabilities.drop", "capability-drop", why, None);
        }
    }

    /// Where Docker publishes for everybody, past most firewalls of a host.
    fn port(&mut self, index: usize, port: &Port) {
        let Some((first, last)) = port.host_port.as_ref().and_then(|host_port| host_port.bounds().ok()) else {
            return;
        };
        let address = port.host_ip.to_canonical();
        let excepted = self.exceptions.published.iter().any(|exception| {
            let covers = |ports: &HostPort| ports.bounds().is_ok_and(|(from, to)| from <= first && last <= to);
            exception.address.to_canonical() == address && exception.ports.iter().any(covers)
        });
        if excepted {
            return;
        }
        let field = format!("template.ports[{index}].hostPort");
        let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let entry = format!("`published: [{{address: \"{address}\", ports: [{range}]}}]`");
        if first < FIRST_FREE_PORT {
            let why = format!("{range} is below {FIRST_FREE_PORT}, where the host's own services are");
            return self.refuse(field, "privileged-port", why, Some(entry));
        }
        if self.is_restricted() && !address.is_loopback() {
            let why = format!("{range} is published on {address}, which is not loopback");
            self.refuse(field, "published-address", why, Some(entry));
        }
    }
}

/// As Docker reads it: in any case, with or without `CAP_`.
fn capability_name(text: &str) -> String {
    let upper = text.trim().to_ascii_uppercase();
    upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
}
