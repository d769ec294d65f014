//! How a template's image is followed in its registry: which tag is the newest, or which digest a tag has by now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::Span;

/// Follows the image in its registry: the newest tag by `semver`, the newest tag by `pattern`, or what the tag in `image` leads to
/// by now (`digest`). The words are those of Flux's ImagePolicy. The tag and digest that are found make an ordinary new
/// revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagePolicy {
    /// The highest version in this range, such as `>=1.4 <2`, `^1.4`, `~1.4.2`, `1.x`, or several with `||` between them. A tag is
    /// a version if it has three numbers, with or without a `v` before them. Pre-releases only count where the range names one
    /// of the same three numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "semver-range"))]
    pub semver: Option<String>,
    /// A regular expression that a whole tag must match, such as `main-(?P<n>\d+)`. What its group matches is compared, by
    /// `order` or as a version by `semver`; without a group the tag itself is. At most one group; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "tag-pattern"))]
    pub pattern: Option<String>,
    /// How `pattern` is compared: Numerical or Alphabetical. The highest is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<TagOrder>,
    /// `Follow`: the tag in `image` stays, and what it leads to is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestPolicy>,
    /// How often the registry is asked, at least 10s. Of several for one repository the shortest counts. Default: 5m.
    #[serde(default = "five_minutes")]
    pub interval: Span,
}

/// How tags are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TagOrder {
    /// As whole numbers, of any length: 9 comes before 10. A tag without one does not count.
    Numerical,
    /// As texts, byte by byte: for dates such as `2026-01-31`, and for what always has the same length.
    Alphabetical,
}

/// What becomes of a tag that has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DigestPolicy {
    /// It is followed.
    Follow,
}

/// The shortest interval: registries have limits.
pub const INTERVAL_MIN: Span = Span::secs(10);

fn five_minutes() -> Span {
    Span::secs(300)
}
