//! Ignore files of contexts that images are built from: an input is the whole text of one.

use evenkeel::manifest::context::ignore::Ignore;

/// Paths as a context has them, each after the directories that it is in.
const PATHS: [&[&str]; 5] = [
    &["Dockerfile"],
    &["src", "src/lib", "src/lib/main.rs"],
    &["node_modules", "node_modules/.bin", "node_modules/.bin/[x]"],
    &["a", "a/a", "a/a/a", "a/a/a/b"],
    &["ünï", "ünï/ a*b?"],
];

/// Reads the patterns and asks them of every path. What is let in below a directory that is left out must be looked for
/// there.
pub fn try_input(bytes: &[u8]) {
    let Ok(ignore) = Ignore::parse(&String::from_utf8_lossy(bytes)) else { return };
    for path in PATHS {
        for (depth, entry) in path.iter().enumerate().filter(|(_, entry)| !ignore.leaves_out(entry)) {
            for folder in path[..depth].iter().filter(|folder| ignore.leaves_out(folder)) {
                assert!(ignore.may_let_in(folder), "{entry} is let in and {folder} is not entered");
            }
        }
    }
}
