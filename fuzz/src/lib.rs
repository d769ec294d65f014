//! What every fuzz target shares: the table of them, and the price that an input may cost. It knows no input's meaning.

pub mod targets;
mod within;

use std::fmt;
use std::sync::LazyLock;

use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};

/// Knows what is allocated, in a program that says that it allocates by this. In any other it knows of nothing.
const MEMORY: PeakAlloc = PeakAlloc;

/// What a MiB of input may cost in memory, in bytes; a started MiB counts whole.
const BYTES_PER_MIB: usize = 64 << 20;
/// What a MiB of input may cost in time on the processor, in milliseconds: of the released program. The fuzzer's own build is
/// hardly optimised, checks every sum and counts every branch.
const MILLIS_PER_MIB: u64 = if cfg!(debug_assertions) { 1_000 } else { 100 };
/// How often an input is measured that seems to take too long. The least counts: what else the machine does takes the caches away.
const MEASUREMENTS: usize = 5;

/// So many of the inputs that cost most are told for each door.
const WORST: usize = 5;

/// What a large input has: as much as the largest file that is read, without what stands around it.
const LARGE: usize = (1 << 20) - 4096;

/// What is fuzzed.
static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    targets::TARGETS.iter().find(|(known, _)| *known == name).expect("FUZZ_TARGET names a folder of fuzz/corpus").1
});

/// Tries an input, and panics if it costs too much. Panics of the code itself pass through.
pub fn try_within_budget(bytes: &[u8]) {
    let price = Price::of(*TARGET, bytes);
    assert!(price.is_right(), "{price}");
}

/// What an input has cost.
struct Price {
    length: usize,
    /// At its height, in bytes.
    memory: usize,
    millis: u64,
}

impl Price {
    fn of(target: targets::Target, bytes: &[u8]) -> Self {
        let (before, began) = (MEMORY.current_usage(), processor_millis());
        MEMORY.reset_peak_usage();
        target(bytes);
        let memory = MEMORY.peak_usage().saturating_sub(before);
        Self { length: bytes.len(), memory, millis: processor_millis() - began }
    }

    /// The least of several measurements, if the first is too much.
    fn least_of(target: targets::Target, bytes: &[u8]) -> Self {
        let mut least = Self::of(target, bytes);
        for _ in 1..MEASUREMENTS {
            // What takes far too long will not be right the next time.
            if least.is_right() || least.millis > 10 * MILLIS_PER_MIB {
                break;
            }
            least.millis = least.millis.min(Self::of(target, bytes).millis);
        }
        least
    }

    fn is_right(&self) -> bool {
        let mebibytes = self.length / (1 << 20) + 1;
        self.memory <= BYTES_PER_MIB * mebibytes && self.millis <= MILLIS_PER_MIB * mebibytes as u64
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, memory, millis } = self;
        write!(f, "{length} bytes of input took {} KiB of memory and {millis} ms", memory >> 10)
    }
}

/// What a run over large inputs measures. Counting what is allocated takes time itself, so each has a program of its own.
#[derive(Clone, Copy)]
pub enum Measured {
    /// What an input allocates at its height.
    Memory,
    /// How long the processor computes.
    Time,
}

impl Measured {
    fn price_of(self, target: targets::Target, bytes: &[u8]) -> Price {
        match self {
            Self::Memory => Price { millis: 0, ..Price::of(target, bytes) },
            Self::Time => Price::least_of(target, bytes),
        }
    }

    fn amount(self, price: &Price) -> usize {
        match self {
            Self::Memory => price.memory >> 10,
            Self::Time => usize::try_from(price.millis).unwrap_or(usize::MAX),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Memory => "KiB",
            Self::Time => "ms",
        }
    }
}

/// Pushes large inputs through the named doors, or all; tells for each door what cost most, and everything that cost too much.
/// A name may be `DOOR:WORDS`, for the inputs with these words in their names. Whether nothing cost too much.
pub fn measure_large(measured: Measured, named: &[String]) -> bool {
    let mut is_right = true;
    let words = |door: &str| {
        let of_door = named.iter().map(|name| name.split_once(':').unwrap_or((name, "")));
        of_door.filter(|(name, _)| *name == door).map(|(_, words)| words.to_owned()).collect::<Vec<_>>()
    };
    for (door, target) in targets::TARGETS {
        let words = words(door);
        let is_meant = |input: &str| named.is_empty() || words.iter().any(|words| input.contains(words));
        if !named.is_empty() && words.is_empty() {
            continue;
        }
        let mut inputs = targets::large::inputs(door, &corpus(door), LARGE);
        if door == "manifest" {
            inputs.extend(targets::large::named(within::manifests(LARGE)));
        }
        inputs.retain(|(name, _)| is_meant(name));
        let mut prices = Vec::new();
        for (name, bytes) in &inputs {
            let price = measured.price_of(target, bytes);
            let told = format!(
                "{door}: {name}: {} bytes of input took {} {}",
                price.length,
                measured.amount(&price),
                measured.unit()
            );
            if targets::large::is_beyond_us(door, name) {
                println!("large: {told}");
                continue;
            }
            if !price.is_right() {
                eprintln!("{told}");
                is_right = false;
            }
            prices.push((measured.amount(&price), name));
        }
        prices.sort_by(|a, b| b.cmp(a));
        let worst = prices.iter().take(WORST).map(|(amount, name)| format!("{amount} {} ({name})", measured.unit()));
        println!("large: {door:<13} {} inputs; at most {}", inputs.len(), worst.collect::<Vec<_>>().join(", "));
    }
    is_right
}

fn corpus(door: &str) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let mut paths: Vec<_> =
        std::fs::read_dir(format!("{folder}/{door}")).expect("a corpus").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).expect("an input")).collect()
}

/// How long this process has computed, in milliseconds: a busy machine must not look like an expensive input.
fn processor_millis() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec * 1_000 + time.tv_nsec / 1_000_000).expect("time goes on")
}
