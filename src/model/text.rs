//! Untrusted text (names, labels, log lines) on its way to a terminal.

/// `text` without control characters, which could take over a terminal; a tab becomes a space.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\t' => Some(' '),
            c if c.is_control() => None,
            // Bidirectional overrides can make a line read differently from what it says.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
            c => Some(c),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\u{9b}d"), "a[2Jb cd");
    }
}
