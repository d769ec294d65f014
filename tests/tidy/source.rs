//! A source file as the tidiness rules see it: code without comments and strings, and without tests. It judges nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file. Both views have the file's own lines; what does not belong to a view is blank in it.
pub struct Source {
    /// The path from the package's root: `src/plan/mod.rs`.
    pub path: PathBuf,
    /// The file's text.
    pub text: String,
    /// Its code, without comments, strings and characters.
    pub code: String,
    /// Its code outside of tests; empty for a file of tests.
    pub shipped: String,
    /// The same with strings.
    pub shipped_strings: String,
    /// How many lines its tests have.
    pub test_lines: usize,
}

/// All Rust files below a directory of the package, in order.
pub fn sources(dir: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(dir)];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let (dirs, rest): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        open.extend(dirs);
        files.extend(rest.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs")));
    }
    files.sort();
    let read = |path: &PathBuf| {
        Source::new(
            path.strip_prefix(root).expect("it was found there"),
            fs::read_to_string(path).expect("source is text"),
        )
    };
    files.iter().map(read).collect()
}

impl Source {
    /// The views of a text.
    pub fn new(path: &Path, text: String) -> Self {
        let (code, strings) = views(&text);
        let tests = if path.file_name().is_some_and(|name| name == "tests.rs") {
            vec![(0, text.len())]
        } else {
            test_items(&code)
        };
        let shipped = blank(&code, &tests);
        let shipped_strings = blank(&strings, &tests);
        let test_lines = tests.iter().map(|(from, to)| text[*from..*to].lines().count()).sum();
        Self { path: path.into(), text, code, shipped, shipped_strings, test_lines }
    }

    /// How many lines there are beside tests.
    pub fn shipped_lines(&self) -> usize {
        self.text.lines().count() - self.test_lines
    }

    /// The functions outside of tests: name, line, and how many lines each has.
    pub fn functions(&self) -> Vec<(&str, usize, usize)> {
        let code = &self.shipped;
        let starts = words(code, "fn").filter_map(|at| {
            let name = code[at + 2..].trim_start();
            let name = &name[..name.find(|c: char| !is_word(c))?];
            let open = at + code[at..].find(['{', ';'])?;
            let close = closing(code, open)?;
            (!name.is_empty()).then(|| (name, line(code, at), line(code, close) - line(code, at) + 1))
        });
        starts.collect()
    }
}

/// The line that a byte is on, from 1.
pub fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where `word` stands in `code` as a word of its own, not as the end of a longer path.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(|c| is_word(c) || c == ':' || c == '\'' || c == '.') && !after.is_some_and(is_word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The code without comments and strings, and the code without comments.
fn views(text: &str) -> (String, String) {
    let (mut code, mut strings) = (String::new(), String::new());
    let mut rest = text;
    while !rest.is_empty() {
        let (length, kind) = token(rest, code.chars().next_back());
        let (piece, tail) = rest.split_at(length);
        let spaces: String = piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code += if kind == Kind::Code { piece } else { &spaces };
        strings += if kind == Kind::Comment { &spaces } else { piece };
        rest = tail;
    }
    (code, strings)
}

#[derive(PartialEq)]
enum Kind {
    Code,
    Comment,
    Text,
}

/// The length and kind of what `rest` begins with.
fn token(rest: &str, before: Option<char>) -> (usize, Kind) {
    let until = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
    }
    if rest.starts_with("/*") {
        return (until("*/"), Kind::Comment);
    }
    if rest.starts_with('"') {
        return (quoted(rest, '"'), Kind::Text);
    }
    let raw = rest.trim_start_matches('b').strip_prefix('r').map(|tail| tail.trim_start_matches('#'));
    if let Some(tail) = raw.filter(|tail| tail.starts_with('"') && !before.is_some_and(is_word)) {
        let head = rest.len() - tail.len() + 1;
        let hashes = rest[..head].matches('#').count();
        let end = format!("\"{}", "#".repeat(hashes));
        return (tail[1..].find(&end).map_or(rest.len(), |at| head + at + end.len()), Kind::Text);
    }
    let mut chars = rest.chars();
    let first = chars.next().map_or(1, char::len_utf8);
    if rest.starts_with('\'') {
        let (second, third) = (chars.next(), chars.next());
        if second == Some('\\') || third == Some('\'') {
            return (quoted(rest, '\''), Kind::Text);
        }
    }
    (first, Kind::Code)
}

/// The length of a quoted text with its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Where items for tests begin and end.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let items = code.match_indices("#[cfg(test)]").filter_map(|(at, _)| {
        let open = at + code[at..].find(['{', ';'])?;
        Some((at, closing(code, open)? + 1))
    });
    items.collect()
}

/// Where the block that begins at `open` ends; a `;` is its own end.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in code[open..].char_indices() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return Some(open + at);
        }
    }
    None
}

/// `text` with the given places blank.
fn blank(text: &str, places: &[(usize, usize)]) -> String {
    let hidden = |at: usize| places.iter().any(|(from, to)| (*from..*to).contains(&at));
    text.char_indices().map(|(at, c)| if c != '\n' && hidden(at) { ' ' } else { c }).collect()
}
