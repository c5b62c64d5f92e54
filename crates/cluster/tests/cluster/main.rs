//! Trust and streams as their users see them. One program, so that it is linked once.

mod direct;
mod ends;
mod refusals;
mod rest;
mod support;
mod trust;
mod trust_files;
