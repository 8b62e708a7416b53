//! The engine against real SQLite files: a small world, and what an import makes of it.

mod behaviour;
mod circles;
mod collations;
mod derived;
mod exemptions;
mod foreign;
mod holdings;
mod looked_up;
mod mastodon;
mod misfits;
mod model;
mod oracle;
mod overwrites;
mod schemas;
mod shared;
mod spelling;
mod staying;
mod tenants;
mod text;
mod words;
mod world;
