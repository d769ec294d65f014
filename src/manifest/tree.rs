//! A YAML document as a tree that knows where each part of it is written. It holds no opinion about the content.

use std::ops::{Deref, DerefMut};

use super::file::Pos;

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it is written; for a mapping or a list, where it begins.
    pub pos: Pos,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, a number, true, false or nothing.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Fields.
    Mapping(Fields),
}

/// The fields of a mapping, in the order of the file. No key is there twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    entries: Vec<Entry>,
    /// Their places in the order of their names, where there are many: rules look up one after the other.
    sorted: Vec<usize>,
}

/// Up to so many fields are found by looking at each.
const FEW: usize = 16;

impl From<Vec<Entry>> for Fields {
    fn from(entries: Vec<Entry>) -> Self {
        let mut sorted: Vec<usize> = if entries.len() > FEW { (0..entries.len()).collect() } else { Vec::new() };
        sorted.sort_unstable_by(|a, b| entries[*a].key.cmp(&entries[*b].key));
        Self { entries, sorted }
    }
}

impl Fields {
    /// The field with a name.
    pub fn named(&self, name: &str) -> Option<&Entry> {
        if self.sorted.is_empty() {
            return self.entries.iter().find(|entry| entry.key == name);
        }
        let found = self.sorted.binary_search_by(|at| self.entries[*at].key.as_str().cmp(name)).ok()?;
        Some(&self.entries[self.sorted[found]])
    }

    /// The fields without their order.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

/// Names stay as they are.
impl DerefMut for Fields {
    fn deref_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }
}

impl Deref for Fields {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.entries
    }
}

/// A value without parts, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The text, without quotes and escapes.
    pub text: String,
    /// Whether it is written without quotes, so that `3`, `true` and an empty value mean what they look like.
    pub plain: bool,
    /// Whether a variable was put in.
    pub substituted: bool,
    /// Whether a variable or what an alias repeats could not be put in: reported already, so nothing more is said about it.
    pub broken: bool,
}

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Where its name is written.
    pub key_pos: Pos,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The value of a field, if this is a mapping that has it.
    pub fn field(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// A field, if this is a mapping that has it.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(fields) => fields.named(name),
            Value::Scalar(_) | Value::Sequence(_) => None,
        }
    }

    /// The fields, if this is a mapping.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Scalar(_) | Value::Sequence(_) => &[],
        }
    }

    /// The items, if this is a list.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            Value::Scalar(_) | Value::Mapping(_) => &[],
        }
    }

    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        self.scalar().map(|scalar| scalar.text.as_str())
    }

    /// Whether something could not be put in its place: that is reported already.
    pub fn is_unread(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.broken)
    }

    /// Whether it is YAML's null: nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }
}

impl Scalar {
    /// Whether it is YAML's null: nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.plain && !self.substituted && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Whether it looks like a number or a boolean to YAML, so that a text needs quotes.
    pub fn is_number_or_bool(&self) -> bool {
        self.plain && !self.substituted && (self.bool().is_some() || number(&self.text))
    }

    /// Whether it is a whole number but for its quotes.
    pub fn is_quoted_number(&self) -> bool {
        let digits = !self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit());
        digits && !self.plain && !self.substituted
    }

    /// The boolean that it is. Quotes make it a text, unless a variable was put in.
    pub fn bool(&self) -> Option<bool> {
        match (self.plain || self.substituted, self.text.as_str()) {
            (true, "true" | "True" | "TRUE") => Some(true),
            (true, "false" | "False" | "FALSE") => Some(false),
            _ => None,
        }
    }

    /// The decimal whole number that it is. Quotes make it a text, unless a variable was put in.
    pub fn integer(&self) -> Option<i64> {
        let digits = self.text.strip_prefix('-').unwrap_or(&self.text);
        // `012` is twelve to some and ten to others, so it is no number here.
        let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
        if plain && (self.plain || self.substituted) { self.text.parse().ok() } else { None }
    }
}

/// Whether YAML 1.2 reads `text` as a number.
fn number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix: &str, radix: u32| {
        text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return true,
        ".nan" | ".NaN" | ".NAN" => return unsigned.len() == text.len(),
        _ => {}
    }
    let begins = unsigned.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    let word = unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    radix("0o", 8) || radix("0x", 16) || (begins && word && unsigned.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar { text: text.into(), plain: true, substituted: false, broken: false }
    }

    #[test]
    fn yaml_reads_these_as_numbers() {
        for text in
            ["0", "12", "012", "-3", "+3", "1.5", "1e3", "1E-3", ".5", "5.", "0o17", "0x1f", ".inf", "-.inf", ".nan"]
        {
            assert!(plain(text).is_number_or_bool(), "{text}");
        }
        for text in ["1.2.3", "22:22", "1_000", "e3", "12a", "-", ".", "0x", "inf", "infinity", "no", "1h"] {
            assert!(!plain(text).is_number_or_bool(), "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_written_in_one_way() {
        assert_eq!(plain("3001").integer(), Some(3001));
        assert_eq!(plain("-1").integer(), Some(-1));
        for text in ["012", "0x10", "1e3", "1.0", "+1", "", "-", "99999999999999999999"] {
            assert_eq!(plain(text).integer(), None, "{text}");
        }
    }
}
