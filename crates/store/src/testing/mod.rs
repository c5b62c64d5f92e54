//! What every back end has to pass.
//!
//! A back end's test gives a function that makes a [`Subject`] of its own and runs a case on it, and names it to
//! [`conformance!`](crate::conformance): one test for each case comes of it. The store need not be empty, but nobody else may write to it
//! meanwhile. [`histories`] holds random histories against a reference that is too simple to be wrong.

pub mod elections;
pub mod histories;
pub mod leases;
pub mod limits;
pub mod mirror;
pub mod ranges;
mod reference;
mod support;
pub mod transactions;
pub mod watches;
pub mod writers;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::store::Store;

/// A case, or time, at work.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A store that is being tested.
pub trait Subject {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// Lets time pass for the store: a clock that is moved, or a wait.
    fn pass(&self, time: Duration) -> Running<'_>;
}

/// Runs a future on this thread without a runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// One test for each case of the suite. `$run` is a function of the calling module: it makes a subject and runs on it the case that it is
/// given, a `for<'a> fn(&'a dyn Subject) -> Running<'a>`.
#[macro_export]
macro_rules! conformance {
    ($run:ident) => {
        $crate::conformance! { @ $run
            transactions:
                a_put_is_read_back_with_its_revisions
                only_writes_move_the_revision_and_by_one
                compares_mean_what_they_do_in_etcd
                compares_look_at_what_was_before
                the_second_list_runs_where_a_compare_fails
                operations_see_those_before_them
                a_key_made_again_begins_anew
                a_key_is_written_once_in_a_branch;
            limits:
                operations_at_the_edge
                bytes_at_the_edge
                empty_keys_are_refused
                any_bytes_can_be_a_key;
            ranges:
                a_range_is_ordered_and_half_open
                pages_are_of_one_revision
                the_past_can_be_read
                history_ends_where_it_was_compacted
                the_future_cannot_be_read
                an_old_answer_was_true_once;
            watches:
                what_was_comes_in_order
                what_comes_is_waited_for
                a_revision_comes_whole
                only_the_range_comes
                what_was_before_comes_where_asked
                a_watch_can_begin_in_the_future
                a_wait_can_be_given_up
                progress_is_said_where_asked
                compacted_history_is_refused
                the_edge_of_history_is_refused_or_whole
                a_watcher_that_is_overtaken_hears_of_it_or_misses_nothing
                zero_is_no_revision_to_watch_from;
            leases:
                a_lease_lives_as_long_as_asked
                keys_vanish_with_their_lease_at_one_revision
                a_lease_that_is_kept_alive_stays
                a_revoked_lease_takes_its_keys_along
                a_key_leaves_its_lease_when_it_is_written_anew
                without_a_lease_nothing_is_written;
            elections:
                one_leads_and_the_next_follows_when_it_resigns
                a_leadership_ends_with_its_lease
                the_late_write_of_a_paused_leader_is_refused
                a_failed_compare_is_not_a_lost_leadership
                an_observer_sees_who_leads
                a_second_campaign_of_the_leader_finds_itself;
            writers:
                of_two_who_want_one_key_one_gets_it
                no_increment_is_lost
                an_idempotency_key_works_once
                a_listing_and_a_watch_behind_it_miss_nothing;
        }
    };
    (@ $run:ident $($module:ident: $($case:ident)*;)*) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                super::$run(|subject| Box::pin($crate::testing::$module::$case(subject)));
            })*
        })*
    };
}
