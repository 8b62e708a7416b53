//! What a plan comes to, statement by statement: what is noted, what is done to each table, what is looked for afterwards.
//!
//! `sql` makes them; `chunk`, `detach`, `check` and `verify` run them.

/// What is done to the database, in order.
#[derive(Debug)]
pub(super) struct Steps {
    /// Notes what goes, parents first.
    pub(super) marks: Vec<Mark>,
    /// What is done to the tables of the rules, children first.
    pub(super) rules: Vec<RuleSteps>,
    /// What is done to the subjects that stay.
    pub(super) subject: Option<DetachSteps>,
    /// What is done to the accounts that stay.
    pub(super) account: Option<DetachSteps>,
    /// Looks for what still refers to what is gone.
    pub(super) verify: Vec<Verify>,
    /// Whether rows are found by address.
    pub(super) by_address: bool,
    /// Whether values are hashed.
    pub(super) hashes: bool,
}

/// Notes the referred-to columns of the rows of one table that go.
#[derive(Debug)]
pub(super) struct Mark {
    /// Makes the temporary table, or leaves it.
    pub(super) make: String,
    /// Empties it.
    pub(super) empty: String,
    /// Notes the rows.
    pub(super) from: MarkFrom,
    /// Adds those that refer to rows noted in round `?1`, for tables that refer to themselves, or to each other in a circle.
    pub(super) grow: Option<String>,
    /// Marks of one group grow together: those of one table, or of the tables of a circle.
    pub(super) group: usize,
}

/// Where a mark's rows come from.
#[derive(Debug)]
pub(super) enum MarkFrom {
    /// The chunk's subjects: the columns are read as the tenant's subjects are, and put in by the second.
    Subject { columns: Vec<String>, into: String },
    /// A statement of its own.
    Sql(String),
}

/// What is done to one table.
#[derive(Debug)]
pub(super) struct RuleSteps {
    pub(super) table: String,
    /// For rows that go.
    pub(super) doomed: Option<Doomed>,
    /// For rows that are written over. `?1` is the tenant.
    pub(super) overwrite: Option<Overwrite>,
    /// For rows that lose a reference and stay.
    pub(super) detach: Option<DetachSteps>,
    /// Reads the rows that the rule is about.
    pub(super) select_touched: String,
}

/// Finds a row of a table that refers to what is gone. There must be none.
#[derive(Debug)]
pub(super) struct Verify {
    pub(super) table: String,
    pub(super) find: String,
    /// Whether only a trigger can have written such a row: every row that referred so is gone, or refers no more.
    pub(super) by_trigger: bool,
}

/// Rows that go.
#[derive(Debug)]
pub(super) struct Doomed {
    pub(super) count: String,
    pub(super) delete: String,
    /// Whether a row that goes may have lost a reference in an earlier chunk: then the reference is null by now.
    pub(super) may_be_noted: String,
}

/// Rows that are written over.
#[derive(Debug)]
pub(super) struct Overwrite {
    pub(super) count: String,
    pub(super) update: String,
}

/// What is done to rows that lose a reference and stay.
#[derive(Debug)]
pub(super) struct DetachSteps {
    /// Counts the rows that lose a reference and stay.
    pub(super) count: String,
    /// One for each reference.
    pub(super) updates: Vec<DetachUpdate>,
}

/// Sets what is one reference's own to null. Beside the statement, SQL conditions on a row that it has changed.
#[derive(Debug)]
pub(super) struct DetachUpdate {
    pub(super) table: String,
    /// The statement, without what it returns.
    pub(super) update: String,
    /// Whether no later statement of this chunk touches the row again: it is counted once a chunk.
    pub(super) is_last_touch: String,
    /// Whether a later chunk may touch the row again. `?1` is the import, `?2` the chunk's last key, `?4` whether keys compare byte
    /// for byte.
    pub(super) may_come_again: String,
    /// Whether an earlier statement or chunk may have touched the row: then another reference is null by now.
    pub(super) may_be_noted: String,
}

impl Steps {
    /// Every statement that changes a table, with the table; those that delete subjects and accounts are made elsewhere.
    pub(super) fn changes(&self) -> Vec<(&str, &str)> {
        let of_rules = self.rules.iter().flat_map(|rule| {
            let doomed = rule.doomed.iter().map(|doomed| doomed.delete.as_str());
            let overwrite = rule.overwrite.iter().map(|overwrite| overwrite.update.as_str());
            let detach = rule.detach.iter().flat_map(|detach| &detach.updates).map(|step| step.update.as_str());
            doomed.chain(overwrite).chain(detach).map(|sql| (rule.table.as_str(), sql))
        });
        let others = self.subject.iter().chain(&self.account).flat_map(|detach| &detach.updates);
        of_rules.chain(others.map(|step| (step.table.as_str(), step.update.as_str()))).collect()
    }
}

#[cfg(test)]
impl Steps {
    /// Every statement that reads or changes a table of a rule.
    pub(super) fn statements(&self) -> Vec<String> {
        let mut all = Vec::new();
        for mark in &self.marks {
            all.extend(mark.grow.clone());
            if let MarkFrom::Sql(sql) = &mark.from {
                all.push(sql.clone());
            }
        }
        for rule in &self.rules {
            all.extend(rule.doomed.iter().flat_map(|doomed| [doomed.count.clone(), doomed.delete.clone()]));
            all.extend(rule.overwrite.iter().flat_map(|overwrite| [overwrite.count.clone(), overwrite.update.clone()]));
        }
        all.extend(self.verify.iter().map(|look| look.find.clone()));
        for detach in self.rules.iter().filter_map(|rule| rule.detach.as_ref()).chain(&self.subject).chain(&self.account) {
            all.push(detach.count.clone());
            all.extend(
                detach.updates.iter().map(|step| {
                    format!("{} RETURNING {}, {}, {}", step.update, step.is_last_touch, step.may_come_again, step.may_be_noted)
                }),
            );
        }
        all
    }
}
