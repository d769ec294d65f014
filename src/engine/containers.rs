//! What happens to one container: created, started, stopped, removed, altered. A destructive call goes by the
//! container's id, after a fresh look at that id: what is not ours any more is left alone.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RestartContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::client::{CALL, Client};
use super::create::{body, whole_seconds};
use super::errors::Failed;
use super::inspect::{Look, look, short};
use super::logs::Tail;
use super::{Ended, EngineError, Ownership, Provided, limits};
use crate::model::container::{Adjustable, ContainerSpec};
use crate::model::observed::{Container, ContainerId, Fault};
use crate::model::time::Span;

/// Creates it. One with that name and those labels is what was asked for, so it is a success; any other is a conflict.
pub(super) async fn create(client: &Client, spec: &ContainerSpec, provided: &Provided) -> Result<(), EngineError> {
    let attempted = format!("create {}", spec.name);
    let body = body(spec, provided)?;
    let options = CreateContainerOptionsBuilder::default().name(&spec.name);
    let options = match &spec.template.platform {
        Some(platform) => options.platform(platform).build(),
        None => options.build(),
    };
    match client.call(CALL, |api| async move { api.create_container(Some(options), body).await }).await {
        Ok(_) => Ok(()),
        Err(failed) if failed.is(409) && failed.says("is already in use") && same(client, spec).await? => Ok(()),
        Err(failed) => Err(discreet(failed.attempting(attempted), provided)),
    }
}

/// Whether the container that has the name carries the same labels: our labels hold all that tells two of ours apart.
async fn same(client: &Client, spec: &ContainerSpec) -> Result<bool, EngineError> {
    let name = spec.name.clone();
    let found = client.call(CALL, |api| async move { api.inspect_container(&name, None).await }).await;
    let found = found.map_err(|failed| failed.attempting(format!("inspect {}", spec.name)))?;
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    // An image adds labels of its own.
    Ok(spec.labels.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// An engine that quotes what it refuses could quote a secret.
fn discreet(mut error: EngineError, provided: &Provided) -> EngineError {
    for (_, value) in &provided.env {
        // A shorter one would blot out half of an innocent message, and is not secret.
        if let Ok(text) = std::str::from_utf8(value.expose())
            && text.chars().count() >= 4
        {
            error.message = error.message.replace(text, "…");
        }
    }
    error
}

/// Running already is a success.
pub(super) async fn start(client: &Client, id: &ContainerId) -> Result<(), EngineError> {
    let wanted = id.0.clone();
    let started = client.call(START, |api| async move { api.start_container(&wanted, None).await }).await;
    started.map_err(|failed| failed.attempting(format!("start {}", short(id))))
}

/// A start waits for disks and for the runtime: on a busy host that is longer than for other calls.
const START: Duration = Duration::from_secs(60);

/// Runs a command and waits for its end, at most for `limit`. Neither a command that fails, nor one that does not end,
/// nor a container that cannot run any (it ended, it is paused) is an error: what follows must not depend on it.
pub(super) async fn exec(
    client: &Client,
    id: &ContainerId,
    command: &[String],
    limit: Span,
) -> Result<(), EngineError> {
    let limit = limit.max(Span::secs(1));
    probe(client, id, command, limit).await.map(drop)
}

/// Runs a command as a check.
pub(super) async fn probe(
    client: &Client,
    id: &ContainerId,
    command: &[String],
    limit: Span,
) -> Result<Option<Ended>, EngineError> {
    match client.call(limit.std(), |api| run(api, id.0.clone(), command.to_vec())).await {
        Ok(ended) => Ok(Some(ended)),
        Err(failed) if failed.is(404) || failed.is(409) || matches!(failed, Failed::Late(_)) => Ok(None),
        Err(failed) => Err(failed.attempting(format!("run a command in {}", short(id)))),
    }
}

/// How many of the lines that a command writes are kept: the last one that is not empty is its word.
const WORDS_LINES: usize = 20;

async fn run(api: bollard::Docker, id: String, command: Vec<String>) -> Result<Ended, bollard::errors::Error> {
    let options = CreateExecOptions {
        cmd: Some(command),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let mut written = Tail::new(WORDS_LINES, None);
    let exec = api.create_exec(&id, options).await?.id;
    // Attached, because the end of the output is the end of the command.
    if let StartExecResults::Attached { mut output, .. } = api.start_exec(&exec, None).await? {
        while let Some(chunk) = output.next().await {
            written.take(chunk?);
        }
    }
    let code = api.inspect_exec(&exec).await?.exit_code.unwrap_or(-1);
    let words = written.finish().into_iter().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok(Ended { code, words: words.trim().to_owned() })
}

/// Stopped or gone already is a success.
pub(super) async fn stop(
    client: &Client,
    ownership: &Ownership,
    id: &ContainerId,
    grace: Span,
) -> Result<(), EngineError> {
    let attempted = format!("stop {}", short(id));
    if owned(client, ownership, id, &attempted).await?.is_none() {
        return Ok(());
    }
    let (wanted, options) = (id.0.clone(), StopContainerOptionsBuilder::default().t(seconds(grace)).build());
    let stopped =
        client.call(grace.std() + CALL, |api| async move { api.stop_container(&wanted, Some(options)).await }).await;
    done_when_gone(stopped, attempted)
}

pub(super) async fn restart(
    client: &Client,
    ownership: &Ownership,
    id: &ContainerId,
    grace: Span,
) -> Result<(), EngineError> {
    let attempted = format!("restart {}", short(id));
    present(client, ownership, id, &attempted).await?;
    let (wanted, options) = (id.0.clone(), RestartContainerOptionsBuilder::default().t(seconds(grace)).build());
    let limit = grace.std() + CALL + START;
    let restarted = client.call(limit, |api| async move { api.restart_container(&wanted, Some(options)).await }).await;
    restarted.map_err(|failed| failed.attempting(attempted))
}

/// Suspended already is a success.
pub(super) async fn pause(client: &Client, ownership: &Ownership, id: &ContainerId) -> Result<(), EngineError> {
    let attempted = format!("pause {}", short(id));
    present(client, ownership, id, &attempted).await?;
    let wanted = id.0.clone();
    match client.call(CALL, |api| async move { api.pause_container(&wanted).await }).await {
        Err(failed) if failed.says("is already paused") => Ok(()),
        other => other.map_err(|failed| failed.attempting(attempted)),
    }
}

/// Running already is a success.
pub(super) async fn unpause(client: &Client, id: &ContainerId) -> Result<(), EngineError> {
    let wanted = id.0.clone();
    match client.call(CALL, |api| async move { api.unpause_container(&wanted).await }).await {
        Err(failed) if failed.says("is not paused") => Ok(()),
        other => other.map_err(|failed| failed.attempting(format!("unpause {}", short(id)))),
    }
}

/// With its anonymous volumes, never with force. Gone or going already is a success.
pub(super) async fn remove(client: &Client, ownership: &Ownership, id: &ContainerId) -> Result<(), EngineError> {
    let attempted = format!("remove {}", short(id));
    if owned(client, ownership, id, &attempted).await?.is_none() {
        return Ok(());
    }
    let (wanted, options) = (id.0.clone(), RemoveContainerOptionsBuilder::default().v(true).force(false).build());
    match client.call(CALL, |api| async move { api.remove_container(&wanted, Some(options)).await }).await {
        Err(failed) if failed.says("already in progress") => Ok(()),
        other => done_when_gone(other, attempted),
    }
}

/// Changes limits, requests and restart policy, and looks whether the engine did.
pub(super) async fn update(
    client: &Client,
    ownership: &Ownership,
    id: &ContainerId,
    adjustable: &Adjustable,
) -> Result<(), EngineError> {
    let attempted = format!("update {}", short(id));
    present(client, ownership, id, &attempted).await?;
    let (wanted, body) = (id.0.clone(), limits::update(adjustable));
    let updated = client.call(CALL, |api| async move { api.update_container(&wanted, body).await }).await;
    updated.map_err(|failed| failed.attempting(&attempted))?;
    let now = present(client, ownership, id, &attempted).await?.adjustable;
    match &now == adjustable {
        true => Ok(()),
        // The engine says 200 to what the kernel cannot do, and to a limit that shall go away.
        false => Err(EngineError {
            attempted,
            message: format!("the engine kept {} instead of {}", limits::words(&now), limits::words(adjustable)),
            fault: Fault::Unavailable,
        }),
    }
}

/// The fresh look before a destructive call: none when it is gone, an error when it is somebody else's.
pub(super) async fn owned(
    client: &Client,
    ownership: &Ownership,
    id: &ContainerId,
    attempted: &str,
) -> Result<Option<Box<Container>>, EngineError> {
    match look(client, ownership, id).await? {
        Look::Gone => Ok(None),
        Look::Ours(container) => Ok(Some(container)),
        Look::Foreign => Err(EngineError {
            attempted: attempted.to_owned(),
            message: "it is not ours any more, so it was left alone".into(),
            fault: Fault::Conflict,
        }),
    }
}

/// The same where a container that is gone cannot be a success.
pub(super) async fn present(
    client: &Client,
    ownership: &Ownership,
    id: &ContainerId,
    attempted: &str,
) -> Result<Box<Container>, EngineError> {
    let gone = || EngineError {
        attempted: attempted.to_owned(),
        message: "there is no such container any more".into(),
        fault: Fault::Unavailable,
    };
    owned(client, ownership, id, attempted).await?.ok_or_else(gone)
}

fn done_when_gone(result: Result<(), Failed>, attempted: String) -> Result<(), EngineError> {
    match result {
        Err(failed) if failed.is(404) => Ok(()),
        other => other.map_err(|failed| failed.attempting(attempted)),
    }
}

/// The engine would wait for ever for a negative number.
fn seconds(grace: Span) -> i32 {
    i32::try_from(whole_seconds(grace)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::SecretBytes;

    #[test]
    fn an_error_never_quotes_the_environment() {
        let secret = |value: &str| SecretBytes::new(value.as_bytes().to_vec());
        let provided = Provided {
            env: vec![("PASSWORD".into(), secret("hunter22")), ("N".into(), secret("1"))],
            ..Provided::default()
        };
        let failed = Failed::Refused { status: 400, message: "bad option 1: PASSWORD=hunter22".into() };
        assert_eq!(discreet(failed.attempting("create web"), &provided).message, "bad option 1: PASSWORD=…");
    }

    #[test]
    fn a_grace_period_is_given_in_whole_seconds() {
        assert_eq!(seconds(Span::millis(1500)), 2);
        assert_eq!(seconds(Span::ZERO), 0);
        assert_eq!(seconds(Span(u64::MAX)), i32::MAX);
    }
}
