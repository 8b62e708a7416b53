//! What a derived plan says of tables that refer to each other in a circle.
//!
//! Round a circle rows of others go with those of whoever is named. Where the schema itself lets all of them go, it is told; where
//! it does not say so of every reference, it is a choice.

use super::plan::{Action, Comment, EdgeAt, Plan};
use super::shape::{Shape, same_key};

/// Says of each circle that rows go round it: for good where the schema lets every one of them go, else it is a choice.
pub(super) fn say(shape: &Shape, plan: &mut Plan, comments: &mut [Comment]) {
    let table = |plan: &Plan, at: usize| shape.table(&plan.rules[at].table).expect("it was found there");
    let cascades = |plan: &Plan, (at, edge): EdgeAt| {
        let keys = &table(plan, at).keys;
        keys.iter().any(|key| key.on_delete == "CASCADE" && same_key(key, &plan.rules[at].edges[edge]))
    };
    let can_be_null = |plan: &Plan, (at, edge): EdgeAt| {
        let (table, own) = (table(plan, at), plan.own_columns(&plan.rules[at].table, &plan.rules[at].edges[edge]));
        !own.is_empty() && own.iter().all(|column| table.column(column).is_some_and(|column| !column.not_null && !column.generated))
    };
    let all = plan.rules.iter().enumerate().flat_map(|(at, rule)| (0..rule.edges.len()).map(move |edge| (at, edge)));
    // One that may be null is the better place to break a circle.
    let mut guesses: Vec<EdgeAt> = all.filter(|edge| !cascades(plan, *edge)).collect();
    guesses.sort_by_key(|edge| !can_be_null(plan, *edge));
    for (at, edge) in guesses {
        let Some(circle) = plan.unsaid_circle_of((at, edge)) else { continue };
        let (tables, columns) = (plan.tables_of(&circle), plan.rules[at].edges[edge].columns.join(", "));
        let mut words = vec!["delete"];
        let mut lines = vec![format!(
            "A circle: {tables}. With \"delete\" for \"{columns}\" rows go round it, whoever's they are: those of others with the person's."
        )];
        if can_be_null(plan, (at, edge)) {
            words.insert(0, "detach");
            lines.push("With \"detach\" they stay.".to_owned());
        }
        lines.push("Where a table of the circle is overwritten, take out the edges that lead to it, and that choice with them.".to_owned());
        comments[at].lines.extend(lines);
        comments[at].choose_edges.insert(edge, words);
        plan.rules[at].edges[edge].action = Some(Action::Delete);
    }
    while let Some(circle) = plan.unsaid_circle() {
        let tables = plan.tables_of(&circle);
        // Where nobody has chosen yet whether a table's rows go, an edge of it that may be null is a choice with that.
        let open = circle.iter().find(|at| comments[at.0].choose.is_some() && can_be_null(plan, **at));
        let (at, edge) = *open.unwrap_or(&circle[0]);
        comments[at]
            .lines
            .push(format!("A circle: {tables}. The schema lets rows go round it, whoever's they are: those of others with the person's."));
        if open.is_some() {
            comments[at].lines.push("With \"detach\" they stay.".to_owned());
            comments[at].choose_edges.insert(edge, vec!["detach", "delete"]);
        }
        plan.rules[at].edges[edge].action = Some(Action::Delete);
    }
}
