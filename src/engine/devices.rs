//! Devices and GPUs in the engine's words.

use bollard::models::{DeviceMapping, DeviceRequest};

/// `/dev/fuse`, `/dev/x:/dev/y`, `/dev/x:r` or `/dev/x:/dev/y:rwm`, as for `docker run --device`.
pub(super) fn mapping(device: &str) -> DeviceMapping {
    let parts: Vec<&str> = device.splitn(3, ':').collect();
    let (host, container, permissions) = match parts[..] {
        [host, second] if is_permissions(second) => (host, host, second),
        [host, container] => (host, container, "rwm"),
        [host, container, permissions] => (host, container, permissions),
        _ => (device, device, "rwm"),
    };
    DeviceMapping {
        path_on_host: Some(host.to_owned()),
        path_in_container: Some(container.to_owned()),
        cgroup_permissions: Some(permissions.to_owned()),
    }
}

fn is_permissions(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.chars().all(|c| "rwm".contains(c))
}

/// `all` or a number, as for `docker run --gpus`.
pub(super) fn gpus(count: &str) -> DeviceRequest {
    DeviceRequest {
        driver: Some(String::new()),
        count: Some(count.parse().unwrap_or(-1)),
        capabilities: Some(vec![vec!["gpu".into()]]),
        ..DeviceRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_written_as_for_docker_run() {
        for (text, parts) in [
            ("/dev/fuse", ["/dev/fuse", "/dev/fuse", "rwm"]),
            ("/dev/x:r", ["/dev/x", "/dev/x", "r"]),
            ("/dev/x:/dev/y", ["/dev/x", "/dev/y", "rwm"]),
            ("/dev/x:/dev/y:rw", ["/dev/x", "/dev/y", "rw"]),
        ] {
            let mapping = mapping(text);
            let found =
                [mapping.path_on_host, mapping.path_in_container, mapping.cgroup_permissions].map(Option::unwrap);
            assert_eq!(found, parts, "{text}");
        }
    }

    #[test]
    fn gpus_are_all_or_counted() {
        assert_eq!(gpus("all").count, Some(-1));
        assert_eq!(gpus("2").count, Some(2));
    }
}
