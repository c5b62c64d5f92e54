//! `anet`.

fn main() {}
