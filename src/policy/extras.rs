//! What Docker has beside Kubernetes' fields: security options, devices, kernel parameters, runtimes, log drivers.

use std::collections::BTreeMap;

use super::paths::{host_side, plain};
use super::{Judge, is_in};
use crate::model::spec::Logging;

/// Kernel parameters that belong to the container's own namespaces and do no harm (Pod Security Standards).
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// SELinux types of ordinary containers (Pod Security Standards).
const SELINUX_TYPES: [&str; 4] = ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// Names of the engine's own runtime.
const OWN_RUNTIMES: [&str; 2] = ["runc", "io.containerd.runc.v2"];

/// Log drivers that write to files of the engine's own or the host's journal. Others send what the program says to an
/// address or socket of its choice, with the engine's rights.
const OWN_LOG_DRIVERS: [&str; 4] = ["local", "json-file", "journald", "none"];

impl Judge<'_> {
    pub(super) fn security_options(&mut self, options: &[String]) {
        for (index, option) in options.iter().enumerate() {
            if is_in(&self.exceptions.security_options, option) || is_harmless(option) {
                continue;
            }
            let shown: String = option.chars().take(40).collect();
            let entry = format!("`securityOptions: ['{shown}']`");
            let why = format!("'{shown}' takes protection away, or may");
            self.refuse(format!("template.securityOptions[{index}]"), "security-option", why, Some(entry));
        }
        if self.is_restricted() && !options.iter().any(|option| forbids_new_privileges(option)) {
            let why = "does not have no-new-privileges, so a program could become root";
            self.refuse("template.securityOptions", "privilege-escalation", why, None);
        }
    }

    pub(super) fn devices(&mut self, devices: &[String], gpus: Option<&str>) {
        for (index, device) in devices.iter().enumerate() {
            let path = host_side(device);
            if self.is_excepted_device(path) {
                continue;
            }
            let why = format!("passes the host's '{path}' in");
            let entry = format!("`devices: [{}]`", plain(path).unwrap_or_else(|| path.to_owned()));
            self.refuse(format!("template.devices[{index}]"), "device", why, Some(entry));
        }
        if gpus.is_some() && !self.exceptions.gpus {
            self.refuse("template.gpus", "device", "passes the host's GPUs in", Some("`gpus: true`".into()));
        }
    }

    fn is_excepted_device(&self, path: &str) -> bool {
        let Ok(leads_to) = self.leads_to(path) else { return false };
        self.exceptions.devices.iter().any(|exception| self.meant_by(exception).as_ref() == Some(&leads_to))
    }

    pub(super) fn sysctls(&mut self, sysctls: &BTreeMap<String, String>) {
        for name in super::others(sysctls, &SAFE_SYSCTLS) {
            if !is_in(&self.exceptions.sysctls, name) {
                let why = format!("'{name}' is not among the kernel parameters that are safe");
                let entry = format!("`sysctls: [{name}]`");
                self.refuse(format!("template.sysctls.{name}"), "sysctl", why, Some(entry));
            }
        }
    }

    pub(super) fn runtime(&mut self, runtime: Option<&str>) {
        let Some(runtime) = runtime else { return };
        if !OWN_RUNTIMES.contains(&runtime) && !is_in(&self.exceptions.runtimes, runtime) {
            let why = format!("'{runtime}' is not the engine's own runtime");
            self.refuse("template.runtime", "runtime", why, Some(format!("`runtimes: [{runtime}]`")));
        }
    }

    pub(super) fn logging(&mut self, logging: Option<&Logging>) {
        let Some(Logging { driver, options: _ }) = logging else { return };
        if !OWN_LOG_DRIVERS.contains(&driver.as_str()) && !is_in(&self.exceptions.log_drivers, driver) {
            let why = format!("'{driver}' sends to where the manifest says, with the engine's rights");
            self.refuse("template.logging.driver", "log-driver", why, Some(format!("`logDrivers: [{driver}]`")));
        }
    }
}

/// Whether a security option takes no protection away. `:` is Docker's old way to write `=`.
fn is_harmless(option: &str) -> bool {
    if forbids_new_privileges(option) {
        return true;
    }
    let Some((name, value)) = option.split_once(['=', ':']) else { return false };
    match (name, value) {
        ("seccomp", "builtin") | ("apparmor", "docker-default") => true,
        ("label", label) => match label.split_once(':') {
            Some(("type", kind)) => SELINUX_TYPES.contains(&kind),
            Some(("level", _)) => true,
            _ => false,
        },
        _ => false,
    }
}

fn forbids_new_privileges(option: &str) -> bool {
    matches!(option, "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true")
}
