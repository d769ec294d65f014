//! `doctor` on a real host with a real engine, with a daemon and without one. What it thinks of each finding is tested in
//! `tests/cli/doctor.rs` and beside its judgements.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Bench, Deployment, on_each_engine};

/// Every check that there is a finding of on a host where nothing is broken.
const CHECKS: [&str; 12] = [
    "daemon",
    "state directory",
    "state files",
    "state directory's disk",
    "clock",
    "engine",
    "engine's clock",
    "engine's address pools",
    "Evenkeel's address pool",
    "logs of other containers",
    "live-restore",
    "engine's disk",
];

/// One of them is there: the engine limits what it is told to, or says what it cannot.
const LIMITS: [&str; 3] = ["limits", "memory limits", "engine's warning"];

on_each_engine! {
    fn a_damaged_history_is_told_before_the_daemon_starts_and_as_long_as_it_runs(bench) {
        let image = bench.app_image("1", &[]);
        let controller = bench.start_controller();
        bench.apply("web.yaml", &Deployment::new("web", &image).to_string());
        assert_eq!(bench.applied(), 0);
        assert!(controller.terminate(Duration::from_secs(30)).success());
        let file = bench.state_directory().join("objects/shop/deployment.web.json");
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..50]).unwrap();
        let told = |text: &str| text.contains("deployment.web.json is not used");
        let finding = &findings(bench).1["state files"];
        assert!(finding["verdict"] == "fail" && told(&finding.to_string()), "{finding}");

        let controller = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        assert!(told(&controller.output()), "{}", controller.output());
        assert!(told(&bench.evenkeel_outcome(&["get", "deployments"]).2), "it is shown");
        assert!(bench.metrics().contains("evenkeel_warnings 1"), "{}", bench.metrics());
    }

    fn doctor_looks_at_a_real_host(bench) {
        let controller = bench.start_controller();
        bench.apply("namespace.yaml", "apiVersion: evenkeel.dev/v1\nkind: Namespace\nmetadata: {name: shop}\n");
        let (code, findings) = findings(bench);
        for check in CHECKS {
            assert!(findings.contains_key(check), "no {check} in {findings:?}");
        }
        assert!(LIMITS.iter().any(|check| findings.contains_key(*check)), "{findings:?}");
        for (check, finding) in &findings {
            assert_eq!(finding["verdict"] == "ok", finding["wayOut"].is_null(), "{check}: {finding}");
        }
        // The machine's disks, clock and kernel are as they are.
        for check in ["daemon", "state directory", "state files", "engine's clock"] {
            assert_eq!(findings[check]["verdict"], "ok", "{}", findings[check]);
        }
        // Debian's 20.10 is one that may lock itself up.
        let verdict = if bench.engine.generation == 20 { "warn" } else { "ok" };
        assert_eq!(findings["engine"]["verdict"], verdict, "{findings:?}");
        let version = bench.engine.docker(&["version", "--format", "{{.Server.Version}}"]);
        let engine = findings["engine"]["message"].as_str().unwrap();
        assert!(engine.starts_with(&format!("version {} ", version.trim())), "{engine}");
        assert_eq!(findings["live-restore"]["verdict"], "warn", "a private engine is started without it");
        let fails = findings.values().any(|finding| finding["verdict"] == "fail");
        assert_eq!(code, i32::from(fails), "{findings:?}");
        let (_, text, _) = doctor(bench, &[]);
        for check in findings.keys() {
            assert!(text.contains(&format!("  {check}: ")), "no {check} in\n{text}");
        }

        assert!(controller.terminate(Duration::from_secs(30)).success());
        let (code, findings) = self::findings(bench);
        assert_eq!((code, &findings["daemon"]["verdict"]), (1, &Value::from("fail")), "{findings:?}");
        assert_eq!(findings["engine"]["verdict"], verdict, "{findings:?}");
    }
}

/// Its exit code, and its findings by what was looked at.
fn findings(bench: &Bench) -> (i32, BTreeMap<String, Value>) {
    let (code, out, err) = doctor(bench, &["--output", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let findings = told["findings"].as_array().unwrap().iter();
    (code, findings.map(|finding| (finding["check"].as_str().unwrap().to_string(), finding.clone())).collect())
}

fn doctor(bench: &Bench, options: &[&str]) -> (i32, String, String) {
    let state = bench.state_directory().display().to_string();
    let outcome = bench.evenkeel_outcome(&[&["doctor", "--state-dir", &state], options].concat());
    eprintln!("{}\n{}{}", outcome.0, outcome.1, outcome.2);
    outcome
}
