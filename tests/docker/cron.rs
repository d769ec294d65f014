//! CronJobs: a run that a person asks for, its result, and what stays of it.

use std::time::Duration;

use crate::support::{Container, Deployment, eventually, object, on_each_engine, throughout};

const SOON: Duration = Duration::from_secs(30);

/// Whether all of them are paused, and nobody is led to one of them.
fn frozen(containers: &[Container]) -> Result<(), String> {
    let is_frozen =
        |c: &&Container| c.0["State"]["Status"] == "paused" && !c.aliases(None).contains(&"web".to_string());
    match containers.iter().filter(is_frozen).count() {
        2 => Ok(()),
        count => Err(format!("{count} are")),
    }
}

on_each_engine! {
    fn what_a_run_wants_quiet_is_paused_until_it_has_ended_and_goes_on_where_it_was(bench) {
        let image = bench.app_image("1", &[]);
        let web = Deployment::new("web", &image).replicas(2).spec("minReady", "1s").template("drain", "1s");
        let probe = "{httpGet: {port: 8080, path: /healthz}, period: 200ms, failureThreshold: 1}";
        bench.write("web.yaml", &web.template("livenessProbe", probe).to_string());
        let spec = format!(
            "{{schedule: '0 0 29 2 *', quiesce: [{{deployment: web, by: Pause}}], \
             template: {{image: '{image}', args: [job, --sleep, 6s]}}}}"
        );
        bench.write("backup.yaml", &object("CronJob", "backup", &spec));
        let controller = bench.start_controller();
        assert_eq!(bench.applied(), 0);
        let before = bench.settled("web", 2, &image, SOON);
        bench.evenkeel(&["run-now", "cronjob/backup", "-n", "shop"]);
        eventually("it runs, and the replicas are paused", SOON, || {
            let runs = bench.running("backup").len();
            frozen(&bench.containers("web")).and(if runs == 1 { Ok(()) } else { Err("it does not run".into()) })
        });
        controller.kill();
        let _controller = bench.start_controller();
        throughout("they stay so", Duration::from_secs(2), || frozen(&bench.containers("web")));
        let told = bench.evenkeel(&["describe", "deployment/web", "-n", "shop"]);
        assert!(told.contains("Quiesced") && told.contains("paused for run"), "{told}");
        eventually("they serve again", SOON, || {
            let now = bench.running("web");
            let serves = |c: &&Container| {
                c.aliases(None).contains(&"web".to_string())
                    && bench.get(&format!("http://{}:8080/healthz", c.address(None))).is_ok()
            };
            match now.iter().filter(serves).count() {
                2 => Ok(()),
                count => Err(format!("{count} do")),
            }
        });
        let runs = |all: &[Container]| {
            let mut runs: Vec<_> = all.iter().map(|c| (c.id().to_string(), c.started_at().to_string())).collect();
            runs.sort();
            runs
        };
        assert_eq!(runs(&bench.running("web")), runs(&before), "nothing was started anew");
        assert_eq!(bench.running("backup").len(), 0, "they come back when it has ended");
    }

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
