//! The tests of the whole: one binary, so that it is linked once.

mod cli;
mod kills;
mod layers;
mod main_job;
mod people;
mod plan;
mod support;
mod systemd;
mod world;
