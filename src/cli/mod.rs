//! The command line: one file per subcommand. It parses, asks, prints and gives an exit code; it decides nothing about
//! containers. `plan`, `validate`, `notify`, `doctor`, `schema` and `completions` need no daemon, nor does `set` with a source and no
//! wait; `run` is the daemon; all others ask it.

mod age;
mod apply;
mod args;
mod client;
mod completions;
mod course;
mod describe;
mod difference;
mod doctor;
mod edits;
mod events;
mod failure;
mod follow;
mod get;
mod heap;
mod image_policy;
mod logging;
mod logs;
mod notice;
mod notifications;
mod object;
mod opening;
mod output;
mod past;
mod plan;
mod promote;
mod prune;
mod release_log;
mod rollout;
mod rows;
mod run;
mod run_now;
mod schema;
mod screen;
mod set;
mod settings;
mod sheet;
mod standing;
mod supervisor;
mod table;
mod validate;
mod version;
mod yaml;

pub use failure::Exit;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use failure::Failure;
use screen::Screen;

/// Keeps a Docker host as manifests say: replicas, networks, volumes, jobs and images.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Exit codes:
  0 done or nothing to do, 1 error, 2 changes (plan) or rolled back, 3 stalled, 4 timed out,
  5 invalid manifests, 6 held: something else is changing the manifests, git or another command

Examples:
  evenkeel validate --source manifests       check manifests
  evenkeel plan --source manifests           what would be done, and why
  evenkeel run --source manifests            do it, and keep doing it
  evenkeel get                               how everything stands
  evenkeel rollout status deployment/web     wait for an update
  evenkeel set image deployment/web :1.5     another image, written into the manifest
  evenkeel promote staging production        what staging runs, by digest")]
struct Evenkeel {
    // For whoever writes it before the command's name; commands that ask the daemon have one of their own, which takes it.
    #[arg(long, global = true, hide = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Plan(plan::Plan),
    Apply(apply::Apply),
    Validate(validate::Validate),
    Get(get::Get),
    Describe(describe::Describe),
    Events(events::Events),
    Logs(logs::Logs),
    Log(release_log::Log),
    Rollout(rollout::Rollout),
    RunNow(run_now::RunNow),
    Set(set::Set),
    Promote(promote::Promote),
    Prune(prune::Prune),
    Notify(notice::Notify),
    Doctor(doctor::Doctor),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Version(version::Version),
}

impl Command {
    async fn run(&self, screen: &Screen) -> Result<Exit, Failure> {
        match self {
            Command::Run(run) => run.run().await,
            Command::Plan(plan) => plan.run(screen).await,
            Command::Apply(apply) => apply.run(screen).await,
            Command::Validate(validate) => validate.run(screen).await,
            Command::Get(get) => get.run(screen).await,
            Command::Describe(describe) => describe.run(screen).await,
            Command::Events(events) => events.run(screen).await,
            Command::Logs(logs) => logs.run(screen).await,
            Command::Log(log) => log.run(screen).await,
            Command::Rollout(rollout) => rollout.run(screen).await,
            Command::RunNow(run_now) => run_now.run(screen).await,
            Command::Set(set) => set.run(screen).await,
            Command::Promote(promote) => promote.run(screen).await,
            Command::Prune(prune) => prune.run(screen).await,
            Command::Notify(notice) => notice.run(screen).await,
            Command::Doctor(doctor) => doctor.run(screen).await,
            Command::Schema(schema) => schema.run(screen),
            Command::Completions(completions) => completions.run(screen),
            Command::Version(version) => version.run(screen).await,
        }
    }
}

/// Does what the arguments of this process say, and gives its exit code.
pub fn main() -> ExitCode {
    let screen = Screen::new();
    let command = match Evenkeel::try_parse_from(namespace_last(std::env::args_os().collect())) {
        Ok(evenkeel) => evenkeel.command,
        Err(error) => return unparsed(&as_typed(error)),
    };
    let exit = runtime(&command).and_then(|runtime| runtime.block_on(command.run(&screen))).unwrap_or_else(|failure| {
        screen.fail(&failure);
        failure.exit
    });
    exit.code().into()
}

/// `-n NAMESPACE` before the command's name, where kubectl takes it too, goes to its end: the command says whether it knows it.
fn namespace_last(mut words: Vec<OsString>) -> Vec<OsString> {
    let count = match words.get(1).and_then(|word| word.to_str()) {
        Some("-n" | "--namespace") if words.len() > 3 => 2,
        Some(word) if word.starts_with("--namespace=") => 1,
        _ => return words,
    };
    let moved: Vec<OsString> = words.drain(1..=count).collect();
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.splice(end..end, moved);
    words
}

/// The same mistake without what the environment says: the usage under it would show those flags as required.
fn as_typed(error: clap::Error) -> clap::Error {
    if !error.use_stderr() {
        return error;
    }
    let words = namespace_last(std::env::args_os().collect());
    without_environment(Evenkeel::command()).try_get_matches_from(words).err().unwrap_or(error)
}

fn without_environment(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_environment))
}

/// Clap's own exit code for a wrong argument is 2, which means something else here.
fn unparsed(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when the screen is gone.
    let _ = error.print();
    if error.use_stderr() { Exit::Error.code().into() } else { ExitCode::SUCCESS }
}

/// The daemon gets two threads, so that a scrape never waits for a pass; a question needs none.
fn runtime(command: &Command) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = match command {
        Command::Run(_) => {
            heap::keep_small();
            tokio::runtime::Builder::new_multi_thread()
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.worker_threads(2).enable_all().build().map_err(|error| Failure::new(format!("cannot start: {error}")))
}
