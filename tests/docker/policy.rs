//! What the policy refuses is not made on a real engine, and what runs goes on.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::{Bench, Deployment, eventually, on_each_engine};

const SOON: Duration = Duration::from_secs(30);

/// A volume that is the host's /etc in disguise, and a program that wants it and the host's /etc besides.
fn spy(image: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1\nkind: Volume\nmetadata: {{name: hole, namespace: bench}}\nspec: {{options: {{type: none, o: bind, device: /etc}}}}\n---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{name: spy, namespace: bench}}\nspec:\n  template:\n    image: '{image}'\n    mounts: [{{volume: hole, path: /hole}}, {{hostPath: /etc, path: /host-etc}}]\n"
    )
}

fn says(bench: &Bench, object: &str, words: &str) -> Result<(), String> {
    let said = bench.try_evenkeel(&["describe", object, "-n", "bench"])?;
    if said.contains(words) { Ok(()) } else { Err(said) }
}

on_each_engine! {
    fn what_the_policy_refuses_is_not_made_and_what_runs_goes_on(bench) {
        let image = bench.app_image("1", &[]);
        let policy = bench.directory().join("policy.yaml");
        fs::write(&policy, "default: baseline\n").unwrap();
        fs::set_permissions(&policy, Permissions::from_mode(0o600)).unwrap();
        let _controller = bench.start_controller_with(&["--policy", policy.to_str().unwrap()]);
        bench.apply("web.yaml", &Deployment::new("web", &image).to_string());
        let before = bench.running("web")[0].id().to_string();

        bench.write("spy.yaml", &spy(&image));
        eventually("the deployment is refused", SOON, || says(bench, "deployment/spy", "rule host-path, level baseline"));
        eventually("the volume is refused", SOON, || says(bench, "volume/hole", "rule volume-bind, level baseline"));
        assert_eq!(bench.applied(), 3, "it needs a person");
        assert!(bench.containers("spy").is_empty(), "nothing was created");
        let volumes = bench.engine.docker(&["volume", "ls", "--quiet"]);
        assert!(!volumes.contains(&bench.engine_name("bench", "hole")), "{volumes}");
        assert_eq!(bench.running("web")[0].id(), before, "what runs goes on");
    }
}
