//! One action carried out: its call to the engine, with what it needs beside it, and what is known of each sort of call.
//! Which actions run beside each other, and how they are remembered, is next door.

use std::pin::pin;

use super::apply::Shared;
use super::build;
use super::gate::Gate;
use super::provide;
use crate::engine::{Engine, EngineError};
use crate::model::action::{Action, Call, Stop};
use crate::model::image::Built;
use crate::model::revision::ImageId;

/// What an action has done, beside what its call says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// No more than that.
    Done,
    /// An image has come that the engine had not had.
    Brought(ImageId),
    /// An image was built.
    Built(Built),
    /// So many bytes are free again, at most.
    Freed(u64),
}

impl<E: Engine> Shared<E> {
    /// Carries an action out.
    pub(super) async fn call(&self, action: &Action) -> Result<Effect, EngineError> {
        let (engine, call) = (&self.engine, &action.call);
        let desired = self.ledger().desired.clone();
        let gate = Gate::open(engine.as_ref(), desired, action).await?;
        gate.pass(call)?;
        match call {
            Call::CreateNetwork(network) => engine.create_network(gate.approve(call, network)?).await,
            Call::RemoveNetwork { id, .. } => engine.remove_network(id).await,
            Call::CreateVolume(volume) => engine.create_volume(gate.approve(call, volume)?).await,
            Call::Pull { image, platform, secrets } => {
                let credentials = provide::credentials(&self.store, secrets)?;
                let target = call.target();
                let progress = |line: String| self.note(&target, &line);
                let brought = engine.pull(image, platform.as_deref(), &credentials, &progress).await?;
                return Ok(brought.map_or(Effect::Done, Effect::Brought));
            }
            Call::Build { build, secrets } => {
                let credentials = provide::credentials(&self.store, secrets)?;
                let target = call.target();
                let output = |line: String| self.hear(&target, &line);
                let build = gate.approve(call, build)?;
                return tokio::select! {
                    built = build::build(engine.as_ref(), build, &credentials, &output, &self.wake) => built.map(Effect::Built),
                    () = self.obsolete(call) => Err(build::obsolete(call)),
                };
            }
            Call::RemoveImage { id, references, steps } => {
                return engine.remove_image(id, references, steps).await.map(Effect::Freed);
            }
            Call::CreateContainer(spec) => {
                let provided = provide::provide(&self.store, spec)?;
                engine.create(gate.approve(call, spec.as_ref())?, &provided).await
            }
            Call::Connect(connection) => engine.connect(connection).await,
            Call::Reconnect(connection) => engine.reconnect(connection).await,
            Call::Start { container, files, .. } => {
                for files in files {
                    // One whose content is lost too may still be there; if not, the engine says so.
                    if let Err(error) = self.store.render(files) {
                        tracing::debug!(%error, "files of a container cannot be rendered again");
                    }
                }
                engine.start(container).await
            }
            Call::Stop(stop) => self.stop(stop).await,
            Call::Restart(stop) => engine.restart(&stop.container, stop.grace).await,
            Call::Pause { container, .. } => engine.pause(container).await,
            Call::Unpause { container, .. } => engine.unpause(container).await,
            Call::Remove { container, .. } => engine.remove(container).await,
            Call::Update { container, adjustable, .. } => engine.update(container, adjustable).await,
        }?;
        Ok(Effect::Done)
    }

    async fn stop(&self, stop: &Stop) -> Result<(), EngineError> {
        if !stop.pre_stop.is_empty() {
            // The command is a courtesy: a container without it must end all the same.
            if let Err(error) = self.engine.exec(&stop.container, &stop.pre_stop, stop.grace).await {
                let error = self.ledger().redactor.clean(&error.to_string());
                tracing::warn!(container = %stop.name, error, "the preStop command failed");
            }
        }
        self.engine.stop(&stop.container, stop.grace).await
    }

    /// Waits until nobody wants a build any more: from another content, another image is built.
    async fn obsolete(&self, call: &Call) {
        loop {
            let mut replaced = pin!(self.replaced.notified());
            replaced.as_mut().enable();
            if build::is_obsolete(&self.ledger().desired, call) {
                return;
            }
            replaced.await;
        }
    }

    /// Takes in a line of a build: it is how far it has come, and kept in case it is one of the last.
    fn hear(&self, target: &str, line: &str) {
        self.note(target, line);
        let mut ledger = self.ledger();
        let line = ledger.redactor.clean(line);
        build::keep(ledger.outputs.entry(target.to_owned()).or_default(), &line);
    }

    fn note(&self, target: &str, line: &str) {
        let mut ledger = self.ledger();
        let line = ledger.redactor.clean(line);
        if let Some((_, action)) = ledger.in_flight.get_mut(target) {
            action.progress = line;
        }
    }
}

/// A message of the engine's with the name in the place of the id, whole or short, that it knows.
pub(super) fn with_name(call: &Call, message: String) -> String {
    let Some((id, name)) = call.existing() else { return message };
    let message = message.replace(id, name);
    match id.get(..SHORT_ID) {
        Some(short) => message.replace(short, name),
        None => message,
    }
}

/// How many digits of an id Docker shows to people.
const SHORT_ID: usize = 12;
