//! Takes secrets out of text that comes back from outside: log lines, error messages, the words of health checks.
//!
//! It knows the values themselves and how they look when they are printed, quoted, encoded or cut (docs/security.md says which
//! forms); no other form of them.

use std::collections::BTreeSet;

use super::encoding;
use crate::engine::credentials_of;
use crate::model::observed::{Container, ContainerState, Health, ProbeResult, Probes};
use crate::model::revision::{Content, ContentId};
use crate::model::secret::{REDACTED, SHORTEST};
use crate::model::text::{CUT, printable};

/// Shorter texts come whole, or end with [`CUT`]; a longer one may have been cut within a secret by somebody else.
const CUT_FROM: usize = 300;
/// Longer values are not looked for encoded: nobody writes them into a message so.
const ENCODED_MAX: usize = 4096;

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

    /// `text` without secrets, on one line, and without what nobody sees: that could stand between a secret's letters.
    pub fn clean(&self, text: &str) -> String {
        let whole = text.chars().count() < CUT_FROM;
        let mut text = printable(&text.replace(['\n', '\r'], " "));
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), REDACTED);
            }
        }
        let mut cut = self.without_cut_ends(&text);
        if !whole && !cut.ends_with(CUT) {
            cut = self.without_end(&cut);
        }
        cut
    }

    /// Masks the beginning of a secret wherever a text was cut: what has become of it may stand within another.
    fn without_cut_ends(&self, text: &str) -> String {
        let mut pieces: Vec<String> = text.split(CUT).map(String::from).collect();
        let cut = pieces.len() - 1;
        pieces[..cut].iter_mut().for_each(|piece| *piece = self.without_end(piece));
        pieces.join(CUT)
    }

    /// Masks the beginning of a secret at the end of a text.
    fn without_end(&self, text: &str) -> String {
        match self.values.iter().filter_map(|value| common_end(text, value)).max() {
            Some(length) => format!("{}{REDACTED}", &text[..text.len() - length]),
            None => text.to_owned(),
        }
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
    // What is not UTF-8 comes back as it is made readable everywhere.
    let texts: Vec<_> = values.chain(&passwords).map(|value| String::from_utf8_lossy(value.expose())).collect();
    let inner: Vec<String> = texts.iter().flat_map(|text| encoding::passwords_of(text.trim())).collect();
    let whole = texts.iter().map(|text| text.trim()).chain(inner.iter().map(String::as_str));
    // A file's lines are masked one by one too, because logs come line by line.
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
    let encoded = whole.clone().filter(|value| value.len() <= ENCODED_MAX).flat_map(encoding::encodings);
    lines.chain(whole).flat_map(looks).chain(encoded).collect()
}

/// A value as it is, made printable, on one line, and quoted as Go and JSON do it.
fn looks(value: &str) -> [String; 5] {
    let quoted = serde_json::Value::from(value).to_string();
    let quoted = &quoted[1..quoted.len() - 1];
    let on_one_line = printable(&value.replace(['\n', '\r'], " "));
    // As Go's encoder writes JSON: for a page in HTML.
    let in_html = quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    [value.into(), printable(value), on_one_line, quoted.into(), in_html]
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
            assert_eq!(cleaned, REDACTED, "{text}");
        }
    }

    #[test]
    fn a_secret_that_a_long_message_was_cut_in_is_masked() {
        let long = "x".repeat(CUT_FROM);
        assert_eq!(redactor("correct horse").clean(&format!("{long}correct h")), format!("{long}{REDACTED}"));
        // What is masked before makes it shorter.
        let repeated = format!("{}correct h", "correct horse ".repeat(30));
        assert!(!redactor("correct horse").clean(&repeated).contains("correct"));
        let shortest = |length| format!("{}correct h", "x".repeat(length - 9));
        assert!(redactor("correct horse").clean(&shortest(CUT_FROM)).ends_with(REDACTED));
        assert_eq!(redactor("correct horse").clean(&shortest(CUT_FROM - 1)), shortest(CUT_FROM - 1));
        assert_eq!(redactor("correct horse").clean("it was correct…"), format!("it was {REDACTED}…"));
        assert_eq!(redactor("correct horse").clean("it was correct"), "it was correct");
        let within = redactor("correct horse").clean("it was correct h… (try again)");
        assert_eq!(within, format!("it was {REDACTED}… (try again)"));
    }

    #[test]
    fn a_secret_that_is_not_utf_8_is_masked_as_it_is_read() {
        let entries =
            [("ini".to_string(), SecretBytes::new(b"# \xe9t\xe9\npass=sesame\nsel=\xe9pices\n".to_vec()))].into();
        let redactor = Redactor::new([(&ContentId("s-1".into()), &Content { entries })]);
        assert_eq!(
            redactor.clean(&String::from_utf8_lossy(b"read pass=sesame, sel=\xe9pices")),
            "read [redacted], [redacted]"
        );
    }

    #[test]
    fn a_secret_that_was_encoded_as_a_whole_is_masked() {
        let redactor = redactor("p<&>ss wörd/1");
        for text in [
            "cDwmPnNzIHfDtnJkLzE=",
            "cDwmPnNzIHfDtnJkLzE",
            "p%3C%26%3Ess%20w%C3%B6rd%2F1",
            "p%3c%26%3ess+w%c3%b6rd%2f1",
            "p\\u003c\\u0026\\u003ess wörd/1",
        ] {
            let cleaned = redactor.clean(text);
            assert_eq!(cleaned.trim_end_matches('='), REDACTED, "{text}");
        }
    }

    #[test]
    fn the_password_in_a_url_is_masked_alone() {
        let redactor = redactor("postgres://app:p%40ss-word@db:5432/app");
        assert_eq!(
            redactor.clean("p%40ss-word or p@ss-word for app at db:5432"),
            format!("{REDACTED} or {REDACTED} for app at db:5432")
        );
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
        let expected = probes(&|text| text.replace("SECRET", REDACTED));
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
