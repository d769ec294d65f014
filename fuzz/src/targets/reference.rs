//! References of images: an input is one. A manifest takes or refuses it; an engine is asked for it either way.

use std::collections::BTreeMap;

use super::engine::{Answer, ask};
use super::manifest::load_and_plan;

/// Declares a Deployment with the image, and pulls it.
pub fn try_input(bytes: &[u8]) {
    let image = String::from_utf8_lossy(bytes).into_owned();
    let quoted = serde_json::json!(image);
    let manifest = format!(
        "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}\nspec: {{template: {{image: {quoted}}}}}\n"
    );
    let declared = load_and_plan(BTreeMap::from([("a.yaml".into(), manifest.into_bytes())]));
    // What a manifest refuses never comes to an engine.
    if declared.is_some() && !image.contains('$') {
        ask(&Answer {
            call: b'p',
            status: "200 OK",
            body: b"{\"status\":\"Status: Image is up to date\"}\n",
            image: &image,
        });
    }
}
