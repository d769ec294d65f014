//! How the folders of `manifests/examples` are meant to be used as sources.

use std::path::Path;

use evenkeel::manifest::Source;
use evenkeel::model::name::Name;

/// A folder as each of the sources that its README makes of it; secrets of the host are those of `example-secrets`.
pub fn sources(folder: &Path) -> Vec<Source> {
    let source = |namespace: Option<&str>, secrets: Option<&str>| Source {
        dir: folder.into(),
        namespace: namespace.map(|name| Name::new(name).unwrap()),
        variables: secrets
            .map(|path| ("SECRETS".to_string(), format!("./example-secrets/{path}")))
            .into_iter()
            .collect(),
    };
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("hubnity" | "nomadnet") => vec![source(None, Some(""))],
        Some("bot-mox") => vec![source(Some("production"), Some("")), source(Some("local"), None)],
        Some("tecket") => {
            ["production", "staging"].map(|namespace| source(Some(namespace), Some(&format!("{namespace}.env")))).into()
        }
        _ => vec![source(None, None)],
    }
}
