//! Manifests as text, quick ones: ready when the application says so, checked often, stopped without waiting.

use std::collections::BTreeMap;
use std::fmt;

/// A Deployment in the namespace `shop` whose fields are lines of YAML.
#[derive(Clone)]
pub struct Deployment {
    name: String,
    spec: BTreeMap<String, String>,
    template: BTreeMap<String, String>,
}

impl Deployment {
    /// Replicas of an image of the demo application.
    pub fn new(name: &str, image: &str) -> Self {
        let plain = Deployment { name: name.to_string(), spec: BTreeMap::new(), template: BTreeMap::new() };
        plain
            .spec("minReady", "0s")
            .spec("progressDeadline", "30s")
            .template("image", &format!("'{image}'"))
            .template("imagePullPolicy", "IfNotPresent")
            .template("readinessProbe", "{httpGet: {port: 8080, path: /healthz}, period: 200ms}")
            .template("drain", "0s")
            .template("terminationGracePeriod", "5s")
    }

    /// Sets a field of the spec.
    pub fn spec(mut self, field: &str, value: &str) -> Self {
        self.spec.insert(field.to_string(), value.to_string());
        self
    }

    /// Sets a field of the template.
    pub fn template(mut self, field: &str, value: &str) -> Self {
        self.template.insert(field.to_string(), value.to_string());
        self
    }

    /// Sets the number of replicas.
    pub fn replicas(self, count: usize) -> Self {
        self.spec("replicas", &count.to_string())
    }

    /// Removes a field of the template.
    pub fn without(mut self, field: &str) -> Self {
        self.template.remove(field);
        self
    }
}

impl fmt::Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{name: {}, namespace: shop}}\nspec:",
            self.name
        )?;
        for (field, value) in &self.spec {
            writeln!(f, "  {field}: {value}")?;
        }
        writeln!(f, "  template:")?;
        for (field, value) in &self.template {
            writeln!(f, "    {field}: {value}")?;
        }
        Ok(())
    }
}

/// A manifest of another kind in the namespace `shop`; the spec in flow style.
pub fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: evenkeel.dev/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
    )
}
