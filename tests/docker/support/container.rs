//! A container as `docker inspect` tells it.

use serde_json::Value;

/// A container as it was when looked at.
#[derive(Debug, Clone)]
pub struct Container(pub Value);

impl Container {
    /// The full id.
    pub fn id(&self) -> &str {
        self.text("/Id")
    }

    /// The name, without Docker's slash.
    pub fn name(&self) -> &str {
        self.text("/Name").trim_start_matches('/')
    }

    /// A label; empty when it is not set.
    pub fn label(&self, name: &str) -> &str {
        self.0["Config"]["Labels"][name].as_str().unwrap_or_default()
    }

    /// The revision that it belongs to.
    pub fn revision(&self) -> &str {
        self.label("evenkeel.dev/revision")
    }

    /// Its image's id. (The reference that it was created from may be a digest or an id, whatever the manifest says.)
    pub fn image(&self) -> &str {
        self.text("/Image")
    }

    /// Whether its process runs.
    pub fn running(&self) -> bool {
        self.0["State"]["Running"] == true
    }

    /// When its process was started: changes with every restart.
    pub fn started_at(&self) -> &str {
        self.text("/State/StartedAt")
    }

    /// The exit code of its last run.
    pub fn exit_code(&self) -> i64 {
        self.0["State"]["ExitCode"].as_i64().unwrap_or_default()
    }

    /// The address on its only network, or on the one of that name.
    pub fn address(&self, network: Option<&str>) -> String {
        self.endpoint(network)["IPAddress"].as_str().unwrap_or_default().to_string()
    }

    /// The names on its only network, or on the one of that name, that lead to it beside its own.
    pub fn aliases(&self, network: Option<&str>) -> Vec<String> {
        let names = self.endpoint(network)["Aliases"].as_array().cloned().unwrap_or_default();
        names.iter().filter_map(Value::as_str).map(str::to_string).collect()
    }

    fn endpoint(&self, network: Option<&str>) -> &Value {
        let networks = &self.0["NetworkSettings"]["Networks"];
        match network {
            Some(name) => &networks[name],
            None => networks.as_object().and_then(|all| all.values().next()).unwrap_or(&Value::Null),
        }
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}
