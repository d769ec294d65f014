//! One value in the text of a manifest, put in the place of another one: every byte around it stays as it is.
//!
//! It knows YAML's ways to write a value, and no manifest. What has no place of its own is refused.

use std::ops::Range;

use crate::manifest::diagnostic::{Diagnostic, Problems};
use crate::manifest::file::{File, Pos};
use crate::manifest::tree::{Entry, Scalar};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
}

/// The text of `file` with `value` as the value of `entry`, or why it cannot be put there.
pub fn replaced(file: &File, entry: &Entry, value: &str) -> Result<String, Box<Diagnostic>> {
    let (range, style) = written(file, entry)?;
    let mut text = file.text.clone();
    text.replace_range(range, &render(value, style));
    Ok(text)
}

/// Where the value of `entry` stands in the text, quotes included.
fn written(file: &File, entry: &Entry) -> Result<(Range<usize>, Style), Box<Diagnostic>> {
    let refuse = |at: usize, length: usize, message: &str, hint: &str| {
        let mut problems = Problems::default();
        let problem = problems.error(file, Pos { start: at, end: at + length }, message);
        problem.hint(hint);
        Err(Box::new(problem.clone()))
    };
    let start = beginning(&file.text, entry.key_pos.end);
    let word = file.text[start..].split_whitespace().next().unwrap_or_default();
    match word.chars().next() {
        Some('*') => refuse(
            start,
            word.len(),
            &format!("'{}' is the alias {word}: to change it here would change it elsewhere", entry.key),
            "write the value here instead of the alias, then set it",
        ),
        Some('&') => refuse(
            start,
            word.len(),
            &format!("'{}' has the anchor {word}: what repeats it would change too", entry.key),
            "write the value without the anchor, and itself where it was repeated, then set it",
        ),
        Some('|' | '>') => refuse(
            start,
            word.len(),
            &format!("'{}' is a block of text, whose lines cannot be kept", entry.key),
            "write it in one line after the ':', then set it",
        ),
        _ => match ending(&file.text, start, entry) {
            Some((end, style)) => Ok((start..end, style)),
            None => refuse(
                entry.key_pos.start,
                entry.key_pos.end - entry.key_pos.start,
                &format!("where the value of '{}' is written is not understood", entry.key),
                "write it as a text in one line after the ':', then set it",
            ),
        },
    }
}

/// Where a value begins after its key: past the colon, white space, comments and a tag.
fn beginning(text: &str, key_end: usize) -> usize {
    let mut at = key_end;
    loop {
        let rest = &text[at..];
        let skipped = match rest.chars().next() {
            Some(c) if c.is_whitespace() || c == ':' => c.len_utf8(),
            Some('#') => rest.find('\n').unwrap_or(rest.len()),
            Some('!') => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            _ => return at,
        };
        at += skipped;
    }
}

/// Where the value of `entry` that begins at `start` ends, and how it is written.
fn ending(text: &str, start: usize, entry: &Entry) -> Option<(usize, Style)> {
    let pos = entry.value.pos;
    // The parser has to agree: with a merge or an alias around it, what it read may stand elsewhere.
    let whole = text.get(start..pos.end).filter(|_| pos.start == start)?.trim_end();
    let quoted = |quote: char| whole.len() > 1 && whole.ends_with(quote);
    let style = match whole.chars().next()? {
        '\'' => quoted('\'').then_some(Style::Single),
        '"' => quoted('"').then_some(Style::Double),
        _ => Some(Style::Plain),
    };
    style.map(|style| (start + whole.len(), style))
}

/// The value as it is written in that style; in double quotes where it would not be a text without.
fn render(value: &str, style: Style) -> String {
    match style {
        Style::Single => format!("'{}'", value.replace('\'', "''")),
        Style::Plain if is_plain(value) => value.into(),
        Style::Plain | Style::Double => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// Whether a value needs no quotes wherever it stands.
fn is_plain(value: &str) -> bool {
    let scalar = Scalar { text: value.into(), plain: true, substituted: false, broken: false };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@');
    let ends = value.starts_with(|c: char| c.is_ascii_alphanumeric()) && !value.ends_with(':');
    ends && value.chars().all(legal) && !scalar.is_number_or_bool() && !scalar.is_null()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml::{self, Budget};

    /// The text after `image` of the first document was set.
    fn set(text: &str, value: &str) -> Result<String, String> {
        let file = File::new("a.yaml".into(), text.into());
        let mut problems = Problems::default();
        let documents = yaml::parse(&file, &mut Budget::default(), &mut problems);
        assert!(problems.is_empty(), "{text}");
        replaced(&file, documents[0].entry("image").unwrap(), value).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_value_keeps_its_quotes_and_everything_around_it() {
        for (before, after) in [
            ("image: web:1", "image: new:2"),
            ("image: web:1   # one\nx: 1\n", "image: new:2   # one\nx: 1\n"),
            ("a: 1\r\nimage:   web:1\r\nb: 2\r\n", "a: 1\r\nimage:   new:2\r\nb: 2\r\n"),
            ("image: 'web:1' # x", "image: 'new:2' # x"),
            ("image: \"web\\u003a1\"", "image: \"new:2\""),
            ("{a: b, image: web:1, c: d}", "{a: b, image: new:2, c: d}"),
            ("{image: web:1}", "{image: new:2}"),
            ("{\"image\":\"web:1\"}", "{\"image\":\"new:2\"}"),
            ("'image' : web:1", "'image' : new:2"),
            ("image:\n  # why\n  web:1\n", "image:\n  # why\n  new:2\n"),
            ("? image\n: web:1\n", "? image\n: new:2\n"),
            ("image: !!str web:1\nx: 1", "image: !!str new:2\nx: 1"),
            ("ü: ü\nimage: wäb:1 # ü\n", "ü: ü\nimage: new:2 # ü\n"),
            ("image: one\n  two # x\nb: 1\n", "image: new:2 # x\nb: 1\n"),
            ("image: 'one\n\n  two'\nb: 1\n", "image: 'new:2'\nb: 1\n"),
            ("image: web:1\n\n# end\n---\nimage: web:1\n", "image: new:2\n\n# end\n---\nimage: web:1\n"),
        ] {
            assert_eq!(set(before, "new:2").as_deref(), Ok(after), "{before}");
        }
    }

    #[test]
    fn a_value_gets_quotes_where_it_would_not_be_a_text() {
        for (value, written) in [
            ("main-latest", "image: main-latest"),
            ("1.10", "image: \"1.10\""),
            ("null", "image: \"null\""),
            ("true", "image: \"true\""),
            ("", "image: \"\""),
            ("@sha256:ab", "image: \"@sha256:ab\""),
            ("[::1]:5000/web", "image: \"[::1]:5000/web\""),
        ] {
            assert_eq!(set("image: web:1", value).as_deref(), Ok(written));
        }
        assert_eq!(set("image: 'web:1'", "1.10").as_deref(), Ok("image: '1.10'"));
    }

    #[test]
    fn what_has_no_place_of_its_own_is_refused_with_the_way_out() {
        let said = |text: &str| set(text, "new:2").unwrap_err();
        insta::assert_snapshot!(said("a: &web web:1\nimage: *web\n"), @r"
        a.yaml:2:8: error: 'image' is the alias *web: to change it here would change it elsewhere
         2 | image: *web
           |        ^^^^
        hint: write the value here instead of the alias, then set it
        ");
        insta::assert_snapshot!(said("image:  &web web:1\nb: *web\n"), @r"
        a.yaml:1:9: error: 'image' has the anchor &web: what repeats it would change too
         1 | image:  &web web:1
           |         ^^^^
        hint: write the value without the anchor, and itself where it was repeated, then set it
        ");
        insta::assert_snapshot!(said("image: !!str &web 'web:1'\n"), @r"
        a.yaml:1:14: error: 'image' has the anchor &web: what repeats it would change too
         1 | image: !!str &web 'web:1'
           |              ^^^^
        hint: write the value without the anchor, and itself where it was repeated, then set it
        ");
        insta::assert_snapshot!(said("image: >-\n  web:1\n"), @r"
        a.yaml:1:8: error: 'image' is a block of text, whose lines cannot be kept
         1 | image: >-
           |        ^^
        hint: write it in one line after the ':', then set it
        ");
        insta::assert_snapshot!(said("image: |\n  web:1\n"), @r"
        a.yaml:1:8: error: 'image' is a block of text, whose lines cannot be kept
         1 | image: |
           |        ^
        hint: write it in one line after the ':', then set it
        ");
    }
}
