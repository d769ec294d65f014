//! Labels of containers, networks and volumes, which anybody can write: an input is a container's name in the first
//! line, then labels `KEY=VALUE` or `KEY:VALUE` of ours, one a line.

use std::collections::BTreeMap;

use evenkeel::engine::Ownership;
use evenkeel::model::name::{DEFAULT_INSTANCE, Name, container_name};

/// Asks whose it is. What is ours has the one name that its labels imply.
pub fn try_input(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let name = lines.next().unwrap_or_default();
    // One by one: they come from an engine's answer, not as a list that is sorted first.
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    lines.filter_map(label).for_each(|(key, value)| drop(labels.insert(key, value)));
    let ownership = Ownership { instance: Name::new(DEFAULT_INSTANCE).expect("the default instance is a name") };
    if let Some(identity) = ownership.identity(name, &labels) {
        let owner = &identity.owner;
        let implied =
            container_name(&ownership.instance, &owner.namespace, &owner.name, &identity.revision.0, identity.slot);
        assert_eq!(implied, name);
    }
    assert!(!ownership.same_spec(&labels, &labels) || labels.contains_key("evenkeel.dev/instance"));
}

/// `KEY=VALUE`, or one of ours without its prefix as `KEY:VALUE`.
fn label(line: &str) -> Option<(String, String)> {
    let ours = || line.split_once(':').map(|(key, value)| (format!("evenkeel.dev/{key}"), value.to_string()));
    line.split_once('=').map(|(key, value)| (key.to_string(), value.to_string())).or_else(ours)
}
