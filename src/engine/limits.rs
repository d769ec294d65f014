//! Limits, requests and restart policies in the engine's numbers and words: for create and for update.

use bollard::models::{ContainerUpdateBody, RestartPolicy as EnginePolicy, RestartPolicyNameEnum};

use super::inspect::shares_of_cpu;
use crate::model::container::Adjustable;
use crate::model::spec::{Limits, Requests, RestartPolicy};

/// The engine's numbers; none where it shall keep its own default.
pub(super) struct Numbers {
    pub(super) nano_cpus: Option<i64>,
    pub(super) cpu_shares: Option<i64>,
    pub(super) memory: Option<i64>,
    pub(super) memory_reservation: Option<i64>,
    pub(super) pids: Option<i64>,
}

pub(super) fn of(limits: &Limits, requests: &Requests) -> Numbers {
    Numbers {
        nano_cpus: limits.cpu.map(|cpu| cpu.nano()),
        cpu_shares: requests.cpu.map(shares_of_cpu),
        memory: limits.memory.map(|memory| bytes(memory.0)),
        memory_reservation: requests.memory.map(|memory| bytes(memory.0)),
        pids: limits.pids.map(i64::from),
    }
}

/// What changes in a living container. The engine reads an absent number as "unchanged", so a memory or CPU limit cannot
/// be taken away here (a new container is made for that); the limit of processes can.
pub(super) fn update(adjustable: &Adjustable) -> ContainerUpdateBody {
    let numbers = of(&adjustable.limits, &adjustable.requests);
    ContainerUpdateBody {
        nano_cpus: numbers.nano_cpus,
        cpu_shares: numbers.cpu_shares,
        memory: numbers.memory,
        // Always both: the engine refuses a memory limit above the swap limit that it set by itself.
        memory_swap: numbers.memory,
        memory_reservation: numbers.memory_reservation,
        pids_limit: Some(numbers.pids.unwrap_or(-1)),
        restart_policy: Some(restart_policy(adjustable.restart_policy)),
        ..ContainerUpdateBody::default()
    }
}

/// `unless-stopped` rather than `always`: a replica that was stopped on purpose does not come back with a reboot.
pub(super) fn restart_policy(policy: RestartPolicy) -> EnginePolicy {
    let name = match policy {
        RestartPolicy::Always => RestartPolicyNameEnum::UNLESS_STOPPED,
        RestartPolicy::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        RestartPolicy::Never => RestartPolicyNameEnum::NO,
    };
    EnginePolicy { name: Some(name), maximum_retry_count: None }
}

/// For people: `cpu 1500m, memory 64Mi, restart Always`.
pub(super) fn words(adjustable: &Adjustable) -> String {
    let Adjustable { limits, requests, restart_policy } = adjustable;
    let parts = [
        limits.cpu.map(|cpu| format!("cpu {cpu}")),
        limits.memory.map(|memory| format!("memory {memory}")),
        limits.pids.map(|pids| format!("pids {pids}")),
        requests.cpu.map(|cpu| format!("cpu request {cpu}")),
        requests.memory.map(|memory| format!("memory request {memory}")),
        Some(format!("restart {restart_policy:?}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn bytes(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::quantity::{Cpu, Memory};

    #[test]
    fn an_update_sends_memory_with_swap_and_takes_the_limit_of_processes_away() {
        let adjustable = Adjustable {
            limits: Limits { cpu: Some(Cpu(1500)), memory: Some(Memory(64 << 20)), pids: None },
            requests: Requests::default(),
            restart_policy: RestartPolicy::Always,
        };
        let body = serde_json::to_value(update(&adjustable)).unwrap();
        let expected = serde_json::json!({
            "NanoCpus": 1_500_000_000u64, "Memory": 67_108_864, "MemorySwap": 67_108_864, "PidsLimit": -1,
            "RestartPolicy": {"Name": "unless-stopped"},
        });
        assert_eq!(body, expected);
        assert_eq!(words(&adjustable), "cpu 1500m, memory 64Mi, restart Always");
    }
}
