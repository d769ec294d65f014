//! Many plays: all points or a sample of them, some side by side, each told as it ends, and a sum at the end. It knows
//! nothing of what a play is about.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::play::Play;
use super::point::Point;
use super::story::Story;
use crate::support::{Engine, Fault, attempt};

/// How often a point is played until its story comes to it.
const TRIES: usize = 2;
/// At most one change in so many may be one to which its story did not come, or one.
const CHANGES_MISSED: usize = 20;
/// The same of what only looks, or four: how often the controller looks differs from play to play.
const LOOKS_MISSED: usize = 5;

/// One engine or several of one kind, each with as many plays at a time as it bears.
pub struct Campaign {
    pub engines: Vec<Engine>,
    /// Plays at a time on each engine: one when the faults are the engine's.
    pub side_by_side: usize,
    pub faults: Vec<Fault>,
    /// Whether the engines' containers outlive them.
    pub live: bool,
}

/// What came of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Well,
    /// The story did not come to that request, so nothing went wrong.
    NotReached,
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Well => "well",
            Outcome::NotReached => "not reached",
            Outcome::Failed => "FAILED",
        })
    }
}

fn try_point(engine: &Engine, point: &Point) -> Outcome {
    for _ in 0..TRIES {
        match attempt(engine.lend(), &point.to_string(), |bench| Play::run(bench, point.story, Some(point))) {
            Ok(played) if played.struck.is_some() => return Outcome::Well,
            Ok(_) => {}
            Err(_) => return Outcome::Failed,
        }
    }
    Outcome::NotReached
}

impl Campaign {
    /// Plays every story undisturbed, and so learns the points.
    pub fn points(&self) -> Vec<Point> {
        let found = Mutex::new(BTreeMap::new());
        self.each(&Story::ALL, |engine, number, story| {
            let name = format!("undisturbed {}", story.name());
            match attempt(engine.lend(), &name, |bench| Play::run(bench, *story, None)) {
                Ok(played) => drop(found.lock().expect("no panic here").insert(number, (*story, played.requests))),
                Err(_) => eprintln!("FAILED {name}"),
            }
        });
        let found = found.into_inner().expect("no panic here");
        assert_eq!(found.len(), Story::ALL.len(), "not every story ends well undisturbed");
        for (story, requests) in found.values() {
            let each: Vec<_> = requests.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            println!("undisturbed {}: {}", story.name(), each.join(", "));
        }
        let points = found.values().flat_map(|(story, requests)| Point::of(*story, requests, &self.faults, self.live));
        points.filter(|point| !point.ends_the_engine(self.engines[0].generation)).collect()
    }

    /// Plays these points; panics at the end when one of them has not ended well, or too many were not reached.
    pub fn play(&self, points: &[Point], enumerated: usize) {
        let outcomes = Mutex::new(Vec::new());
        let (generation, chosen) = (self.engines[0].generation, points.len());
        self.each(points, |engine, number, point| {
            let began = Instant::now();
            let outcome = try_point(engine, point);
            let mut outcomes = outcomes.lock().expect("no panic here");
            outcomes.push((number, outcome));
            let (done, seconds) = (outcomes.len(), began.elapsed().as_secs_f32());
            eprintln!("chaos {generation}: {done} of {chosen}: {outcome}: {point} ({seconds:.1} s)");
        });
        let outcomes = outcomes.into_inner().expect("no panic here");
        let with =
            |wanted| outcomes.iter().filter(move |(_, outcome)| *outcome == wanted).map(|(number, _)| &points[*number]);
        let [well, missed, failed] =
            [Outcome::Well, Outcome::NotReached, Outcome::Failed].map(|outcome| with(outcome).count());
        println!(
            "chaos {generation}: enumerated {enumerated}, chosen {chosen} = ended well {well}, not reached {missed}, failed {failed}"
        );
        for point in with(Outcome::Failed) {
            println!("FAILED scripts/chaos --generation {generation} {point}");
        }
        assert!(failed == 0 && outcomes.len() == chosen, "{failed} of {chosen} failed");
        let looks = |points: &mut dyn Iterator<Item = &Point>| points.filter(|point| point.looks()).count();
        let (looked, looks_missed) = (looks(&mut points.iter()), looks(&mut with(Outcome::NotReached)));
        assert!(looks_missed <= 4.max(looked / LOOKS_MISSED), "{looks_missed} of {looked} looks were not reached");
        let (changed, changes_missed) = (chosen - looked, missed - looks_missed);
        assert!(
            changes_missed <= 1.max(changed / CHANGES_MISSED),
            "{changes_missed} of {changed} changes were not reached"
        );
    }

    /// Shares the items out among the engines.
    fn each<T: Sync>(&self, items: &[T], work: impl Fn(&Engine, usize, &T) + Sync) {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for engine in self.engines.iter().flat_map(|engine| std::iter::repeat_n(engine, self.side_by_side)) {
                let (next, work) = (&next, &work);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        let Some(item) = items.get(number) else { return };
                        work(engine, number, item);
                    }
                });
            }
        });
    }
}

/// So many of the points, as the seed shuffles them; with each commit other ones.
pub fn sample(points: &[Point], seed: &str, count: usize) -> Vec<Point> {
    let place = |point: &Point| {
        let mut hasher = DefaultHasher::new();
        (seed, point.to_string()).hash(&mut hasher);
        hasher.finish()
    };
    let mut shuffled: Vec<_> = points.iter().filter(|point| !point.is_known()).cloned().collect();
    shuffled.sort_by_key(place);
    shuffled.truncate(count);
    shuffled
}
