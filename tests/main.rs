//! The tests of the whole: one binary, so that it is linked once.

mod addresses;
mod bad_input;
mod by_hand;
mod cli;
mod cut;
mod dialects;
mod kills;
mod layers;
mod main_job;
mod people;
mod picking_up;
mod scale;
mod support;
mod systemd;
mod world;
