//! A controller: the core that ships, and beside it what the driver does, on a store that misbehaves and in virtual time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anet_api::ApiError;
use anet_controller::core::admit::{Answer, Draw, Proposal, Witness};
use anet_controller::core::fabric::{Effect, Fabric, Now};
use anet_controller::core::{keys, mirror, record};
use anet_packet::addr::Vni;
use anet_plan::Settings;
use anet_store::clock::{Clock, ManualClock};
use anet_store::model::ModelClient;
use anet_store::{
    Compare, KeyRange, Operation, RangeRequest, Revision, Store, StoreError, Transaction, WatchRequest,
    Watcher, list,
};
use std::future::poll_fn;
use std::task::Poll;

use crate::chance::Chance;
use crate::defect::Defect;
use crate::tasks::Tasks;

const ATTEMPTS: usize = 8;
const SENDS: u32 = 5;
const CATCH_UP: Duration = Duration::from_secs(5);

/// What the tasks of one controller share.
pub struct Shared {
    /// Its way to the store.
    pub store: Arc<ModelClient>,
    /// Time.
    pub clock: ManualClock,
    /// The core.
    pub fabric: RefCell<Fabric>,
    /// What is to be carried out.
    pub effects: RefCell<VecDeque<Effect>>,
    chance: RefCell<Chance>,
    writing: RefCell<bool>,
    defect: Defect,
}

/// One controller, alive.
pub struct Controller {
    /// What its tasks share.
    pub shared: Rc<Shared>,
    tasks: Tasks,
}

impl Controller {
    /// Starts one that knows nothing yet.
    pub fn start(store: ModelClient, clock: ManualClock, chance: Chance, defect: Defect) -> Self {
        let shared = Rc::new(Shared {
            store: Arc::new(store),
            clock,
            fabric: RefCell::new(Fabric::new(Settings::default())),
            effects: RefCell::default(),
            chance: RefCell::new(chance),
            writing: RefCell::new(false),
            defect,
        });
        let mut tasks = Tasks::default();
        let follower = shared.clone();
        tasks.spawn(async move { follower.follow().await });
        Self { shared, tasks }
    }

    /// Begins a request; what it comes to is told to `done`.
    pub fn request(
        &mut self,
        propose: impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError> + 'static,
        done: impl FnOnce(Result<Answer, ApiError>) + 'static,
    ) {
        let shared = self.shared.clone();
        self.tasks.spawn(async move { done(shared.write(propose).await) });
    }

    /// Writes a higher incarnation.
    pub fn mint(&mut self, above: u64) {
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            for _ in 0..10 {
                if matches!(shared.mint(above).await, Ok(true)) {
                    return;
                }
                shared.sleep(Duration::from_millis(300)).await;
            }
        });
    }

    /// Begins a task of its own.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(task);
    }

    /// Lets its tasks go on.
    pub fn poll(&mut self) {
        self.tasks.poll();
    }
}

impl Shared {
    /// What the time is.
    pub fn now(&self) -> Now {
        let ms = u64::try_from(self.clock.now().as_millis()).unwrap_or(u64::MAX);
        Now {
            ms,
            wall_ms: i64::try_from(ms).unwrap_or(i64::MAX),
        }
    }

    /// Changes the core, and notes what follows from it.
    pub fn act<T>(&self, change: impl FnOnce(&mut Fabric, Now) -> (Vec<Effect>, T)) -> T {
        let (effects, result) = change(&mut self.fabric.borrow_mut(), self.now());
        self.effects.borrow_mut().extend(effects);
        result
    }

    /// The revision up to which the mirror has come.
    pub fn revision(&self) -> Revision {
        self.fabric.borrow().mirror().revision()
    }

    async fn sleep(&self, time: Duration) {
        self.clock.reach(self.clock.now() + time).await;
    }

    async fn follow(&self) {
        loop {
            let Ok(loaded) = self.load().await else {
                self.sleep(Duration::from_millis(200)).await;
                continue;
            };
            // Whatever ends a watch, all is read anew.
            let _ended = self.watch(loaded).await;
        }
    }

    async fn load(&self) -> Result<Revision, StoreError> {
        let listing = list(&*self.store, &keys::objects(), 50).await?;
        let at = |key: &[u8]| RangeRequest::new(KeyRange::key(key)).at(listing.revision);
        let counter = self.store.range(at(keys::COUNTER)).await?.entries;
        let cluster = self.store.range(at(keys::CLUSTER)).await?.entries;
        self.act(|fabric, now| {
            let effects = fabric.list(&listing, counter.first(), cluster.first(), now);
            (effects.expect("records that were written here can be read"), ())
        });
        Ok(listing.revision)
    }

    async fn watch(&self, from: Revision) -> Result<(), StoreError> {
        let mut watcher = self
            .store
            .watch(WatchRequest::new(keys::watched(), from + 1))
            .await?;
        let mut missing = None;
        let mut check = self.clock.now() + Duration::from_secs(1);
        loop {
            match self.next_or(&mut *watcher, check).await {
                Some(batch) => {
                    let batch = batch?;
                    let followed = self.act(|fabric, now| match fabric.follow(&batch, now) {
                        Ok(Some(effects)) => (effects, true),
                        _ => (Vec::new(), false),
                    });
                    if !followed {
                        return Ok(());
                    }
                }
                None => {
                    check = self.clock.now() + Duration::from_secs(1);
                    if self.look(&mut *watcher, &mut missing).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next batch, or `None` where it is time to look at the counter.
    async fn next_or(
        &self,
        watcher: &mut dyn Watcher,
        until: Duration,
    ) -> Option<Result<anet_store::WatchBatch, StoreError>> {
        poll_fn(|context| {
            if let Poll::Ready(batch) = watcher.next().as_mut().poll(context) {
                return Poll::Ready(Some(batch));
            }
            match self.clock.now() >= until {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Asks the counter; true where the watch has lost something.
    async fn look(
        &self,
        watcher: &mut dyn Watcher,
        missing: &mut Option<Revision>,
    ) -> Result<bool, StoreError> {
        let (counter, revision) = self.counter().await?;
        let known = self.revision();
        if self.fabric.borrow().mirror().has(counter) {
            *missing = None;
            self.act(|fabric, now| {
                fabric.mirror_mut().advance(counter, revision);
                (fabric.tick(now), ())
            });
            return Ok(false);
        }
        if missing.is_some_and(|missing| known < missing) {
            return Ok(true);
        }
        *missing = Some(counter);
        watcher.request_progress();
        Ok(false)
    }

    async fn counter(&self) -> Result<(Revision, Revision), StoreError> {
        let answer = self
            .store
            .range(RangeRequest::new(KeyRange::key(keys::COUNTER)))
            .await?;
        let counter = answer.entries.first().map_or(0, |entry| entry.mod_revision);
        Ok((counter, answer.revision))
    }

    /// Waits until the mirror has all that was written before now.
    pub async fn catch_up(&self) -> Result<(), ApiError> {
        let (counter, _) = self.counter().await.map_err(unavailable)?;
        self.reach(counter).await
    }

    async fn reach(&self, revision: Revision) -> Result<(), ApiError> {
        let until = self.clock.now() + CATCH_UP;
        poll_fn(
            |_| match (self.revision() >= revision, self.clock.now() >= until) {
                (true, _) => Poll::Ready(Ok(())),
                (false, true) => Poll::Ready(Err(ApiError::unavailable("behind"))),
                (false, false) => Poll::Pending,
            },
        )
        .await
    }

    async fn write(
        &self,
        mut propose: impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError>,
    ) -> Result<Answer, ApiError> {
        poll_fn(|_| match self.writing.replace(true) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
        let answer = self.write_alone(&mut propose).await;
        self.writing.replace(false);
        answer
    }

    async fn write_alone(
        &self,
        propose: &mut impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError>,
    ) -> Result<Answer, ApiError> {
        for attempt in 0..ATTEMPTS {
            let mut proposed = self.propose(propose);
            if proposed.is_err() && attempt == 0 {
                self.catch_up().await?;
                proposed = self.propose(propose);
            }
            let mut proposal = proposed?;
            if self.defect == Defect::NoReadSetCompare {
                proposal.transaction.compares.clear();
            }
            if let Some(revision) = self.commit(&proposal).await? {
                self.reach(revision).await?;
                return Ok(proposal.answer);
            }
            self.catch_up().await?;
        }
        Err(ApiError::unavailable("others were faster"))
    }

    fn propose(
        &self,
        propose: &mut impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError>,
    ) -> Result<Proposal, ApiError> {
        let mut chance = self.chance.borrow_mut();
        let mut random = || chance.number();
        let mut draw = Draw {
            random: &mut random,
            now_s: self.now().wall_ms / 1_000,
            vnis: (vni(100), vni(163)),
        };
        propose(&self.fabric.borrow(), &mut draw)
    }

    /// The revision; `None` where a compare failed.
    async fn commit(&self, proposal: &Proposal) -> Result<Option<Revision>, ApiError> {
        let mut unknown = None;
        for send in 0..SENDS {
            match self.store.transact(proposal.transaction.clone()).await {
                Ok(answer) if answer.succeeded() => return Ok(Some(answer.revision)),
                Ok(answer) if unknown.is_some() && self.holds(proposal.witness.as_ref()).await? => {
                    return Ok(Some(answer.revision));
                }
                Ok(_) => return Ok(None),
                Err(error @ (StoreError::OutcomeUnknown { .. } | StoreError::Unavailable { .. })) => {
                    unknown = Some(error);
                }
                Err(error) => return Err(unavailable(error)),
            }
            self.sleep(Duration::from_millis(20 << send)).await;
        }
        Err(ApiError::unavailable("the outcome is unknown"))
    }

    async fn holds(&self, witness: Option<&Witness>) -> Result<bool, ApiError> {
        let (key, expected) = match witness {
            Some(Witness::Put(key, value)) => (key, Some(value)),
            Some(Witness::Deleted(key)) => (key, None),
            None => return Ok(false),
        };
        let found = self.store.get(key.clone()).await.map_err(unavailable)?;
        Ok(found.as_ref().map(|found| &found.value) == expected)
    }

    async fn mint(&self, above: u64) -> Result<bool, ApiError> {
        self.catch_up().await?;
        let (mut cluster, revision) = {
            let fabric = self.fabric.borrow();
            (
                fabric.mirror().cluster().clone(),
                fabric.mirror().cluster_revision(),
            )
        };
        if cluster.incarnation > above {
            return Ok(true);
        }
        cluster.incarnation = above + 1;
        let value = record::encode(&cluster).map_err(|error| ApiError::internal(error.to_string()))?;
        let transaction = Transaction::new()
            .when(Compare::ModRevision(keys::CLUSTER.to_vec(), revision))
            .then(Operation::put(keys::CLUSTER, value))
            .then(Operation::put(keys::COUNTER, mirror::counter_value(0)));
        let answer = self.store.transact(transaction).await.map_err(unavailable)?;
        self.reach(answer.revision).await?;
        Ok(answer.succeeded())
    }
}

fn unavailable(error: StoreError) -> ApiError {
    ApiError::unavailable(error.to_string())
}

fn vni(number: u32) -> Vni {
    Vni::new(number).expect("a legal VNI")
}
