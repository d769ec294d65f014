//! Which of a repository's tags is the newest, by an image policy. Plain comparison; nobody is asked.

use std::cmp::Ordering;

use regex::bytes::{Regex, RegexBuilder};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::spec::{ImagePolicy, TagOrder};

/// The longest pattern, in characters.
const PATTERN_MAX: usize = 256;
/// The most memory that a compiled pattern may take, in bytes. Matching takes time in proportion to the text, whatever it is.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Which tag of a repository is wanted: the part of an image policy that is asked of the registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    /// This one, wherever it leads.
    Tag(String),
    /// The highest version in a range; with a pattern, of what its group matches.
    #[serde(rename_all = "camelCase")]
    Version {
        /// The range.
        range: String,
        /// What tags must match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
    },
    /// The highest of those that match a pattern.
    #[serde(rename_all = "camelCase")]
    Pattern {
        /// What tags must match.
        pattern: String,
        /// How what its group matches is compared.
        order: TagOrder,
    },
}

impl Selection {
    /// What a policy selects where `tag` is the image's own. None for a policy that says nothing, which no manifest has.
    pub fn of(policy: &ImagePolicy, tag: &str) -> Option<Self> {
        match policy {
            ImagePolicy { digest: Some(_), .. } => Some(Self::Tag(tag.into())),
            ImagePolicy { semver: Some(range), pattern, .. } => {
                Some(Self::Version { range: range.clone(), pattern: pattern.clone() })
            }
            ImagePolicy { pattern: Some(pattern), order: Some(order), .. } => {
                Some(Self::Pattern { pattern: pattern.clone(), order: *order })
            }
            ImagePolicy { .. } => None,
        }
    }

    /// The newest of `tags`, if any of them counts.
    pub fn newest<'t>(&self, tags: &'t [String]) -> Option<&'t str> {
        let rule = Rule::of(self)?;
        let ranked = tags.iter().filter_map(|tag| Some((rule.rank(tag)?, tag)));
        // Of two with the same rank, such as `1.0.0` and `v1.0.0`, it is always the same one.
        ranked.max().map(|(_, tag)| tag.as_str())
    }

    /// Whether `tag` comes before `other`: what does not count at all comes before everything.
    pub fn is_older(&self, tag: &str, other: &str) -> bool {
        let Some(rule) = Rule::of(self) else { return false };
        rule.rank(tag).cmp(&rule.rank(other)) == Ordering::Less
    }
}

/// In the words of a manifest: `semver >=1.4 <2`.
impl std::fmt::Display for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "digest of {tag}"),
            Self::Version { range, pattern: None } => write!(f, "semver {range}"),
            Self::Version { range, pattern: Some(pattern) } => write!(f, "semver {range} in {pattern}"),
            Self::Pattern { pattern, order } => write!(f, "pattern {pattern}, {order:?}"),
        }
    }
}

/// A selection that is ready to be applied.
enum Rule<'s> {
    Tag(&'s str),
    Version(Vec<VersionReq>, Option<Regex>),
    Pattern(Regex, TagOrder),
}

/// Where a tag stands among others.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Only,
    Version(Version),
    /// How many digits, and which.
    Number(usize, Vec<u8>),
    Text(Vec<u8>),
}

impl<'s> Rule<'s> {
    /// None for what no manifest that was checked has.
    fn of(selection: &'s Selection) -> Option<Self> {
        match selection {
            Selection::Tag(tag) => Some(Self::Tag(tag)),
            Selection::Version { range, pattern } => {
                let pattern = pattern.as_deref().map(compile).transpose().ok()?;
                Some(Self::Version(ranges(range).ok()?, pattern))
            }
            Selection::Pattern { pattern, order } => Some(Self::Pattern(compile(pattern).ok()?, *order)),
        }
    }

    fn rank(&self, tag: &str) -> Option<Rank> {
        match self {
            Self::Tag(wanted) => (tag == *wanted).then_some(Rank::Only),
            Self::Version(ranges, pattern) => {
                let text = match pattern {
                    Some(pattern) => std::str::from_utf8(key(pattern, tag)?).ok()?,
                    None => tag,
                };
                let version = Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()?;
                ranges.iter().any(|range| range.matches(&version)).then_some(Rank::Version(version))
            }
            Self::Pattern(pattern, TagOrder::Alphabetical) => Some(Rank::Text(key(pattern, tag)?.into())),
            Self::Pattern(pattern, TagOrder::Numerical) => {
                let digits = key(pattern, tag)?;
                let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
                let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
                is_number.then(|| Rank::Number(digits.len() - zeros, digits[zeros..].into()))
            }
        }
    }
}

/// What is compared of a tag: what the pattern's group matches, without one the whole. None if the pattern does not match.
fn key<'t>(pattern: &Regex, tag: &'t str) -> Option<&'t [u8]> {
    let found = pattern.captures(tag.as_bytes())?;
    // The group that `compile` puts around everything is the first.
    let key = if pattern.captures_len() > 2 { found.get(2) } else { found.get(1) };
    Some(key?.as_bytes())
}

/// A pattern as it is applied: to the whole of a tag, which has letters of ASCII only.
fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.chars().count() > PATTERN_MAX {
        return Err(format!("a pattern has at most {PATTERN_MAX} characters"));
    }
    let build = |text: &str| RegexBuilder::new(text).unicode(false).size_limit(PATTERN_BYTES_MAX).build();
    // Alone first: what closes a group of ours must not pass, and errors shall show what was written.
    let alone = build(pattern).map_err(|error| why(&error))?;
    if alone.captures_len() > 2 {
        return Err("it has more than one group: write (?:…) for those that are not compared".into());
    }
    build(&format!("^({pattern})$")).map_err(|error| why(&error))
}

fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large".into(),
        // Its last line says what is wrong; those before draw a picture.
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_string(),
    }
}

/// Whether a text is a pattern; if not, why.
pub fn check_pattern(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("the pattern is empty".into());
    }
    if text.chars().any(|c| !c.is_ascii_graphic() && c != ' ') {
        return Err("a pattern has printable letters of ASCII only, as tags do".into());
    }
    compile(text).map(drop).map_err(|wrong| format!("'{text}' is not a pattern: {wrong}"))
}

/// Whether a text is a range of versions; if not, why.
pub fn check_range(text: &str) -> Result<(), String> {
    ranges(text).map(drop).map_err(|wrong| format!("'{text}' is not a range of versions: {wrong}"))
}

/// The alternatives of a range.
fn ranges(text: &str) -> Result<Vec<VersionReq>, String> {
    text.split("||").map(range).collect()
}

/// A range whose every part must hold: `>=1.4 <2`, with spaces or commas between.
fn range(text: &str) -> Result<VersionReq, String> {
    let mut parts: Vec<String> = Vec::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        match parts.last_mut() {
            // An operator with a space after it.
            Some(last) if last.ends_with(['<', '>', '=', '^', '~']) => last.push_str(word),
            Some(_) | None => parts.push(word.into()),
        }
    }
    if parts.is_empty() {
        return Err("it is empty".into());
    }
    // Others differ in what a version alone means: this one, or what is compatible with it.
    let is_bare = |part: &&String| part.starts_with(|c: char| c.is_ascii_digit() || c == 'v');
    let has_wildcard = |part: &str| part.split(['-', '+']).next().is_some_and(|core| core.contains(['x', 'X', '*']));
    if let Some(bare) = parts.iter().filter(is_bare).find(|part| !has_wildcard(part)) {
        let version = bare.trim_start_matches('v');
        return Err(format!("write ={version} for this version alone, or ^{version} for those that are compatible"));
    }
    let joined = parts.iter().map(|part| part.replacen(['v', 'V'], "", usize::from(has_v(part)))).collect::<Vec<_>>();
    VersionReq::parse(&joined.join(", ")).map_err(|error| error.to_string())
}

/// Whether there is a `v` before the numbers: `>=v1.4`.
fn has_v(part: &str) -> bool {
    part.trim_start_matches(['<', '>', '=', '^', '~']).starts_with(['v', 'V'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(range: &str) -> Selection {
        Selection::Version { range: range.into(), pattern: None }
    }

    fn newest(selection: &Selection, tags: &str) -> String {
        let tags: Vec<String> = tags.split_whitespace().map(String::from).collect();
        selection.newest(&tags).unwrap_or("none").into()
    }

    #[test]
    fn the_highest_version_in_a_range_is_the_newest() {
        for (range, tags, wanted) in [
            (">=1.4 <2", "1.3.9 1.4.0 1.10.0 1.9.0 2.0.0", "1.10.0"),
            (">=1.4, <2", "1.4.0 v1.4.1", "v1.4.1"),
            (">= v1.4 < 2", "1.4.0", "1.4.0"),
            ("^1.4", "1.3.0 1.5.0 2.0.0", "1.5.0"),
            ("~1.4.2", "1.4.1 1.4.9 1.5.0", "1.4.9"),
            ("1.x", "1.2.0 2.0.0", "1.2.0"),
            ("*", "latest 1 1.2 0.1.0", "0.1.0"),
            ("=1.4.2", "1.4.2 1.4.3", "1.4.2"),
            ("^1.0 || ^3.0", "1.9.0 2.0.0 3.1.0", "3.1.0"),
            (">=1.4", "1.3.0 latest main-5 sha-1a2b3c4", "none"),
        ] {
            assert_eq!(newest(&version(range), tags), wanted, "{range} of {tags}");
        }
    }

    #[test]
    fn a_pre_release_counts_only_where_the_range_names_one_of_the_same_version() {
        let tags = "1.4.0 1.5.0-rc.1 1.5.0-rc.2 1.6.0-rc.1";
        assert_eq!(newest(&version(">=1.4"), tags), "1.4.0");
        assert_eq!(newest(&version(">=1.5.0-rc.1"), tags), "1.5.0-rc.2");
    }

    #[test]
    fn what_is_no_range_says_what_is_meant_perhaps() {
        for (text, part) in [
            ("1.4.2", "write =1.4.2 for this version alone, or ^1.4.2"),
            ("v1.4", "write =1.4"),
            ("", "empty"),
            (">=1.4 || ", "empty"),
            (">=1.a", "unexpected"),
            ("latest", "unexpected"),
        ] {
            let wrong = check_range(text).unwrap_err();
            assert!(wrong.contains(part), "{text}: {wrong}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_texts_as_texts() {
        let pattern = |pattern: &str, order| Selection::Pattern { pattern: pattern.into(), order };
        let tags = "main-9 main-10 main-0011 main-x other-99 main-10-fix";
        assert_eq!(newest(&pattern(r"main-(?P<n>\d+)", TagOrder::Numerical), tags), "main-0011");
        assert_eq!(newest(&pattern(r"main-(\d+)", TagOrder::Alphabetical), tags), "main-9");
        assert_eq!(newest(&pattern(r"main-\w+", TagOrder::Alphabetical), tags), "main-x");
        assert_eq!(newest(&pattern(r"main-\w+", TagOrder::Numerical), tags), "none");
        let long = "b-99999999999999999999999998 b-99999999999999999999999999 b-1";
        assert_eq!(newest(&pattern("b-(.*)", TagOrder::Numerical), long), "b-99999999999999999999999999");
    }

    #[test]
    fn a_pattern_matches_the_whole_tag_whatever_stands_in_it() {
        let one = Selection::Pattern { pattern: "a|b".into(), order: TagOrder::Alphabetical };
        assert_eq!(newest(&one, "ax xb a"), "a");
        assert!(check_pattern("a)(b").is_err());
    }

    #[test]
    fn a_version_may_stand_in_a_pattern() {
        let one = Selection::Version { range: ">=1".into(), pattern: Some(r"web-(.*)-alpine".into()) };
        assert_eq!(newest(&one, "web-1.2.0-alpine web-1.10.0-alpine 2.0.0 web-3.0.0"), "web-1.10.0-alpine");
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let long = "a".repeat(257);
        for (text, part) in [
            ("(", "unclosed group"),
            ("", "empty"),
            ("é", "ASCII"),
            ("(a)(b)", "more than one group"),
            (long.as_str(), "256"),
            (r"(\d{1000}){1000}", "too large"),
        ] {
            let wrong = check_pattern(text).unwrap_err();
            assert!(wrong.contains(part), "{text}: {wrong}");
        }
    }

    #[test]
    fn what_does_not_count_is_older_than_everything() {
        let one = version(">=1.4");
        assert!(one.is_older("1.4.0", "1.5.0") && one.is_older("1.0.0", "1.4.0"));
        assert!(!one.is_older("1.5.0", "1.4.0") && !one.is_older("1.4.0", "1.4.0"));
    }
}
