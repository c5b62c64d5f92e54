//! What all tasks of a running controller share: the driver of its core, how it is set up, and who waits for traces.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anet_cluster::trust::Authority;
use anet_store::Store;
use anet_wire::control::trace::TraceReport;
use tokio::sync::{mpsc, oneshot};

use crate::configuration::Configuration;
use crate::core::fabric::Effect;
use crate::driver::Driver;
use crate::log;
use crate::timer::MachineTimer;
use crate::tokens::Tokens;

/// A controller.
#[derive(Debug)]
pub struct Shared {
    /// Its core, with the store and in time.
    pub driver: Driver,
    /// How it is set up.
    pub configuration: Configuration,
    /// Who may ask.
    pub tokens: Tokens,
    /// Signs hosts' certificates.
    pub authority: Authority,
    /// Traces that wait for an answer.
    pub traces: Mutex<HashMap<u64, oneshot::Sender<Result<TraceReport, String>>>>,
}

impl Shared {
    /// A controller that has not read its store yet, and the effects that are to be carried out.
    pub fn new(
        store: Arc<dyn Store>,
        configuration: Configuration,
        tokens: Tokens,
        authority: Authority,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Effect>) {
        let settings = anet_plan::Settings {
            lease_s: configuration.lease_s,
            ..anet_plan::Settings::default()
        };
        let timer = Arc::new(MachineTimer::default());
        let (driver, effects) = Driver::new(store, timer, settings, configuration.vnis, |event| {
            log::line(event)
        });
        let shared = Self {
            driver,
            configuration,
            tokens,
            authority,
            traces: Mutex::default(),
        };
        (Arc::new(shared), effects)
    }
}
