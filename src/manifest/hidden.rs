//! What of a file's text nobody is shown: the values in Secrets, where people put by mistake what is secret, and addresses of
//! webhooks. Found by the text, so that what is not even YAML is found too.

use std::collections::BTreeSet;

use super::file::Pos;

/// The parts of a text that are not shown.
#[derive(Debug, Default)]
pub struct Hidden {
    parts: Vec<Pos>,
    /// What stands in them, but for the keys and the metadata.
    values: String,
    keys: BTreeSet<String>,
}

impl Hidden {
    /// The documents of a manifest that say `kind: Secret`, or something much like it.
    pub fn in_manifest(text: &str) -> Self {
        Self::of(text, secret_documents(text))
    }

    /// The lines of another file that may hold the URL of a webhook.
    pub fn in_settings(text: &str) -> Self {
        Self::of(text, addresses(text))
    }

    fn of(text: &str, parts: Vec<Pos>) -> Self {
        let mut hidden = Self { parts, ..Self::default() };
        for part in &hidden.parts {
            let mut is_header = false;
            for line in text[part.start..part.end.min(text.len())].lines() {
                if !line.starts_with([' ', '-']) {
                    is_header = ["apiVersion", "kind", "metadata"].iter().any(|field| line.starts_with(field));
                }
                let value = key_of(line).map_or(line, |(_, value)| value);
                hidden.keys.extend(keys_in(line));
                if !is_header {
                    hidden.values.extend([value, "\n"]);
                }
            }
        }
        hidden
    }

    /// Whether what begins at this byte is not shown.
    pub fn has(&self, start: usize) -> bool {
        let after = self.parts.partition_point(|part| part.start <= start);
        self.parts[..after].last().is_some_and(|part| start < part.end)
    }

    /// A sentence about something in here without the words of the text that it quotes. Keys and paths may be told. `room` is what
    /// is left of the bytes that may be looked through for that.
    pub fn untold(&self, sentence: &str, room: &mut usize) -> String {
        // What was written to be told stands at the end, and a variable between `${` and `:` or `}`.
        let (start, last) = sentence.rsplit_once(": ").map_or((sentence, None), |(start, last)| (start, Some(last)));
        let mut told: Vec<&str> = Vec::new();
        for (number, part) in start.split('\'').enumerate() {
            told.extend((number > 0).then_some("'"));
            match (number % 2, part.split_once("${")) {
                (1, _) => told.push(self.instead_of(part, room)),
                (_, Some((before, after))) => {
                    let end = after.find([':', '}']).unwrap_or(after.len());
                    told.extend([before, "${", self.instead_of(&after[..end], room), &after[end..]]);
                }
                (_, None) => told.push(part),
            }
        }
        if let Some(last) = last {
            told.extend([": ", self.instead_of(last, room)]);
        }
        told.concat()
    }

    fn instead_of<'w>(&self, word: &'w str, room: &mut usize) -> &'w str {
        let bare = word.trim_start_matches(['&', '*', '!', '$', '{', '<', ' ']).trim_end_matches(['}', '>']);
        let is_path = ["/", "./", "../"].iter().any(|start| bare.starts_with(start));
        let says_something = bare.contains(char::is_alphanumeric);
        if !says_something || is_path || self.keys.contains(bare) {
            return word;
        }
        let left = room.checked_sub(self.values.len());
        *room = left.unwrap_or_default();
        if left.is_none() || self.values.contains(bare) { "…" } else { word }
    }
}

/// A line with its key but without its value.
pub fn masked(line: &str) -> String {
    match key_of(line) {
        Some((key, "")) => key.to_owned(),
        Some((key, _)) => format!("{key} …"),
        None => "…".into(),
    }
}

/// The key of a line with its colon, and the rest. Words before a colon that look like no key are none.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let end = line.find(": ").or_else(|| line.trim_end().strip_suffix(':').map(str::len))?;
    let name = line[..end].trim_start_matches([' ', '-', '{']).trim_matches(['"', '\'']);
    looks_like_a_key(name).then(|| (&line[..=end], line[end + 1..].trim()))
}

/// What stands before a colon in a line, also within braces.
fn keys_in(line: &str) -> impl Iterator<Item = String> {
    let ends = line.match_indices(':').map(|(at, _)| at);
    let ends = ends.filter(|end| line[end + 1..].is_empty() || line[end + 1..].starts_with(' '));
    ends.filter_map(move |end| key_at_end(&line[..end])).map(str::to_owned)
}

/// The key that a text ends in: nothing stands before it, or what opens it. Looks back no further than to the word before.
fn key_at_end(text: &str) -> Option<&str> {
    let quotes = ['"', '\''];
    let text = text.trim_end_matches(quotes);
    let start = text.rfind(|c| !is_of_a_key(c)).map_or(0, |at| text.ceil_char_boundary(at + 1));
    let (before, name) = text.split_at(start);
    let name = if before.ends_with(quotes) { name } else { name.trim_start_matches('-') };
    let before = before.trim_end_matches(quotes).trim_end_matches([' ', '-']);
    let stands_alone = before.is_empty() || before.ends_with(['{', ',', '[']);
    (stands_alone && !name.is_empty()).then_some(name)
}

/// Whether a name is one that a key may have: of what else stands in its place, a part may be secret.
pub fn looks_like_a_key(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_a_key)
}

fn is_of_a_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '<')
}

fn secret_documents(text: &str) -> Vec<Pos> {
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        // Not every line of dashes ends a document: that of a key in PEM does not.
        if line.strip_prefix("---").is_some_and(|rest| rest.trim_start().len() < rest.len() || rest.is_empty()) {
            found.extend(is_secret(&text[start..at]).then_some(Pos { start, end: at }));
            start = at;
        }
        at += line.len();
    }
    found.extend(is_secret(&text[start..]).then_some(Pos { start, end: at + 1 }));
    found
}

/// Whether a document says what looks like `kind: Secret`, however it is written.
fn is_secret(document: &str) -> bool {
    let says = |at: usize| {
        let rest = document[at + 4..].chars().filter(|c| !matches!(c, '"' | '\'') && !c.is_whitespace());
        rest.take(4).map(|c| c.to_ascii_lowercase()).eq(":sec".chars())
    };
    let word = |letters: &[u8]| letters.eq_ignore_ascii_case(b"kind");
    document.as_bytes().windows(4).enumerate().any(|(at, letters)| word(letters) && says(at))
}

/// The lines that look as if they held a URL, and all that follows the beginning of `notifications`, however it is
/// misspelt, until the next field of the file.
fn addresses(text: &str) -> Vec<Pos> {
    let (mut found, mut is_inside, mut at) = (Vec::new(), false, 0);
    for line in text.split_inclusive('\n') {
        let lower = line.to_ascii_lowercase();
        if line.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '{' | '"' | '\'')) {
            is_inside = lower.trim_start_matches(['{', '"', '\'', ' ']).starts_with("not");
        }
        if is_inside || lower.contains("url") || lower.contains("://") {
            found.push(Pos { start: at, end: at + line.len() + 1 });
        }
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_however_its_kind_is_written() {
        for secret in ["kind: Secret", "{\"kind\": \"Secret\"}", "kind:\n  Secret", "kind : 'secret'", "kind: Secert"] {
            assert!(is_secret(secret), "{secret}");
        }
        assert!(!is_secret("kind: Deployment\nsecret: x") && !is_secret("kind:"));
    }

    #[test]
    fn the_lines_of_a_key_do_not_end_a_document() {
        let hidden =
            Hidden::in_manifest("kind: Secret\n-----BEGIN KEY-----\nhunter2\n---\nkind: Job\n--- # x\nkind: Secret");
        assert_eq!(hidden.parts.len(), 2);
        assert_eq!(hidden.parts[0].end, "kind: Secret\n-----BEGIN KEY-----\nhunter2\n".len());
    }

    #[test]
    fn a_sentence_keeps_its_own_words_keys_and_paths() {
        let hidden =
            Hidden::in_manifest("kind: Secret\nmetadata: {name: env}\nfiles:\n  pass: /a/hunter2\n  x: !hunter3\n");
        for (sentence, told) in [
            ("the tag '!hunter3' has no meaning", "the tag '…' has no meaning"),
            ("write ${hunter3:-default}", "write ${…:-default}"),
            (
                "'pass' of 'env': the file '/a/hunter2' isn't there",
                "'pass' of 'env': the file '/a/hunter2' isn't there",
            ),
            ("write '<<: *anchor'", "write '<<: *anchor'"),
            ("'x' is not set: hunter3", "'x' is not set: …"),
        ] {
            assert_eq!(hidden.untold(sentence, &mut 1_000), told);
        }
    }

    #[test]
    fn only_what_looks_like_a_key_is_shown_of_a_line() {
        for (line, shown) in [
            ("  password: hunter2", "  password: …"),
            ("- \"a.b\": hunter2: x", "- \"a.b\": …"),
            ("spec: {files: {x: hunter2}}", "spec: …"),
            ("  password hunter2: x", "…"),
            ("password hunter2:", "…"),
            ("  files:", "  files:"),
            ("hunter2", "…"),
        ] {
            assert_eq!(masked(line), shown);
        }
    }
}
