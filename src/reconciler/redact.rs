//! Takes secrets out of text that comes back from outside: log lines, error messages, the words of health checks.
//!
//! It knows the values themselves and how they look when they are printed, quoted or cut; no other form of them.

use std::collections::BTreeSet;

use crate::engine::credentials_of;
use crate::model::observed::{Container, ContainerState, Health, ProbeResult, Probes};
use crate::model::revision::{Content, ContentId};
use crate::model::text::printable;

/// What stands in a secret's place.
const MASK: &str = "[redacted]";
/// Shorter values (`1`, `on`) are no secrets, and masking them would spoil every line.
const SHORTEST: usize = 4;
/// Shorter texts come whole; a longer one may have been cut within a secret.
const CUT_FROM: usize = 300;

/// The values of the secrets that may come back.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a value that contains another is masked whole.
    values: Vec<String>,
}

impl Redactor {
    /// Masks the values of all Secrets in `contents`.
    pub fn new<'a>(contents: impl IntoIterator<Item = (&'a ContentId, &'a Content)>) -> Self {
        let secrets = contents.into_iter().filter(|(id, _)| id.is_secret());
        let forms: BTreeSet<String> = secrets.flat_map(|(_, content)| forms(content)).collect();
        let mut values: Vec<String> = forms.into_iter().filter(|form| form.len() >= SHORTEST).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// `text` without secrets.
    pub fn clean(&self, text: &str) -> String {
        let whole = !text.ends_with('…') && text.chars().count() < CUT_FROM;
        let mut text = text.to_string();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), MASK);
            }
        }
        if whole { text } else { self.without_cut_end(text) }
    }

    /// Masks the beginning of a secret at the end of a text that was cut.
    fn without_cut_end(&self, mut text: String) -> String {
        let body = text.trim_end_matches('…').len();
        let longest = self.values.iter().filter_map(|value| common_end(&text[..body], value)).max();
        if let Some(length) = longest {
            text.replace_range(body - length..body, MASK);
        }
        text
    }

    /// What a container's own state says in words: why it did not start, what its health check printed.
    pub fn clean_container(&self, container: &mut Container) {
        if let ContainerState::Created { error: Some(error) } = &mut container.state {
            error.message = self.clean(&error.message);
        }
        if let Health::Unhealthy { message } = &mut container.health {
            *message = self.clean(message);
        }
        container.last_log.iter_mut().for_each(|line| *line = self.clean(line));
    }

    /// What servers answered to probes.
    pub fn clean_probes(&self, mut probes: Probes) -> Probes {
        let own = [&mut probes.startup, &mut probes.readiness, &mut probes.liveness].into_iter().flatten();
        for result in own.chain(probes.gates.values_mut()) {
            match result {
                ProbeResult::Unknown { message }
                | ProbeResult::Unmade { message }
                | ProbeResult::Failure { message } => *message = self.clean(message),
                ProbeResult::Success => {}
            }
        }
        probes
    }
}

/// Every form in which the values of a Secret may come back.
fn forms(content: &Content) -> BTreeSet<String> {
    // The server of a login stands in every image's reference: without it, nobody could tell which image is meant.
    let is_login = ["server", "username", "password"].iter().all(|key| content.entries.contains_key(*key));
    let values = content.entries.iter().filter(|(key, _)| !(is_login && *key == "server")).map(|(_, value)| value);
    // The engine is given the passwords in a `config.json`, not the file.
    let passwords: Vec<_> =
        values.clone().flat_map(|value| credentials_of(value.expose())).map(|login| login.password).collect();
    let texts = values.chain(&passwords).filter_map(|value| std::str::from_utf8(value.expose()).ok());
    // A file's lines are masked one by one too, because logs come line by line.
    let parts = texts.flat_map(|text| text.lines().chain([text])).map(str::trim);
    parts.flat_map(looks).collect()
}

/// A value as it is, made printable, on one line, and quoted as Go and JSON do it.
fn looks(value: &str) -> [String; 4] {
    let quoted = serde_json::Value::from(value).to_string();
    let on_one_line = printable(&value.replace(['\n', '\r'], " "));
    [value.into(), printable(value), on_one_line, quoted[1..quoted.len() - 1].into()]
}

/// How much of the beginning of `value` is the end of `text`, if it is enough to matter.
fn common_end(text: &str, value: &str) -> Option<usize> {
    let beginnings = value.char_indices().map(|(at, _)| at).rev().filter(|at| *at >= SHORTEST);
    beginnings.into_iter().find(|at| text.ends_with(&value[..*at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::SecretBytes;

    fn redactor(value: &str) -> Redactor {
        let entries = [("password".to_string(), SecretBytes::new(value.into()))].into();
        Redactor::new([(&ContentId("s-1".into()), &Content { entries })])
    }

    #[test]
    fn a_secret_in_a_log_line_is_masked() {
        assert_eq!(redactor("hunter22\n").clean("login root:hunter22 failed"), "login root:[redacted] failed");
    }

    #[test]
    fn a_secret_that_was_made_printable_or_quoted_is_masked() {
        let redactor = redactor("say \"ah\"\tor\u{1b}[2J\nsecond line");
        for text in ["say \"ah\"\tor\u{1b}[2J", "say \"ah\" or[2J", "say \"ah\" or[2J second line", r#"say \"ah\"\tor"#]
        {
            let cleaned = redactor.clean(&format!("{text}{}", if text.contains('\\') { "\\u001b[2J" } else { "" }));
            assert_eq!(cleaned, MASK, "{text}");
        }
    }

    #[test]
    fn a_secret_that_a_long_message_was_cut_in_is_masked() {
        let long = "x".repeat(CUT_FROM);
        assert_eq!(redactor("correct horse").clean(&format!("{long}correct h")), format!("{long}{MASK}"));
        // What is masked before makes it shorter.
        let repeated = format!("{}correct h", "correct horse ".repeat(30));
        assert!(!redactor("correct horse").clean(&repeated).contains("correct"));
        let shortest = |length| format!("{}correct h", "x".repeat(length - 9));
        assert!(redactor("correct horse").clean(&shortest(CUT_FROM)).ends_with(MASK));
        assert_eq!(redactor("correct horse").clean(&shortest(CUT_FROM - 1)), shortest(CUT_FROM - 1));
        assert_eq!(redactor("correct horse").clean("it was correct…"), format!("it was {MASK}…"));
        assert_eq!(redactor("correct horse").clean("it was correct"), "it was correct");
    }

    #[test]
    fn what_servers_answer_to_probes_is_masked_and_stays_what_it_is() {
        let message = |text: &str| text.replace("SECRET", "hunter22");
        let probes = |message: &dyn Fn(&str) -> String| Probes {
            startup: Some(ProbeResult::Unknown { message: message("no SECRET") }),
            readiness: Some(ProbeResult::Failure { message: message("401 SECRET") }),
            liveness: Some(ProbeResult::Success),
            gates: [(1, ProbeResult::Unmade { message: message("SECRET") })].into(),
        };
        let expected = probes(&|text| text.replace("SECRET", MASK));
        assert_eq!(redactor("hunter22").clean_probes(probes(&message)), expected);
    }

    #[test]
    fn the_server_of_a_login_is_no_secret() {
        let entry = |(key, value): (&str, &str)| (key.to_string(), SecretBytes::new(value.into()));
        let entries =
            [("server", "registry.example"), ("username", "robot"), ("password", "hunter22")].map(entry).into();
        let redactor = Redactor::new([(&ContentId("s-1".into()), &Content { entries })]);
        assert_eq!(
            redactor.clean("registry.example/web:2: 401 with hunter22"),
            "registry.example/web:2: 401 with [redacted]"
        );
        assert_eq!(redactor.clean("robot"), "[redacted]");
    }

    #[test]
    fn a_password_in_a_docker_configuration_is_masked() {
        let config = r#"{"auths": {"registry.example": {"auth": "YW5uOnNlc2FtZS1vcGVu"}}}"#;
        assert_eq!(redactor(config).clean("401: ann/sesame-open"), "401: ann/[redacted]");
    }
}
