//! The registry of the simulated world, as whoever follows an image there asks it. It has its own moods, and answers whether
//! the engine is up or not.

use evenkeel::model::observed::Fault;
use evenkeel::model::secret::Login;
use evenkeel::model::time::Span;
use evenkeel::registry::{Question, Registries, RegistryError, Told};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Sim;
use super::calls::Call;

impl Registries for Sim {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Told> {
        let (sim, repository, selections) = (self.clone(), question.repository.clone(), question.selections.clone());
        let asked = question.repository.clone();
        let password = |login: &Login| match login {
            Login::Password { password, .. } | Login::Token(password) => password.clone(),
        };
        let passwords: Vec<_> = question.logins.iter().map(password).collect();
        let effect = async move { sim.with(|world| world.ask(&asked, &selections, &passwords)) };
        async move {
            let told = self.call(Call::elsewhere("ask", &repository, 60), effect).await;
            told.map_err(|error| {
                let limited = error.fault == Fault::RateLimited;
                let retry_after = self.with(|world| world.registry.retry_after.filter(|_| limited)).map(Span::millis);
                let registry = repository.split('/').next().unwrap_or_default();
                RegistryError { retry_after, ..RegistryError::new(registry, error.fault, error.message) }
            })
        }
        .boxed()
    }
}
