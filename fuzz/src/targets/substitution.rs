//! Variables in values: an input's first line is what the variable `A` holds, the rest is a value that may use it.

use std::collections::BTreeMap;

use evenkeel::model::spec::EnvValue;

use super::manifest::load_and_plan;

/// Puts the variable into the value. A value without a dollar stays as it is, whatever it is.
pub fn try_input(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (variable, value) = text.split_once('\n').unwrap_or(("", &text));
    let (variable, quoted) = (serde_json::json!(variable), serde_json::json!(value));
    let manifest = format!(
        "apiVersion: evenkeel.dev/v1\nkind: Namespace\nmetadata: {{name: shop}}\nspec: {{variables: {{A: {variable}, EMPTY: ''}}}}\n---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}\nspec: {{template: {{image: 'web:1', env: {{X: {quoted}}}}}}}\n"
    );
    let Some(loaded) = load_and_plan(BTreeMap::from([("a.yaml".into(), manifest.into_bytes())])) else { return };
    let deployment = loaded.desired.deployments.values().next().expect("the manifest declares one");
    match deployment.spec.template.env.get("X") {
        Some(EnvValue::Text(found)) if !value.contains('$') => assert_eq!(found, value),
        Some(EnvValue::Text(_)) => {}
        other => panic!("a text became {other:?}"),
    }
}
