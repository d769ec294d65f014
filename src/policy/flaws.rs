//! What is wrong with a policy that its types cannot say. It judges no container.

use std::collections::BTreeMap;

use super::paths::{is_at_or_below, plain};
use crate::model::policy::{Exceptions, HostPath, PolicyFile};

/// Every mistake in a policy, for people. `paths` says where its own paths lead, as far as that is known.
pub fn flaws(rules: &PolicyFile, paths: &BTreeMap<String, HostPath>) -> Vec<String> {
    let writable = rules.namespaces.iter().flat_map(|(name, namespace)| {
        let writable = namespace.exceptions.host_paths.iter().filter(|exception| exception.writable);
        writable.map(move |exception| (name, exception))
    });
    let excepted: Vec<&String> = rules.namespaces.values().flat_map(|named| at_places(&named.exceptions)).collect();
    let mut flaws = Vec::new();
    for (name, exception) in writable {
        let path = &exception.path;
        if exception.below {
            flaws.push(format!(
                "namespace {name}: {path} is 'writable' and 'below': whoever writes there could put a link to anywhere in the place of a path below; name each path that may be written to"
            ));
        }
        let base = place(path, paths);
        let is_inside = |other: &&&String| {
            let other = place(other, paths);
            base != other && is_at_or_below(&other, &base)
        };
        if let Some(inner) = excepted.iter().find(is_inside) {
            flaws.push(format!(
                "namespace {name}: {path} is writable and contains {inner}, which is excepted too: whoever writes there could put a link to anywhere in its place"
            ));
        }
    }
    for (name, namespace) in &rules.namespaces {
        let all = |capability: &&String| matches!(capability.to_ascii_uppercase().as_str(), "ALL" | "CAP_ALL");
        if namespace.exceptions.capabilities.iter().any(|capability| all(&capability)) {
            flaws.push(format!("namespace {name}: the capability ALL is no exception; say `level: privileged`"));
        }
    }
    flaws
}

/// What is excepted by its place, other than devices.
fn at_places(exceptions: &Exceptions) -> impl Iterator<Item = &String> {
    let mounted = exceptions.host_paths.iter().map(|exception| &exception.path);
    mounted.chain(&exceptions.host_files).chain(&exceptions.build_contexts)
}

/// Where a path leads; as it is written where that is not known.
pub fn place(path: &str, paths: &BTreeMap<String, HostPath>) -> String {
    match paths.get(path) {
        Some(HostPath::Real { path, .. }) => path.clone(),
        Some(HostPath::Missing | HostPath::Unknown(_)) | None => plain(path).unwrap_or_else(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws_of(exceptions: &str) -> Vec<String> {
        let text = format!(r#"{{"namespaces": {{"shop": {{"exceptions": {exceptions}}}}}}}"#);
        flaws(&serde_json::from_str(&text).unwrap(), &BTreeMap::new())
    }

    #[test]
    fn a_writable_path_contains_no_other_exception() {
        let nested = flaws_of(r#"{"hostPaths": [{"path": "/srv/a/", "writable": true}, {"path": "/srv/./a/b"}]}"#);
        assert_eq!(nested.len(), 1, "{nested:?}");
        assert_eq!(flaws_of(r#"{"hostPaths": [{"path": "/srv/a"}, {"path": "/srv/a/b", "writable": true}]}"#), [""; 0]);
        for kind in ["hostFiles", "buildContexts"] {
            let read = flaws_of(&format!(
                r#"{{"hostPaths": [{{"path": "/srv/a", "writable": true}}], "{kind}": ["/srv/a/b"]}}"#
            ));
            assert_eq!(read.len(), 1, "{kind}: {read:?}");
        }
        let wide = flaws_of(r#"{"hostPaths": [{"path": "/srv/a", "writable": true, "below": true}]}"#);
        assert_eq!(wide.len(), 1, "{wide:?}");
    }

    #[test]
    fn all_capabilities_are_no_exception() {
        assert_eq!(flaws_of(r#"{"capabilities": ["cap_all"]}"#).len(), 1);
        assert_eq!(flaws_of(r#"{"capabilities": ["NET_ADMIN"]}"#), [""; 0]);
    }
}
