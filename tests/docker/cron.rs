//! CronJobs: a run that a person asks for, its result, and what stays of it.

use std::time::Duration;

use crate::support::{eventually, object, on_each_engine};

const SOON: Duration = Duration::from_secs(30);

on_each_engine! {
    fn a_run_is_made_when_it_is_asked_for_and_followed_to_its_end(bench) {
        let image = bench.app_image("1", &[]);
        let backup = |arguments: &str| {
            let spec = format!("{{schedule: '0 0 29 2 *', template: {{image: '{image}', args: {arguments}}}}}");
            object("CronJob", "backup", &spec)
        };
        bench.write("backup.yaml", &backup("[job, --sleep, 3s, --print, all is dumped]"));
        let controller = bench.start_controller();
        assert_eq!(bench.applied(), 0, "nobody waits for its next time");
        assert_eq!(bench.containers("backup").len(), 0);
        bench.evenkeel(&["run-now", "cronjob/backup", "-n", "shop"]);
        eventually("its run is under way", SOON, || match bench.running("backup").len() {
            1 => Ok(()),
            count => Err(format!("{count} run")),
        });
        let (code, _, said) = bench.evenkeel_outcome(&["run-now", "cronjob/backup", "-n", "shop"]);
        assert!(code == 1 && said.contains("is under way"), "{code}: {said}");
        let first = bench.running("backup").first().map(|c| c.id().to_string());
        controller.kill();
        let _controller = bench.start_controller();
        eventually("it has ended well", SOON, || {
            let told = bench.evenkeel(&["describe", "cronjob/backup", "-n", "shop"]);
            if told.contains("Succeeded") && told.contains("| all is dumped") { Ok(()) } else { Err(told) }
        });
        assert_eq!(bench.containers("backup").first().map(|c| c.id().to_string()), first, "it is not run again");
        assert!(bench.evenkeel(&["logs", "cronjob/backup", "-n", "shop"]).contains("all is dumped"));
        bench.write("backup.yaml", &backup("[job, --print, no space left, --exit, '3']"));
        assert_eq!(bench.applied(), 0);
        let (code, said, _) = bench.evenkeel_outcome(&["run-now", "backup", "-n", "shop", "--wait", "--timeout", "1m"]);
        assert!(code == 3 && said.contains("exited with code 3"), "{code}: {said}");
        let metrics = bench.get(&format!("http://{}/metrics", bench.metrics_address())).unwrap();
        assert!(metrics.contains("evenkeel_cronjob_last_success_timestamp_seconds"), "{metrics}");
        assert_eq!(bench.containers("backup").len(), 2, "one that ended well and one that failed are kept");
        // A source that declares nothing is a mistake, and removes nothing.
        bench.write("other.yaml", &object("ConfigMap", "other", "{data: {a: b}}"));
        bench.remove("backup.yaml");
        eventually("nothing of it is left", SOON, || match bench.containers("backup").len() {
            0 => Ok(()),
            count => Err(format!("{count} are left")),
        });
    }
}
