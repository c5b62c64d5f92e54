//! Tasks of one process: polled in turn, dropped when it dies. No thread, no hidden order.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

/// Something that goes on.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// See the module's page.
#[derive(Default)]
pub struct Tasks(Vec<Task>);

impl Tasks {
    /// Begins a task.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.0.push(Box::pin(task));
    }

    /// Lets each go on as far as it can.
    pub fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        self.0
            .retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
    }
}
