//! What can go wrong between a client and the store.

use std::fmt::Debug;
use std::time::Duration;

use crate::record::Revision;

/// What happens to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransactionFault {
    /// Nothing.
    #[default]
    None,
    /// It is refused before it is done, and the client hears so.
    Refused,
    /// It is lost on its way; the client does not know.
    LostBefore,
    /// It is committed; the answer is lost.
    LostAfter,
    /// The client gives up at once; the transaction arrives so much later.
    ArrivesLate(Duration),
    /// All is well, but it takes so long until it is done.
    Slow(Duration),
}

/// What happens to a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadFault {
    /// Nothing.
    #[default]
    None,
    /// It fails.
    Refused,
    /// It takes so long, and says what is there in the end.
    Slow(Duration),
    /// If an old answer will do: one that is so many revisions old, as far as there is history.
    Old(u64),
}

/// What happens to a revision on its way to a watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeliveryFault {
    /// Nothing.
    #[default]
    None,
    /// It is lost.
    Lost,
    /// It comes, and comes again.
    Repeated,
    /// It comes, and behind it once more everything since so many revisions before.
    Rewound(u64),
    /// It comes so much later, and all that follows behind it.
    Delayed(Duration),
    /// The watch breaks before it.
    Broken,
    /// The store forgets all history before the watcher has seen it.
    Overtaken,
}

/// What happens to a call about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaseFault {
    /// Nothing.
    #[default]
    None,
    /// It fails, and nothing was done.
    Refused,
    /// It is granted for so much longer than asked.
    Longer(Duration),
}

/// Decides what goes wrong, each time something could.
pub trait Faults: Debug + Send {
    /// For a transaction.
    fn transaction(&mut self) -> TransactionFault;
    /// For a reading, or the opening of a watch.
    fn read(&mut self) -> ReadFault;
    /// For a revision that a watcher is about to get. Asked once for each.
    fn delivery(&mut self, revision: Revision) -> DeliveryFault;
    /// For a grant, a keep-alive or a revocation.
    fn lease(&mut self) -> LeaseFault;
}

/// All goes well.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn transaction(&mut self) -> TransactionFault {
        TransactionFault::None
    }
    fn read(&mut self) -> ReadFault {
        ReadFault::None
    }
    fn delivery(&mut self, _revision: Revision) -> DeliveryFault {
        DeliveryFault::None
    }
    fn lease(&mut self) -> LeaseFault {
        LeaseFault::None
    }
}
