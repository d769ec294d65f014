//! The way to a value of a manifest, in words: `spec.template.ports[0]`. It knows no file; where a value is written, `place` says.

/// How much of a name is told, in characters.
const NAME_MAX: usize = 60;

/// A step of the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into a field.
    Field(&'a str),
    /// To an item of a list.
    Item(usize),
    /// Into a field whose name may be secret.
    Untold,
}

/// The way as people write it.
pub fn path_of(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        let name = match step {
            Step::Item(index) => {
                path.push_str(&format!("[{index}]"));
                continue;
            }
            Step::Field(name) => name,
            Step::Untold => "…",
        };
        if !path.is_empty() {
            path.push('.');
        }
        path.extend(name.chars().take(NAME_MAX));
    }
    if path.is_empty() { "the manifest".into() } else { path }
}
