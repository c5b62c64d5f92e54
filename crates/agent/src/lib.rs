//! A host's part of the control plane: receives its plan, keeps it on disk, brings it into the data plane, reports.

pub mod core;
