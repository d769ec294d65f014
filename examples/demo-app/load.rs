//! `load URL`: sends requests over and over and counts everything that a user would have noticed.
//!
//! `--connections C` (4) at a time, for `--seconds N` (10), or until SIGTERM, or, with `--until-eof`, until standard input
//! ends; `--rate R` requests a second in all (as many as it can); `--new-connections`: one connection per request;
//! `--expect-version-in 1,2`: any other `X-Version` is wrong. Prints one JSON object; fails when any request did.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::http::{Client, Target};
use crate::termination::Termination;

/// How long a user waits before giving up on one request.
const PATIENCE: Duration = Duration::from_secs(15);
/// After a failed request, so that a server that is gone is not asked a million times.
const PAUSE: Duration = Duration::from_millis(10);
/// Failures that each connection describes on standard error.
const DESCRIBED: u64 = 5;

/// Set when it is told to end. A static, because the threads that wait for that may outlive everything else.
static ENOUGH: AtomicBool = AtomicBool::new(false);

struct Order {
    target: Target,
    versions: Option<Vec<String>>,
    new_connections: bool,
    end: Instant,
    /// Between the starts of two requests on one connection.
    interval: Duration,
}

pub fn run(args: &Args) -> Result<ExitCode, String> {
    let started = Instant::now();
    let connections: u32 = args.number("--connections", 4)?;
    let rate: f64 = args.number("--rate", 0.0)?;
    let order = Order {
        target: Target::parse(args.first().ok_or("load needs a URL")?).map_err(|e| e.to_string())?,
        versions: args.text("--expect-version-in").map(|list| list.split(',').map(str::to_string).collect()),
        new_connections: args.has("--new-connections"),
        end: started + Duration::from_secs(args.number("--seconds", 10)?),
        interval: if rate > 0.0 { Duration::from_secs_f64(f64::from(connections) / rate) } else { Duration::ZERO },
    };
    let termination = Termination::block();
    thread::spawn(move || {
        termination.wait();
        ENOUGH.store(true, Ordering::SeqCst);
    });
    if args.has("--until-eof") {
        thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            ENOUGH.store(true, Ordering::SeqCst);
        });
    }
    let tally = thread::scope(|scope| {
        let asking: Vec<_> = (0..connections).map(|_| scope.spawn(|| ask(&order))).collect();
        asking
            .into_iter()
            .map(|thread| thread.join().expect("asking does not panic"))
            .fold(Tally::default(), Tally::plus)
    });
    println!("{}", tally.to_json(started.elapsed()));
    Ok(if tally.failed() == 0 && tally.requests() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One connection's share.
fn ask(order: &Order) -> Tally {
    let mut tally = Tally::default();
    let mut client = Client::new(&order.target, PATIENCE);
    while Instant::now() < order.end && !ENOUGH.load(Ordering::SeqCst) {
        let sent = Instant::now();
        let fault = match client.get() {
            Ok(answer) => tally.answered(order, answer.status, answer.version),
            Err(error) => Some(tally.broken(&error)),
        };
        tally.times.push(sent.elapsed());
        if order.new_connections {
            client.close();
        }
        let rest = if let Some(fault) = fault {
            if tally.failed() <= DESCRIBED {
                eprintln!("load: {fault} after {:.3} s", sent.elapsed().as_secs_f64());
            }
            order.interval.max(PAUSE)
        } else {
            order.interval
        };
        thread::sleep(rest.saturating_sub(sent.elapsed()));
    }
    tally
}

#[derive(Default)]
struct Tally {
    times: Vec<Duration>,
    /// Answers other than 200, by status.
    statuses: BTreeMap<u16, u64>,
    /// Requests without an answer (refused, reset, timed out), by kind.
    broken: BTreeMap<String, u64>,
    versions: BTreeMap<String, u64>,
    wrong_version: u64,
}

impl Tally {
    /// Counts an answer; what was wrong with it.
    fn answered(&mut self, order: &Order, status: u16, version: String) -> Option<String> {
        if status != 200 {
            *self.statuses.entry(status).or_default() += 1;
            return Some(format!("status {status} from version {version:?}"));
        }
        let expected = order.versions.as_ref().is_none_or(|versions| versions.contains(&version));
        let fault = (!expected).then(|| format!("wrong version {version:?}"));
        self.wrong_version += u64::from(!expected);
        *self.versions.entry(version).or_default() += 1;
        fault
    }

    fn broken(&mut self, error: &std::io::Error) -> String {
        *self.broken.entry(error.kind().to_string()).or_default() += 1;
        error.to_string()
    }

    fn requests(&self) -> usize {
        self.times.len()
    }

    fn failed(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.broken.values().sum::<u64>() + self.wrong_version
    }

    fn plus(mut self, other: Tally) -> Tally {
        self.times.extend(other.times);
        self.wrong_version += other.wrong_version;
        add(&mut self.statuses, other.statuses);
        add(&mut self.broken, other.broken);
        add(&mut self.versions, other.versions);
        self
    }

    fn to_json(&self, took: Duration) -> String {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = |share: f64| {
            let last = times.len().saturating_sub(1);
            // A percentile needs no more precision than the nearest sample.
            let at = (last as f64 * share).round() as usize;
            times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        format!(
            "{{\"requests\":{},\"failed\":{},\"non_200\":{},\"broken\":{},\"wrong_version\":{},\"versions\":{},\"seconds\":{:.1},\"p50_ms\":{:.1},\"p99_ms\":{:.1},\"max_ms\":{:.1}}}",
            self.requests(),
            self.failed(),
            object(&self.statuses),
            object(&self.broken),
            self.wrong_version,
            object(&self.versions),
            took.as_secs_f64(),
            at(0.5),
            at(0.99),
            at(1.0),
        )
    }
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, others: BTreeMap<K, u64>) {
    for (key, count) in others {
        *sums.entry(key).or_default() += count;
    }
}

/// Keys are statuses, error kinds and versions; Rust's own quoting of those is JSON's.
fn object<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let pairs: Vec<_> = counts.iter().map(|(key, count)| format!("{:?}:{count}", key.to_string())).collect();
    format!("{{{}}}", pairs.join(","))
}
