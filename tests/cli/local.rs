//! Commands that need no daemon, and arguments that make no sense.

use crate::daemon::says;

async fn alone(words: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    says(words, &dir.path().join("evenkeel.sock")).await
}

#[tokio::test]
async fn help_names_every_command_with_examples() {
    insta::assert_snapshot!(alone("--help").await);
}

#[tokio::test]
async fn the_help_of_each_command_fits_a_screen() {
    let mut text = String::new();
    for command in [
        "run",
        "plan",
        "apply",
        "validate",
        "get",
        "describe",
        "events",
        "logs",
        "log",
        "doctor",
        "rollout",
        "rollout status",
        "set image",
        "prune",
        "notify test",
        "schema",
    ] {
        text.push_str(&alone(&format!("{command} --help")).await);
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn wrong_arguments_exit_with_1_because_2_means_changes() {
    let said = alone("get --nonsense").await;
    assert!(said.ends_with("--- exit 1\n"), "{said}");
}

#[tokio::test]
async fn commands_that_need_a_source_say_so() {
    for command in ["run", "plan", "validate"] {
        let said = alone(command).await;
        assert!(said.contains("hint: write --source DIR"), "{said}");
        assert!(said.ends_with("--- exit 1\n"), "{said}");
    }
}

#[tokio::test]
async fn completions_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish"] {
        let said = alone(&format!("completions {shell}")).await;
        assert!(said.contains("rollout") && said.ends_with("--- exit 0\n"), "{shell}");
    }
}

#[tokio::test]
async fn a_directory_that_is_missing_is_invalid() {
    let said = alone("validate --source /nonexistent/manifests").await;
    assert!(said.contains("/nonexistent/manifests") && said.ends_with("--- exit 5\n"), "{said}");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_a_problem_for_machines_too() {
    let mut text = String::new();
    for command in ["validate -o json", "validate", "apply"] {
        text.push_str(&alone(&format!("{command} --source /nowhere/at-all")).await);
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_host_path_that_is_not_on_this_machine_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let web = "apiVersion: evenkeel.dev/v1\nkind: Job\nmetadata: {name: web, namespace: shop}\n\
               spec: {template: {image: a, mounts: [{hostPath: /nowhere/at/all, path: /data}]}}\n";
    std::fs::write(dir.path().join("web.yaml"), web).unwrap();
    let line = format!("validate --source {}", dir.path().display());
    let said = says(&line, &dir.path().join("evenkeel.sock")).await;
    assert!(
        said.contains("warning: hostPath that is not on this machine: /nowhere/at/all (of job/shop/web)"),
        "{said}"
    );
    assert!(said.ends_with("--- exit 0\n"), "{said}");
    let said = says(&format!("{line} -o json"), &dir.path().join("evenkeel.sock")).await;
    assert!(said.contains("\"warnings\": [\n    \"hostPath that is not"), "{said}");
}
