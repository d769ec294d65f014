//! `evenkeel schema`: the JSON Schema of the manifests, for editors and validators.

use std::path::PathBuf;

use clap::Args;

use super::failure::{Exit, Failure};
use super::object::parse_kind_or;
use super::screen::Screen;
use crate::manifest::schema;

/// Print the JSON Schema of the manifests, or of the policy file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evenkeel schema                       one schema for all kinds
  evenkeel schema deployment            that of one kind
  evenkeel schema policy                that of the policy file
  evenkeel schema --write schema        all files into a directory

In a manifest, for an editor with yaml-language-server:
  # yaml-language-server: $schema=schema/evenkeel.json")]
pub struct Schema {
    /// One kind only, or `policy`.
    kind: Option<String>,
    /// Write all files into this directory instead of printing.
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    write: Option<PathBuf>,
}

impl Schema {
    /// Prints or writes.
    pub fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        let files = schema::generate();
        if let Some(dir) = &self.write {
            std::fs::create_dir_all(dir).map_err(|error| cannot_write(dir, &error))?;
            for (name, text) in &files {
                let path = dir.join(name);
                std::fs::write(&path, text).map_err(|error| cannot_write(&path, &error))?;
            }
            screen.note(&format!("wrote {} files to {}", files.len(), dir.display()));
            return Ok(Exit::Done);
        }
        let name = match &self.kind {
            Some(policy) if policy == "policy" => "policy.json".into(),
            Some(kind) => format!("{}.json", parse_kind_or(kind, &["policy"])?),
            None => "evenkeel.json".into(),
        };
        let text = files.get(&name).ok_or_else(|| Failure::new(format!("there is no schema {name}")))?;
        screen.print(text)?;
        Ok(Exit::Done)
    }
}

fn cannot_write(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}
