//! For tests, behind the feature `testing`: what the pipeline is held against.

pub mod reference;
