//! Repository chores: the rules that the tree is held to ([`rules`]) and the runner behind `make test`
//! ([`test_run`]). Depends on nothing, so that it is built in seconds; not a product, used by nothing.

pub mod rules;
pub mod source;
pub mod test_run;
