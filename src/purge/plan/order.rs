//! Whether a plan is sound in itself, and the order in which it is worked: children before their parents.

use super::{Action, EVERY, Edge, Place, Plan, PlanError, Rule, Set, Tenancy};

impl Plan {
    /// The rules, children before their parents; those of a circle stand together. References that are only set to null do not count.
    ///
    /// # Errors
    /// [`PlanError::Wrong`]: the first thing that makes no sense, or a circle that the plan does not speak of.
    pub fn children_first(&self) -> Result<Vec<Vec<&Rule>>, PlanError> {
        self.check_words()?;
        let above: Vec<_> = (0..self.rules.len()).map(|at| self.above(at)).collect();
        let together = |one: usize, other: usize| one == other || above[one].contains(&other) && above[other].contains(&one);
        let mut left: Vec<usize> = (0..self.rules.len()).collect();
        let mut ordered: Vec<Vec<&Rule>> = Vec::new();
        while !left.is_empty() {
            let parent_of_one_left = |at: usize| left.iter().any(|other| !together(at, *other) && above[*other].contains(&at));
            let at = left.iter().copied().find(|at| !parent_of_one_left(*at)).expect("whole circles lead to each other in no circle");
            let (group, others): (Vec<usize>, Vec<usize>) = left.iter().partition(|other| together(at, **other));
            if group.len() > 1 {
                self.check_circle(&group)?;
            }
            ordered.push(group.into_iter().map(|at| &self.rules[at]).collect());
            left = others;
        }
        Ok(ordered)
    }

    fn check_words(&self) -> Result<(), PlanError> {
        let tables: Vec<_> = self.removed_tables().collect();
        let place = |at: usize| at.checked_sub(tables.len() - self.rules.len()).map_or(Place::Whole, Place::Rule);
        for (at, table) in tables.iter().enumerate() {
            if tables[..at].iter().any(|other| other.eq_ignore_ascii_case(table)) {
                return Err(place(at).wrong(format!("table \"{table}\" stands twice")));
            }
            if table.to_ascii_lowercase().starts_with("expunged_") {
                return Err(place(at).wrong(format!("table \"{table}\" is the ledger's own")));
            }
        }
        if let Some(account) = &self.account
            && (account.columns.is_empty() || account.columns.len() != account.subject_columns.len())
        {
            return Err(Place::Account.wrong(format!("the columns of \"{}\" do not pair with the subject's", account.table)));
        }
        let of_subject = self.subject.edges.iter().map(|edge| (Place::Subject, &self.subject.table, edge));
        let of_account =
            self.account.iter().flat_map(|account| account.edges.iter().map(move |edge| (Place::Account, &account.table, edge)));
        for (place, table, edge) in of_subject.chain(of_account) {
            self.check_edge(place, table, edge)?;
            if !matches!(edge.action, None | Some(Action::Detach)) {
                return Err(place.wrong(format!(
                    "\"{}\" would delete people who were not named: references of subjects and accounts can only be detached",
                    edge.columns.join(", ")
                )));
            }
            self.check_detached(place, table, edge)?;
        }
        self.rules.iter().enumerate().try_for_each(|(at, rule)| self.check_rule(Place::Rule(at), rule))
    }

    fn check_rule(&self, place: Place, rule: &Rule) -> Result<(), PlanError> {
        let table = &rule.table;
        if rule.edges.is_empty() && rule.matches.is_empty() {
            return Err(place.wrong(format!("table \"{table}\" has no edge and no match, so no row of it is reached")));
        }
        self.check_edges(place, rule)?;
        check_action(place, rule)?;
        let mut detached = rule.edges.iter().filter(|edge| rule.action_of(edge) == Action::Detach);
        detached.try_for_each(|edge| self.check_detached(place, table, edge))?;
        self.check_matches(place, rule)?;
        self.check_sets(place, rule)?;
        if rule.action == Action::Overwrite
            && rule.matches.is_empty()
            && rule.edges.iter().all(|edge| rule.action_of(edge) == Action::Detach)
        {
            return Err(place.wrong(format!(
                "no row of \"{table}\" would be overwritten, since each of its references is detached: take out that action and set its \
                 columns to \"null\", or add a match"
            )));
        }
        Ok(())
    }

    fn check_edges(&self, place: Place, rule: &Rule) -> Result<(), PlanError> {
        let table = &rule.table;
        for edge in &rule.edges {
            self.check_edge(place, table, edge)?;
            if rule.action == Action::Overwrite && edge.action == Some(Action::Delete) {
                return Err(place.wrong(format!("an edge of \"{table}\" would delete rows that the table's action overwrites")));
            }
            if matches!(edge.action, Some(Action::Overwrite | Action::Keep)) {
                return Err(
                    place.wrong(format!("an edge of \"{table}\" can be \"delete\" or \"detach\"; overwrite and keep are for the table"))
                );
            }
        }
        Ok(())
    }

    fn check_matches(&self, place: Place, rule: &Rule) -> Result<(), PlanError> {
        let table = &rule.table;
        if rule.matches.is_empty() {
            return Ok(());
        }
        match (&self.subject.tenancy, &rule.tenant) {
            (Tenancy::Column(_), None) => {
                return Err(place
                    .wrong(format!("table \"{table}\" is reached by address: name its tenant column, so that no other tenant's rows go")));
            }
            (Tenancy::Sole(_), Some(_)) => {
                return Err(place.wrong(format!("table \"{table}\" names a tenant column, but the subject has none")));
            }
            _ => {}
        }
        if self.subject.address.is_none() {
            return Err(place.wrong(format!("table \"{table}\" is reached by address, but the subject has no address column")));
        }
        // A match looks at every place of a list; what is written is one place, or a whole list.
        if let Some(path) = rule.matches.iter().filter_map(|m| m.path.as_ref()).find(|path| !is_json_path(&path.replace(EVERY, "[0]"))) {
            return Err(place.wrong(format!(
                "\"{path}\" is no JSON path: write $.name, $.list for each place of a list, $.list[*].name, or $.list[0] and $.list[#-1]"
            )));
        }
        Ok(())
    }

    fn check_sets(&self, place: Place, rule: &Rule) -> Result<(), PlanError> {
        let table = &rule.table;
        if let Some(path) = rule.sets.iter().filter_map(|set| set.path.as_ref()).find(|path| !is_json_path(path)) {
            return Err(place.wrong(format!(
                "\"{path}\" is no JSON path to write to: write $.name, $.list for a whole list, or $.list[0] and $.list[#-1] for one place; \
                 only a match can look at all places"
            )));
        }
        for set in &rule.sets {
            check_element(place, rule, set)?;
        }
        for (at, set) in rule.sets.iter().enumerate() {
            if rule.sets[..at].iter().any(|other| other.column.eq_ignore_ascii_case(&set.column)) {
                return Err(place.wrong(format!("column \"{}\" of \"{table}\" is set twice", set.column)));
            }
            let is_set = |column: &String| column.eq_ignore_ascii_case(&set.column);
            if rule.edges.iter().any(|edge| rule.action_of(edge) == Action::Detach && edge.columns.iter().any(is_set)) {
                return Err(place.wrong(format!(
                    "column \"{}\" of \"{table}\" is in a reference that is detached, so it cannot be overwritten as well",
                    set.column
                )));
            }
            if self.edges().any(|edge| edge.parent == *table && edge.parent_columns.contains(&set.column)) {
                return Err(place.wrong(format!("column \"{}\" of \"{table}\" is referred to, so it cannot be overwritten", set.column)));
            }
        }
        Ok(())
    }

    fn check_edge(&self, place: Place, table: &str, edge: &Edge) -> Result<(), PlanError> {
        if edge.columns.is_empty() || edge.columns.len() != edge.parent_columns.len() {
            return Err(place.wrong(format!("the columns of \"{table}\" do not pair with those of \"{}\"", edge.parent)));
        }
        let known = edge.parent == self.subject.table
            || self.account.as_ref().is_some_and(|account| account.table == edge.parent)
            || self.rule(&edge.parent).is_some();
        if known { Ok(()) } else { Err(place.wrong(format!("\"{table}\" refers to \"{}\", which has no rule", edge.parent))) }
    }

    /// Every edge, the subject's own first.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        self.references().map(|(_, edge)| edge)
    }

    /// Every edge with the table that it leads from, the subject's own first.
    pub(crate) fn references(&self) -> impl Iterator<Item = (&str, &Edge)> {
        let subject = std::iter::once((&self.subject.table, &self.subject.edges));
        let account = self.account.iter().map(|account| (&account.table, &account.edges));
        let tables = subject.chain(account).chain(self.rules.iter().map(|rule| (&rule.table, &rule.edges)));
        tables.flat_map(|(table, edges)| edges.iter().map(move |edge| (table.as_str(), edge)))
    }
}

impl Rule {
    /// The edges by which being gone spreads to this table.
    pub(crate) fn leads(&self) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(|edge| self.leads_by(edge))
    }

    /// Whether being gone spreads by this edge.
    pub(super) fn leads_by(&self, edge: &Edge) -> bool {
        self.action_of(edge) != Action::Detach || self.deletes_orphans()
    }
}

/// Whether a rule has what its action needs.
fn check_action(place: Place, rule: &Rule) -> Result<(), PlanError> {
    let table = &rule.table;
    if rule.action == Action::Keep && rule.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(place.wrong(format!("table \"{table}\" is kept without a reason")));
    }
    if (rule.action == Action::Overwrite) == rule.sets.is_empty() {
        return Err(place.wrong(format!("table \"{table}\": action = \"overwrite\" and [[table.set]] go together")));
    }
    match rule.action {
        Action::Detach => check_detach(place, rule),
        _ if rule.orphans.is_some() => Err(place.wrong(format!("table \"{table}\": orphans is a word of action = \"detach\""))),
        _ => Ok(()),
    }
}

/// Whether a table can be detached as its rule says.
fn check_detach(place: Place, rule: &Rule) -> Result<(), PlanError> {
    let table = &rule.table;
    if !rule.matches.is_empty() {
        return Err(place.wrong(format!("table \"{table}\" cannot be detached by address: delete or overwrite it")));
    }
    if rule.orphans.is_none() && rule.edges.len() == 1 {
        return Err(place.wrong(format!(
            "table \"{table}\" is detached by one key only: say orphans = \"keep\", or orphans = \"delete\" if its rows are to go"
        )));
    }
    if rule.deletes_orphans() && rule.edges.iter().any(|edge| edge.parent == *table || edge.action.is_some()) {
        return Err(place.wrong(format!("table \"{table}\": orphans = \"delete\" needs edges that are all alike and lead elsewhere")));
    }
    Ok(())
}

/// One place of a list is a person's only where that person's address was found in it: beside it stand others'.
fn check_element(place: Place, rule: &Rule, set: &Set) -> Result<(), PlanError> {
    let Some(path) = set.path.as_ref().filter(|path| path.split('"').step_by(2).any(|part| part.contains('['))) else { return Ok(()) };
    let element = path.rfind(']').map_or(path.as_str(), |end| &path[..=end]);
    let within = |found: &str| found.strip_prefix(element).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let paths = rule.matches.iter().filter(|m| m.column.eq_ignore_ascii_case(&set.column)).map(|m| m.path.as_deref().unwrap_or("$"));
    match paths.into_iter().find(|found| !within(found)) {
        Some(found) => Err(place.wrong(format!(
            "\"{path}\" writes to one place of a list in \"{}\".\"{}\", and \"{found}\" finds addresses elsewhere, so that somebody \
             else's would be written over; set the whole list, or match only where it writes",
            rule.table, set.column
        ))),
        None => Ok(()),
    }
}

/// SQLite's own paths. It finds a fault in one only when it meets a value that leads so far.
fn is_json_path(path: &str) -> bool {
    let Some(mut rest) = path.strip_prefix('$') else { return false };
    while !rest.is_empty() {
        let step = if let Some(quoted) = rest.strip_prefix(".\"") {
            quoted.split_once('"').map(|(_, rest)| rest)
        } else if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            (end > 0).then(|| &name[end..])
        } else {
            let at = rest.strip_prefix('[').and_then(|list| list.split_once(']'));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            at.filter(|(at, _)| digits(at) || *at == "#" || at.strip_prefix("#-").is_some_and(digits)).map(|(_, rest)| rest)
        };
        let Some(step) = step else { return false };
        rest = step;
    }
    true
}
