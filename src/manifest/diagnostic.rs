//! A user's mistake: where it is, what it is, and the way out. It shows no secret and no control character.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::file::{File, Pos};
use super::hidden::Hidden;
use crate::model::text::printable;

/// The longest part of a source line that is shown, in characters.
const LINE_MAX: usize = 160;

/// A place in a file, with the line as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spot {
    /// The file, as people write its path.
    pub file: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 when the whole file is meant.
    pub column: usize,
    /// How many characters the caret underlines, at least 1.
    pub width: usize,
    /// The line, unless it could show a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_line: Option<String>,
}

impl Spot {
    /// A whole file.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// `file:line`, or the file alone.
    pub fn brief(&self) -> String {
        match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}", self.file),
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The source is not loaded.
    Error,
    /// The source is loaded.
    Warning,
}

/// A user's mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Where it is.
    #[serde(flatten)]
    pub spot: Spot,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake that keeps the source from loading.
    pub fn error(spot: Spot, message: impl AsRef<str>) -> Self {
        Self { spot, severity: Severity::Error, message: printable(message.as_ref()), hint: None }
    }

    /// Adds the way out.
    pub fn hint(&mut self, hint: impl AsRef<str>) {
        self.hint = Some(printable(hint.as_ref()));
    }
}

/// How many mistakes of a source are reported; a person mends no more at once, and a place costs time to work out.
const PROBLEMS_MAX: usize = 100;

/// In how many bytes of Secrets words are looked for that may be secret, for all mistakes of a source: beyond that, none is told.
const SEARCHED_MAX: usize = 32 << 20;

/// The mistakes found so far.
#[derive(Default)]
pub struct Problems {
    found: Vec<Diagnostic>,
    beyond: usize,
    /// What some of them must not quote, by their number.
    hidden: BTreeMap<usize, Arc<Hidden>>,
    /// Where a mistake beyond the limit is written to, so that callers need not ask.
    scratch: Option<Diagnostic>,
}

impl Problems {
    /// Records a mistake at `pos`; the result takes a hint.
    pub fn error(&mut self, file: &File, pos: Pos, message: impl fmt::Display) -> &mut Diagnostic {
        // There may be as many mistakes as values: one that is not told is not put into words either.
        if self.is_full() {
            return self.push(Diagnostic::error(Spot::default(), ""));
        }
        self.hidden.extend(file.hidden_at(pos).map(|hidden| (self.found.len(), hidden)));
        self.push(Diagnostic::error(file.spot(pos), message.to_string()))
    }

    /// Records a mistake; the result takes a hint.
    pub fn push(&mut self, problem: Diagnostic) -> &mut Diagnostic {
        if self.is_full() {
            self.beyond += 1;
            return self.scratch.insert(problem);
        }
        self.found.push(problem);
        self.found.last_mut().expect("it was just put there")
    }

    /// The one that was found last.
    pub fn last(&mut self) -> Option<&mut Diagnostic> {
        match self.beyond {
            0 => self.found.last_mut(),
            _ => self.scratch.as_mut(),
        }
    }

    /// Whether further mistakes are only counted.
    pub fn is_full(&self) -> bool {
        self.found.len() >= PROBLEMS_MAX
    }

    /// The way out of a mistake, if that will be told: finding it can cost more than finding the mistake.
    pub fn unless_full(&self, hint: impl FnOnce() -> Option<String>) -> Option<String> {
        if self.is_full() { None } else { hint() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.len() + self.beyond
    }

    /// Those that were found after the first `count`.
    pub fn since(&self, count: usize) -> &[Diagnostic] {
        &self.found[count.min(self.found.len())..]
    }

    /// All of them in the order of files and lines, each once.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        let mut room = SEARCHED_MAX;
        for (number, hidden) in &self.hidden {
            if let Some(problem) = self.found.get_mut(*number) {
                problem.message = hidden.untold(&problem.message, &mut room);
                problem.hint = problem.hint.as_deref().map(|hint| hidden.untold(hint, &mut room));
            }
        }
        self.found.sort();
        self.found.dedup();
        if self.beyond > 0 {
            let spot = Spot::file(self.found.last().map(|last| last.spot.file.clone()).unwrap_or_default());
            self.found.push(Diagnostic::error(spot, format!("and {} more mistakes that are not shown", self.beyond)));
        }
        self.found
    }
}

/// `file:line:column: error: message`, the source line, a caret, `hint: …`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Spot { file, line, column, width, source_line } = &self.spot;
        let file = printable(file);
        match line {
            0 => write!(f, "{file}: {word}: {}", self.message)?,
            _ => write!(f, "{file}:{line}:{column}: {word}: {}", self.message)?,
        }
        if let Some(text) = source_line {
            let (text, column) = window(text, *column);
            let room = text.chars().count().saturating_sub(column).max(1);
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            write!(f, "\n {number} | {text}")?;
            write!(f, "\n {margin} | {}{}", " ".repeat(column), "^".repeat((*width).clamp(1, room)))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The part of `line` around `column` that fits a screen, without control characters, and the caret's column from 0.
fn window(line: &str, column: usize) -> (String, usize) {
    let before = column.saturating_sub(1);
    let start = if before >= LINE_MAX { before - LINE_MAX / 2 } else { 0 };
    let shown = |from: usize, count: usize| printable(&line.chars().skip(from).take(count).collect::<String>());
    let caret = shown(start, before - start).chars().count();
    (shown(start, LINE_MAX).trim_end().to_string(), caret)
}

impl From<&Diagnostic> for crate::model::view::ProblemView {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            file: printable(&diagnostic.spot.file),
            line: u32::try_from(diagnostic.spot.line).unwrap_or(u32::MAX),
            column: u32::try_from(diagnostic.spot.column).unwrap_or(u32::MAX),
            message: diagnostic.message.clone(),
            source_line: printable(diagnostic.spot.source_line.as_deref().unwrap_or_default()),
            hint: diagnostic.hint.clone().unwrap_or_default(),
            rendered: diagnostic.to_string(),
        }
    }
}
