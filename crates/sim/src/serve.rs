//! A controller's end of a stream: the first message is a hello, which is held against the store as it is now.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use anet_controller::driver::Driver;
use anet_wire::session::AgentMessage;

use crate::network::StreamId;

/// How long a hello is waited for.
const HELLO: Duration = Duration::from_secs(5);

/// What has arrived and not been taken; `None`: the stream is closed.
pub type Inbox = Rc<RefCell<VecDeque<Option<AgentMessage>>>>;

/// Serves a stream until it ends. The last word on it is that it is closed, in `ended`.
pub async fn serve(
    driver: Rc<Driver>,
    stream: StreamId,
    certified: String,
    inbox: Inbox,
    ended: Rc<RefCell<Vec<StreamId>>>,
) {
    let first = driver.within(HELLO, next(&inbox)).await.flatten();
    if let Some(AgentMessage::Hello(hello)) = first
        && driver.catch_up().await.is_ok()
    {
        driver.act(|fabric, now| (fabric.hello(stream, &certified, &certified, &hello, now), ()));
        while let Some(message) = next(&inbox).await {
            driver.act(|fabric, now| (fabric.message(stream, message, now), ()));
        }
    }
    driver.act(|fabric, now| (fabric.closed(stream, now), ()));
    ended.borrow_mut().push(stream);
}

async fn next(inbox: &Inbox) -> Option<AgentMessage> {
    poll_fn(|_| inbox.borrow_mut().pop_front().map_or(Poll::Pending, Poll::Ready)).await
}
