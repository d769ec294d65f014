//! The text of one manifest, and where its lines are: turns byte offsets into places that a person finds. What of it is not shown
//! is next door.

use std::sync::Arc;

use super::diagnostic::Spot;
use super::hidden::{Hidden, masked};

/// A range of bytes in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// The longest line that a diagnostic takes along, in bytes; nobody reads a longer one.
const LINE_MAX: usize = 4096;

/// A manifest's text.
#[derive(Debug)]
pub struct File {
    /// Its path, as people write it.
    pub name: String,
    /// The text, without a byte order mark.
    pub text: String,
    lines: Vec<usize>,
    hidden: Arc<Hidden>,
}

impl File {
    /// Takes the text in.
    pub fn new(name: String, text: String) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        let hidden = Arc::new(Hidden::in_manifest(&text));
        Self { name, text, lines, hidden }
    }

    /// Takes the text of another file than a manifest in: lines that may hold the URL of a webhook are not shown.
    pub fn of_settings(name: String, text: String) -> Self {
        let hidden = Arc::new(Hidden::in_settings(&text));
        Self { hidden, ..Self::new(name, text) }
    }

    /// Where `pos` is, for people.
    pub fn spot(&self, pos: Pos) -> Spot {
        let start = self.boundary(pos.start);
        let index = self.lines.partition_point(|first| *first <= start) - 1;
        let first = self.lines[index];
        let line = self.line(index);
        let last = pos.end.clamp(start, (first + line.len()).max(start));
        let hidden = self.hidden.has(start);
        Spot {
            file: self.name.clone(),
            line: index + 1,
            column: self.text[first..start].chars().count() + 1,
            width: self.text[start..self.boundary(last)].trim_end().chars().count().max(1),
            source_line: (line.len() <= LINE_MAX).then(|| if hidden { masked(line) } else { line.to_string() }),
        }
    }

    /// What is not to be told of what is at `pos`, if it is in a part that is not shown.
    pub fn hidden_at(&self, pos: Pos) -> Option<Arc<Hidden>> {
        self.hidden.has(self.boundary(pos.start)).then(|| self.hidden.clone())
    }

    /// The number of the line that `pos` begins in, from 1.
    pub fn line_number(&self, pos: Pos) -> usize {
        self.lines.partition_point(|first| *first <= pos.start)
    }

    /// The line that `pos` begins in.
    pub fn line_of(&self, pos: Pos) -> &str {
        self.line(self.line_number(pos) - 1)
    }

    /// Where a place for people is, in bytes.
    pub fn offset(&self, spot: &Spot) -> usize {
        let Some(index) = spot.line.checked_sub(1) else { return 0 };
        let line = self.line(index);
        let mut rest = line.chars();
        if let Some(before) = spot.column.checked_sub(2) {
            rest.nth(before);
        }
        self.lines[index] + line.len() - rest.as_str().len()
    }

    fn line(&self, index: usize) -> &str {
        let end = self.lines.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[self.lines[index]..end].trim_end_matches(['\n', '\r'])
    }

    /// The nearest character boundary at or before `at`.
    fn boundary(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at.min(self.text.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_not_bytes() {
        let file = File::new("a.yaml".into(), "x: 1\r\nä: ü\r\n".into());
        let spot = file.spot(Pos { start: 10, end: 12 });
        assert_eq!((spot.line, spot.column, spot.width), (2, 4, 1));
        assert_eq!(spot.source_line.as_deref(), Some("ä: ü"));
    }

    #[test]
    fn a_secrets_line_shows_its_key_alone() {
        let text = "kind: Deployment\n---\nkind: Secret\npassword: hunter2\nhunter3\n---\nkind: Job\n";
        let file = File::new("a.yaml".into(), text.into());
        let line = |part: &str| {
            let start = text.find(part).unwrap();
            file.spot(Pos { start, end: start + 1 }).source_line.unwrap()
        };
        assert_eq!(line("password"), "password: …");
        assert_eq!(line("hunter3"), "…");
        assert_eq!(line("kind: Job"), "kind: Job");
    }
}
