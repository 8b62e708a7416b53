//! The tests of the whole: one binary, so that it is linked once.

mod cli;
mod kills;
mod layers;
mod load;
mod main_job;
mod people;
mod scrub;
mod support;
mod systemd;
mod world;
