//! A schema that is not ours.
