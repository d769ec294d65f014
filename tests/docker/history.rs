//! What has been: what differs between revisions, and what a machine starts with that was built anew.

use std::fs;
use std::time::Duration;

use crate::support::{Deployment, on_each_engine};

const SOON: Duration = Duration::from_secs(30);
const ROLLED_BACK: i32 = 2;

on_each_engine! {
    fn a_machine_that_is_built_anew_starts_what_last_completed_although_the_newest_manifests_are_bad(bench) {
        let (one, sick) = (bench.app_image("1", &[]), bench.app_image("2", &["ENV NEVER_READY=1"]));
        let web = |image: &str| Deployment::new("web", image).replicas(2).spec("progressDeadline", "2s").to_string();
        let controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one));
        bench.write("web.yaml", &web(&sick));
        assert_eq!(bench.applied(), ROLLED_BACK);
        let differs = bench.evenkeel(&["rollout", "history", "web", "--diff", "1", "2", "-n", "shop"]);
        assert!(differs.contains(&format!("spec.template.image: {one} -> {sick}")), "{differs}");

        controller.kill();
        for replica in bench.containers("web") {
            bench.engine.docker(&["rm", "--force", replica.id()]);
        }
        let state = bench.state_directory();
        for entry in fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true if entry.ends_with("sources") => {}
                true => fs::remove_dir_all(&entry).unwrap(),
                false => fs::remove_file(&entry).unwrap(),
            }
        }
        let (code, planned, warnings) = bench.offline_outcome(&["plan"]);
        assert_eq!(code, 2, "{planned}{warnings}");
        assert!(warnings.contains("the note that revision 1") && warnings.contains("that comes back"), "{warnings}");
        let _controller = bench.start_controller();
        bench.settled("web", 2, &one, SOON);
        let told = bench.evenkeel(&["describe", "deployment/web", "-n", "shop"]);
        assert!(told.contains("Pinned:") && told.contains("LastGoodRestored"), "{told}");
    }

    fn what_is_asked_right_after_an_edit_is_about_that_edit(bench) {
        let [one, two, three] = ["1", "2", "3"].map(|version| bench.app_image(version, &[]));
        let web = |image: &str| Deployment::new("web", image).replicas(2).to_string();
        let ask = |words: &[&str]| bench.evenkeel(&[words, &["web", "-n", "shop"]].concat());
        let _controller = bench.start_controller();
        bench.apply("web.yaml", &web(&one));
        bench.write("web.yaml", &web(&two));
        let told = ask(&["rollout", "status"]);
        assert!(told.contains("successfully rolled out: revision 2"), "{told}");

        bench.write("web.yaml", &web(&three));
        let told = ask(&["rollout", "undo", "--to", "1"]);
        assert!(told.contains("goes to revision 1"), "{told}");
        ask(&["rollout", "status"]);
        bench.settled("web", 2, &one, SOON);
        let told = bench.evenkeel(&["describe", "deployment/web", "-n", "shop"]);
        assert!(told.contains("stays at revision 1, which was chosen"), "{told}");
    }
}
