//! What receivers of notifications were told last: the memory that keeps the same news from being sent twice, also over
//! a restart. Plain data; what is news is decided in `notification`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What each receiver was told, by its name.
pub type Told = BTreeMap<String, Subjects>;

/// What one receiver was told last, by subject: `deployment/shop/web`, `engine`, `source /srv/shop`.
pub type Subjects = BTreeMap<String, Last>;

/// The last that was told of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// The result; empty when nothing is known of a subject that was there before anybody could tell.
    pub result: String,
    /// What it was the result of: a revision's id, or nothing.
    pub of: String,
    /// Whether somebody should look: if so, the next good result is told too.
    pub bad: bool,
}

impl Last {
    /// What stands for a subject that was there before anybody could tell: its first good result is no news.
    pub fn before_our_time() -> Self {
        Self { result: String::new(), of: String::new(), bad: false }
    }

    /// Whether it is [`Last::before_our_time`].
    pub fn is_before_our_time(&self) -> bool {
        self.result.is_empty()
    }
}
