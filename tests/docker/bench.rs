//! The bench itself: when one of these fails, look at the bench before looking at Evenkeel.

use std::time::Duration;

use crate::support::{
    Container, Load, Registry, eventually, lockup, on_an_engine_of_its_own, on_each_engine, throughout,
};

const SOON: Duration = Duration::from_secs(10);

on_each_engine! {
    fn an_engine_says_what_it_does(bench) {
        let account = lockup::account(&bench.engine).expect("it is asked where it writes it");
        assert!(account.contains("goroutine "), "{account}");
        assert!(!lockup::since(&bench.engine, lockup::count(&bench.engine)));
    }

    fn an_image_of_the_application_runs_and_answers_with_its_version(bench) {
        let image = bench.app_image("7", &[]);
        let id = bench.run_foreign(&[&image]);
        let address = Container(bench.engine.inspect(&id).unwrap()).address(None);
        let answer = eventually("it answers", SOON, || bench.get(&format!("http://{address}:8080/")));
        assert!(answer.starts_with("version 7 on "), "{answer}");
    }

    fn an_image_can_have_a_health_check_of_its_own(bench) {
        let image = bench.app_image("1", &["HEALTHCHECK --interval=100ms CMD [\"/app\", \"check\"]"]);
        let id = bench.run_foreign(&[&image]);
        eventually("it is healthy", SOON, || {
            let health = bench.engine.inspect(&id).unwrap()["State"]["Health"]["Status"].clone();
            if health == "healthy" { Ok(()) } else { Err(health.to_string()) }
        });
    }

    fn a_load_counts_every_failure(bench) {
        let image = bench.app_image("1", &[]);
        let port = bench.free_port().to_string();
        let id = bench.run_foreign(&["--publish", &format!("127.0.0.1:{port}:8080"), &image]);
        let url = format!("http://127.0.0.1:{port}/");
        eventually("it answers", SOON, || bench.get(&url));

        let calm = Load::start(bench, &url, &["1"]);
        throughout("it answers", Duration::from_millis(300), || bench.get(&url).map(drop));
        let calm = calm.stop();
        assert_eq!(calm.failed(), 0, "{calm:?}");
        assert_eq!(calm.of_version("1"), calm.requests(), "{calm:?}");

        let rough = Load::start(bench, &url, &["1"]);
        bench.engine.docker(&["restart", "--time", "1", &id]);
        eventually("it answers again", SOON, || bench.get(&url));
        let rough = rough.stop();
        assert!(rough.failed() > 0, "{rough:?}");
    }

    fn a_registry_takes_an_image_and_gives_it_back(bench) {
        let image = bench.app_image("1", &[]);
        let registry = Registry::open(bench);
        let reference = registry.push(&image, "shop:1");
        bench.engine.docker(&["pull", "--quiet", &reference]);
        assert!(registry.digest("shop:1").starts_with("sha256:"));
    }

    fn a_private_registry_refuses_strangers(bench) {
        let image = bench.app_image("1", &[]);
        let registry = Registry::private(bench);
        let reference = registry.push(&image, "shop:1");
        let refusal = bench.engine.try_docker(&["pull", &reference]).unwrap_err();
        assert!(refusal.contains("no basic auth credentials"), "{refusal}");
    }
}

on_an_engine_of_its_own! {
    fn an_engine_comes_back_after_a_crash_with_its_containers(bench) {
        let image = bench.app_image("1", &[]);
        let id = bench.run_foreign(&[&image]);
        bench.engine.kill();
        assert!(bench.engine.try_docker(&["version"]).is_err());
        bench.engine.start_again();
        assert!(bench.engine.inspect(&id).is_some());
    }
}
