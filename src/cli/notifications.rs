//! `notifications` of the configuration file: its fields, and the receivers that they make. No mistake quotes a URL.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::failure::{Exit, Failure};
use crate::model::name::Name;
use crate::model::secret::SecretBytes;
use crate::notification::{self, Place, Receiver, parse_url};

/// A webhook that is told what comes of rollouts, Jobs and trouble.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigReceiver {
    /// What logs and metrics call it; it keeps its memory under this name.
    name: Name,
    /// Its URL, https or http. It usually holds a secret: prefer urlFile.
    url: Option<Hidden>,
    /// A file with its URL, read before each delivery; a relative one is relative to this file.
    url_file: Option<PathBuf>,
    /// A file with further headers, `Name: value` on each line, read before each delivery.
    headers_file: Option<PathBuf>,
    /// How the body is written: json or slack. Default: json.
    #[serde(default)]
    format: Format,
    /// What is told: failures (and the recovery after one) or all. Default: failures.
    #[serde(default)]
    on: On,
}

/// How the body is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// Every field, for programs.
    #[default]
    Json,
    /// `{"text": …}`.
    Slack,
}

/// What is told.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum On {
    /// Bad results, and the good one after a bad one.
    #[default]
    Failures,
    /// Good ones too.
    All,
}

/// A text that is not to be printed.
#[derive(JsonSchema)]
#[schemars(with = "String")]
struct Hidden(SecretBytes);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(SecretBytes::new(String::deserialize(deserializer)?.into_bytes())))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The receivers of a configuration file; their files are relative to `base`.
pub fn receivers(file: Vec<ConfigReceiver>, config: &Path, base: &Path) -> Result<Vec<Receiver>, Failure> {
    let mut receivers: Vec<Receiver> = Vec::new();
    for (index, entry) in file.into_iter().enumerate() {
        let name = entry.name.to_string();
        let wrong = |what: &str, hint: &str| {
            let message = format!("{}: notifications[{index}] ({name}): {what}", config.display());
            Failure::new(message).hint(hint).exit(Exit::Invalid)
        };
        if receivers.iter().any(|other| other.name == name) {
            return Err(wrong("this name is given twice", "give each receiver a name of its own"));
        }
        let place = match (entry.url, entry.url_file) {
            (Some(url), None) => {
                let text = String::from_utf8_lossy(url.0.expose()).into_owned();
                parse_url(&text).map_err(|why| wrong(&format!("url: {why}"), "write https://HOST/…, or a urlFile"))?;
                Place::Url(url.0)
            }
            (None, Some(file)) => Place::File(base.join(file)),
            (Some(_), Some(_)) => {
                return Err(wrong("url and urlFile exclude each other", "keep urlFile: a URL usually holds a secret"));
            }
            (None, None) => {
                return Err(wrong("where it is to be told is missing", "write urlFile: /etc/evenkeel/webhook-url"));
            }
        };
        receivers.push(Receiver {
            name,
            place,
            headers_file: entry.headers_file.map(|file| base.join(file)),
            format: match entry.format {
                Format::Json => notification::Format::Json,
                Format::Slack => notification::Format::Slack,
            },
            wish: match entry.on {
                On::Failures => notification::Wish::Failures,
                On::All => notification::Wish::All,
            },
        });
    }
    Ok(receivers)
}
