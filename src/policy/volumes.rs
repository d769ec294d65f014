//! Volumes: to make, and to mount. The options of a local volume can be a bind mount in disguise, or any other mount.

use std::collections::BTreeMap;

use super::{Judge, is_in};
use crate::model::action::VolumeCreate;
use crate::model::observed::Volume;

/// Options of the local driver.
const LOCAL_OPTIONS: [&str; 4] = ["type", "o", "device", "size"];
/// Flags in `o` that make a bind of whatever type the volume says it is.
const BINDING_FLAGS: [&str; 6] = ["bind", "rbind", "move", "remount", "shared", "rshared"];

/// Whether the engine mounts a volume with these options read-only. It takes the last of `ro` and `rw`, and each only without
/// spaces around it.
fn is_mounted_read_only(options: &str) -> bool {
    options.split(',').rfind(|flag| matches!(*flag, "ro" | "rw")) == Some("ro")
}

impl Judge<'_> {
    /// Judges a volume to be made.
    pub(super) fn volume_create(&mut self, volume: &VolumeCreate) {
        let VolumeCreate { name, labels: _, driver, options } = volume;
        self.made_of("options", name, driver, options, false);
    }

    /// Judges a volume that a container mounts. One that is not there would be made without options: it has none.
    pub(super) fn mounted_volume(&mut self, field: &str, name: &str, read_only: bool) {
        if let Some(live) = self.ground.volumes.get(name) {
            self.live_volume(field, live, read_only);
        }
    }

    /// Judges a volume that is there: whose it is, and what it is made of, whoever made it.
    pub(super) fn live_volume(&mut self, field: &str, live: &Volume, read_only: bool) {
        if let Some(whose) = self.foreign(&live.labels).filter(|_| !is_in(&self.exceptions.volumes, &live.name)) {
            let entry = format!("`volumes: [{}]`", live.name);
            self.refuse(field, "foreign-volume", format!("'{}' belongs to {whose}", live.name), Some(entry));
        }
        self.made_of(field, &live.name, &live.driver, &live.options, read_only);
    }

    fn made_of(&mut self, field: &str, name: &str, driver: &str, options: &BTreeMap<String, String>, read_only: bool) {
        if driver != "local" {
            if !is_in(&self.exceptions.volume_drivers, driver) {
                let entry = format!("`volumeDrivers: [{driver}]`");
                self.refuse(field, "volume-driver", format!("'{name}' has the driver '{driver}'"), Some(entry));
            }
            return;
        }
        let option = |key: &str| options.get(key).map_or("", |value| value.trim());
        let (kind, device) = (option("type"), option("device"));
        let given = options.get("o").map_or("", String::as_str);
        let flags: Vec<&str> = given.split(',').map(str::trim).collect();
        let binds = flags.iter().any(|flag| BINDING_FLAGS.contains(&flag.to_ascii_lowercase().as_str()));
        if binds || matches!(kind, "none" | "bind") {
            let writable = !read_only && !is_mounted_read_only(given);
            return self.host_path(&format!("{field} of '{name}': device"), "volume-bind", device, writable);
        }
        let unknown = options.keys().any(|key| !LOCAL_OPTIONS.contains(&key.as_str()));
        let is_memory = matches!(kind, "tmpfs") && matches!(device, "tmpfs" | "none" | "");
        let is_plain = kind.is_empty() && device.is_empty() && flags == [""];
        if (is_memory || is_plain) && !unknown || is_in(&self.exceptions.volumes, name) {
            return;
        }
        let why = match kind {
            "nfs" | "nfs4" | "cifs" | "smb3" => format!("'{name}' is a mount of '{device}', which may be this host's"),
            _ => format!("'{name}' has options that can mount anything (type '{kind}', device '{device}')"),
        };
        self.refuse(field, "volume-options", why, Some(format!("`volumes: [{name}]`")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_ro_and_rw_counts_as_the_engine_reads_them() {
        for options in ["ro", "bind,ro", "rw,bind,ro", "bind,ro, rw"] {
            assert!(is_mounted_read_only(options), "{options}");
        }
        for options in ["", "bind", "bind,ro,rw", "bind, ro", "bind,ro ", " ro", "bind,RO", "bind,ro=1"] {
            assert!(!is_mounted_read_only(options), "{options}");
        }
    }
}
