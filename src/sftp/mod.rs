//! Receiving: from the network to a complete file in an inbox.

pub mod engine;
pub(crate) mod wire;

pub use wire::{Attributes, Code, Refusal};
