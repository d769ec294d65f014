//! How it stands with an object's image policy, in words. It decides nothing.

use super::age;
use crate::model::registry::{ImagePolicyStatus, in_short};
use crate::model::time::Timestamp;

/// In a cell of a table: `semver >=1.4 <2: 1.4.2@sha256:1a2b3c4d5e6f, asked 3m ago`.
pub fn brief(status: &ImagePolicyStatus, now: Timestamp) -> String {
    let asked = match status.asked_at {
        Some(at) => format!("asked {} ago", age::since(at, now)),
        None => "not asked".into(),
    };
    let trouble = if is_well(status) { String::new() } else { format!(", {}", status.reason) };
    let chosen = chosen(status).unwrap_or_else(|| "none".into());
    format!("{}: {chosen}, {asked}{trouble}", status.policy)
}

/// The tag and its digest, in short.
pub fn chosen(status: &ImagePolicyStatus) -> Option<String> {
    let image = format!("tag:{}@{}", status.tag.as_ref()?, status.digest.as_ref()?);
    in_short(&image).strip_prefix("tag:").map(String::from)
}

/// Whether what is chosen is what the registry says, as far as it was asked.
pub fn is_well(status: &ImagePolicyStatus) -> bool {
    status.reason == "AsChosen"
}

/// When the registry was asked and is asked again.
pub fn times(status: &ImagePolicyStatus, now: Timestamp) -> String {
    let asked = match status.asked_at {
        Some(at) => format!("{at} ({} ago)", age::since(at, now)),
        None => "not yet, since the daemon started".into(),
    };
    match status.next_at {
        Some(next) if next > now => format!("{asked}, next in {}", age::span(next.since(now))),
        Some(_) => format!("{asked}, next at once"),
        None => asked,
    }
}
