//! Pages of real SQLite files.

mod busy;
mod structure;
mod whole;
