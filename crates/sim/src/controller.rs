//! A controller: the core and the driver that ship, on a store that misbehaves and in virtual time.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anet_api::ApiError;
use anet_controller::core::admit::{Answer, Draw, Proposal};
use anet_controller::core::fabric::{Effect, Fabric, Now};
use anet_controller::driver::Driver;
use anet_controller::follow;
use anet_controller::timer::{Sleep, Timer};
use anet_packet::addr::Vni;
use anet_plan::Settings;
use anet_store::clock::{Clock, ManualClock};
use anet_store::model::ModelClient;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::chance::Chance;
use crate::defect::Defect;
use crate::tasks::Tasks;

/// The pause before a store that does not answer is read again.
const PAUSE: Duration = Duration::from_millis(200);
/// Few, so that they are used again.
const VNIS: (u32, u32) = (100, 163);

/// One controller, alive.
pub struct Controller {
    /// Its core, with its way to the store.
    pub driver: Rc<Driver>,
    effects: UnboundedReceiver<Effect>,
    tasks: Tasks,
    defect: Defect,
}

impl Controller {
    /// Starts one that knows nothing yet.
    pub fn start(store: ModelClient, clock: ManualClock, chance: Chance, defect: Defect) -> Self {
        let timer = VirtualTimer {
            clock,
            chance: Mutex::new(chance),
        };
        let vnis = (vni(VNIS.0), vni(VNIS.1));
        let (driver, effects) = Driver::new(
            Arc::new(store),
            Arc::new(timer),
            Settings::default(),
            vnis,
            |_| {},
        );
        let driver = Rc::new(driver);
        let mut tasks = Tasks::default();
        tasks.spawn(follow(driver.clone()));
        Self {
            driver,
            effects,
            tasks,
            defect,
        }
    }

    /// Begins a request; what it comes to is told to `done`.
    pub fn request(
        &mut self,
        mut propose: impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError> + 'static,
        done: impl FnOnce(Result<Answer, ApiError>) + 'static,
    ) {
        let (driver, defect) = (self.driver.clone(), self.defect);
        self.tasks.spawn(async move {
            let proposed = driver.write(None, |fabric, draw| {
                let mut proposal = propose(fabric, draw)?;
                if defect == Defect::NoReadSetCompare {
                    proposal.transaction.compares.clear();
                }
                Ok(proposal)
            });
            done(proposed.await);
        });
    }

    /// Writes a higher incarnation.
    pub fn begin_anew(&mut self, above: u64) {
        let driver = self.driver.clone();
        self.tasks.spawn(async move { driver.begin_anew(above).await });
    }

    /// Begins a task of its own.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(task);
    }

    /// Lets its tasks go on.
    pub fn poll(&mut self) {
        self.tasks.poll();
    }

    /// The next thing that its core wants done.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.try_recv().ok()
    }
}

async fn follow(driver: Rc<Driver>) {
    loop {
        if let Ok(loaded) = follow::load(&driver).await {
            let error = follow::follow(&driver, loaded).await;
            panic!("records that were written here cannot be read: {error}");
        }
        driver.timer.sleep(PAUSE).await;
    }
}

/// The world's time, and chance out of its seed.
#[derive(Debug)]
struct VirtualTimer {
    clock: ManualClock,
    chance: Mutex<Chance>,
}

impl Timer for VirtualTimer {
    fn now(&self) -> Now {
        let ms = u64::try_from(self.clock.now().as_millis()).unwrap_or(u64::MAX);
        Now {
            ms,
            wall_ms: i64::try_from(ms).unwrap_or(i64::MAX),
        }
    }

    fn sleep(&self, time: Duration) -> Sleep<'_> {
        let at = self.clock.now() + time;
        Box::pin(self.clock.reach(at))
    }

    fn random(&self) -> u64 {
        self.chance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .number()
    }
}

fn vni(number: u32) -> Vni {
    Vni::new(number).expect("a legal VNI")
}
