//! Cases: reading ranges.

use crate::error::StoreError;
use crate::list::list;
use crate::range::{KeyRange, RangeRequest};
use crate::testing::Subject;
use crate::testing::support::Corner;

/// From the first key on, up to and without the end.
pub async fn a_range_is_ordered_and_half_open(subject: &dyn Subject) {
    let corner = Corner::of(subject, "ordered").await;
    for name in ["b", "c", "a", "bb", "d"] {
        corner.put(name, "1").await;
    }
    let between = |start: &str, end: &str| KeyRange::between(corner.key(start), corner.key(end));
    let checks = [
        (corner.all(), "a=1 b=1 bb=1 c=1 d=1"),
        (between("b", "c"), "b=1 bb=1"),
        (between("a\0", "b"), ""),
        (between("c", "a"), ""),
        (between("c", "c"), ""),
        (KeyRange::key(corner.key("b")), "b=1"),
        (KeyRange::prefix(corner.key("b")), "b=1 bb=1"),
        (KeyRange::prefix(corner.key("x")), ""),
    ];
    for (range, expected) in checks {
        let answer = corner.range(RangeRequest::new(range.clone())).await;
        assert_eq!(corner.shown(&answer), expected, "{range:?}");
        assert!(!answer.more);
    }
    let exact = corner.range(RangeRequest::new(corner.all()).limit(5)).await;
    assert_eq!((exact.entries.len(), exact.more), (5, false));
    let cut = corner.range(RangeRequest::new(corner.all()).limit(4)).await;
    assert_eq!((cut.entries.len(), cut.more), (4, true));
}

/// What is written between two pages is in neither.
pub async fn pages_are_of_one_revision(subject: &dyn Subject) {
    let corner = Corner::of(subject, "pages").await;
    for name in ["a", "b", "c", "d", "e"] {
        corner.put(name, "1").await;
    }
    let mut request = RangeRequest::new(corner.all()).limit(2);
    let mut pages = Vec::new();
    loop {
        let answer = corner.range(request.clone()).await;
        pages.push(corner.shown(&answer));
        corner.delete("c").await;
        corner.put("e", "2").await;
        corner.put("cc", "2").await;
        match request.next_page(&answer) {
            Some(next) => request = next,
            None => break,
        }
    }
    assert_eq!(pages, ["a=1 b=1", "c=1 d=1", "e=1"]);
    let listing = list(corner.store.as_ref(), &corner.all(), 2).await;
    let listing = listing.expect("a listing is read");
    assert_eq!(listing.revision, corner.revision().await);
    assert_eq!(listing.entries.len(), 5, "a, b, cc, d, e");
}

/// With the revisions and versions that keys had then.
pub async fn the_past_can_be_read(subject: &dyn Subject) {
    let corner = Corner::of(subject, "past").await;
    let first = corner.put("a", "1").await;
    let second = corner.put("b", "1").await;
    let third = corner.put("a", "2").await;
    let fourth = corner.delete("a").await;
    let fifth = corner.put("a", "3").await;
    let checks = [
        (first - 1, ""),
        (first, "a=1"),
        (second, "a=1 b=1"),
        (third, "a=2 b=1"),
        (fourth, "b=1"),
        (fifth, "a=3 b=1"),
    ];
    for (revision, expected) in checks {
        let answer = corner.range(RangeRequest::new(corner.all()).at(revision)).await;
        assert_eq!(corner.shown(&answer), expected, "at {revision}");
        assert_eq!(answer.revision, revision);
        let limited = RangeRequest::new(corner.all()).at(revision).limit(1);
        let answer = corner.range(limited).await;
        assert_eq!(
            corner.shown(&answer),
            expected.split(' ').next().unwrap_or_default()
        );
        assert_eq!(answer.more, expected.contains(' '), "at {revision}");
    }
    let then = corner.range(RangeRequest::new(corner.all()).at(third)).await;
    let a = then.entries.first().expect("a was there");
    assert_eq!((a.create_revision, a.mod_revision, a.version), (first, third, 2));
}

/// What was at the compacted revision can still be read, what was before it cannot.
pub async fn history_ends_where_it_was_compacted(subject: &dyn Subject) {
    let corner = Corner::of(subject, "compacted").await;
    let first = corner.put("a", "1").await;
    let second = corner.put("a", "2").await;
    corner.put("a", "3").await;
    let compact = |revision| corner.store.compact(revision);
    assert_eq!(compact(second).await, Ok(()));
    let answer = corner.range(RangeRequest::new(corner.all()).at(second)).await;
    assert_eq!(corner.shown(&answer), "a=2");
    let error = corner
        .store
        .range(RangeRequest::new(corner.all()).at(first))
        .await;
    let expected = StoreError::Compacted {
        asked: first,
        compacted: second,
    };
    assert_eq!(error, Err(expected));
    assert_eq!(compact(first).await, Ok(()), "done already");
    let future = corner.revision().await + 1;
    let error = compact(future).await;
    assert!(matches!(error, Err(StoreError::FutureRevision { asked, .. }) if asked == future));
    assert_eq!(corner.content().await, "a=3");
}

/// A revision that a store has not come to is said to be so: after a restore that is how it is noticed.
pub async fn the_future_cannot_be_read(subject: &dyn Subject) {
    let corner = Corner::of(subject, "future").await;
    let revision = corner.put("a", "1").await;
    let asked = revision + 1;
    let error = corner
        .store
        .range(RangeRequest::new(corner.all()).at(asked))
        .await;
    assert_eq!(error, Err(StoreError::FutureRevision { asked, revision }));
}

/// Stale, but never something that was not.
pub async fn an_old_answer_was_true_once(subject: &dyn Subject) {
    let corner = Corner::of(subject, "stale").await;
    let first = corner.put("a", "1").await;
    let second = corner.put("a", "2").await;
    let answer = corner.range(RangeRequest::new(corner.all()).stale()).await;
    let expected = match answer.revision {
        revision if revision >= second => "a=2",
        revision if revision >= first => "a=1",
        _ => "",
    };
    assert_eq!(corner.shown(&answer), expected);
}
