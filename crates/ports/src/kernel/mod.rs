//! The kernel back end: ports that need nothing but Linux, and sleep when nothing happens.
