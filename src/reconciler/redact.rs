//! Takes secrets out of text that comes back from outside: log lines and error messages.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::revision::{Content, ContentId};

/// What stands in a secret's place.
const MASK: &str = "[redacted]";
/// Shorter values (`1`, `on`) are no secrets, and masking them would spoil every line.
const SHORTEST: usize = 4;

/// The values of the secrets in force.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a value that contains another is masked whole.
    values: Vec<String>,
}

impl Redactor {
    /// Masks the values of all Secrets in `contents`.
    pub fn new(contents: &BTreeMap<ContentId, Content>) -> Self {
        let secrets = contents.iter().filter(|(id, _)| id.0.starts_with("s-"));
        let values = secrets.flat_map(|(_, content)| content.entries.values());
        let texts = values.filter_map(|value| std::str::from_utf8(value.expose()).ok());
        // A file's lines are masked one by one too, because logs come line by line.
        let parts = texts.flat_map(|text| text.lines().chain([text]));
        let parts: BTreeSet<&str> = parts.map(str::trim).filter(|part| part.len() >= SHORTEST).collect();
        let mut values: Vec<String> = parts.into_iter().map(String::from).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// `text` without secrets.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_string();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), MASK);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::SecretBytes;

    #[test]
    fn a_secret_in_a_log_line_is_masked() {
        let entries = BTreeMap::from([("password".to_string(), SecretBytes::new(b"hunter22\n".to_vec()))]);
        let redactor = Redactor::new(&BTreeMap::from([(ContentId("s-1".into()), Content { entries })]));
        assert_eq!(redactor.clean("login root:hunter22 failed"), "login root:[redacted] failed");
    }
}
