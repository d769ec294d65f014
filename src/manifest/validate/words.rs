//! Words that the engine looks up in a list of its own when it makes or stops a container: a slip would show only then.

use super::wrong;
use crate::manifest::diagnostic::Problems;
use crate::manifest::place::At;
use crate::manifest::suggest;
use crate::model::platform::Platform;
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

/// Limits that a process can be given.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Options of the log drivers that come with the engine and keep logs on this host.
const LOG_OPTIONS: [(&str, &[&str]); 2] = [
    (
        "json-file",
        &[
            "compress",
            "env",
            "env-regex",
            "labels",
            "labels-regex",
            "max-buffer-size",
            "max-file",
            "max-size",
            "mode",
            "tag",
        ],
    ),
    ("local", &["compress", "max-buffer-size", "max-file", "max-size", "mode"]),
];

/// Architectures that programs are made for, by the names of images and by those that people know them by.
const ARCHITECTURES: [&str; 15] = [
    "386", "aarch64", "amd64", "arm", "arm64", "armel", "armhf", "i386", "loong64", "mips64le", "ppc64le", "riscv64",
    "s390x", "x86-64", "x86_64",
];

/// The longest host name that Linux takes, in characters.
const HOST_NAME_MAX: usize = 64;

/// Checks the words of a template.
pub fn check(at: At<'_>, template: &Template, problems: &mut Problems) {
    user(at, template, problems);
    host_name(at, template, problems);
    platform(at.field("platform"), template, problems);
    no_nul(at, template, problems);
    logging(at.field("logging"), template, problems);
    for name in template.ulimits.keys() {
        known(at.field("ulimits").key(name), name, name, &ULIMITS, "ulimit", problems);
    }
    for name in template.sysctls.keys() {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-');
        if !name.contains(['.', '/']) || !name.chars().all(legal) {
            wrong(problems, at.field("sysctls").key(name), format!("'{name}' is not a setting of the kernel"))
                .hint("write its whole name, such as net.core.somaxconn");
        }
    }
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
    let hint = problems.unless_full(|| suggest::hint(word, words.iter().copied(), "those known are"));
    let problem = wrong(problems, at, format!("there is no {what} '{written}'"));
    if let Some(hint) = hint {
        problem.hint(hint);
    }
}

/// A user, and the further groups: names or numbers, which are looked up in the image.
fn user(at: At<'_>, template: &Template, problems: &mut Problems) {
    let is_word = |word: &str| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c == ':');
    if let Some(user) = &template.user {
        let parts: Vec<&str> = user.split(':').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_word(part)) {
            wrong(problems, at.field("user"), format!("'{user}' is not a user"))
                .hint("write USER or USER:GROUP, each by name or number");
        }
    }
    for (index, group) in template.group_add.iter().enumerate().filter(|(_, group)| !is_word(group)) {
        wrong(problems, at.field("groupAdd").item(index), format!("'{group}' is not a group"))
            .hint("write its name or number");
    }
}

fn host_name(at: At<'_>, template: &Template, problems: &mut Problems) {
    let Some(name) = &template.hostname else { return };
    let is_label = |label: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.chars().all(legal) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > HOST_NAME_MAX || !name.split('.').all(is_label) {
        wrong(problems, at.field("hostname"), format!("'{name}' is not a host name"))
            .hint("letters, digits and '-', in parts with '.' between them, at most 64 characters");
    }
}

/// What an engine on Linux can run at all: that this one cannot, it says itself.
fn platform(at: At<'_>, template: &Template, problems: &mut Problems) {
    let Some(text) = &template.platform else { return };
    let platform = Platform::of(text);
    let is_whole = !platform.architecture.is_empty() && platform.to_string() == *text;
    if !is_whole || !platform.os.eq_ignore_ascii_case("linux") {
        wrong(problems, at, format!("'{text}' is not a platform of containers on Linux"))
            .hint("write linux/ARCHITECTURE, such as linux/amd64 or linux/arm/v7");
        return;
    }
    known(at, &platform.architecture, &platform.architecture, &ARCHITECTURES, "architecture", problems);
}

/// A NUL byte ends every text that a program is given, so none can be in one.
fn no_nul(at: At<'_>, template: &Template, problems: &mut Problems) {
    for (field, list) in [("command", &template.command), ("args", &template.args)] {
        for (index, _) in list.iter().enumerate().filter(|(_, word)| word.contains('\0')) {
            wrong(problems, at.field(field).item(index), "an argument cannot hold a NUL byte");
        }
    }
}

fn logging(at: At<'_>, template: &Template, problems: &mut Problems) {
    let Some(logging) = &template.logging else { return };
    let Some((driver, options)) = LOG_OPTIONS.iter().find(|(driver, _)| *driver == logging.driver) else { return };
    let at = at.field("options");
    for name in logging.options.keys() {
        known(at.key(name), name, name, options, &format!("option of the log driver {driver}"), problems);
    }
    if let Some(size) = logging.options.get("max-size").filter(|size| !is_size(size)) {
        wrong(problems, at.field("max-size"), format!("'{size}' is not a size")).hint("write such as 500k, 10m or 1g");
    }
    let count = logging.options.get("max-file");
    if let Some(count) = count.filter(|count| !count.parse::<u32>().is_ok_and(|count| count > 0)) {
        wrong(problems, at.field("max-file"), format!("'{count}' is not a number of files")).hint("write 1 or more");
    }
}

/// Whether the engine reads `text` as a size: a number with a unit of a thousand or 1024 of the last, or -1 for none.
fn is_size(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let number = lower.strip_suffix('b').unwrap_or(&lower);
    let number = number.strip_suffix('i').unwrap_or(number);
    let number = number.strip_suffix(['k', 'm', 'g', 't', 'p']).unwrap_or(number);
    text == "-1" || number.trim_end().parse::<f64>().is_ok_and(|size| size > 0.0)
}
