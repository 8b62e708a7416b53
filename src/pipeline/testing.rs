//! A pipeline at rest over a scratch folder, for this module's tests.

use std::time::Duration;

use tempfile::TempDir;

use super::{Options, Parts, Pipeline, Rules, ScrubOptions, Sign};
use crate::domain::{IdentityKey, TenantName};
use crate::purge::{Engine, Plan};
use crate::scrub::{Scrubber, SealKey, Vault};
use crate::spool::Spool;
use crate::store::{self, Create, Store};

/// An empty store of the built-in tables, and a tenant "acme" with its folders.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) pipeline: Pipeline,
    pub(super) tenant: TenantName,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("store.db"), Create::Builtin, store::Options { cache_bytes: 1 << 20, busy_ms: 0 });
        let pipeline = pipeline(&folder, store.expect("a store"), Plan::builtin());
        Self { folder, pipeline, tenant: TenantName::parse("acme").expect("valid") }
    }
}

/// A pipeline over this store, with everything that waits at its shortest.
pub(super) fn pipeline(folder: &TempDir, store: Store, plan: Plan) -> Pipeline {
    let tenant = TenantName::parse("acme").expect("valid");
    let tenants_dir = folder.path().join("tenants");
    std::fs::create_dir(&tenants_dir).expect("a folder");
    let spool = Spool::new(tenants_dir);
    spool.create_tenant(&tenant).expect("folders");
    let key = IdentityKey::new([7; 32]);
    let engine = Engine::new(plan, key.clone()).expect("statements");
    let options = Options {
        settle: Duration::ZERO,
        scan_interval: Duration::from_secs(60),
        checksum_wait: Duration::ZERO,
        chunk_shared: Duration::from_secs(1),
        chunk_alone: Duration::from_secs(1),
        attempts_max: 9,
        hold_warn: Duration::from_secs(1),
        hold_for: Duration::from_secs(1),
        rest_max: Duration::from_secs(1),
        unindexed_rows_max: 0,
        chunk_rest: Duration::ZERO,
        scrub: ScrubOptions { after_rows: 1, after: Duration::ZERO },
        originals_days: 30,
        reports_days: 2_192,
    };
    let vault = Vault::open(&folder.path().join("scrub"), SealKey::new([3; 32])).expect("a vault");
    let scrubber = Scrubber::new(&store, vault, engine.living()).expect("a scrubber");
    let tenants = [(tenant, Rules::default())].into();
    let sign: Sign = Box::new(|text| Ok([b"signed ", text].concat()));
    let parts = Parts { store, engine, scrubber, key, sign, spool, requests_dir: folder.path().join("requests"), tenants };
    Pipeline::new(options, parts)
}
