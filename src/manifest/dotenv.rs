//! Files of `NAME=value` lines, as Compose and dotenv read them, except that nothing is substituted in them.
//!
//! A mistake says where it is and never what the line says: the file may be a Secret's.

use std::collections::BTreeMap;

/// How many variables a file may have.
pub const VARIABLES_MAX: usize = 10_000;
/// How many mistakes of a file are reported: a person mends no more at once.
const MISTAKES_MAX: usize = 100;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, without the text that is wrong.
    pub message: String,
    /// The way out.
    pub hint: &'static str,
}

/// Reads the variables, or reports every mistake.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, Vec<Mistake>> {
    let mut reader =
        Reader { rest: text.trim_start_matches('\u{feff}'), line: 0, seen: BTreeMap::new(), mistakes: Vec::new() };
    while !reader.rest.is_empty() && reader.mistakes.len() < MISTAKES_MAX && reader.seen.len() <= VARIABLES_MAX {
        reader.entry();
    }
    if reader.seen.len() > VARIABLES_MAX {
        let message = format!("more than {VARIABLES_MAX} variables in one file");
        reader.wrong(reader.line, 1, message, "take what is not needed out, or mount the file as it is");
    }
    match reader.mistakes.is_empty() {
        true => Ok(reader.seen.into_iter().map(|(name, (_, value))| (name, value)).collect()),
        false => Err(reader.mistakes),
    }
}

/// Whether `name` can be the name of an environment variable.
pub fn is_env_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !name.is_empty() && name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit())
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    seen: BTreeMap<String, (usize, String)>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    fn take_line(&mut self) -> &'a str {
        self.line += 1;
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn wrong(&mut self, line: usize, column: usize, message: impl Into<String>, hint: &'static str) {
        self.mistakes.push(Mistake { line, column, message: message.into(), hint });
    }

    fn entry(&mut self) {
        let line = self.take_line();
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            return;
        }
        let number = self.line;
        let content = content.strip_prefix("export ").unwrap_or(content).trim_start();
        let column = column_of(line, content);
        let Some((name, value)) = content.split_once('=') else {
            return self.wrong(number, column, "'=' is missing", "write NAME=value; a comment begins with #");
        };
        let name = name.trim_end();
        let value = self.value(line, value.trim_start());
        if !is_env_name(name) {
            let hint = "a name has letters, digits and '_', and does not begin with a digit";
            return self.wrong(number, column, "this is not the name of a variable", hint);
        }
        if let Some((first, _)) = self.seen.get(name) {
            let message = format!("'{name}' is set twice, first in line {first}");
            return self.wrong(number, column, message, "remove one of them");
        }
        self.seen.insert(name.into(), (number, value));
    }

    fn value(&mut self, line: &'a str, text: &'a str) -> String {
        match text.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(line, text, quote),
            _ => bare(text),
        }
    }

    /// A value in quotes; it may go on over further lines. Escapes count in double quotes only.
    fn quoted(&mut self, line: &'a str, text: &'a str, quote: char) -> String {
        let (number, column) = (self.line, column_of(line, text));
        let (mut value, mut text) = (String::new(), &text[1..]);
        loop {
            let mut chars = text.char_indices();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' if quote == '"' => match chars.next() {
                        Some((_, escaped)) => unescape(escaped, &mut value),
                        None => value.push('\\'),
                    },
                    c if c == quote => {
                        self.after_quote(&text[at + 1..]);
                        return value;
                    }
                    c => value.push(c),
                }
            }
            if self.rest.is_empty() {
                self.wrong(number, column, "the quote is not closed", "add the closing quote at the end of the value");
                return value;
            }
            value.push('\n');
            text = self.take_line();
        }
    }

    fn after_quote(&mut self, rest: &str) {
        let rest = rest.trim_start();
        if !rest.is_empty() && !rest.starts_with('#') {
            let (line, hint) = (self.line, "put the whole value in quotes, or none of it");
            self.wrong(line, 1, "there is text after the closing quote", hint);
        }
    }
}

/// A value without quotes: a comment begins with ` #`.
fn bare(text: &str) -> String {
    if text.starts_with('#') {
        return String::new();
    }
    let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
    text[..end].trim_end().to_string()
}

fn unescape(escaped: char, value: &mut String) {
    match escaped {
        'n' => value.push('\n'),
        'r' => value.push('\r'),
        't' => value.push('\t'),
        '"' | '\\' | '$' | '\'' => value.push(escaped),
        other => value.extend(['\\', other]),
    }
}

/// The column at which `part`, a suffix of `line`, begins.
fn column_of(line: &str, part: &str) -> usize {
    line[..line.len() - part.len()].chars().count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> String {
        parse(text).unwrap().into_values().next().unwrap()
    }

    #[test]
    fn values_are_read_as_dotenv_reads_them() {
        for (text, value) in [
            ("A=b", "b"),
            ("A = b c ", "b c"),
            ("export A=b", "b"),
            ("A=", ""),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", ""),
            ("A='b # $c \\n'", "b # $c \\n"),
            ("A=\"b\\n\\\"c\\\" \\$d \\x\" # comment", "b\n\"c\" $d \\x"),
            ("A=\"b\nc\"", "b\nc"),
            ("A=pa$$word${X}", "pa$$word${X}"),
            ("\u{feff}# first\r\n\r\nA=b\r\n", "b"),
            ("A=b=c", "b=c"),
        ] {
            assert_eq!(one(text), value, "{text}");
        }
    }

    #[test]
    fn a_file_has_neither_too_many_variables_nor_mistakes() {
        let many: String = (0..=VARIABLES_MAX).map(|number| format!("A{number}=b\n")).collect();
        assert_eq!(parse(&many).unwrap_err()[0].message, "more than 10000 variables in one file");
        assert_eq!(parse(many.split_once('\n').unwrap().1).unwrap().len(), VARIABLES_MAX);
        assert_eq!(parse(&"x\n".repeat(1_000)).unwrap_err().len(), MISTAKES_MAX);
    }

    #[test]
    fn every_mistake_is_found_and_none_shows_the_value() {
        let mistakes = parse("hunter2\n1A=hunter2\nB='hunter2' hunter2\nC=1\nC=hunter2\nD=\"hunter2\n").unwrap_err();
        let places: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(places, [1, 2, 3, 5, 6]);
        assert!(!format!("{mistakes:?}").contains("hunter2"));
    }
}
