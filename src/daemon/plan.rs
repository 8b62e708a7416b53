//! Which database people are erased from, and by which plan, as the config says.

use std::path::Path;

use tracing::warn;

use super::StartError;
use crate::config::{Config, read_identity_key};
use crate::domain::TenantName;
use crate::purge::plan::Tenancy;
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

/// Tenants who may log in and whose every list the plan rejects: all its people are another tenant's.
pub fn left_out<'c>(config: &'c Config, plan: &Plan) -> impl Iterator<Item = &'c TenantName> {
    let sole = match &plan.subject.tenancy {
        Tenancy::Sole(tenant) => Some(tenant.clone()),
        Tenancy::Column(_) => None,
    };
    let open = config.tenants.sound().filter(|tenant| !tenant.disabled).map(|tenant| &tenant.name);
    open.filter(move |&name| sole.as_ref().is_some_and(|sole| sole != name))
}

/// Tells the log of them. A plan that cannot be read is told where it is needed.
pub(super) fn tell_left_out(config: &Config) {
    for tenant in plan(config).iter().flat_map(|plan| left_out(config, plan)) {
        warn!(%tenant, hint = LEFT_OUT, "tenant not served by the erasure plan");
    }
}

/// What comes of it, and what may be done.
pub const LEFT_OUT: &str =
    "its lists are rejected; name the column that tells whose people they are in the plan's tenancy, or remove the tenant";
