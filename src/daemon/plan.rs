//! Which database people are erased from, and by which plan, as the config says.

use std::path::Path;

use super::StartError;
use crate::config::{Config, read_identity_key};
use crate::purge::{Engine, Plan};
use crate::store::Create;

/// What may be added to the store, which must be there: all tables of the embedded one, the ledger alone in a user's own database.
#[must_use]
pub fn create(config: &Config) -> Create {
    if config.store.database.is_some() { Create::LedgerOnly } else { Create::BuiltinTables }
}

/// The engine over the configured plan, with the store's own key.
///
/// # Errors
/// Key or plan cannot be read, or the plan is not sound.
pub fn engine(config: &Config) -> Result<Engine, StartError> {
    Ok(Engine::new(plan(config)?, read_identity_key(&config.identity_key_file())?)?)
}

/// The configured plan: the file's, or the built-in one.
///
/// # Errors
/// [`StartError::PlanFile`] and [`StartError::PlanText`].
pub fn plan(config: &Config) -> Result<Plan, StartError> {
    config.store.plan.as_deref().map_or_else(|| Ok(Plan::builtin()), read_plan)
}

/// Reads a plan.
///
/// # Errors
/// [`StartError::PlanFile`] and [`StartError::PlanText`].
pub fn read_plan(path: &Path) -> Result<Plan, StartError> {
    let text = std::fs::read_to_string(path).map_err(|source| StartError::PlanFile { path: path.to_owned(), source })?;
    Plan::parse(&text).map_err(|faults| StartError::PlanText { path: path.to_owned(), faults })
}
