//! The tests of the whole: one binary, so that it is linked once.

mod cli;
mod layers;
mod load;
mod support;
mod systemd;
