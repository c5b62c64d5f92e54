//! How nodes stay together: streams of opaque messages between them, and the trust that those rest on.
