//! The two engines, behind what a sequence needs of them: the trait, people's hands, and a way to let things come to rest.

use std::time::Duration;

use evenkeel::engine::{Docker, Engine, Host};
use evenkeel::model::name::Name;
use evenkeel::model::observed::ContainerId;

use super::operation::Program;
use super::sim::Sim;
use super::sim::app::App;
use crate::support::Bench;

/// What somebody does with the docker command.
pub enum Deed {
    Pause(ContainerId),
    Stop(ContainerId),
    Kill(ContainerId),
    Remove(ContainerId),
    Disconnect(ContainerId, String),
    /// Gives an image another name.
    Tag(String, String),
    /// Takes a name of an image away.
    DeleteImage(String),
    /// To the engine itself, gracefully or not.
    EngineGoes {
        graceful: bool,
    },
}

/// One of the two.
pub trait Side {
    fn engine(&self) -> &impl Engine;
    /// Whether it was done.
    fn by_hand(&self, deed: Deed) -> bool;
    /// A moment, before the next look.
    async fn rest(&self);
    /// How many looks in a row must be alike.
    const ALIKE: u32;
}

/// The reference of a program's image.
pub fn reference(program: Program) -> String {
    format!("evenkeel-test/likeness:{}", program.word())
}

/// A real one.
pub struct Real<'a> {
    bench: &'a Bench,
    docker: Docker,
}

impl<'a> Real<'a> {
    pub fn new(bench: &'a Bench) -> Self {
        for (program, lines) in [
            (Program::Serves, &[][..]),
            (Program::Stubborn, &["ENV IGNORE_TERM=1"]),
            (Program::Crashes, &["ENV CRASH=3"]),
            (Program::Checked, &["HEALTHCHECK --interval=100ms CMD [\"/app\", \"check\"]"]),
            (
                Program::Sick,
                &["ENV WARMUP=3600s", "HEALTHCHECK --interval=100ms --retries=2 CMD [\"/app\", \"check\"]"],
            ),
            (Program::Hollow, &["ENTRYPOINT [\"/no/such/program\"]"]),
        ] {
            bench.shared_app_image(&reference(program), program.word(), lines);
        }
        let instance = Name::new(&*bench.instance).unwrap();
        let docker = Docker::at(Host::Unix(bench.engine.socket.clone()), None, instance);
        Real { bench, docker }
    }
}

impl Side for Real<'_> {
    const ALIKE: u32 = 3;

    fn engine(&self) -> &impl Engine {
        &self.docker
    }

    fn by_hand(&self, deed: Deed) -> bool {
        let done = match deed {
            Deed::EngineGoes { graceful } => {
                if graceful {
                    self.bench.engine.shut_down()
                } else {
                    self.bench.engine.kill()
                }
                self.bench.engine.start_again();
                return true;
            }
            Deed::Pause(id) => self.bench.engine.try_docker(&["pause", &id.0]),
            Deed::Stop(id) => self.bench.engine.try_docker(&["stop", "--time", "1", &id.0]),
            Deed::Kill(id) => self.bench.engine.try_docker(&["kill", &id.0]),
            Deed::Remove(id) => self.bench.engine.try_docker(&["rm", "--force", "--volumes", &id.0]),
            Deed::Disconnect(id, network) => self.bench.engine.try_docker(&["network", "disconnect", &network, &id.0]),
            Deed::Tag(image, name) => self.bench.engine.try_docker(&["tag", &image, &name]),
            Deed::DeleteImage(name) => self.bench.engine.try_docker(&["rmi", "--no-prune", &name]),
        };
        done.is_ok()
    }

    async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}

/// The simulated one.
pub struct Fake(Sim);

impl Fake {
    /// To be called within a runtime whose time is paused.
    pub fn new(instance: &str, generation: u32) -> Self {
        let sim = Sim::new(instance);
        sim.with(|world| world.is_old = generation < 26);
        for (program, how) in [
            (Program::Serves, "ready"),
            (Program::Stubborn, "ready, ignores SIGTERM"),
            (Program::Crashes, "exits with 3"),
            (Program::Checked, "ready, has a health check every 100ms"),
            (Program::Sick, "never ready, has a health check every 100ms 2 retries"),
            (Program::Hollow, "has no entrypoint"),
        ] {
            let app = App::parse(how).expect("the phrase is known");
            sim.with(|world| world.build(&reference(program), app));
        }
        Fake(sim)
    }

    pub fn sim(&self) -> &Sim {
        &self.0
    }
}

impl Side for Fake {
    const ALIKE: u32 = 1;

    fn engine(&self) -> &impl Engine {
        &self.0
    }

    fn by_hand(&self, deed: Deed) -> bool {
        self.0.with(|world| match deed {
            Deed::Pause(id) => world.pause(&id).is_ok(),
            Deed::Stop(id) => world.begin_stop(&id, 1_000).is_ok(),
            Deed::Kill(id) => world.kill(&id).is_ok(),
            // The docker command is content when there is none.
            Deed::Remove(id) => {
                world.remove_by_force(&id).or_else(|no| if no.status == 404 { Ok(()) } else { Err(no) }).is_ok()
            }
            Deed::Disconnect(id, network) => world.disconnect(&id, &network).is_ok(),
            Deed::Tag(image, name) => world.tag_image(&image, &name).is_ok(),
            Deed::DeleteImage(name) => world.delete_image(&name).is_ok(),
            Deed::EngineGoes { graceful } => {
                world.power_down(graceful, 1_000);
                true
            }
        })
    }

    async fn rest(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
