//! Counts of database rows by table, in the order in which the plan names its tables.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Counts of database rows by table. A JSON object that keeps its order, so that two equal imports give the same bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts(Vec<(String, u64)>);

impl Counts {
    /// Zero for each table.
    pub fn zero<S: Into<String>>(tables: impl IntoIterator<Item = S>) -> Self {
        let mut counts = Self::default();
        for table in tables {
            counts.add(&table.into(), 0);
        }
        counts
    }

    /// Adds to a table's count; a table not seen before goes to the end.
    pub fn add(&mut self, table: &str, rows: u64) {
        match self.0.iter_mut().find(|(name, _)| name == table) {
            Some((_, count)) => *count += rows,
            None => self.0.push((table.to_owned(), rows)),
        }
    }

    /// Takes from a table's count.
    pub fn take(&mut self, table: &str, rows: u64) {
        if let Some((_, count)) = self.0.iter_mut().find(|(name, _)| name == table) {
            *count = count.saturating_sub(rows);
        }
    }

    /// A table's count; zero where it is not named.
    #[must_use]
    pub fn get(&self, table: &str) -> u64 {
        self.0.iter().find(|(name, _)| name == table).map_or(0, |(_, count)| *count)
    }

    /// Tables and counts, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(table, count)| (table.as_str(), *count))
    }

    /// All tables together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Counts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counts by table")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counts, A::Error> {
                let mut counts = Counts::default();
                while let Some((table, rows)) = map.next_entry::<String, u64>()? {
                    counts.add(&table, rows);
                }
                Ok(counts)
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_plans_order_through_json() {
        let mut counts = Counts::zero(["customers", "accounts"]);
        counts.add("accounts", 2);
        counts.add("zebra", 1);
        counts.add("events", 3);
        let json = serde_json::to_string(&counts).expect("counts are plain");
        assert_eq!(json, r#"{"customers":0,"accounts":2,"zebra":1,"events":3}"#);
        assert_eq!(serde_json::from_str::<Counts>(&json).expect("its own text"), counts);
        assert_eq!((counts.get("events"), counts.get("none"), counts.total()), (3, 0, 6));
    }
}
