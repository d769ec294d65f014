//! Threads that play points beside each other, and somebody who watches that each play ends in real time. What a point is
//! and when it is well is known elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use crate::support::scenario::fault::Fault;
use crate::support::scenario::file::Scenario;
use crate::support::scenario::{Outcome, play_with_faults};

/// A play that takes longer than this, in real time, hangs.
const HUNG_AFTER: Duration = Duration::from_secs(120);

/// A scenario with its undisturbed play and the points to try.
pub struct Subject {
    pub scenario: Scenario,
    pub undisturbed: Outcome,
    pub points: Vec<Fault>,
}

/// All that the threads share.
pub struct Crew {
    subjects: Vec<Arc<Subject>>,
    next: AtomicUsize,
    /// What each play under way began with, and when.
    under_way: Mutex<BTreeMap<usize, Instant>>,
}

/// What came of a point: the subject's index, and what was wrong.
type Finding = (usize, Vec<String>);

impl Crew {
    pub fn new(subjects: Vec<Arc<Subject>>) -> Self {
        Self { subjects, next: AtomicUsize::new(0), under_way: Mutex::default() }
    }

    /// Plays everything and prints what came of it. True if all is well.
    pub fn work(self) -> bool {
        let (crew, began) = (Arc::new(self), Instant::now());
        let (sender, findings) = mpsc::channel();
        for _ in 0..threads() {
            crew.clone().hire(sender.clone());
        }
        drop(sender);
        let enumerated: usize = crew.subjects.iter().map(|subject| subject.points.len()).sum();
        let (mut executed, mut failed) = (vec![0; crew.subjects.len()], vec![0; crew.subjects.len()]);
        while executed.iter().sum::<usize>() < enumerated {
            match findings.recv_timeout(Duration::from_secs(1)) {
                Ok((index, problems)) => {
                    executed[index] += 1;
                    failed[index] += usize::from(!problems.is_empty());
                    problems.iter().for_each(|problem| println!("FAILED {problem}"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) if !crew.hung().is_empty() => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        for ((subject, executed), failed) in crew.subjects.iter().zip(&executed).zip(&failed) {
            let (name, points) = (&subject.scenario.path, subject.points.len());
            println!("{name}: enumerated {points} = executed {executed}, failed {failed}");
        }
        let (executed, failed): (usize, usize) = (executed.iter().sum(), failed.iter().sum());
        let seconds = began.elapsed().as_secs();
        println!("total: enumerated {enumerated} = executed {executed}, failed {failed}, in {seconds} s");
        crew.hung().iter().for_each(|point| println!("HANGS scripts/prove {point}"));
        executed == enumerated && failed == 0
    }

    fn hire(self: Arc<Self>, findings: mpsc::Sender<Finding>) {
        std::thread::spawn(move || {
            loop {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let Some((index, fault)) = self.point(number) else { return };
                self.plays().insert(number, Instant::now());
                let subject = &self.subjects[index];
                let problems = play_with_faults(&subject.scenario, &subject.undisturbed, &[fault]);
                self.plays().remove(&number);
                if findings.send((index, problems)).is_err() {
                    return;
                }
            }
        });
    }

    /// The point of that number, counted through all subjects.
    fn point(&self, mut number: usize) -> Option<(usize, Fault)> {
        for (index, subject) in self.subjects.iter().enumerate() {
            match subject.points.get(number) {
                Some(fault) => return Some((index, *fault)),
                None => number -= subject.points.len(),
            }
        }
        None
    }

    /// The points whose play does not end, as they are replayed.
    fn hung(&self) -> Vec<String> {
        let plays = self.plays();
        let hung = plays.iter().filter(|(_, began)| began.elapsed() > HUNG_AFTER);
        let points = hung.filter_map(|(number, _)| self.point(*number));
        points.map(|(index, fault)| format!("{} {fault}", self.subjects[index].scenario.path)).collect()
    }

    fn plays(&self) -> MutexGuard<'_, BTreeMap<usize, Instant>> {
        self.under_way.lock().expect("no thread panics while it holds this")
    }
}

/// How many plays run at once.
pub fn threads() -> usize {
    let asked = std::env::var("PROVE_THREADS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get()))
}
