//! Evidence that nothing of a purged person is left in the store's file, and the work that makes it so.

mod page;
mod roots;
#[cfg(test)]
mod tests;
mod walk;

pub use walk::Tally;
