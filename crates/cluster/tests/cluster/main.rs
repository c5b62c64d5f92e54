//! Trust and streams as their users see them. One program, so that it is linked once.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod direct;
mod ends;
mod refusals;
mod rest;
mod support;
mod trust;
mod trust_files;
