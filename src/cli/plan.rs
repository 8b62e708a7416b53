//! `plan`: write an erasure plan from a database's own keys, look whether one fits, show what it does.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::store::failure as store_failure;
use super::{Exit, Failure, Scene, files, serve};
use crate::daemon;
use crate::domain::{IdentityKey, TenantName};
use crate::purge::{self, Deriving, Engine, Finding, FindingKind, Plan, WorkStep};
use crate::store::{Options, Store};

/// `plan …`
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Write a plan from a database's own keys, with what a person must choose
    #[command(
        after_help = "The database is only read. Wherever the plan says CHOOSE, write one of the words; it does not load before.\n\n\
                      Examples:\n  expunged plan derive --db app.db --subject users --out plan.toml\n  \
                      expunged plan derive --db app.db --subject users --tenant acme\n\n\
                      Exit codes: 0 done; 1 failed; 2 usage or configuration; 4 no such file or table"
    )]
    Derive {
        /// The database
        #[arg(long, value_name = "FILE")]
        db: PathBuf,
        /// The table with one row a person
        #[arg(long, value_name = "TABLE")]
        subject: String,
        /// The table of accounts, which go with their last person
        #[arg(long, value_name = "TABLE")]
        account: Option<String>,
        /// The tenant whose people these are, where all are one tenant's
        #[arg(long, value_name = "NAME", value_parser = TenantName::parse)]
        tenant: Option<TenantName>,
        /// Write it to a new file instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Say what stands between a plan and its database, and how to mend it
    #[command(after_help = "Looks at the configured plan and database, or at those that are named; both are only read.\n\n\
                      Examples:\n  expunged plan check\n  expunged plan check --db app.db --plan plan.toml\n\n\
                      Exit codes: 0 done, nothing found; 1 failed, or something was found; 2 usage or configuration, or a plan with faults; 4 no such \
                      file")]
    Check {
        /// The database
        #[arg(long, value_name = "FILE", requires = "plan")]
        db: Option<PathBuf>,
        /// The plan
        #[arg(long, value_name = "FILE", requires = "db")]
        plan: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the order of work as a tree
    #[command(after_help = "Examples:\n  expunged plan show\n  expunged plan show --plan plan.toml\n  expunged plan show --toml\n\n\
                      Exit codes: 0 done; 1 failed; 2 usage or configuration, or a plan with faults; 4 no such file")]
    Show {
        /// Another plan than the configured one
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        /// Print the plan as its file would say it
        #[arg(long, conflicts_with = "json")]
        toml: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(scene: &Scene, command: &PlanCommand) -> Result<Exit, Failure> {
    match command {
        PlanCommand::Derive { db, subject, account, tenant, out } => {
            let of = Deriving { subject, account: account.as_deref(), tenant: tenant.as_ref() };
            derive(scene, db, &of, out.as_deref())
        }
        PlanCommand::Check { db: Some(db), plan: Some(plan), json } => {
            let plan = read(plan)?;
            check(scene, &Checking { plan, database: db, data_dir: None, unindexed_rows_max: UNINDEXED_ROWS_MAX }, *json)
        }
        PlanCommand::Check { json, .. } => {
            let config = scene.load_config()?;
            let plan = daemon::plan(&config).map_err(serve::failure)?;
            let (database, unindexed_rows_max) = (config.store_file(), config.store.unindexed_rows_max);
            check(scene, &Checking { plan, database: &database, data_dir: Some(&config.data_dir), unindexed_rows_max }, *json)
        }
        PlanCommand::Show { plan, toml, json } => {
            let plan = match plan {
                Some(file) => read(file)?,
                None => daemon::plan(&scene.load_config()?).map_err(serve::failure)?,
            };
            let form = match (toml, json) {
                (true, _) => Form::Toml,
                (false, true) => Form::Json,
                (false, false) => Form::Tree,
            };
            show(scene, &plan, form)
        }
    }
}

fn derive(scene: &Scene, db: &Path, of: &Deriving<'_>, out: Option<&Path>) -> Result<Exit, Failure> {
    let store = open(db)?;
    let text = purge::derive(store.connection(), of).map_err(|error| match error {
        purge::DeriveError::Store(error) => store_failure(&error),
        purge::DeriveError::NoTable(_) => Failure::not_found(error.to_string()),
        purge::DeriveError::NoKey(_) => Failure::failed(error.to_string()).hint(
            "add one to the table (a generated column with a unique index will do), or derive for the table that has one row a person, \
             and refer to it from this one",
        ),
        purge::DeriveError::NoLink(..) => Failure::failed(error.to_string())
            .hint("an account is what the people's own table refers to; without --account, accounts are left alone"),
    })?;
    let open = text.matches("CHOOSE").count() - usize::from(text.contains("Wherever it says CHOOSE"));
    match out {
        None => scene.terminal.say(&text)?,
        Some(path) => {
            files::create(path, text.as_bytes(), 0o600)
                .map_err(|error| Failure::failed(format!("cannot write \"{}\"", path.display())).because(&error))?;
            scene.terminal.say(format!("wrote {}; {open} choices to make", path.display()))?;
        }
    }
    Ok(Exit::Done)
}

struct Checking<'a> {
    plan: Plan,
    database: &'a Path,
    /// Where the hardened unit may write already.
    data_dir: Option<&'a Path>,
    unindexed_rows_max: u64,
}

#[derive(Serialize)]
struct Checked<'a> {
    fits: bool,
    plan: &'a str,
    findings: &'a [Finding],
    read_write_paths: Vec<String>,
}

fn check(scene: &Scene, of: &Checking<'_>, json: bool) -> Result<Exit, Failure> {
    // No identity is computed by looking: any key will do.
    let engine = Engine::new(of.plan.clone(), IdentityKey::new([0; 32])).map_err(|error| serve::failure(error.into()))?;
    let store = open(of.database)?;
    let found = engine.inspect(store.connection(), of.unindexed_rows_max).map_err(|error| store_failure(&error))?;
    let fits = !found.iter().any(|finding| finding.kind == FindingKind::Misfit);
    let paths = read_write_paths(of);
    let exit = if found.is_empty() { Exit::Done } else { Exit::Failed };
    if json {
        scene.terminal.json(&Checked { fits, plan: engine.plan_digest(), findings: &found, read_write_paths: paths })?;
        return Ok(exit);
    }
    for finding in &found {
        scene.terminal.bad(format!("{}: {}", finding.kind.as_str(), finding.what));
        if let Some(mend) = &finding.mend {
            scene.terminal.hint(mend);
        }
    }
    let word = match (fits, found.len()) {
        (true, 0) => "the plan fits the database; nothing was found".to_owned(),
        (true, count) => format!("the plan fits the database; {count} found"),
        (false, count) => format!("the plan does not fit the database; {count} found"),
    };
    scene.terminal.say(word)?;
    if !paths.is_empty() {
        scene.terminal.say(format!(
            "\nthe systemd unit may not write there yet; add with: systemctl edit expunged\n  [Service]\n  ReadWritePaths={}",
            paths.join(" ")
        ))?;
    }
    Ok(exit)
}

/// What the hardened unit must be allowed to write beside its own folder: the database's folder, because its journal lies there.
fn read_write_paths(of: &Checking<'_>) -> Vec<String> {
    let Some(folder) = of.database.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)) else { return Vec::new() };
    let own = of.data_dir.and_then(|dir| dir.canonicalize().ok()).is_some_and(|dir| folder.starts_with(dir));
    if own { Vec::new() } else { vec![folder.display().to_string()] }
}

/// How a plan is shown.
#[derive(Clone, Copy)]
enum Form {
    /// The order of work, for a person.
    Tree,
    /// As the plan's file would say it.
    Toml,
    /// The order of work.
    Json,
}

fn show(scene: &Scene, plan: &Plan, form: Form) -> Result<Exit, Failure> {
    let steps = || plan.work().map_err(|error| serve::failure(error.into()));
    match form {
        Form::Toml => scene.terminal.say(plan.to_text().trim_end())?,
        Form::Json => scene.terminal.json(&steps()?)?,
        Form::Tree => scene.terminal.say(work_tree(&steps()?))?,
    }
    Ok(Exit::Done)
}

/// The steps of a plan's work as a tree under the subjects' table, then those of tables that hang on nothing in it.
fn work_tree(steps: &[WorkStep]) -> String {
    let mut tree = WorkTree { steps, above: Vec::new(), told: Vec::new(), lines: Vec::new() };
    tree.lines.extend(["Work goes by number: what hangs on others comes before them.".to_owned(), String::new()]);
    let root = &steps[0];
    tree.lines.push(format!("{}. {}: {}", root.order, root.table, root.deed));
    tree.hang_below(root, "");
    let apart: Vec<_> = steps.iter().filter(|step| !tree.told.contains(&step.order)).collect();
    if !apart.is_empty() {
        tree.lines.push(String::new());
        tree.lines.extend(apart.into_iter().map(|step| format!("{}. {}: {}", step.order, step.table, step.deed)));
    }
    tree.lines.join("\n")
}

/// A tree of tables that is being written.
struct WorkTree<'a> {
    steps: &'a [WorkStep],
    /// The tables from the root down to where it stands.
    above: Vec<&'a str>,
    /// The numbers of the steps that have stood in it.
    told: Vec<usize>,
    lines: Vec<String>,
}

impl<'a> WorkTree<'a> {
    /// Writes the tables that refer to this one below it.
    fn hang_below(&mut self, step: &'a WorkStep, indent: &str) {
        self.above.push(&step.table);
        self.told.push(step.order);
        let edges = |child: &'a WorkStep| child.edges.iter().filter(|edge| edge.parent == step.table).map(move |edge| (child, edge));
        let hanging: Vec<_> = self.steps.iter().flat_map(edges).collect();
        for (at, (child, edge)) in hanging.iter().enumerate() {
            let last = at + 1 == hanging.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let mut line = format!("{indent}{branch}{}. {} ({}): {}", child.order, child.table, edge.columns.join(", "), edge.deed);
            let again = self.told.contains(&child.order);
            if !again {
                line.push_str(&deed_by_address(child, &edge.deed));
            }
            let in_circle = self.above.contains(&child.table.as_str());
            self.lines.push(if again && !in_circle { format!("{line}, as above") } else { line });
            if !again && !in_circle {
                self.hang_below(child, &format!("{indent}{below}"));
            }
        }
        self.above.pop();
    }
}

/// What is done, beside what an edge does, to rows that no key leads to, but an address.
fn deed_by_address(step: &WorkStep, deed_of_edge: &str) -> String {
    if step.by_address.is_empty() {
        return String::new();
    }
    match step.deed.strip_prefix(deed_of_edge) {
        None => format!("; {}", step.deed),
        Some(by_address) => format!(", also{}", by_address.trim_start_matches(',')),
    }
}

/// The plan of a file that the command names.
fn read(path: &Path) -> Result<Plan, Failure> {
    if !path.exists() {
        return Err(Failure::not_found(format!("no plan \"{}\"", path.display())).hint("write one with: expunged plan derive"));
    }
    daemon::read_plan(path).map_err(serve::failure)
}

fn open(path: &Path) -> Result<Store, Failure> {
    if !path.exists() {
        return Err(Failure::not_found(format!("no database \"{}\"", path.display())));
    }
    Store::open_read_only(path, Options::default()).map_err(|error| store_failure(&error))
}

/// Where no config says it.
const UNINDEXED_ROWS_MAX: u64 = 1_000_000;
