//! What an operator may not have meant by a policy that is valid, for people. It judges no container and refuses nothing.

use std::collections::BTreeMap;

use super::flaws::place;
use super::paths::{is_at_or_below, theirs};
use crate::model::name::Name;
use crate::model::policy::{Exceptions, HostPath, HostPathException, Level, NamespacePolicy, Policy};
use crate::model::text::listed;

/// The excepted paths of the host that writers of manifests can put a link in the place of. Such a link is not followed when a
/// container is judged; Docker follows it whenever one starts that was made before. `paths` says where the exceptions lead.
pub fn pushed(policy: &Policy, paths: &BTreeMap<String, HostPath>) -> Vec<String> {
    let mut doubts = Vec::new();
    for (name, namespace) in &policy.rules.namespaces {
        for exception in &namespace.exceptions.host_paths {
            let is_pushed = |(dir, _): &(&str, &str)| is_in_reach(exception, dir, paths);
            let Some((_, source)) = theirs(policy).find(is_pushed) else { continue };
            let path = &exception.path;
            doubts.push(format!(
                "namespace {name}: the policy excepts {path}, which the source {source} or its git checkout holds: whoever pushes \
                 there can put a link to anywhere in its place, and Docker follows it when a container starts again; keep what \
                 is mounted outside of both"
            ));
        }
    }
    doubts
}

/// That somebody can choose what is allowed: levels and exceptions belong to namespaces, and a source that was given none can
/// declare any.
pub fn unrestricted(policy: &Policy) -> Option<String> {
    let rules = &policy.rules;
    let levels = || rules.namespaces.values().map(|named| named.level);
    let least = levels().fold(rules.default, Level::min);
    let is_wider =
        |(_, named): &(&Name, &NamespacePolicy)| named.level > least || named.exceptions != Exceptions::default();
    let named = rules.namespaces.iter().filter(is_wider).map(|(name, named)| format!("{name} ({})", named.level));
    let unnamed = (rules.default > least).then(|| format!("any that is not named ({})", rules.default));
    let wider: Vec<String> = named.chain(unnamed).collect();
    let free = policy.writers.iter().filter(|writers| writers.namespace.is_none());
    let free: Vec<&str> = free.map(|writers| writers.source.as_str()).collect();
    (!free.is_empty() && !wider.is_empty()).then(|| {
        let (sources, wider) = (listed(free.iter(), 3), listed(wider.iter(), 3));
        format!(
            "who writes the manifests of {sources} can declare any namespace, and so have what the policy gives {wider}: give \
             the source a namespace (DIR=NAMESPACE) to restrict it to that one"
        )
    })
}

/// Whether something that an exception means, or a link on its way, is in `dir` and not that itself.
fn is_in_reach(exception: &HostPathException, dir: &str, paths: &BTreeMap<String, HostPath>) -> bool {
    let place = place(&exception.path, paths);
    let links = match paths.get(&exception.path) {
        Some(HostPath::Real { links, .. }) => links.as_slice(),
        Some(HostPath::Missing | HostPath::Unknown(_)) | None => &[],
    };
    let is_inside = |path: &String| path != dir && is_at_or_below(path, dir);
    is_inside(&place) || links.iter().any(is_inside) || exception.below && is_at_or_below(dir, &place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::Writers;

    fn policy(rules: &str) -> Policy {
        let dirs = ["/srv/shop/manifests", "/srv/shop", "/"].map(str::to_owned).into();
        let writers = vec![Writers { source: "/srv/shop/manifests".into(), namespace: None, dirs }];
        Policy { file: "policy.yaml".into(), rules: serde_json::from_str(rules).unwrap(), guarded: Vec::new(), writers }
    }

    /// Whether an excepted path is told that leads to `place` by `links`.
    fn is_told(exception: &str, place: &str, links: &[&str]) -> bool {
        let rules = format!(r#"{{"namespaces": {{"shop": {{"exceptions": {{"hostPaths": [{exception}]}}}}}}}}"#);
        let links = links.iter().map(|link| (*link).to_owned()).collect();
        let paths = [("/x".to_owned(), HostPath::Real { path: place.into(), loose: None, links })].into();
        !pushed(&policy(&rules), &paths).is_empty()
    }

    #[test]
    fn an_exception_that_a_push_can_turn_is_told() {
        let exactly = r#"{"path": "/x"}"#;
        assert!(is_told(exactly, "/srv/shop/static", &[]));
        assert!(is_told(exactly, "/srv/other", &["/srv/shop/static"]), "by a link in there");
        assert!(is_told(r#"{"path": "/x", "below": true}"#, "/srv", &[]), "what is below");
        for place in ["/srv/shop", "/srv", "/srv/shop-b", "/var/www"] {
            assert!(!is_told(exactly, place, &["/srv/www"]), "{place}");
        }
    }

    /// What is told of two sources, of which one can declare any namespace unless `is_restricted`.
    fn told(rules: &str, is_restricted: bool) -> Option<String> {
        let name = |text: &str| Name::new(text).unwrap();
        let writers = |source: &str, namespace| Writers { source: source.into(), namespace, dirs: Vec::new() };
        let second = is_restricted.then(|| name("infra"));
        let writers = vec![writers("/srv/shop", Some(name("shop"))), writers("/srv/infra", second)];
        unrestricted(&Policy { writers, ..policy(rules) })
    }

    #[test]
    fn a_source_that_can_choose_a_wider_level_is_told() {
        let infra = r#"{"namespaces": {"infra": {"level": "privileged"}}}"#;
        let words = "who writes the manifests of /srv/infra can declare any namespace, and so have what the policy gives infra (privileged): ";
        assert!(told(infra, false).unwrap().starts_with(words), "{:?}", told(infra, false));
        assert_eq!(told(infra, true), None);
        let excepted = r#"{"namespaces": {"shop": {"exceptions": {"gpus": true}}}}"#;
        assert!(told(excepted, false).unwrap().contains("shop (baseline)"));
        let narrower = r#"{"namespaces": {"shop": {"level": "restricted"}}}"#;
        assert!(told(narrower, false).unwrap().contains("any that is not named (baseline)"));
        for alike in ["{}", r#"{"default": "restricted", "namespaces": {"shop": {"level": "restricted"}}}"#] {
            assert_eq!(told(alike, false), None);
        }
    }
}
