//! Threads that play points beside each other, and somebody who watches that each play ends in real time. What a point is
//! and when it is well is known elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use crate::play::{Play, play};
use crate::support::scenario::fault::{self, Fault};
use crate::support::scenario::file::Scenario;
use crate::verdict;

/// A play that takes longer than this, in real time, hangs.
const HUNG_AFTER: Duration = Duration::from_secs(120);

/// What goes wrong in one play, in the order in which it does.
pub type Point = Vec<Fault>;

/// A scenario with its undisturbed play and the points to try.
pub struct Subject {
    pub scenario: Scenario,
    pub undisturbed: Play,
    pub points: Vec<Point>,
}

/// All that the threads share.
pub struct Crew {
    subjects: Vec<Subject>,
    next: AtomicUsize,
    /// When each play under way began, by the point's number.
    under_way: Mutex<BTreeMap<usize, Instant>>,
}

/// What came of a point: its number, and what was wrong.
type Finding = (usize, Vec<String>);

/// How many points of a subject were played and how many failed.
#[derive(Default, Clone, Copy)]
struct Score {
    executed: usize,
    failed: usize,
}

impl Crew {
    pub fn new(subjects: Vec<Subject>) -> Self {
        Self { subjects, next: AtomicUsize::new(0), under_way: Mutex::default() }
    }

    /// Plays everything and prints what came of it. True if all is well.
    pub fn work(self) -> bool {
        let (crew, began) = (Arc::new(self), Instant::now());
        let (sender, findings) = mpsc::channel();
        for _ in 0..threads() {
            crew.clone().hire(sender.clone());
        }
        let enumerated: usize = crew.subjects.iter().map(|subject| subject.points.len()).sum();
        let mut scores = vec![Score::default(); crew.subjects.len()];
        let mut executed = 0;
        while executed < enumerated {
            let mut ended: Vec<Finding> = findings.recv_timeout(Duration::from_secs(1)).into_iter().collect();
            for number in crew.give_up() {
                ended.push((number, vec![format!("it does not end within {} s", HUNG_AFTER.as_secs())]));
                crew.clone().hire(sender.clone());
            }
            executed += ended.len();
            ended.iter().for_each(|finding| crew.count(finding, &mut scores));
        }
        let failed: usize = scores.iter().map(|score| score.failed).sum();
        let seconds = began.elapsed().as_secs();
        println!("total: enumerated {enumerated} = executed {executed}, failed {failed}, in {seconds} s");
        failed == 0
    }

    fn hire(self: Arc<Self>, findings: mpsc::Sender<Finding>) {
        std::thread::spawn(move || {
            loop {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let Some((index, point)) = self.point(number) else { return };
                self.plays().insert(number, Instant::now());
                let found = judge(&self.subjects[index], point);
                // One that was given up has been told already, and somebody else works on.
                if self.plays().remove(&number).is_none() || findings.send((number, found)).is_err() {
                    return;
                }
            }
        });
    }

    /// Counts a finding, and tells what was wrong and when a subject is done.
    fn count(&self, (number, found): &Finding, scores: &mut [Score]) {
        let (index, point) = self.point(*number).expect("a point that was played has its number");
        let (subject, score) = (&self.subjects[index], &mut scores[index]);
        score.executed += 1;
        score.failed += usize::from(!found.is_empty());
        if !found.is_empty() {
            println!("FAILED scripts/prove {} {}{}", subject.scenario.path, fault::words(point), subject.place(point));
            found.iter().for_each(|problem| println!("       {problem}"));
        }
        if score.executed == subject.points.len() {
            let (name, points) = (&subject.scenario.path, subject.points.len());
            println!("{name}: enumerated {points} = executed {}, failed {}", score.executed, score.failed);
        }
    }

    /// The point of that number, counted through all subjects.
    fn point(&self, mut number: usize) -> Option<(usize, &Point)> {
        for (index, subject) in self.subjects.iter().enumerate() {
            match subject.points.get(number) {
                Some(point) => return Some((index, point)),
                None => number -= subject.points.len(),
            }
        }
        None
    }

    /// The points whose play does not end. Nobody waits for them any more.
    fn give_up(&self) -> Vec<usize> {
        let mut plays = self.plays();
        let hung = plays.iter().filter(|(_, began)| began.elapsed() > HUNG_AFTER).map(|(number, _)| *number);
        let hung: Vec<usize> = hung.collect();
        plays.retain(|number, _| !hung.contains(number));
        hung
    }

    fn plays(&self) -> MutexGuard<'_, BTreeMap<usize, Instant>> {
        self.under_way.lock().expect("no thread panics while it holds this")
    }
}

/// Plays a point and says what is wrong.
pub fn judge(subject: &Subject, point: &Point) -> Vec<String> {
    verdict::of(&subject.scenario, &subject.undisturbed, &play(&subject.scenario, point), point)
}

impl Subject {
    /// What the first fault meets, for people: ` (create shop.web.r1.0)`.
    fn place(&self, point: &Point) -> String {
        let call = |at: usize| self.undisturbed.calls.get(at).map(|call| format!(" ({})", call.trim()));
        let write =
            |at: usize| self.undisturbed.writes.get(at).map(|write| format!(" ({} {})", write.operation, write.path));
        let found = point.first().and_then(|fault| match *fault {
            Fault::Call { at, .. } | Fault::State { at, .. } => call(at),
            Fault::Write { at, .. } => write(at),
        });
        found.unwrap_or_default()
    }
}

/// How many plays run at once.
pub fn threads() -> usize {
    let asked = std::env::var("PROVE_THREADS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get()))
}
