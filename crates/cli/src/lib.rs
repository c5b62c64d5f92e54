//! The command of operators, `anet`.
