//! The tests of the whole: one binary, so that it is linked once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::type_complexity, reason = "tables of cases")]

mod addresses;
mod bad_input;
mod brake;
mod by_hand;
mod checksums;
mod cli;
mod cut;
mod dialects;
mod durable;
mod exemptions;
mod fields;
mod front;
mod gzip;
mod interop;
mod json;
mod kills;
mod kills_foreign;
mod kills_held;
mod layers;
mod limits;
mod load;
mod main_job;
mod people;
mod picking_up;
mod plan;
mod put_back;
mod scale;
mod scrub;
mod signatures;
mod soak;
mod support;
mod systemd;
mod told;
mod trouble;
mod world;
