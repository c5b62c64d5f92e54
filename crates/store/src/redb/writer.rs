//! The thread that writes: all that waits for it becomes one commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

use crate::engine::{Deadlines, Tables, trim};
use crate::error::StoreError;
use crate::record::Revision;
use crate::redb::database::{Database, Settled};
use crate::redb::error::{OpenError, of_redb};
use crate::redb::job::{self, Done, Job, Outcome, Request};
use crate::redb::tables::WriteView;

/// Requests that may wait; more wait before they are taken in.
const WAITING_MAXIMUM: usize = 1_024;
/// Bytes of transactions that one commit takes in; the one that passes this is its last.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// The longest sleep, where no lease says otherwise.
const SLEEP: Duration = Duration::from_secs(3_600);
/// The shortest sleep before leases are looked at again, also where their end could not be written.
const SHORT_SLEEP: Duration = Duration::from_millis(20);

/// The way to the writer. When it is dropped, what waits is done and the file closed.
#[derive(Debug)]
pub(super) struct WriterHandle {
    jobs: Mutex<Option<Sender<Job>>>,
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    pub(super) fn start(database: Arc<Database>) -> Result<(Self, watch::Receiver<Revision>), OpenError> {
        let path = database.path().to_owned();
        let beginning = database.beginning();
        let (leases, revision) = beginning.map_err(|error| OpenError::damaged(&path, error))?;
        let mut deadlines = Deadlines::default();
        let now = database.options.clock.now();
        for (lease, ttl) in leases {
            deadlines.set(lease, now + ttl);
        }
        let (sender, jobs) = channel();
        let (revisions, receiver) = watch::channel(revision);
        let writer = Writer {
            database,
            jobs,
            deadlines,
            revisions,
        };
        let thread = thread::Builder::new().name("store-writer".to_owned());
        let thread = thread.spawn(move || writer.run());
        let handle = Self {
            jobs: Mutex::new(Some(sender)),
            places: Arc::new(Semaphore::new(WAITING_MAXIMUM)),
            thread: Some(thread.map_err(|source| OpenError::Io { path, source })?),
        };
        Ok((handle, receiver))
    }

    /// Hands a request over and waits for what comes of it.
    pub(super) async fn call(&self, request: Request) -> Outcome {
        let stopped = || StoreError::Unavailable {
            reason: "the store was closed".to_owned(),
        };
        let place = self.places.clone().acquire_owned().await.map_err(|_| stopped())?;
        let (reply, answer) = oneshot::channel();
        let job = Job {
            request,
            reply: Some(reply),
            _place: Some(place),
        };
        let sent = match self.jobs.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        if !sent {
            return Err(stopped());
        }
        answer.await.unwrap_or_else(|_| {
            Err(StoreError::OutcomeUnknown {
                reason: "the store stopped in the midst of it".to_owned(),
            })
        })
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        // Without a sender the writer ends when it has done what waits.
        self.jobs.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.take() {
            // It catches its panics itself.
            let _ended = thread.join();
        }
    }
}

struct Writer {
    database: Arc<Database>,
    jobs: Receiver<Job>,
    deadlines: Deadlines,
    revisions: watch::Sender<Revision>,
}

/// Why a batch came to nothing.
struct Failure {
    error: StoreError,
    /// True where the commit had begun, so that only the file can say whether it happened.
    committing: bool,
}

/// What a batch leads to, if it is in the file.
struct Written {
    outcomes: Vec<Outcome>,
    revision: Revision,
    commits: u64,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.jobs.recv_timeout(self.until_next_expiry()) {
                Ok(job) => {
                    let batch = self.batch(job);
                    self.expire();
                    self.process(batch);
                }
                Err(RecvTimeoutError::Timeout) => self.expire(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn until_next_expiry(&self) -> Duration {
        let now = self.database.options.clock.now();
        let first = self.deadlines.first();
        let wait = first.map_or(SLEEP, |(at, _)| at.saturating_sub(now));
        wait.clamp(SHORT_SLEEP, SLEEP)
    }

    /// A job and all that has come up behind it.
    fn batch(&self, first: Job) -> Vec<Job> {
        let size = |job: &Job| match &job.request {
            Request::Transact(transaction) => transaction.bytes(),
            _ => 0,
        };
        let mut bytes = size(&first);
        let mut batch = vec![first];
        while bytes < COMMIT_BYTES
            && batch.len() < WAITING_MAXIMUM
            && let Ok(job) = self.jobs.try_recv()
        {
            bytes += size(&job);
            batch.push(job);
        }
        batch
    }

    /// Ends the leases whose time has come. If that cannot be written they stay, and it is tried again.
    fn expire(&mut self) {
        let now = self.database.options.clock.now();
        let expired = self.deadlines.expired(now);
        let jobs: Vec<Job> = expired
            .into_iter()
            .map(|lease| Job::own(Request::Revoke(lease)))
            .collect();
        if !jobs.is_empty() {
            self.process(jobs);
        }
    }

    fn process(&mut self, jobs: Vec<Job>) {
        match self.settle(&jobs) {
            Ok(outcomes) => {
                for (job, outcome) in jobs.into_iter().zip(outcomes) {
                    self.follow_lease(&job.request, &outcome);
                    job.answer(outcome);
                }
            }
            // One of them may have met a damaged record: the others shall not suffer.
            Err(StoreError::Damaged { .. }) if jobs.len() > 1 => {
                jobs.into_iter().for_each(|job| self.process(vec![job]));
            }
            Err(error) => jobs.into_iter().for_each(|job| job.answer(Err(error.clone()))),
        }
    }

    /// Does a batch, and where that fails finds out what came of it.
    fn settle(&mut self, jobs: &[Job]) -> Result<Vec<Outcome>, StoreError> {
        if self.database.is_closed() {
            self.database.open_anew(0)?;
            self.catch_up()?;
        }
        let mut written = None;
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(jobs, &mut written)));
        let failure = match attempt {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure),
            Err(_) => Some(Failure {
                error: StoreError::Damaged {
                    path: self.database.path().to_owned(),
                    what: "its pages do not fit together".to_owned(),
                },
                committing: true,
            }),
        };
        if let Some(failure) = failure {
            if let Failure {
                error: StoreError::Damaged { .. },
                committing: false,
            } = failure
            {
                // A record of ours that went bad is nothing that opening the file anew would mend.
                return Err(failure.error);
            }
            return Err(self.recover(failure, written.as_ref().map(|written| written.commits)));
        }
        Ok(written.map_or_else(Vec::new, |written| self.publish(written)))
    }

    fn publish(&mut self, written: Written) -> Vec<Outcome> {
        self.announce(written.revision);
        written.outcomes
    }

    fn announce(&self, newest: Revision) {
        self.revisions.send_if_modified(|revision| {
            let moved = *revision != newest;
            *revision = newest;
            moved
        });
    }

    /// `written` is set before the commit is begun.
    fn attempt(&self, jobs: &[Job], written: &mut Option<Written>) -> Result<(), Failure> {
        let path = self.database.path();
        let options = &self.database.options;
        let mut committing = false;
        let done = self.database.write(|transaction| {
            let mut view = WriteView::open(path, &transaction)?;
            let mut outcomes = Vec::with_capacity(jobs.len());
            for job in jobs {
                match job::run(&mut view, &job.request) {
                    Err(error) if error.is_of_storage() => return Err(error),
                    outcome => outcomes.push(outcome),
                }
            }
            if view.dirty {
                trim(&mut view, options.history_events, options.history_bytes)?;
                view.write_position(&transaction)?;
            }
            let dirty = view.dirty;
            *written = Some(Written {
                outcomes,
                revision: view.position().revision,
                commits: view.commits + u64::from(dirty),
            });
            drop(view);
            committing = dirty;
            match dirty {
                true => transaction.commit().map_err(|error| of_redb(path, error)),
                false => transaction.abort().map_err(|error| of_redb(path, error)),
            }
        });
        done.map_err(|error| Failure { error, committing })
    }

    /// Opens the file anew; answers what a caller has to hear.
    fn recover(&mut self, failure: Failure, commits: Option<u64>) -> StoreError {
        let commits = commits.filter(|_| failure.committing).unwrap_or(u64::MAX);
        let settled = self.database.open_anew(commits);
        let caught_up = settled.clone().and_then(|_| self.catch_up());
        match settled {
            Ok(Settled::NotCommitted) => failure.error,
            Err(_) if commits == u64::MAX => failure.error,
            // Also where it is in the file: whether the disk has it as well is what failed.
            Ok(Settled::Committed) | Err(_) => StoreError::OutcomeUnknown {
                reason: caught_up.err().unwrap_or(failure.error).to_string(),
            },
        }
    }

    /// Takes note of what the file holds that nobody was told of.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        let (leases, revision) = self.database.beginning()?;
        let now = self.database.options.clock.now();
        let known = std::mem::take(&mut self.deadlines);
        for (lease, ttl) in leases {
            let at = known.of(lease).unwrap_or(now + ttl);
            self.deadlines.set(lease, at);
        }
        self.announce(revision);
        Ok(())
    }

    fn follow_lease(&mut self, request: &Request, outcome: &Outcome) {
        let now = self.database.options.clock.now();
        match (request, outcome) {
            (_, Ok(Done::Granted(lease))) => self.deadlines.set(lease.id, now + lease.ttl),
            (Request::KeepAlive(lease), Ok(Done::Renewed(ttl))) => self.deadlines.set(*lease, now + *ttl),
            (Request::Revoke(lease), Ok(_) | Err(StoreError::NoLease(_))) => self.deadlines.remove(*lease),
            _ => {}
        }
    }
}
