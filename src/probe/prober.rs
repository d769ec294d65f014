//! Keeps the set of running checks: one small task each. It starts and ends what it is told to, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::verdict::Verdict;
use super::{Check, Dial, Lane};
use crate::model::observed::{ContainerId, Probes};
use crate::model::status::{ProbePurpose, ProbeTask};
use crate::model::time::{Span, Timestamp};

/// The most checks at once: more than that in flight means that a network is stuck, and waiting costs less.
const CHECKS_AT_ONCE: usize = 128;
/// The shortest period, whatever a task says: an endless loop of checks would harm the container.
const SHORTEST_PERIOD: Span = Span::millis(100);
/// The first pause between early looks; each further one is twice as long.
const FIRST_PAUSE: Span = Span::millis(20);

/// A run of a container and what its check is for.
type Id = (ContainerId, Timestamp, ProbePurpose);

/// The running checks and their results.
pub struct Prober<D: Dial> {
    means: Arc<Means<D>>,
    running: Mutex<BTreeMap<Id, Running>>,
    /// Where the checks are made; none: where they are set.
    lane: Option<Lane>,
}

/// What every check needs.
struct Means<D> {
    dial: D,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    wake: Box<dyn Fn() + Send + Sync>,
    free: Semaphore,
}

/// What a check is to do, and how often its container has moved since it began: it may have left its address and be back.
#[derive(Clone)]
struct Order {
    task: ProbeTask,
    moves: u64,
}

/// A running check. Dropping it ends it, with its result.
struct Running {
    order: watch::Sender<Order>,
    verdict: Arc<Mutex<Verdict>>,
    end: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end.abort();
    }
}

impl<D: Dial> Prober<D> {
    /// A prober without tasks. `now` is the clock that `started_at` was taken from; `wake` is called when a result changes.
    pub fn new(
        dial: D,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let means = Means { dial, now: Box::new(now), wake: Box::new(wake), free: Semaphore::new(CHECKS_AT_ONCE) };
        Self { means: Arc::new(means), running: Mutex::default(), lane: None }
    }

    /// Makes the checks that begin from now on on this thread.
    pub fn run_on(&mut self, lane: Lane) {
        self.lane = Some(lane);
    }

    /// Makes `tasks` the running ones: starts new ones, keeps the others with their counts, ends the rest with their
    /// results. Without a lane it must be called within a Tokio runtime.
    pub fn set(&self, tasks: Vec<ProbeTask>) {
        self.exchange(tasks, |_| false);
    }

    /// The same while nothing can be written down: checks of gates go on for as long as their containers are checked at all. If
    /// those that have passed ended, nobody would remember that, and they would begin again at once, without end.
    pub fn set_unwritten(&self, tasks: Vec<ProbeTask>) {
        let checked: BTreeSet<_> = tasks.iter().map(|task| (task.container.clone(), task.started_at)).collect();
        let is_gate = |purpose: &ProbePurpose| matches!(purpose, ProbePurpose::Gate(_));
        self.exchange(tasks, |(container, started_at, purpose)| {
            is_gate(purpose) && checked.contains(&(container.clone(), *started_at))
        });
    }

    fn exchange(&self, tasks: Vec<ProbeTask>, goes_on: impl Fn(&Id) -> bool) {
        let mut running = lock(&self.running);
        let mut before = mem::take(&mut *running);
        for task in tasks {
            let id = (task.container.clone(), task.started_at, task.purpose);
            let kept = match before.remove(&id) {
                Some(kept) => kept.changed_to(task),
                None => self.start(task),
            };
            running.insert(id, kept);
        }
        before.retain(|id, _| goes_on(id));
        running.extend(before);
    }

    /// What the checks of this run of a container say; `None` where there is no such task.
    pub fn results(&self, container: &ContainerId, started_at: Timestamp) -> Probes {
        let mut probes = Probes::default();
        let first = (container.clone(), started_at, ProbePurpose::Startup);
        let running = lock(&self.running);
        let own = running.range(first..).take_while(|((of, at, _), _)| of == container && *at == started_at);
        for ((.., purpose), found) in own {
            probes.set(*purpose, lock(&found.verdict).result().clone());
        }
        probes
    }

    fn start(&self, task: ProbeTask) -> Running {
        let (order, orders) = watch::channel(Order { task, moves: 0 });
        let verdict = Arc::new(Mutex::new(Verdict::new()));
        let checks = probe(self.means.clone(), orders, verdict.clone());
        let spawned = match &self.lane {
            Some(lane) => lane.handle().spawn(checks),
            None => tokio::spawn(checks),
        };
        Running { order, verdict, end: spawned.abort_handle() }
    }
}

impl Running {
    /// The same check with another period, threshold or target.
    fn changed_to(self, task: ProbeTask) -> Self {
        self.order.send_if_modified(|order| {
            let changed = order.task != task;
            if !same_target(&order.task, &task) {
                lock(&self.verdict).recount();
            }
            order.moves += u64::from(order.task.address != task.address);
            order.task = task;
            changed
        });
        self
    }
}

/// Checks at regular times for ever. A check that takes longer than the period delays the next one; none pile up.
async fn probe<D: Dial>(means: Arc<Means<D>>, mut orders: watch::Receiver<Order>, verdict: Arc<Mutex<Verdict>>) {
    // The engine's clock may be ahead of ours by anything after a jump; the container has started in any case.
    let started_at = orders.borrow().task.started_at.min((means.now)());
    let (mut last_due, mut early) = (None, Early::default());
    loop {
        let Order { task, moves } = orders.borrow_and_update().clone();
        let regular = due(&task, started_at, last_due);
        let due = early.due(&task, regular, &lock(&verdict)).max((means.now)());
        // What has started has started: liveness is another probe's business.
        let is_over = task.purpose == ProbePurpose::Startup && lock(&verdict).is_success();
        tokio::select! {
            // In this order, so that virtual time gives the same result every time.
            biased;
            () = sleep(due.since((means.now)()).std()), if task.address.is_some() && !is_over => {}
            changed = orders.changed() => match changed {
                Ok(()) => continue,
                // The prober is gone.
                Err(_) => return,
            },
        }
        let is_early = due < regular;
        if !is_early {
            last_due = Some(due);
        }
        let Ok(_permit) = means.free.acquire().await else { return };
        let check = means.dial.check(&task).await;
        early.made((means.now)());
        // A check that was cut off by a reconnection says nothing about the program, and an early one that fails only
        // says that it was early.
        let is_void = {
            let order = orders.borrow();
            moves != order.moves || !same_target(&task, &order.task)
        };
        if is_void || is_early && matches!(check, Check::Failure(_)) {
            continue;
        }
        if lock(&verdict).count(check, &task.probe) {
            (means.wake)();
        }
    }
}

/// Looks between the regular checks while a program starts, so that it is not unready for a whole period because it
/// listened a moment after the first check. They thin out quickly, and their failures do not count.
#[derive(Default)]
struct Early {
    count: u32,
    last: Option<Timestamp>,
}

impl Early {
    /// When to check: at the regular time, or earlier.
    fn due(&self, task: &ProbeTask, regular: Timestamp, verdict: &Verdict) -> Timestamp {
        // A command costs the engine a process each time.
        let is_cheap = task.purpose != ProbePurpose::Liveness && task.probe.exec.is_none();
        let starts = is_cheap && verdict.is_undecided();
        match self.last.filter(|_| starts) {
            Some(last) => regular.min(last + Span(FIRST_PAUSE.0 << self.count.min(12))),
            None => regular,
        }
    }

    fn made(&mut self, now: Timestamp) {
        self.count += u32::from(self.last.is_some());
        self.last = Some(now);
    }
}

/// When the next check is due, if that has not passed: one period after the last was, and none is made up for.
fn due(task: &ProbeTask, started_at: Timestamp, last_due: Option<Timestamp>) -> Timestamp {
    match last_due {
        Some(last) => last + task.period.max(SHORTEST_PERIOD),
        None => started_at + task.probe.initial_delay,
    }
}

/// Whether two tasks check the same, if not equally often and strictly. The address is not compared: it is the same run
/// of the same container, wherever it can be reached.
fn same_target(a: &ProbeTask, b: &ProbeTask) -> bool {
    a.port == b.port && a.probe.checks_the_same_as(&b.probe)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded is whole after every statement, so a panic elsewhere cannot have spoiled it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::RecvTimeoutError;
    use std::thread;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::testing;
    use super::*;
    use crate::model::observed::ProbeResult;
    use crate::model::spec::Probe;

    /// Answers by port: 1 accepts, 2 refuses, 3 accepts after ten seconds, 4 accepts every other time, 5 listens from 100 ms on,
    /// 6 finds nothing out, 7 says why not, 8 refuses after 800 ms.
    #[derive(Clone)]
    struct Script {
        start: Instant,
        /// When each check began, in milliseconds.
        checks: Arc<Mutex<Vec<u128>>>,
    }

    impl Dial for Script {
        async fn check(&self, task: &ProbeTask) -> Check {
            let count = {
                let mut checks = lock(&self.checks);
                checks.push(self.start.elapsed().as_millis());
                checks.len()
            };
            match task.port {
                1 => Check::Success,
                2 => Check::Failure(format!("refused {count}")),
                3 => {
                    sleep(Duration::from_secs(10)).await;
                    Check::Success
                }
                8 => {
                    sleep(Duration::from_millis(800)).await;
                    Check::Failure(format!("cut off {count}"))
                }
                6 => Check::Unmade(None),
                7 => Check::Unmade(Some(format!("not seen {count}"))),
                5 if self.start.elapsed() >= Duration::from_millis(100) => Check::Success,
                5 => Check::Failure("not yet".into()),
                _ if count % 2 == 1 => Check::Success,
                _ => Check::Failure("odd".into()),
            }
        }
    }

    /// A prober in virtual time whose clock starts at 1000 s.
    struct World {
        prober: Prober<Script>,
        script: Script,
        wakes: Arc<Mutex<u32>>,
    }

    const START: Timestamp = Timestamp(1_000_000);

    impl World {
        fn new() -> Self {
            let script = Script { start: Instant::now(), checks: Arc::default() };
            let wakes = Arc::<Mutex<u32>>::default();
            let (start, counter) = (script.start, wakes.clone());
            let now = move || START + Span(start.elapsed().as_millis() as u64);
            let prober = Prober::new(script.clone(), now, move || *lock(&counter) += 1);
            Self { prober, script, wakes }
        }

        fn checks(&self) -> Vec<u128> {
            lock(&self.script.checks).clone()
        }

        fn wakes(&self) -> u32 {
            *lock(&self.wakes)
        }

        fn readiness(&self) -> Option<ProbeResult> {
            self.prober.results(&container(), START).readiness
        }
    }

    fn container() -> ContainerId {
        ContainerId("c1".into())
    }

    /// A readiness check every second.
    fn task(port: u16) -> ProbeTask {
        let probe = serde_json::from_str::<Probe>("{}").unwrap();
        ProbeTask { started_at: START, ..testing::task((std::net::Ipv4Addr::LOCALHOST, port).into(), probe) }
    }

    async fn pass(millis: u64) {
        sleep(Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_between_two_networks_keeps_its_result_and_is_not_checked() {
        let world = World::new();
        world.prober.set(vec![task(1)]);
        pass(1500).await;
        world.prober.set(vec![ProbeTask { address: None, ..task(1) }]);
        pass(5000).await;
        assert_eq!(world.checks(), [0, 1000]);
        assert_eq!(world.readiness(), Some(ProbeResult::Success));
        world.prober.set(vec![task(1)]);
        pass(1500).await;
        assert!(world.checks().len() > 2);
        assert_eq!(world.wakes(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_neither_counts_nor_forgets() {
        let world = World::new();
        let liveness = |address| ProbeTask { purpose: ProbePurpose::Liveness, address, ..task(2) };
        let liveness_result = || world.prober.results(&container(), START).liveness;
        let address = task(2).address;
        world.prober.set(vec![liveness(address)]);
        pass(1500).await;
        world.prober.set(vec![liveness(None)]);
        pass(180_000).await;
        assert_eq!(world.checks(), [0, 1000]);
        assert!(matches!(liveness_result(), Some(ProbeResult::Unknown { .. })), "two failures of three");
        world.prober.set(vec![liveness(address)]);
        pass(1).await;
        assert!(matches!(liveness_result(), Some(ProbeResult::Failure { .. })), "the third in a row");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_a_reconnection_cut_off_does_not_count_though_the_address_is_the_same_again() {
        let world = World::new();
        let liveness = |address| ProbeTask { purpose: ProbePurpose::Liveness, address, ..task(8) };
        let result = || world.prober.results(&container(), START).liveness;
        let address = task(8).address;
        world.prober.set(vec![liveness(address)]);
        pass(100).await;
        world.prober.set(vec![liveness(None)]);
        pass(100).await;
        world.prober.set(vec![liveness(address)]);
        pass(1300).await;
        assert_eq!(world.checks(), [0, 1000]);
        assert_eq!(result(), Some(ProbeResult::Unknown { message: String::new() }), "the first one says nothing");
        pass(600).await;
        assert_eq!(result(), Some(ProbeResult::Unknown { message: "cut off 2".into() }), "the second one does");
    }

    #[test]
    fn on_a_lane_checks_are_made_without_a_runtime_around() {
        let (sender, woken) = std::sync::mpsc::channel();
        let script = Script { start: Instant::now(), checks: Arc::default() };
        let mut prober =
            Prober::new(script, || START, move || drop(sender.send(thread::current().name().map(String::from))));
        prober.run_on(Lane::start().unwrap());
        prober.set(vec![task(1)]);
        assert_eq!(woken.recv_timeout(Duration::from_secs(10)), Ok(Some("probe".into())));
        assert_eq!(prober.results(&container(), START).readiness, Some(ProbeResult::Success));
        drop(prober);
        assert_eq!(
            woken.recv_timeout(Duration::from_secs(10)),
            Err(RecvTimeoutError::Disconnected),
            "its checks end with it"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_check_comes_after_the_initial_delay_and_then_one_each_period() {
        let world = World::new();
        let mut late = task(1);
        late.probe.initial_delay = Span::secs(5);
        pass(2000).await;
        world.prober.set(vec![late]);
        pass(5500).await;
        assert_eq!(world.checks(), [5000, 6000, 7000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_that_has_long_been_running_is_checked_at_once() {
        let world = World::new();
        pass(60_000).await;
        world.prober.set(vec![task(1)]);
        pass(1).await;
        assert_eq!((world.checks(), world.readiness()), (vec![60_000], Some(ProbeResult::Success)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_in_the_future_of_our_clock_delays_no_check() {
        let world = World::new();
        world.prober.set(vec![ProbeTask { started_at: START + Span::secs(1 << 30), ..task(1) }]);
        pass(1).await;
        assert_eq!(world.checks(), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_wakes_once_for_each_change_of_a_result() {
        let world = World::new();
        world.prober.set(vec![task(2)]);
        pass(1500).await;
        assert_eq!(world.readiness(), Some(ProbeResult::Unknown { message: "refused 7".into() }));
        assert_eq!(world.wakes(), 0);
        pass(60_000).await;
        assert!(matches!(world.readiness(), Some(ProbeResult::Failure { .. })));
        assert_eq!(world.wakes(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_startup_probe_ends_with_its_success() {
        let world = World::new();
        let startup = |port| ProbeTask { purpose: ProbePurpose::Startup, ..task(port) };
        world.prober.set(vec![startup(1)]);
        pass(10_000).await;
        world.prober.set(vec![startup(2)]);
        pass(10_000).await;
        assert_eq!(world.checks(), [0], "in this run, not even another one is made");
        assert_eq!(world.prober.results(&container(), START).startup, Some(ProbeResult::Success));
        let again = Timestamp(START.0 + 20_000);
        world.prober.set(vec![ProbeTask { started_at: again, ..startup(1) }]);
        pass(10_000).await;
        assert_eq!(world.checks(), [0, 20_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_finds_nothing_out_changes_nothing() {
        let world = World::new();
        world.prober.set(vec![task(6)]);
        pass(60_000).await;
        assert_eq!(world.readiness(), Some(ProbeResult::Unknown { message: String::new() }));
        assert_eq!(world.wakes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn that_no_check_can_be_made_is_told_once_and_is_no_failure() {
        let world = World::new();
        world.prober.set(vec![task(7)]);
        pass(60_000).await;
        assert!(matches!(world.readiness(), Some(ProbeResult::Unmade { message }) if message.starts_with("not seen")));
        assert_eq!(world.wakes(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_listens_a_moment_late_does_not_wait_for_the_second_regular_check() {
        let world = World::new();
        world.prober.set(vec![task(5)]);
        pass(3500).await;
        assert_eq!(world.checks(), [0, 20, 60, 140, 1000, 2000, 3000]);
        assert_eq!((world.readiness(), world.wakes()), (Some(ProbeResult::Success), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn early_looks_that_fail_do_not_count_and_thin_out() {
        let world = World::new();
        world.prober.set(vec![task(2)]);
        pass(1900).await;
        assert_eq!(world.checks(), [0, 20, 60, 140, 300, 620, 1000]);
        assert!(matches!(world.readiness(), Some(ProbeResult::Unknown { .. })), "two regular failures of three");
    }

    #[tokio::test(start_paused = true)]
    async fn checks_that_take_longer_than_the_period_do_not_pile_up() {
        let world = World::new();
        world.prober.set(vec![task(3)]);
        pass(25_000).await;
        assert_eq!(world.checks(), [0, 10_000, 20_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_period_counts_from_the_last_check_and_keeps_the_counts() {
        let world = World::new();
        world.prober.set(vec![task(2)]);
        pass(1500).await;
        let slower = ProbeTask { period: Span::secs(10), ..task(2) };
        world.prober.set(vec![slower.clone()]);
        pass(1000).await;
        world.prober.set(vec![slower]);
        pass(9000).await;
        let regular: Vec<_> = world.checks().into_iter().filter(|at| at % 1000 == 0).collect();
        assert_eq!(regular, [0, 1000, 11_000]);
        assert!(matches!(world.readiness(), Some(ProbeResult::Failure { .. })), "the third regular failure in a row");
    }

    #[tokio::test(start_paused = true)]
    async fn setting_the_same_tasks_again_disturbs_nothing() {
        let world = World::new();
        for _ in 0..10 {
            world.prober.set(vec![task(1)]);
            pass(250).await;
        }
        assert_eq!((world.checks(), world.wakes()), (vec![0, 1000, 2000], 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_no_longer_given_ends_with_its_result() {
        let world = World::new();
        world.prober.set(vec![task(1)]);
        pass(500).await;
        world.prober.set(vec![]);
        pass(5000).await;
        assert_eq!((world.checks(), world.readiness()), (vec![0], None));
        world.prober.set(vec![task(2)]);
        assert_eq!(world.readiness(), Some(ProbeResult::Unknown { message: String::new() }), "nothing is remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn another_start_of_the_container_begins_anew() {
        let world = World::new();
        world.prober.set(vec![task(1)]);
        pass(500).await;
        let again = Timestamp(START.0 + 400);
        world.prober.set(vec![ProbeTask { started_at: again, port: 2, ..task(1) }]);
        pass(500).await;
        assert_eq!(world.readiness(), None);
        assert!(matches!(
            world.prober.results(&container(), again).readiness,
            Some(ProbeResult::Unknown { message }) if message == "refused 2"
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn an_edited_check_keeps_a_ready_replica_ready_until_it_has_decided() {
        let world = World::new();
        world.prober.set(vec![task(1)]);
        pass(500).await;
        world.prober.set(vec![task(2)]);
        pass(2000).await;
        assert_eq!(world.readiness(), Some(ProbeResult::Success), "two failures of three");
        pass(1000).await;
        assert!(matches!(world.readiness(), Some(ProbeResult::Failure { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_stuck_checks_are_made_a_few_at_a_time() {
        let world = World::new();
        let stuck = |n: usize| ProbeTask { container: ContainerId(n.to_string()), ..task(3) };
        world.prober.set((0..1000).map(stuck).collect());
        pass(9_000).await;
        assert_eq!(world.checks().len(), CHECKS_AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_the_prober_ends_its_checks() {
        let world = World::new();
        world.prober.set(vec![task(4)]);
        pass(1500).await;
        drop(world.prober);
        pass(5000).await;
        assert_eq!(lock(&world.script.checks).len(), 2);
    }
}
