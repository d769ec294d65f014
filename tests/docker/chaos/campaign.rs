//! Many plays: all points or a sample of them, some side by side, each told as it ends, and a sum at the end. It knows
//! nothing of what a play is about.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::play::Play;
use super::point::Point;
use super::story::Story;
use crate::support::{Engine, Fault, attempt};

/// One engine or several of one kind, each with as many plays at a time as it bears.
pub struct Campaign {
    pub engines: Vec<Engine>,
    /// Plays at a time on each engine: one when the faults are the engine's.
    pub side_by_side: usize,
    pub faults: Vec<Fault>,
    /// Whether the engines' containers outlive them.
    pub live: bool,
}

/// What came of one play.
enum Outcome {
    Well,
    /// The story did not come to that request this time.
    NotReached,
    Failed,
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
        found.values().flat_map(|(story, requests)| Point::of(*story, requests, &self.faults, self.live)).collect()
    }

    /// Plays these points; panics at the end when one of them has not ended well.
    pub fn play(&self, points: &[Point], enumerated: usize) {
        let (done, failed, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
        let generation = self.engines[0].generation;
        self.each(points, |engine, _, point| {
            let began = Instant::now();
            let outcome =
                match attempt(engine.lend(), &point.to_string(), |bench| Play::run(bench, point.story, Some(point))) {
                    Ok(played) if played.struck.is_some() => Outcome::Well,
                    Ok(_) => Outcome::NotReached,
                    Err(_) => Outcome::Failed,
                };
            let word = match outcome {
                Outcome::Well => "well",
                Outcome::NotReached => {
                    missed.fetch_add(1, Ordering::SeqCst);
                    "not reached"
                }
                Outcome::Failed => {
                    failed.lock().expect("no panic here").push(point.to_string());
                    "FAILED"
                }
            };
            let (done, all) = (done.fetch_add(1, Ordering::SeqCst) + 1, points.len());
            eprintln!("chaos {generation}: {done} of {all}: {word}: {point} ({:.1} s)", began.elapsed().as_secs_f32());
        });
        let (executed, failed) = (done.into_inner(), failed.into_inner().expect("no panic here"));
        let (missed, chosen) = (missed.into_inner(), points.len());
        println!(
            "chaos {generation}: enumerated {enumerated}, chosen {chosen} = executed {executed}, not reached {missed}, failed {}",
            failed.len()
        );
        for point in &failed {
            println!("FAILED scripts/chaos --generation {generation} {point}");
        }
        assert!(failed.is_empty() && executed == chosen, "{} of {chosen} failed", failed.len());
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
    let mut shuffled = points.to_vec();
    shuffled.sort_by_key(place);
    shuffled.truncate(count);
    shuffled
}
