//! The tests of the whole: one binary, so that it is linked once.

mod bad_input;
mod cli;
mod cut;
mod kills;
mod layers;
mod load;
mod main_job;
mod people;
mod picking_up;
mod support;
mod systemd;
mod world;
