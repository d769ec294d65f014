//! Untrusted text (names, labels, log lines) on its way to a terminal, and bytes as text.

use std::error::Error;

/// `text` without control characters, which could take over a terminal, and without invisible ones, which could make a
/// line read differently from what it says; a tab becomes a space.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\t' => Some(' '),
            c if is_unseen(c) => None,
            c => Some(c),
        })
        .collect()
}

/// Whether a terminal obeys a character, or a reader is misled by it: what is written there is not what is seen.
pub fn is_unseen(c: char) -> bool {
    match c {
        // Marks, overrides and isolates of direction.
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // No width: zero-width spaces and joiners, the word joiner and invisible operators, the byte order mark.
        '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => true,
        // A line or a paragraph ends.
        '\u{2028}' | '\u{2029}' => true,
        c => c.is_control(),
    }
}

/// An error with its causes: the first one alone says no more than "client error".
pub fn with_causes(error: &dyn Error) -> String {
    let (mut said, mut next) = (Vec::<String>::new(), error.source());
    while let Some(cause) = next {
        let words = cause.to_string();
        // Some errors say what their cause says.
        if !said.iter().any(|earlier| earlier.contains(&words)) {
            said.push(words);
        }
        next = cause.source();
    }
    if said.is_empty() { error.to_string() } else { said.join(": ") }
}

/// The first `most` of some names, and how many there are besides: `a, b and 3 more`.
pub fn listed<T: AsRef<str>>(names: impl ExactSizeIterator<Item = T>, most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let mut text = String::new();
    for name in names.take(most) {
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(name.as_ref());
    }
    match more {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// What stands where a text was cut.
pub const CUT: &str = "…";

/// The first `most` characters of a text, and [`CUT`] if it has more.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}{CUT}", &text[..end]),
        None => text.into(),
    }
}

/// The first `digits` hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8], digits: usize) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    halves.take(digits).filter_map(|half| char::from_digit(u32::from(half), 16)).collect()
}

/// The line of a log's end that says most about why a program ended: the last one with a word in it that is neither a place
/// in a stack (indented), nor what Node.js closes every crash with (its version). If there is none, the last that is not empty.
pub fn last_word(log: &[String]) -> Option<&str> {
    let tells = |line: &&str| {
        let said = line.trim_end();
        said.starts_with(|c: char| !c.is_whitespace())
            && said.contains(char::is_alphabetic)
            && !said.starts_with("Node.js v")
    };
    let lines = || log.iter().map(String::as_str).rev();
    lines().find(tells).or_else(|| lines().find(|line| !line.trim().is_empty())).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted_from_some_on() {
        let names = ["a", "b", "c"];
        assert_eq!((listed(names.iter(), 3), listed(names.iter(), 1)), ("a, b, c".into(), "a and 2 more".into()));
        assert_eq!(listed([""; 0].iter(), 1), "");
    }

    #[test]
    fn a_long_text_ends_where_it_was_cut() {
        assert_eq!((shortened("ąąą", 3), shortened("ąąąą", 3)), ("ąąą".into(), "ąąą…".into()));
    }

    #[test]
    fn the_last_word_is_the_error_and_not_its_stack() {
        let of = |text: &str| last_word(&text.lines().map(String::from).collect::<Vec<_>>()).map(String::from);
        let node = "throw new Error('x')\n^\n\nError: no database\n    at main (/srv/a.js:1:2) {\n  code: 'E'\n}\n\nNode.js v18.20.4\n";
        assert_eq!(of(node).unwrap(), "Error: no database");
        let python = "Traceback (most recent call last):\n  File \"a.py\", line 1\n    f()\nKeyError: 'DATABASE_URL'\n";
        assert_eq!(of(python).unwrap(), "KeyError: 'DATABASE_URL'");
        assert_eq!(of("starting\nbind: address in use\n\n").unwrap(), "bind: address in use");
        assert_eq!(of("  indented only\n").unwrap(), "indented only");
        assert_eq!(of("Node.js v18.20.4\n").unwrap(), "Node.js v18.20.4");
        assert_eq!(of("\n \n"), None);
    }

    #[test]
    fn bytes_are_written_in_lower_case_from_the_first_one_on() {
        assert_eq!(hex(&[0x0a, 0xff, 0x10], 6), "0aff10");
        assert_eq!(hex(&[0x0a, 0xff, 0x10], 3), "0af");
        assert_eq!(hex(&[], 8), "");
    }

    #[test]
    fn a_log_line_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\u{9b}d"), "a[2Jb cd");
    }

    #[test]
    fn nothing_invisible_is_left_of_a_text() {
        let hidden = "\u{61c}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202e}\u{2060}\u{2064}\u{2066}\u{feff}\r\u{8}\u{7}";
        assert_eq!(printable(&format!("a{hidden}b")), "ab");
        assert_eq!(printable("zażółć, 日本語, naïve"), "zażółć, 日本語, naïve");
    }
}
