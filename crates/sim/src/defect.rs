//! Defects that are planted, so that it is known that the simulation would find them.

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Defect {
    /// None: what ships.
    #[default]
    None,
    /// Writes do not compare what admission has read.
    NoReadSetCompare,
    /// A snapshot that is older than what is applied is taken.
    StaleSnapshot,
    /// Of a change of several entries, half is carried out, and all of it answered for.
    TornApply,
    /// A changeset is acknowledged when it is on disk, not when it is in the data plane.
    EarlyAcknowledgement,
    /// Digests are not compared: the data plane is believed to have what it was given.
    NoDigest,
    /// What is applied, or attached, and could not be written down is not tried again.
    ForgottenWrite,
    /// Where a rule changes, flows that exist are not asked again.
    StaleFlow,
}

impl Defect {
    /// All that can be planted.
    pub const PLANTED: [Defect; 7] = [
        Defect::NoReadSetCompare,
        Defect::StaleSnapshot,
        Defect::TornApply,
        Defect::EarlyAcknowledgement,
        Defect::NoDigest,
        Defect::ForgottenWrite,
        Defect::StaleFlow,
    ];
}
