//! What somebody asks of an engine, drawn at random but from few things, so that requests meet. It asks nobody.

use std::fmt;

/// The programs that images hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Serves, and ends soon after its stop signal.
    Serves,
    /// Serves, and ignores its stop signal.
    Stubborn,
    /// Ends at once with 3.
    Crashes,
    /// Serves, and its image's health check finds that out.
    Checked,
    /// Never serves, and its image's health check finds that out.
    Sick,
    /// Its entrypoint does not exist.
    Hollow,
    /// There is no such image.
    Absent,
}

impl Program {
    pub const ALL: [Program; 7] = [
        Program::Serves,
        Program::Stubborn,
        Program::Crashes,
        Program::Checked,
        Program::Sick,
        Program::Hollow,
        Program::Absent,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Program::Serves => "serves",
            Program::Stubborn => "stubborn",
            Program::Crashes => "crashes",
            Program::Checked => "checked",
            Program::Sick => "sick",
            Program::Hollow => "hollow",
            Program::Absent => "absent",
        }
    }
}

/// A container to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub program: Program,
    /// Two templates that differ only in their label.
    pub template: u8,
    pub network: u8,
    pub named: bool,
    /// The last byte of a chosen address.
    pub address: Option<u8>,
    /// A host port that all who want one want.
    pub port: bool,
    pub policy: u8,
    /// MiB; less than 6 is refused.
    pub memory: Option<u64>,
    pub volume: bool,
    /// A bind mount of a path that does not exist.
    pub lost_path: bool,
}

/// A request. Containers are meant by slot, networks by number; the last network is never made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    Create(u8, Wanted),
    Start(u8),
    Stop(u8),
    Restart(u8),
    Remove(u8),
    Pause(u8),
    Unpause(u8),
    Connect(u8, u8, bool, Option<u8>),
    Reconnect(u8, u8, bool, Option<u8>),
    Update(u8, Option<u64>, Option<u32>, u8),
    CreateNetwork(u8),
    RemoveNetwork(u8),
    CreateVolume(u8),
    Image(Program),
    /// By hand, past Evenkeel.
    PauseByHand(u8),
    KillByHand(u8),
    RemoveByHand(u8),
    DisconnectByHand(u8, u8),
    /// The engine itself goes away and comes back.
    RestartEngine,
    CrashEngine,
}

pub const SLOTS: u8 = 3;
pub const NETWORKS: u8 = 3;
pub const NEVER_MADE: u8 = NETWORKS - 1;

/// As short as the report of a difference should be.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Create(slot, wanted) => write!(f, "create {slot}: {wanted}"),
            Operation::Connect(slot, network, named, address) => {
                write!(f, "connect {slot} to network {network}{}", attached(*named, *address))
            }
            Operation::Reconnect(slot, network, named, address) => {
                write!(f, "reconnect {slot} to network {network}{}", attached(*named, *address))
            }
            Operation::Update(slot, memory, pids, policy) => {
                write!(f, "update {slot}: memory {memory:?}, pids {pids:?}, policy {policy}")
            }
            Operation::Start(slot) => write!(f, "start {slot}"),
            Operation::Stop(slot) => write!(f, "stop {slot}"),
            Operation::Restart(slot) => write!(f, "restart {slot}"),
            Operation::Remove(slot) => write!(f, "remove {slot}"),
            Operation::Pause(slot) => write!(f, "pause {slot}"),
            Operation::Unpause(slot) => write!(f, "unpause {slot}"),
            Operation::CreateNetwork(number) => write!(f, "create network {number}"),
            Operation::RemoveNetwork(number) => write!(f, "remove network {number}"),
            Operation::CreateVolume(number) => write!(f, "create volume {number}"),
            Operation::Image(program) => write!(f, "look at image {}", program.word()),
            Operation::PauseByHand(slot) => write!(f, "by hand: pause {slot}"),
            Operation::KillByHand(slot) => write!(f, "by hand: kill {slot}"),
            Operation::RemoveByHand(slot) => write!(f, "by hand: remove {slot}"),
            Operation::DisconnectByHand(slot, number) => write!(f, "by hand: disconnect {slot} from network {number}"),
            Operation::RestartEngine => write!(f, "restart the engine"),
            Operation::CrashEngine => write!(f, "kill the engine and start it again"),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wanted { program, template, network, named, address, port, policy, memory, volume, lost_path } = self;
        let attached = attached(*named, *address);
        write!(f, "{} (template {template}) on network {network}{attached}, policy {policy}", program.word())?;
        if let Some(memory) = memory {
            write!(f, ", {memory} MiB")?;
        }
        for (is, words) in [(port, "a host port"), (volume, "a volume"), (lost_path, "a path that is not there")] {
            if *is {
                write!(f, ", {words}")?;
            }
        }
        Ok(())
    }
}

fn attached(named: bool, address: Option<u8>) -> String {
    let address = address.map_or_else(String::new, |last| format!(" at .{last}"));
    format!("{address}{}", if named { " with a name" } else { "" })
}

/// Chance, the same for the same seed on every machine.
pub struct Chance {
    seed: u64,
    /// Whether the engine itself goes away now and then.
    engine_goes: bool,
}

impl Chance {
    pub fn new(seed: u64, engine_goes: bool) -> Self {
        Chance { seed, engine_goes }
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u8) -> u8 {
        (self.next() % u64::from(end)) as u8
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: u8) -> bool {
        self.below(n) == 0
    }

    fn address(&mut self) -> Option<u8> {
        self.once_in(4).then(|| 2 + self.below(3))
    }

    /// Mostly one that exists.
    fn network(&mut self) -> u8 {
        if self.once_in(10) { NEVER_MADE } else { self.below(NEVER_MADE) }
    }

    /// A sequence that begins with something to work on.
    pub fn sequence(&mut self, length: usize) -> Vec<Operation> {
        let mut all = vec![Operation::CreateNetwork(0)];
        all.extend(std::iter::repeat_with(|| self.operation()).take(length));
        all
    }

    fn operation(&mut self) -> Operation {
        if self.engine_goes && self.once_in(6) {
            return if self.once_in(2) { Operation::RestartEngine } else { Operation::CrashEngine };
        }
        let slot = self.below(SLOTS);
        match self.below(26) {
            0..=4 => Operation::Create(slot, self.wanted()),
            5..=8 => Operation::Start(slot),
            9 | 10 => Operation::Stop(slot),
            11 => Operation::Restart(slot),
            12 | 13 => Operation::Remove(slot),
            14 => Operation::Unpause(slot),
            15 | 16 => Operation::Connect(slot, self.network(), self.once_in(2), self.address()),
            17 | 18 => Operation::Reconnect(slot, self.network(), self.once_in(2), self.address()),
            19 => Operation::Update(slot, self.memory(), self.once_in(2).then_some(64), self.below(3)),
            20 => Operation::CreateNetwork(self.below(NEVER_MADE)),
            21 => Operation::RemoveNetwork(self.below(NETWORKS)),
            22 if self.once_in(2) => Operation::CreateVolume(self.below(2)),
            22 => Operation::Image(Program::ALL[usize::from(self.below(7))]),
            23 if self.once_in(2) => Operation::Pause(slot),
            23 => Operation::PauseByHand(slot),
            24 if self.once_in(2) => Operation::KillByHand(slot),
            24 => Operation::RemoveByHand(slot),
            _ => Operation::DisconnectByHand(slot, self.network()),
        }
    }

    fn memory(&mut self) -> Option<u64> {
        [None, Some(64), Some(128), Some(4)][usize::from(self.below(4))]
    }

    fn wanted(&mut self) -> Wanted {
        let program = match self.below(12) {
            0 => Program::Absent,
            1 => Program::Hollow,
            2 => Program::Crashes,
            3 | 4 => Program::Stubborn,
            5 | 6 => Program::Checked,
            7 => Program::Sick,
            _ => Program::Serves,
        };
        Wanted {
            program,
            template: u8::from(self.once_in(4)),
            network: self.network(),
            named: self.once_in(2),
            address: self.address(),
            port: self.once_in(5),
            policy: self.below(3),
            memory: self.memory().filter(|_| self.once_in(3)),
            volume: self.once_in(4),
            lost_path: self.once_in(15),
        }
    }
}
