//! Pages of real SQLite files.

mod structure;
mod whole;
