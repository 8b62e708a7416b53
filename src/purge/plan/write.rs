//! A plan as text, the way a person would write it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Action, Compare, Edge, Orphans, Plan, Rule, Subject, Tenancy, Value};
use crate::telemetry::printable;

/// What marks a choice that is still to be made.
pub(super) const CHOOSE: &str = "CHOOSE";

/// What a derived plan says beside its rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comment {
    /// Lines above it.
    pub(crate) lines: Vec<String>,
    /// Words that may stand for the action, where a person has to choose.
    pub(crate) choose: Option<Vec<&'static str>>,
    /// The same for edges of the rule, by their numbers.
    pub(crate) choose_edges: BTreeMap<usize, Vec<&'static str>>,
}

impl Plan {
    /// The plan as text. Reading it gives the same plan.
    #[must_use]
    pub fn to_text(&self) -> String {
        write_plan(self, &[], &[])
    }
}

/// The plan as text, with what is said at its head and above each rule.
pub(crate) fn write_plan(plan: &Plan, head: &[String], comments: &[Comment]) -> String {
    let mut text = String::new();
    comment(&mut text, head);
    subject(&mut text, &plan.subject);
    if let Some(account) = &plan.account {
        let _ = write!(
            text,
            "\n# An account goes with its last user, unless a row asks to keep it.\n[account]\ntable = {}\ncolumns = {}\nsubject_columns = {}\n",
            quote(&account.table),
            list(&account.columns),
            list(&account.subject_columns)
        );
        edges(&mut text, &account.edges, &BTreeMap::new());
    }
    for (at, rule) in plan.rules.iter().enumerate() {
        self::rule(&mut text, rule, comments.get(at).unwrap_or(&Comment::default()));
    }
    let accepted = &plan.accepted;
    if !accepted.is_empty() {
        let _ = write!(
            text,
            "\n[accepted]\ntriggers = {}\nvirtual_tables = {}\ncolumns = {}\n",
            list(&accepted.triggers),
            list(&accepted.virtual_tables),
            list(&accepted.columns)
        );
    }
    text
}

/// An edge as text, with a word of its own for what becomes of it.
pub(crate) fn write_edge(edge: &Edge, own: Option<&str>) -> String {
    let own = own.map_or_else(String::new, |own| format!(", action = {}", quote(own)));
    let (columns, parent_columns) = (list(&edge.columns), list(&edge.parent_columns));
    format!("{{ columns = {columns}, parent = {}, parent_columns = {parent_columns}{own} }}", quote(&edge.parent))
}

fn subject(text: &mut String, subject: &Subject) {
    let _ = write!(text, "[subject]\ntable = {}\nkey = {}\n", quote(&subject.table), quote(&subject.key));
    let _ = match &subject.tenancy {
        Tenancy::Column(column) => writeln!(text, "tenancy = {{ column = {} }}", quote(column)),
        Tenancy::Sole(tenant) => writeln!(text, "tenancy = {{ sole = {} }}", quote(tenant.as_str())),
    };
    if let Some(address) = &subject.address {
        let _ = writeln!(text, "address = {{ column = {}, compare = {} }}", quote(&address.column), quote(compare(address.compare)));
    }
    for (key, value) in [("account", &subject.account), ("id", &subject.id)] {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {}", quote(value));
        }
    }
    if !subject.names.is_empty() {
        let _ = writeln!(text, "names = {}", list(&subject.names));
    }
    edges(text, &subject.edges, &BTreeMap::new());
}

fn rule(text: &mut String, rule: &Rule, comment: &Comment) {
    text.push('\n');
    self::comment(text, &comment.lines);
    let action = match &comment.choose {
        Some(words) => choose(words),
        None => action(rule.action).to_owned(),
    };
    let _ = write!(text, "[[table]]\nname = {}\naction = {}\n", quote(&rule.table), quote(&action));
    if let Some(reason) = &rule.reason {
        let _ = writeln!(text, "reason = {}", quote(reason));
    }
    if let Some(orphans) = rule.orphans {
        let _ = writeln!(text, "orphans = {}", quote(if orphans == Orphans::Keep { "keep" } else { "delete" }));
    }
    if let Some(tenant) = &rule.tenant {
        let _ = writeln!(text, "tenant = {}", quote(tenant));
    }
    edges(text, &rule.edges, &comment.choose_edges);
    let path = |path: &Option<String>| path.as_ref().map_or_else(String::new, |path| format!(", path = {}", quote(path)));
    if !rule.matches.is_empty() {
        text.push_str("match = [\n");
        for m in &rule.matches {
            let _ = writeln!(text, "    {{ column = {}{}, compare = {} }},", quote(&m.column), path(&m.path), quote(compare(m.compare)));
        }
        text.push_str("]\n");
    }
    if !rule.sets.is_empty() {
        text.push_str("set = [\n");
        for set in &rule.sets {
            let to = match &set.to {
                Value::Null => quote("null"),
                Value::Hash => quote("hash"),
                Value::Text(fixed) => format!("{{ text = {} }}", quote(fixed)),
                Value::Number(fixed) => format!("{{ number = {fixed} }}"),
            };
            let _ = writeln!(text, "    {{ column = {}{}, to = {to} }},", quote(&set.column), path(&set.path));
        }
        text.push_str("]\n");
    }
}

fn edges(text: &mut String, edges: &[Edge], open: &BTreeMap<usize, Vec<&str>>) {
    if edges.is_empty() {
        return;
    }
    text.push_str("edges = [\n");
    for (at, edge) in edges.iter().enumerate() {
        let open = open.get(&at).map(|words| choose(words));
        let own = open.or_else(|| edge.action.map(|own| action(own).to_owned()));
        let _ = writeln!(text, "    {},", write_edge(edge, own.as_deref()));
    }
    text.push_str("]\n");
}

fn comment(text: &mut String, lines: &[String]) {
    for line in lines {
        // A line break in a table's name would end the comment.
        let _ = writeln!(text, "# {}", printable(line));
    }
}

fn choose(words: &[&str]) -> String {
    format!("{CHOOSE}: {}", words.join(" | "))
}

/// The word of an action.
fn action(action: Action) -> &'static str {
    match action {
        Action::Delete => "delete",
        Action::Detach => "detach",
        Action::Overwrite => "overwrite",
        Action::Keep => "keep",
    }
}

fn compare(compare: Compare) -> &'static str {
    match compare {
        Compare::Normalised => "normalised",
        Compare::Nocase => "nocase",
        Compare::Exact => "exact",
    }
}

/// A TOML text.
fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", "))
}
