//! The text form of a host plan.

use anet_wire::plan_text::{parse, to_text};

use crate::fabric;

/// The examples of the project, and the plan of the tests.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        include_str!("../../../../examples/host1.yaml").to_string(),
        include_str!("../../../../examples/host2.yaml").to_string(),
        to_text(&fabric::plan()),
    ];
    // Short pieces too: mutations of a long text mostly miss.
    let pieces = texts
        .iter()
        .flat_map(|text| text.split("\n\n"))
        .map(|piece| piece.as_bytes().to_vec());
    let mut seeds: Vec<Vec<u8>> = pieces.collect();
    seeds.extend(texts.map(String::into_bytes));
    seeds
}

/// A text that is a plan gives the same plan once written and read again; one that is none says where it is wrong.
pub fn target(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match parse(&text) {
        Ok(plan) => {
            plan.validate().expect("what is read is valid");
            assert_eq!(parse(&to_text(&plan)).as_ref(), Ok(&plan));
        }
        Err(errors) => {
            assert!(!errors.errors().is_empty());
            let _ = errors.in_file("plan.yaml").to_string();
        }
    }
}
