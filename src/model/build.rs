//! What an image is built from, as it was at one moment. It reads no file and builds nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::name::Name;

/// The registry in the name of images that are built here. There is none of that name: they are never pulled.
const REGISTRY: &str = "evenkeel.local";

/// How many hexadecimal digits of the digest make the tag: 64 bits, unique among the builds of one namespace.
const TAG_DIGITS: usize = 16;

/// An image to build: everything that its content depends on, and the digest of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageBuild {
    /// The image's reference, which follows from the namespace and the digest.
    pub image: String,
    /// The context: an absolute directory without links in its path.
    pub context: String,
    /// The directory of the manifest's source, without links in its path. What is inside needs nobody's leave.
    pub source: String,
    /// The root of the git checkout that the source is in, without links in its path. Nor does what is inside of it.
    pub checkout: Option<String>,
    /// The Dockerfile, relative to the context.
    pub dockerfile: String,
    /// Values of the Dockerfile's `ARG`s.
    pub args: BTreeMap<String, String>,
    /// The stage; none for the last one.
    pub target: Option<String>,
    /// The platform, if not the engine's.
    pub platform: Option<String>,
    /// The hash of the context's content, as far as the ignore file lets it in.
    pub content: String,
}

/// A context as it was when manifests that name it came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenContext {
    /// The directory as the manifest leads to it.
    pub directory: PathBuf,
    /// The Dockerfile, relative to it.
    pub dockerfile: String,
    /// The directory without links in its path.
    pub root: PathBuf,
    /// The hash of its content.
    pub content: String,
}

/// The reference of an image that is built in a namespace from something with this digest.
pub fn reference(namespace: &Name, digest: &str) -> String {
    format!("{REGISTRY}/{namespace}:{}", digest.get(..TAG_DIGITS).unwrap_or(digest))
}

/// Whether a reference is that of an image which is built here.
pub fn is_built(image: &str) -> bool {
    image.strip_prefix(REGISTRY).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_its_namespace_and_what_it_is_built_from() {
        let image = reference(&Name::new("shop").unwrap(), &"0123456789abcdef".repeat(4));
        assert_eq!(image, "evenkeel.local/shop:0123456789abcdef");
        assert!(is_built(&image));
        for other in ["evenkeel.local", "evenkeel.localhost/shop:1", "web:1", "ghcr.io/evenkeel.local/web:1"] {
            assert!(!is_built(other), "{other}");
        }
    }
}
