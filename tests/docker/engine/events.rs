//! Events as a hint to look again.

use std::time::Instant;

use evenkeel::engine::{EventMark, Whose};
use evenkeel::model::time::Span;

use super::*;
use crate::support::on_each_engine;

impl Door<'_> {
    fn beginning(&self) -> EventMark {
        self.run(self.docker.changed(None)).unwrap()
    }

    /// Everything that is heard until it is quiet.
    fn heard(&self, mut mark: EventMark) -> EventMark {
        let (mut touched, mut beyond) = (BTreeSet::new(), false);
        while let Ok(next) = self.run(async {
            tokio::time::timeout(Duration::from_millis(400), self.docker.changed(Some(mark.clone()))).await
        }) {
            let next = next.unwrap();
            assert!(next.nanos > mark.nanos, "{next:?} after {mark:?}");
            touched.extend(next.touched.iter().cloned());
            beyond |= next.beyond_containers;
            mark = next;
        }
        EventMark { touched: touched.into_iter().collect(), beyond_containers: beyond, ..mark }
    }
}

// Other tests use the same engine at the same time, so what is heard holds more than what is waited for.
on_each_engine! {
    fn the_first_wait_is_over_at_once_and_means_look(bench) {
        let door = Door::new(bench);
        let mark = door.beginning();
        assert!(mark.beyond_containers && mark.touched.is_empty());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
        assert!((now - mark.nanos).abs() < 5_000_000_000, "the engine's clock is this machine's");
    }

    fn nothing_that_happens_between_two_waits_is_lost(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let mark = door.beginning();
        let id = door.serving(&image);
        let mark = door.heard(mark);
        assert!(mark.touched.contains(&id), "{mark:?}");
        bench.engine.docker(&["update", "--restart", "always", &id.0]);
        let mark = door.heard(mark);
        assert!(mark.touched.contains(&id), "{mark:?}");
        bench.engine.docker(&["rename", &id.0, &format!("{}-renamed", bench.instance)]);
        bench.engine.docker(&["network", "disconnect", "none", &id.0]);
        let mark = door.heard(mark);
        assert!(mark.touched.contains(&id), "{mark:?}");
        bench.engine.docker(&["kill", &id.0]);
        assert!(door.heard(mark).touched.contains(&id));
    }

    fn networks_volumes_and_images_are_beyond_containers(bench) {
        let door = Door::new(bench);
        for change in 0..3 {
            let mark = door.beginning();
            match change {
                0 => drop(door.network_created("app")),
                1 => drop(bench.engine.docker(&["volume", "create", "--label", &format!("evenkeel-test={}", bench.instance)])),
                _ => drop(bench.app_image("1", &[])),
            }
            assert!(door.heard(mark).beyond_containers, "{change}");
        }
    }

    fn a_waiting_call_returns_within_a_moment(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let id = door.serving(&image);
        let mark = door.heard(door.beginning());
        let waiting = door.runtime.spawn({
            let docker = Docker::at(Host::Unix(bench.engine.socket.clone()), None, Name::new(&*bench.instance).unwrap());
            async move {
                let mut mark = mark;
                while !mark.touched.contains(&id) {
                    mark = docker.changed(Some(mark)).await.unwrap();
                }
                Instant::now()
            }
        });
        std::thread::sleep(Duration::from_millis(300));
        let killed = Instant::now();
        bench.engine.docker(&["kill", &door.run(door.docker.list()).unwrap().iter().find(|listed| listed.whose == Whose::Ours).unwrap().id.0]);
        let heard = door.run(waiting).unwrap();
        assert!(heard.duration_since(killed) < Duration::from_millis(1500), "{:?}", heard.duration_since(killed));
    }

    fn health_checks_that_change_nothing_wake_nobody(bench) {
        let (door, image) = (Door::new(bench), bench.app_image("1", &[]));
        let check = json!({"healthCheck": {"command": ["/app", "check"], "interval": "100ms"}});
        let id = door.started(&door.spec(&image, check));
        door.eventually(&id, "it is healthy", |container| container.health == evenkeel::model::observed::Health::Healthy);
        let mark = door.heard(door.beginning());
        std::thread::sleep(Duration::from_secs(1));
        assert!(!door.heard(mark).touched.contains(&id));
        door.run(door.docker.stop(&id, Span::ZERO)).unwrap();
    }
}
