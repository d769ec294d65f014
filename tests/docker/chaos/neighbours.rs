//! What is nobody's to change during a play: data in volumes, and containers and networks of somebody else. It is written
//! down before and compared after.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::story::ONE;
use crate::support::Bench;

/// The size of the data in a volume: enough to be cut in the middle.
const DATA: usize = 1 << 20;

/// What there was.
pub struct Neighbours {
    foreign: Vec<String>,
    volumes: Vec<String>,
    before: Vec<String>,
}

impl Neighbours {
    /// Puts data into the volumes that there are, and somebody else's things beside them.
    pub fn settle_in(bench: &Bench, volumes: &[&str]) -> Self {
        let name = |what: &str| format!("{}-{what}", bench.instance);
        let label = format!("evenkeel-test={}", bench.instance);
        bench.engine.docker(&["network", "create", "--label", &label, &name("net")]);
        bench.engine.docker(&["volume", "create", "--label", &label, &name("vol")]);
        let mount = format!("{}:/data", name("vol"));
        // A name and labels that are nearly ours.
        let lying = format!("evenkeel.dev/instance={}", bench.instance);
        bench.run_foreign(&["--name", &name("neighbour"), "--network", &name("net"), "--volume", &mount, ONE]);
        bench.run_foreign(&["--name", &name("liar"), "--network", &name("net"), "--label", &lying, ONE]);
        let volumes: Vec<_> = volumes.iter().map(|v| bench.engine_name("shop", v)).chain([name("vol")]).collect();
        for volume in &volumes {
            let content: Vec<u8> = (0..DATA).map(|at| (at * 31 + volume.len()) as u8).collect();
            fs::write(mountpoint(bench, volume).join("data"), content).expect("a volume is a directory");
        }
        let foreign = ["neighbour", "liar", "net"].map(name).to_vec();
        let mut neighbours = Neighbours { foreign, volumes, before: Vec::new() };
        neighbours.before = neighbours.look(bench, true);
        neighbours
    }

    /// What has changed. An engine that has ended took the foreign containers' runs with it, so then those are not compared.
    pub fn changes(&self, bench: &Bench, engine_ended: bool) -> Vec<String> {
        let now = self.look(bench, !engine_ended);
        let mut before = self.before.clone();
        if engine_ended {
            before.iter_mut().for_each(|line| *line = without_run(line));
        }
        let pairs = before.iter().zip(&now).filter(|(before, now)| before != now);
        pairs.map(|(before, now)| format!("somebody else's was changed:\n  before {before}\n  after  {now}")).collect()
    }

    fn look(&self, bench: &Bench, runs: bool) -> Vec<String> {
        let foreign = self.foreign.iter().map(|name| {
            let line = bench.engine.inspect(name).map_or("gone".to_string(), |found| likeness(&found));
            if runs { line } else { without_run(&line) }
        });
        let volumes = self.volumes.iter().map(|name| {
            // Not its date: engines tell the time of its last change.
            let labels = bench.engine.inspect(name).map(|found| found["Labels"].to_string());
            let path = mountpoint(bench, name).join("data");
            let data = fs::read(&path).unwrap_or_default();
            let inode = fs::metadata(&path).map(|file| file.ino()).unwrap_or_default();
            let digest: String = Sha256::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{name} {} file {inode} {digest}", labels.unwrap_or("gone".to_string()))
        });
        foreign.chain(volumes).collect()
    }
}

const RUN: &str = " run ";

/// What makes a container or network the same as before; what follows [`RUN`] is about its present run.
fn likeness(found: &Value) -> String {
    let part = |pointer: &str| found.pointer(pointer).map(Value::to_string).unwrap_or_default();
    let fixed = ["/Id", "/Name", "/Created", "/Config", "/HostConfig", "/Mounts", "/Labels", "/IPAM"].map(part);
    let run = ["/State/StartedAt", "/State/Status", "/RestartCount", "/NetworkSettings/Networks"].map(part);
    format!("{}{RUN}{}", fixed.join(" "), run.join(" "))
}

fn without_run(line: &str) -> String {
    line.split(RUN).next().unwrap_or_default().to_string()
}

/// Where a volume's data is on the host.
pub fn mountpoint(bench: &Bench, volume: &str) -> PathBuf {
    bench.engine.docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", volume]).trim().into()
}
