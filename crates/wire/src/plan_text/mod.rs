//! The text form of a host plan: YAML that a person writes by hand and reads in a dump.
//!
//! `docs/host-plan.md` documents every key. [`parse`] refuses what it does not know, names the line and column, and
//! takes no anchors, aliases, tags, repeated keys, deep nesting or endless files. [`to_text`] writes a plan so
//! that parsing it gives the same plan.

mod decode;
mod document;
mod error;
mod keys;
mod locate;
mod rules;
mod scalar;
mod write;

use anet_model::host_plan::HostPlan;

pub use error::{TextError, TextErrors};
pub use keys::{KEYS, ObjectKeys};
pub use write::to_text;

/// Bytes of the longest file.
pub const TEXT_BYTES_MAXIMUM: usize = 64 << 20;

/// Levels of lists and mappings inside each other.
pub const DEPTH_MAXIMUM: usize = 16;

/// Values, keys, lists and mappings of one file.
pub const NODES_MAXIMUM: usize = 10_000_000;

/// Errors that are reported at once.
pub const ERRORS_MAXIMUM: usize = 20;

/// A valid plan out of a text, or what is wrong with it and where: every entry that is wrong, up to
/// [`ERRORS_MAXIMUM`], in the order of the file.
pub fn parse(text: &str) -> Result<HostPlan, TextErrors> {
    let document = document::read(text).map_err(|error| TextErrors::new(vec![error]))?;
    let plan = decode::plan(&document).map_err(TextErrors::new)?;
    let problems = plan.problems(ERRORS_MAXIMUM);
    if problems.is_empty() {
        return Ok(plan);
    }
    Err(TextErrors::new(
        problems
            .into_iter()
            .map(|problem| locate::place(&document, problem))
            .collect(),
    ))
}
