//! The process as Prometheus knows it, read from `/proc/self` at each scrape. What cannot be read is left out.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

use super::names::{self, Named};
use crate::model::time::Timestamp;

/// Linux counts process time in hundredths of a second for every program, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU, memory, file descriptors and start time of this process.
pub fn families(started_at: Timestamp) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let gauges = [
        (names::PROCESS_RSS, bytes(&status, "VmRSS:")),
        (names::PROCESS_VIRTUAL, bytes(&status, "VmSize:")),
        (names::PROCESS_FDS, std::fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as f64)),
        (names::PROCESS_MAX_FDS, max_fds()),
        (names::PROCESS_START, Some(started_at.0 as f64 / 1000.0)),
    ];
    let mut families = Vec::new();
    for (named, value) in gauges {
        let Some(value) = value else { continue };
        families.extend(gauge(named, value)?);
    }
    if let Some(seconds) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
        families.extend(counter(names::PROCESS_CPU, seconds)?);
    }
    Ok(families)
}

fn gauge((name, help): Named, value: f64) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let gauge = Gauge::with_opts(Opts::new(name, help))?;
    gauge.set(value);
    Ok(gauge.collect())
}

fn counter((name, help): Named, value: f64) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let counter = Counter::with_opts(Opts::new(name, help))?;
    counter.inc_by(value);
    Ok(counter.collect())
}

/// A line such as `VmRSS:  1234 kB` of `/proc/self/status`.
fn bytes(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// User and system time of `/proc/self/stat`: fields 14 and 15, counted behind the name, which may hold spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some((ticks(14)? + ticks(15)?) / TICKS_PER_SECOND)
}

fn max_fds() -> Option<f64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 100 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn this_process_can_be_read() {
        assert_eq!(families(Timestamp(5000)).unwrap().len(), 6);
    }
}
