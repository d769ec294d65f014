//! `${NAME}` in the values of a tree. A value stays one value whatever is put in: it can never become YAML.
//!
//! `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, and `$$` for a dollar. Keys and comments are left alone, and so
//! is a `$` before anything else. What was put in is not looked through again.

use std::collections::BTreeMap;

use super::diagnostic::Problems;
use super::file::{File, Pos};
use super::suggest;
use super::tree::{Node, Scalar, Value};

/// How long all values of a source may grow by substitution, in bytes.
pub const GROWTH_MAX: usize = 8 << 20;
/// How deep defaults may nest in defaults.
const NESTED_MAX: usize = 8;

/// How many mistakes of one value are reported; finding the place of each costs time.
const FAULTS_MAX: usize = 20;

/// Whether `name` can be the name of a variable.
pub fn is_variable(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The variables that a manifest can use.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Their values.
    pub values: BTreeMap<String, String>,
    /// Where a missing one can be set, for the hint.
    pub way_out: String,
    /// Whether some could not be read: that is reported already, so one that is missing is not.
    pub incomplete: bool,
}

/// A `${NAME…}` in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The name.
    pub name: String,
    /// Where it stands in the text, braces included.
    pub range: std::ops::Range<usize>,
}

/// The variables of a text, in order; those in the default of another one come after it. What is no variable is left
/// out: that is reported where it is put in.
pub fn uses(text: &str) -> Vec<Use> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
        at = match text.as_bytes().get(dollar + 1) {
            Some(b'$') => dollar + 2,
            Some(b'{') => {
                let name: String =
                    text[dollar + 2..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let inside = dollar + 2 + name.len();
                let close = closing(text, dollar).filter(|_| is_variable(&name));
                found.extend(close.map(|close| Use { name, range: dollar..close + 1 }));
                inside
            }
            _ => dollar + 1,
        };
    }
    found
}

/// What is left of [`GROWTH_MAX`].
pub struct Growth(usize);

impl Default for Growth {
    fn default() -> Self {
        Self(GROWTH_MAX)
    }
}

/// What is wrong in a value: at which `${` of it, and what.
struct Fault {
    nth: usize,
    unset: bool,
    message: String,
    hint: Option<String>,
}

/// Puts the variables into every value of the tree.
pub fn substitute(file: &File, node: &mut Node, variables: &Variables, growth: &mut Growth, problems: &mut Problems) {
    let pos = node.pos;
    match &mut node.value {
        Value::Scalar(scalar) => scalar_value(file, pos, scalar, variables, growth, problems),
        Value::Sequence(items) => {
            items.iter_mut().for_each(|item| substitute(file, item, variables, growth, problems));
        }
        Value::Mapping(entries) => {
            entries.iter_mut().for_each(|entry| substitute(file, &mut entry.value, variables, growth, problems));
        }
    }
}

fn scalar_value(
    file: &File,
    pos: Pos,
    scalar: &mut Scalar,
    variables: &Variables,
    growth: &mut Growth,
    problems: &mut Problems,
) {
    // What was put in already is not looked through again.
    if scalar.substituted || !scalar.text.contains('$') {
        return;
    }
    let (text, tells) = (&scalar.text, !problems.is_full());
    let mut expansion = Expansion { variables, text, tells, faults: Vec::new(), used: false, room: growth.0 };
    let expanded = expansion.expand(0, scalar.text.len(), 0);
    let (faults, used, room) = (expansion.faults, expansion.used, expansion.room);
    growth.0 = room;
    scalar.broken |= !faults.is_empty();
    for fault in faults.into_iter().filter(|fault| !(fault.unset && variables.incomplete)) {
        let problem = problems.error(file, place(file, pos, fault.nth), fault.message);
        problem.hint = fault.hint;
    }
    scalar.text = expanded;
    scalar.substituted |= used;
}

/// Where the `nth` `${` of a value is written. In quotes with escapes it may be the value itself.
fn place(file: &File, pos: Pos, nth: usize) -> Pos {
    let text = file.text.get(pos.start..pos.end.max(pos.start)).unwrap_or_default();
    let Some((at, _)) = text.match_indices("${").nth(nth) else { return pos };
    let length = text[at..].find(['}', '\n']).map_or(2, |end| end + 1);
    Pos { start: pos.start + at, end: pos.start + at + length }
}

struct Expansion<'a> {
    variables: &'a Variables,
    text: &'a str,
    /// Whether a fault will be told, with the way out.
    tells: bool,
    faults: Vec<Fault>,
    used: bool,
    room: usize,
}

impl Expansion<'_> {
    /// The text between two offsets, with its variables put in.
    fn expand(&mut self, start: usize, end: usize, depth: usize) -> String {
        let (mut out, mut at) = (String::new(), start);
        while let Some(dollar) = self.text[at..end].find('$').map(|offset| at + offset) {
            out.push_str(&self.text[at..dollar]);
            at = match self.text[dollar + 1..end].chars().next() {
                Some('$') => {
                    out.push('$');
                    dollar + 2
                }
                Some('{') => match closing(&self.text[..end], dollar) {
                    Some(close) => {
                        let value = self.variable(dollar, close, depth);
                        self.push(&mut out, &value, dollar);
                        close + 1
                    }
                    None => {
                        self.fault(
                            dollar,
                            "'${' is not closed by '}'",
                            Some("write $${ for a dollar and a brace".into()),
                        );
                        end
                    }
                },
                _ => {
                    out.push('$');
                    dollar + 1
                }
            };
        }
        out.push_str(&self.text[at.min(end)..end]);
        out
    }

    fn push(&mut self, out: &mut String, value: &str, dollar: usize) {
        if value.len() > self.room {
            self.room = 0;
            let message =
                format!("variables make the values of this source grow by more than {} MiB", GROWTH_MAX >> 20);
            return self.fault(dollar, message, None);
        }
        self.room -= value.len();
        out.push_str(value);
    }

    /// The value of the `${…}` from `dollar` to its brace at `close`.
    fn variable(&mut self, dollar: usize, close: usize, depth: usize) -> String {
        self.used = true;
        let is_over = self.room == 0 && !self.faults.is_empty();
        if is_over || self.faults.len() == FAULTS_MAX {
            return String::new();
        }
        let inner = &self.text[dollar + 2..close];
        let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
        let (name, operator) = inner.split_at(end);
        if !is_variable(name) {
            let hint = "a name has letters, digits and '_'; write $${ for a dollar and a brace";
            self.fault(dollar, "this is not the name of a variable", Some(hint.into()));
            return String::new();
        }
        let value = self.variables.values.get(name);
        let set = value.filter(|value| !value.is_empty());
        match (operator.get(..2), value, set) {
            (None, Some(value), _) if operator.is_empty() => value.clone(),
            (None, None, _) if operator.is_empty() => self.unset(dollar, name),
            (Some(":-" | ":?"), _, Some(value)) => value.clone(),
            (Some(":-"), _, None) if depth < NESTED_MAX => self.expand(close - operator.len() + 2, close, depth + 1),
            (Some(":-"), _, None) => {
                self.fault(dollar, format!("defaults nest deeper than {NESTED_MAX} levels"), None);
                String::new()
            }
            (Some(":?"), _, None) => {
                let message = operator[2..].trim();
                let hint = self.variables.way_out.clone();
                let message = if message.is_empty() { "it is required" } else { message };
                self.fault(dollar, format!("variable '{name}' is not set: {message}"), Some(hint));
                self.mark_unset()
            }
            _ => {
                let hint = "write ${NAME}, ${NAME:-default} or ${NAME:?message}; $${ for a dollar and a brace";
                self.fault(dollar, format!("'{operator}' after '{name}' has no meaning"), Some(hint.into()));
                String::new()
            }
        }
    }

    fn unset(&mut self, dollar: usize, name: &str) -> String {
        let known = self.variables.values.keys().map(String::as_str);
        let near = if self.tells { suggest::nearest(name, known) } else { None };
        let hint = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("{}, or write ${{{name}:-default}}", self.variables.way_out),
        };
        self.fault(dollar, format!("variable '{name}' is not set"), Some(hint));
        self.mark_unset()
    }

    /// The last fault is about a variable that is not set; nothing stands in its place.
    fn mark_unset(&mut self) -> String {
        if let Some(fault) = self.faults.last_mut() {
            fault.unset = true;
        }
        String::new()
    }

    fn fault(&mut self, dollar: usize, message: impl Into<String>, hint: Option<String>) {
        if self.faults.len() == FAULTS_MAX {
            return;
        }
        let nth = self.text[..dollar].matches("${").count();
        self.faults.push(Fault { nth, unset: false, message: message.into(), hint });
    }
}

/// The brace that closes the `${` at `dollar`; defaults may hold further ones.
fn closing(text: &str, dollar: usize) -> Option<usize> {
    let (mut depth, mut at) = (0usize, dollar);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest {
            [b'$', b'$', ..] if at > dollar => at += 2,
            [b'$', b'{', ..] => {
                depth += 1;
                at += 2;
            }
            [b'}', ..] if depth == 1 => return Some(at),
            [b'}', ..] => {
                depth -= 1;
                at += 1;
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, Vec<String>> {
        let values = [("TAG", "1.4"), ("EMPTY", ""), ("YAML", "a: [b]\n- ${TAG}")];
        let values = values.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let variables = Variables { values, way_out: "set it".into(), incomplete: false };
        let mut expansion =
            Expansion { variables: &variables, text, tells: true, faults: Vec::new(), used: false, room: 1000 };
        let out = expansion.expand(0, text.len(), 0);
        match expansion.faults.is_empty() {
            true => Ok(out),
            false => {
                Err(expansion.faults.into_iter().map(|fault| format!("{}: {}", fault.nth, fault.message)).collect())
            }
        }
    }

    #[test]
    fn variables_defaults_and_dollars_are_put_in() {
        for (text, value) in [
            ("a:${TAG}-${TAG}", "a:1.4-1.4"),
            ("$$TAG $${TAG} $TAG $ 5$", "$TAG ${TAG} $TAG $ 5$"),
            ("${NONE:-b}${EMPTY:-c}${EMPTY}", "bc"),
            ("${NONE:-${TAG}}", "1.4"),
            ("${NONE:-${OTHER:-x$$y}}z", "x$yz"),
            ("${TAG:?never seen}", "1.4"),
            ("${NONE:-}", ""),
            ("ü${TAG}ü", "ü1.4ü"),
            ("${YAML}", "a: [b]\n- ${TAG}"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn the_variables_of_a_text_are_found_with_their_places() {
        let found = |text: &str| -> Vec<(String, String)> {
            let one = |one: Use| (one.name, text[one.range].to_string());
            uses(text).into_iter().map(one).collect()
        };
        let pair = |name: &str, text: &str| (name.to_string(), text.to_string());
        assert_eq!(found("web:${TAG:?set it}"), [pair("TAG", "${TAG:?set it}")]);
        assert_eq!(found("${A}/$${B}:${C:-${D}}"), [pair("A", "${A}"), pair("C", "${C:-${D}}"), pair("D", "${D}")]);
        assert_eq!(found("$TAG ${1} ${TAG"), []);
    }

    #[test]
    fn what_is_not_set_or_not_understood_is_a_fault_at_its_place() {
        for (text, fault) in [
            ("${TAG} ${NONE}", "1: variable 'NONE' is not set"),
            ("${EMPTY:?say it}", "0: variable 'EMPTY' is not set: say it"),
            ("${TAG", "0: '${' is not closed by '}'"),
            ("${1:-x}", "0: this is not the name of a variable"),
            ("${}", "0: this is not the name of a variable"),
            ("${TAG^^}", "0: '^^' after 'TAG' has no meaning"),
            ("${TAG:ü}", "0: ':ü' after 'TAG' has no meaning"),
        ] {
            assert_eq!(expand(text), Err(vec![fault.to_string()]), "{text}");
        }
    }

    #[test]
    fn values_cannot_grow_without_limit() {
        let many = "${TAG}".repeat(400);
        assert!(expand(&many).unwrap_err()[0].contains("grow"));
    }

    #[test]
    fn deep_defaults_are_refused() {
        let deep = format!("{}x{}", "${A:-".repeat(200), "}".repeat(200));
        assert!(expand(&deep).is_err());
    }
}
