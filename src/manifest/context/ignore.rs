//! Which files of a context are left out: the rules of Docker's ignore files, which are not git's. It reads no file.
//!
//! A line is a pattern, matched against whole paths from the context's root. `*` and `?` stop at a slash and `**` does
//! not; `!` lets in again what an earlier line left out, and the last line that fits decides. What is in a directory
//! that is left out is left out with it.
//!
//! One thing is not Docker's: `.git` is left out from the start, unless a line lets it in. Every fetch changes something in it,
//! and would make another image of the same content.

/// The most bytes of an ignore file.
pub const BYTES_MAX: u64 = 64 << 10;
/// The most patterns of one.
const PATTERNS_MAX: usize = 1_000;

/// What is left out from the start.
const FROM_THE_START: &str = "**/.git";

/// The patterns of an ignore file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// A line that is no pattern.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// Whether it lets in again.
    lets_in: bool,
    steps: Vec<Step>,
}

/// A part of a pattern, and what of a path it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// This character.
    One(char),
    /// A character of the set, or with `true` one that is not in it.
    Set(bool, Vec<(char, char)>),
    /// Any character but a slash.
    Any,
    /// Any characters but slashes.
    Part,
    /// Nothing, or whole directories with the slash after them.
    Directories,
    /// Anything.
    Rest,
}

impl Default for Ignore {
    /// What counts where there is no ignore file.
    fn default() -> Self {
        Self::parse("").expect("what counts from the start is a pattern")
    }
}

impl Ignore {
    /// The patterns in the text of an ignore file.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        if text.len() as u64 > BYTES_MAX {
            return Err(Mistake { line: 1, message: format!("more than {} KiB", BYTES_MAX >> 10) });
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns: Vec<Pattern> = pattern(FROM_THE_START).into_iter().flatten().collect();
        for (index, line) in text.lines().enumerate() {
            if patterns.len() > PATTERNS_MAX {
                return Err(Mistake { line: index + 1, message: format!("more than {PATTERNS_MAX} patterns") });
            }
            if line.starts_with('#') {
                continue;
            }
            let found = pattern(line.trim()).map_err(|message| Mistake { line: index + 1, message })?;
            patterns.extend(found);
        }
        Ok(Self { patterns })
    }

    /// Whether a path is left out. It is relative to the context, with slashes between its parts.
    pub fn leaves_out(&self, path: &str) -> bool {
        let mut out = false;
        for pattern in &self.patterns {
            // One that would change nothing need not be tried.
            if pattern.lets_in == out && with_parents(path).any(|part| fits(&pattern.steps, part)) {
                out = !pattern.lets_in;
            }
        }
        out
    }

    /// Whether something below a directory that is left out may be let in again.
    pub fn may_let_in(&self, directory: &str) -> bool {
        let begins = format!("{directory}/");
        self.patterns.iter().any(|pattern| pattern.lets_in && may_begin_with(&pattern.steps, &begins))
    }
}

/// A path, and the directories that it is in.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::once(path).chain(path.match_indices('/').map(|(at, _)| &path[..at]))
}

/// The pattern of a line; none if it says nothing.
fn pattern(line: &str) -> Result<Option<Pattern>, String> {
    let (lets_in, written) = match line.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, line),
    };
    if written.is_empty() {
        return if lets_in { Err("'!' alone lets in nothing".into()) } else { Ok(None) };
    }
    let cleaned = clean(written);
    let steps = steps(&cleaned).map_err(|why| format!("'{written}' is not a pattern: {why}"))?;
    Ok(Some(Pattern { lets_in, steps }))
}

/// Without `.`, `..`, doubled slashes and those at either end.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if !path.starts_with('/') && parts.last().is_none_or(|last| *last == "..") => parts.push(part),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".into() } else { parts.join("/") }
}

fn steps(pattern: &str) -> Result<Vec<Step>, &'static str> {
    let characters: Vec<char> = pattern.chars().collect();
    let (mut steps, mut at) = (Vec::new(), 0);
    // Where nothing but a `**` at its beginning is special, what follows need not begin a part: `**file` is `*file` anywhere.
    if let Some(rest) = pattern.strip_prefix("**").filter(|rest| !rest.contains(['*', '?', '[', ']', '\\'])) {
        return Ok(match rest.strip_prefix('/') {
            Some(name) => [Step::Directories].into_iter().chain(name.chars().map(Step::One)).collect(),
            None => [Step::Rest].into_iter().chain(rest.chars().map(Step::One)).collect(),
        });
    }
    while let Some(character) = characters.get(at) {
        at += 1;
        match character {
            '*' if characters.get(at) == Some(&'*') => {
                at += 1;
                at += usize::from(characters.get(at) == Some(&'/'));
                steps.push(if at == characters.len() { Step::Rest } else { Step::Directories });
            }
            '*' => steps.push(Step::Part),
            '?' => steps.push(Step::Any),
            '\\' => {
                let escaped = characters.get(at).ok_or("a backslash has nothing after it")?;
                at += 1;
                steps.push(Step::One(*escaped));
            }
            '[' => steps.push(set(&characters, &mut at)?),
            character => steps.push(Step::One(*character)),
        }
    }
    Ok(steps)
}

/// The set that begins behind a `[`.
fn set(characters: &[char], at: &mut usize) -> Result<Step, &'static str> {
    let is_negated = characters.get(*at) == Some(&'^');
    *at += usize::from(is_negated);
    let mut ranges = Vec::new();
    loop {
        match characters.get(*at) {
            None => return Err("'[' is not closed by ']'"),
            Some(']') if !ranges.is_empty() => break,
            Some(_) => {}
        }
        let low = member(characters, at)?;
        let high = match characters.get(*at) {
            Some('-') => {
                *at += 1;
                member(characters, at)?
            }
            _ => low,
        };
        if high < low {
            return Err("a range ends before it begins");
        }
        ranges.push((low, high));
    }
    *at += 1;
    Ok(Step::Set(is_negated, ranges))
}

fn member(characters: &[char], at: &mut usize) -> Result<char, &'static str> {
    let next = |at: &mut usize| {
        *at += 1;
        characters.get(*at - 1).copied().ok_or("'[' is not closed by ']'")
    };
    match next(at)? {
        '\\' => next(at),
        '-' | ']' => Err("'-' and ']' in a set need a backslash before them"),
        member => Ok(member),
    }
}

impl Step {
    /// Whether it fits one character of its own.
    fn takes(&self, character: char) -> bool {
        match self {
            Step::One(wanted) => *wanted == character,
            Step::Set(is_negated, ranges) => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *is_negated
            }
            Step::Any | Step::Part => character != '/',
            Step::Directories | Step::Rest => true,
        }
    }
}

/// Whether a path fits, all of it. Each pair of a step and a place in the path is looked at once, so no pattern takes long.
fn fits(steps: &[Step], path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    // Whether what comes after the present step fits what comes after each place.
    let mut after: Vec<bool> = (0..=path.len()).map(|at| at == path.len()).collect();
    for step in steps.iter().rev() {
        let mut here = vec![false; path.len() + 1];
        // Whether a directory further on ends where the rest fits.
        let mut beyond = false;
        for at in (0..=path.len()).rev() {
            let character = path.get(at);
            let goes_on = character.is_some_and(|character| step.takes(*character));
            here[at] = match step {
                Step::One(_) | Step::Set(..) | Step::Any => goes_on && after[at + 1],
                Step::Part | Step::Rest => after[at] || goes_on && here[at + 1],
                Step::Directories => after[at] || beyond || character == Some(&'/') && after[at + 1],
            };
            beyond |= character == Some(&'/') && after[at + 1];
        }
        after = here;
    }
    after[0]
}

/// Whether a path that fits may begin like this, as far as the pattern's plain beginning tells.
fn may_begin_with(steps: &[Step], beginning: &str) -> bool {
    let plain = steps.iter().map_while(|step| match step {
        Step::One(character) => Some(*character),
        Step::Set(..) | Step::Any | Step::Part | Step::Directories | Step::Rest => None,
    });
    plain.zip(beginning.chars()).all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves_out(lines: &str, path: &str) -> bool {
        Ignore::parse(lines).unwrap().leaves_out(path)
    }

    #[test]
    fn a_pattern_fits_whole_paths_and_what_is_below() {
        for (pattern, path, out) in [
            ("node_modules", "node_modules/a/b.js", true),
            ("node_modules", "app/node_modules/a.js", false),
            ("**/node_modules", "app/node_modules/a.js", true),
            ("**/node_modules", "node_modules", true),
            ("**/dir", "adir", false),
            ("**file", "a/afile", true),
            ("/docs/", "docs/a", true),
            ("./docs/../docs", "docs", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("*/*.md", "docs/README.md", true),
            ("a/*", "a/b/c", true),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("abc/**", "abc", false),
            ("abc/**", "abc/d/e", true),
            ("a**/*.txt", "a/b/c.txt", true),
            ("**/dir/**", "x/dir/y", true),
            ("**/**/*.txt", "file.txt", true),
            ("**/file*.txt*", "a/b/file1.txt", true),
            ("**", "anything/at/all", true),
            ("a.c", "abc", false),
            ("a(b|c)$", "a(b|c)$", true),
            ("a[b-d]e", "ace", true),
            ("a[^b-d]e", "ace", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[a-ζ]*", "α", true),
        ] {
            assert_eq!(leaves_out(pattern, path), out, "{pattern} {path}");
        }
    }

    #[test]
    fn the_last_line_that_fits_decides() {
        for (lines, path, out) in [
            ("*.md\n!README.md", "README.md", false),
            ("!README.md\n*.md", "README.md", true),
            ("docs\n!docs/README.md", "docs/README.md", false),
            ("**\n!src", "src/main.rs", false),
            ("**\n!src\nsrc/secret", "src/secret", true),
            ("  # a pattern, because of the space\n", "x", false),
            ("# nothing\n\n   \n", "x", false),
            ("\u{feff}x\r\n ! x \r\n", "x", false),
            ("", ".git/HEAD", true),
            ("x", "vendor/lib/.git", true),
            ("", ".gitignore", false),
            ("!.git", ".git/HEAD", false),
            ("!.git", "vendor/lib/.git", true),
            ("!**/.git", "vendor/lib/.git", false),
        ] {
            assert_eq!(leaves_out(lines, path), out, "{lines:?} {path}");
        }
    }

    #[test]
    fn a_directory_that_is_left_out_is_entered_only_for_what_may_be_let_in_again() {
        let ignore = Ignore::parse("**\n!src/*.rs\n").unwrap();
        assert!(ignore.may_let_in("src"));
        assert!(!ignore.may_let_in("docs"));
        assert!(Ignore::parse("a\n!**/keep").unwrap().may_let_in("a/b"));
        assert!(!Ignore::parse("a").unwrap().may_let_in("a"));
    }

    #[test]
    fn what_is_no_pattern_is_told_with_its_line() {
        for (lines, line, part) in [
            ("a\n!", 2, "'!' alone"),
            ("[", 1, "not closed"),
            ("a\n\nb[^", 3, "not closed"),
            ("[-x]", 1, "backslash"),
            ("[]a]", 1, "backslash"),
            ("[b-a]", 1, "range"),
            ("a\\", 1, "nothing after it"),
        ] {
            let mistake = Ignore::parse(lines).unwrap_err();
            assert_eq!(mistake.line, line, "{lines}");
            assert!(mistake.message.contains(part), "{}", mistake.message);
        }
        assert!(Ignore::parse(&"a\n".repeat(PATTERNS_MAX + 1)).is_err());
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = format!("{}b", "**/a*".repeat(20));
        assert!(!leaves_out(&pattern, &"a".repeat(2_000)));
    }
}
