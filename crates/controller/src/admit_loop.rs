//! From a request to a committed change: admitted on the mirror, compared and committed by the store, seen by the mirror again.
//!
//! The one way by which anything is written. An answer is given when the change is durable, and no read behind it is answered without
//! it. What may have been written is never answered as if it had not been.

use std::time::Duration;

use anet_api::ApiError;
use anet_store::{LeaseId, Revision, StoreError, Transaction};

use crate::core::admit::idempotency::Keyed;
use crate::core::admit::{Answer, Draw, Proposal, Witness};
use crate::core::events::EventKind;
use crate::core::fabric::Fabric;
use crate::driver::{Driver, of_store};

/// How often a request is admitted anew because another write was faster.
const ATTEMPTS: usize = 16;
/// How often a transaction is sent whose outcome is unknown.
const SENDS: u32 = 6;
/// How long answers are kept under their idempotency keys, at least.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How long one lease is used for new keys.
const LEASE_USED: Duration = Duration::from_secs(3_600);

/// The pause before a higher incarnation is tried to be written again; longer each time.
const MINT_PAUSE: Duration = Duration::from_millis(100);
/// After so many times it is told.
const MINT_TOLD: u32 = 10;

/// What came of a transaction.
enum Committed {
    /// It is in the store, at a revision.
    Yes(Revision),
    /// A compare failed.
    Lost,
}

impl Driver {
    /// Carries a request out. `propose` may be asked several times, each time with a mirror that has caught up.
    pub async fn write(
        &self,
        keyed: Option<&Keyed>,
        mut propose: impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError>,
    ) -> Result<Answer, ApiError> {
        let _one_at_a_time = self.writer.lock().await;
        for attempt in 0..ATTEMPTS {
            if let Some(answer) = self.answered_before(keyed).await? {
                return Ok(answer);
            }
            let mut proposed = self.propose(&mut propose);
            if proposed.is_err() && attempt == 0 {
                // What the mirror does not have yet may be what was missing.
                self.catch_up().await?;
                proposed = self.propose(&mut propose);
            }
            let mut proposal = proposed?;
            if let Some(keyed) = keyed {
                proposal = keyed.attach(proposal, self.idempotency_lease().await?)?;
            }
            match self.commit(&proposal).await? {
                Committed::Yes(revision) => {
                    // It is done, whatever becomes of the mirror: reads and the next write wait for it by themselves.
                    let _ = self.reach(revision).await;
                    return Ok(proposal.answer);
                }
                Committed::Lost => {
                    self.catch_up().await?;
                }
            }
        }
        Err(ApiError::unavailable(format!(
            "Other changes were faster {ATTEMPTS} times: try again."
        )))
    }

    fn propose(
        &self,
        propose: &mut impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError>,
    ) -> Result<Proposal, ApiError> {
        let mut random = || self.timer.random();
        let mut draw = Draw {
            random: &mut random,
            now_s: self.now().wall_ms / 1_000,
            vnis: self.vnis,
        };
        propose(&self.state(), &mut draw)
    }

    async fn answered_before(&self, keyed: Option<&Keyed>) -> Result<Option<Answer>, ApiError> {
        let Some(keyed) = keyed else {
            return Ok(None);
        };
        let kept = self
            .store
            .get(keyed.key.clone())
            .await
            .map_err(|error| of_store(&error))?;
        kept.map(|kept| keyed.answer(&kept.value)).transpose()
    }

    async fn idempotency_lease(&self) -> Result<LeaseId, ApiError> {
        let mut held = self.lease.lock().await;
        let now_ms = u128::from(self.now().ms);
        if let Some((lease, since_ms)) = *held
            && now_ms < u128::from(since_ms) + LEASE_USED.as_millis()
        {
            return Ok(lease);
        }
        let lease = self
            .store
            .grant(KEPT + LEASE_USED)
            .await
            .map_err(|error| of_store(&error))?;
        *held = Some((lease.id, self.now().ms));
        Ok(lease.id)
    }

    /// Commits, whatever it takes to know: a transaction of unknown outcome is sent again, unchanged, so that it cannot happen twice.
    async fn commit(&self, proposal: &Proposal) -> Result<Committed, ApiError> {
        let mut unknown = None;
        for send in 0..SENDS {
            match self.store.transact(proposal.transaction.clone()).await {
                Ok(answer) if answer.succeeded() => return Ok(Committed::Yes(answer.revision)),
                Ok(answer) => {
                    let done = match &unknown {
                        Some(unknown) => self.holds(proposal.witness.as_ref(), unknown).await?,
                        None => false,
                    };
                    return Ok(match done {
                        true => Committed::Yes(answer.revision),
                        false => Committed::Lost,
                    });
                }
                Err(error @ (StoreError::OutcomeUnknown { .. } | StoreError::Unavailable { .. })) => {
                    if error.may_have_committed() || unknown.is_none() {
                        unknown = Some(error);
                    }
                }
                // What came before may be in the store.
                Err(_) if unknown.as_ref().is_some_and(StoreError::may_have_committed) => break,
                Err(StoreError::NoLease(_)) => {
                    *self.lease.lock().await = None;
                    return Ok(Committed::Lost);
                }
                Err(error) => return Err(of_store(&error)),
            }
            self.timer.sleep(Duration::from_millis(20 << send)).await;
        }
        Err(unknown.map_or_else(
            || ApiError::unavailable("The store does not answer: try again."),
            |error| of_store(&error),
        ))
    }

    /// Whether a transaction is in the store, of which `unknown` is all that was heard.
    async fn holds(&self, witness: Option<&Witness>, unknown: &StoreError) -> Result<bool, ApiError> {
        let (key, expected) = match witness {
            Some(Witness::Put(key, value)) => (key, Some(value)),
            Some(Witness::Deleted(key)) => (key, None),
            None => return Ok(false),
        };
        let found = self.store.get(key.clone()).await.map_err(|_| of_store(unknown))?;
        Ok(found.as_ref().map(|found| &found.value) == expected)
    }

    /// Writes a higher incarnation than `above`, however long it takes: hosts that are ahead of the store wait for it.
    pub async fn begin_anew(&self, above: u64) {
        let mut attempts = 0;
        while !matches!(self.mint(above).await, Ok(true)) {
            attempts += 1;
            if attempts == MINT_TOLD {
                let text =
                    "a higher incarnation cannot be written yet: hosts that are ahead of the store wait";
                self.tell(EventKind::Refused, None, text);
            }
            self.timer.sleep(MINT_PAUSE * attempts.min(MINT_TOLD)).await;
        }
    }

    /// Writes a higher incarnation than `above`, unless somebody has. True where it is there now.
    pub async fn mint(&self, above: u64) -> Result<bool, ApiError> {
        let _one_at_a_time = self.writer.lock().await;
        self.catch_up().await?;
        let (cluster, revision) = {
            let state = self.state();
            (
                state.mirror().cluster().clone(),
                state.mirror().cluster_revision(),
            )
        };
        if cluster.incarnation > above {
            return Ok(true);
        }
        let Some(transaction) = mint(cluster, revision, above) else {
            return Ok(false);
        };
        let answer = self
            .store
            .transact(transaction)
            .await
            .map_err(|error| of_store(&error))?;
        self.reach(answer.revision).await?;
        Ok(answer.succeeded())
    }
}

fn mint(mut cluster: crate::core::mirror::Cluster, revision: Revision, above: u64) -> Option<Transaction> {
    use anet_store::{Compare, Operation};
    cluster.incarnation = above.checked_add(1)?;
    let value = crate::core::record::encode(&cluster).ok()?;
    let key = crate::core::keys::CLUSTER.to_vec();
    Some(
        Transaction::new()
            .when(Compare::ModRevision(key.clone(), revision))
            .then(Operation::put(key, value))
            .then(Operation::put(
                crate::core::keys::COUNTER,
                crate::core::mirror::counter_value(0),
            )),
    )
}
