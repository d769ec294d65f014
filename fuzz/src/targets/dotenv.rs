//! Files of variables: an input is the whole text of one that a Namespace names.

use std::collections::BTreeMap;

use super::manifest::load_and_plan;

const NAMESPACE: &str = "apiVersion: evenkeel.dev/v1\nkind: Namespace\nmetadata: {name: shop}\nspec: {variablesFrom: [{file: .env}]}\n---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {template: {image: 'web:1', env: {A: '${A:-none}', B: '${B:-none}'}}}\n";

/// Reads the variables and puts two of them in.
pub fn try_input(bytes: &[u8]) {
    let files = [("a.yaml", NAMESPACE.as_bytes()), (".env", bytes)];
    load_and_plan(files.map(|(path, bytes)| (path.into(), bytes.to_vec())).into_iter().collect::<BTreeMap<_, _>>());
}
