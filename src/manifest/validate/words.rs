//! Words that the engine looks up in a list of its own when it makes or stops a container: a slip would show only then.

use super::wrong;
use crate::manifest::diagnostic::Problems;
use crate::manifest::place::At;
use crate::manifest::suggest;
use crate::model::spec::Template;

/// Signals of Linux, without `SIG`. The real-time ones are counted from RTMIN and RTMAX.
const SIGNALS: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Capabilities of Linux, without `CAP_`.
const CAPABILITIES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Checks the words of a template.
pub fn check(at: At<'_>, template: &Template, problems: &mut Problems) {
    if let Some(signal) = &template.stop_signal {
        let bare = upper(signal, "SIG");
        let is_number = signal.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
        let is_real_time = bare.starts_with("RTMIN") || bare.starts_with("RTMAX");
        if !is_number && !is_real_time {
            known(at.field("stopSignal"), signal, &bare, &SIGNALS, "signal", problems);
        }
    }
    for (list, words) in [("add", &template.capabilities.add), ("drop", &template.capabilities.drop)] {
        for (index, word) in words.iter().enumerate() {
            let at = at.field("capabilities").field(list).item(index);
            known(at, word, &upper(word, "CAP_"), &CAPABILITIES, "capability", problems);
        }
    }
    if let Some(mode) = &template.ipc_mode {
        let modes = ["none", "private", "shareable", "host"];
        if !mode.starts_with("container:") {
            known(at.field("ipcMode"), mode, mode, &modes, "ipcMode", problems);
        }
    }
}

fn upper(word: &str, prefix: &str) -> String {
    let word = word.to_ascii_uppercase();
    word.strip_prefix(prefix).map(str::to_owned).unwrap_or(word)
}

fn known(at: At<'_>, written: &str, word: &str, words: &[&str], what: &str, problems: &mut Problems) {
    if words.contains(&word) {
        return;
    }
    let problem = wrong(problems, at, format!("there is no {what} '{written}'"));
    if let Some(hint) = suggest::hint(word, words.iter().copied(), "those known are") {
        problem.hint(hint);
    }
}
