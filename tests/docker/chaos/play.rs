//! One story on a real engine with one fault in it: what is set up, what goes wrong, and whether it ended well. It chooses
//! neither.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::neighbours::{Neighbours, mountpoint};
use super::point::Point;
use super::service::{Controller, Service};
use super::story::{ONE, Story};
use super::witness::{Seen, Witness};
use crate::support::{Bench, Container, Engine, Fault, Proxy, eventually};

/// How long a story may take from the fault to its end; a stalled container alone takes most of a minute.
const DEADLINE: Duration = Duration::from_secs(150);
/// How long everything has to stay as it is to be at rest.
const REST: Duration = Duration::from_millis(1500);
/// How long the engine is frozen, and its disk full.
const TROUBLE: Duration = Duration::from_secs(4);

/// A play, from its beginning to its end.
pub struct Play<'a> {
    bench: &'a Bench,
    story: Story,
    point: Option<&'a Point>,
    proxy: Proxy,
    _service: Service,
}

/// What came of a play that ended well.
pub struct Played {
    /// How many requests of each kind the story made.
    pub requests: Vec<(String, u32)>,
    /// The request at which the fault struck; none when the story did not come to it this time.
    pub struck: Option<String>,
}

impl<'a> Play<'a> {
    /// Plays it; panics when it does not end well.
    pub fn run(bench: &'a Bench, story: Story, point: Option<&'a Point>) -> Played {
        Story::prepare(bench);
        let play = Play::set_up(bench, story, point);
        let neighbours = Neighbours::settle_in(bench, volumes(story));
        let witness = Witness::start(bench);
        play.proxy.arm(point.map(|point| (&*point.kind, point.ordinal, point.fault)));
        play.edit(story.edits());
        play.comes_to_its_end();
        let seen = witness.asked();
        let changes = neighbours.changes(bench, point.is_some_and(|point| point.fault.ends_the_engine()));
        assert!(changes.is_empty(), "{}", changes.join("\n"));
        play.kept_its_promise(&seen);
        play.ran_its_job_once();
        play.was_seen_whole();
        Played { requests: play.proxy.seen().into_iter().collect(), struck: play.proxy.fired() }
    }

    /// A request that the proxy does not see is one at which nothing ever goes wrong.
    fn was_seen_whole(&self) {
        if self.point.is_none() {
            let seen = self.proxy.seen();
            let missed = self.story.least().into_iter().filter(|(kind, least)| seen.get(*kind).unwrap_or(&0) < least);
            assert_eq!(missed.collect::<Vec<_>>(), [], "the proxy has seen no more than {seen:?}");
        }
    }

    fn set_up(bench: &'a Bench, story: Story, point: Option<&'a Point>) -> Self {
        let controller = Controller::default();
        let (engine, victim) = (bench.engine.lend(), controller.clone());
        let blow = Box::new(move |fault| strike(fault, &engine, &victim));
        let proxy = Proxy::start(&bench.directory().join("proxy.sock"), &bench.engine.socket, blow);
        let (command, log) = bench.controller_through(&proxy.socket);
        let service = Service::start(command, log, controller);
        let play = Play { bench, story, point, proxy, _service: service };
        play.edit(story.before());
        if !story.before().is_empty() {
            eventually("the world before the story", Duration::from_secs(60), || play.told(0));
            play.is_as_wanted(2, ONE, usize::from(story == Story::Prune)).expect("it has just been told");
        }
        play
    }

    fn edit(&self, edits: Vec<(&str, Option<String>)>) {
        for (name, text) in edits {
            match text {
                Some(text) => self.bench.write(name, &text),
                None => self.bench.remove(name),
            }
        }
    }

    /// What `apply --wait` tells must become the truth, and stay it.
    fn comes_to_its_end(&self) {
        eventually("the controller tells the end", DEADLINE, || self.told(self.story.outcome()));
        let (count, image) = self.story.replicas();
        let mut since = None;
        eventually("it is at rest", DEADLINE, || {
            let now = self.is_as_wanted(count, image, self.story.others());
            since = now.is_ok().then(|| since.unwrap_or_else(Instant::now));
            match since.is_some_and(|since| since.elapsed() > REST) {
                true => Ok(()),
                false => Err(now.err().unwrap_or_else(|| "not for long enough".to_string())),
            }
        });
    }

    /// Whether the controller says that it ended so. It may be dead at the moment, or just have seen nothing yet.
    fn told(&self, wanted: i32) -> Result<(), String> {
        let mut command = self.bench.command_line();
        command.args(["apply", "--wait", "--timeout", "10s", "--source"]).arg(&self.bench.manifests);
        let output = command.arg("--socket").arg(self.bench.socket()).output().map_err(|e| e.to_string())?;
        match output.status.code() {
            Some(code) if code == wanted => Ok(()),
            code => Err(format!("{code:?} {}", String::from_utf8_lossy(&output.stdout))),
        }
    }

    /// Exactly these containers, and each of them well.
    fn is_as_wanted(&self, count: usize, image: &str, others: usize) -> Result<(), String> {
        let id = self.bench.image_id(image)?;
        let all = self.bench.try_all_ours()?;
        let web = all.iter().filter(|container| container.label("evenkeel.dev/name") == "web");
        let states: Vec<_> = web.map(|container| (container.name(), self.is_well(container, &id))).collect();
        match states.len() == count && all.len() == count + others && states.iter().all(|(_, well)| *well) {
            true => Ok(()),
            false => Err(format!("{} containers, of web {states:?}", all.len())),
        }
    }

    fn is_well(&self, container: &Container, image: &str) -> bool {
        let named = container.aliases(None).contains(&"web".to_string());
        let url = format!("http://{}:8080/healthz", container.address(None));
        container.running() && container.image() == image && named && self.bench.get(&url).is_ok()
    }

    fn kept_its_promise(&self, seen: &Seen) {
        let fewest = seen.fewest.unwrap_or_default();
        let taken = self.point.is_some_and(|point| point.fault.ends_the_engine() && !point.live);
        let looked = seen.looks > 0 || self.story.promise() == 0;
        assert!(looked, "nobody looked");
        assert!(taken || fewest >= self.story.promise(), "{} were promised: {}", self.story.promise(), seen.how);
    }

    fn ran_its_job_once(&self) {
        if self.story != Story::Job {
            return;
        }
        let runs = mountpoint(self.bench, &self.bench.engine_name("shop", "data")).join("runs");
        let runs = fs::read_to_string(runs).unwrap_or_default().lines().count();
        assert_eq!(runs, 1, "the job runs once");
    }
}

fn volumes(story: Story) -> &'static [&'static str] {
    match story {
        Story::FirstStart => &[],
        Story::Prune => &["data", "kept"],
        Story::Update | Story::Rollback | Story::Job | Story::Scale | Story::Config => &["data"],
    }
}

/// What a fault does to controller and engine.
fn strike(fault: Fault, engine: &Engine, controller: &Controller) {
    match fault {
        Fault::KillBefore | Fault::KillAfter => controller.kill(),
        Fault::EngineKill | Fault::EngineKillWithin => {
            engine.kill();
            engine.start_again();
        }
        Fault::EngineRestart => {
            engine.shut_down();
            engine.start_again();
        }
        Fault::EngineFreeze => engine.freeze(TROUBLE),
        Fault::DiskFull => fill_for_a_while(engine.data().join("filler")),
        Fault::CutBefore
        | Fault::CutAfter
        | Fault::CutWithin
        | Fault::Delay
        | Fault::Double
        | Fault::Error500
        | Fault::Error503
        | Fault::ErrorAfter
        | Fault::Garbage
        | Fault::BrokenJson
        | Fault::Stall => {}
    }
}

/// Fills the disk now, and frees it later.
fn fill_for_a_while(path: PathBuf) {
    let mut file = fs::File::create(&path).expect("the disk is not full yet");
    let chunk = vec![0; 1 << 20];
    // It ends by an error: no space left on device.
    while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
    thread::spawn(move || {
        thread::sleep(TROUBLE);
        fs::remove_file(path).expect("the filler can be removed");
    });
}
