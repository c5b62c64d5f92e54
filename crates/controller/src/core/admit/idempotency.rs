//! Idempotency keys: the same key with the same request gets the same answer, and the work is done once.

use anet_api::ApiError;
use anet_store::{Compare, LeaseId, Operation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::keys;
use super::super::record;
use super::{Answer, Caller, Proposal, Witness};

/// Characters of the longest key.
pub const LENGTH_MAXIMUM: usize = 255;

/// A request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// Where its answer is kept.
    pub key: Vec<u8>,
    /// What was asked: another request under the same key is refused.
    pub request: String,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    request: String,
    answer: Answer,
}

/// A request with its key, as a caller's: keys of different projects have nothing to do with each other.
pub fn keyed(caller: &Caller, key: &str, method: &str, path: &str, body: &[u8]) -> Result<Keyed, ApiError> {
    if key.is_empty() || key.len() > LENGTH_MAXIMUM {
        let text = format!(
            "Invalid input for the header Idempotency-Key: expected 1 to {LENGTH_MAXIMUM} characters."
        );
        return Err(ApiError::bad_request(text));
    }
    let scope = caller.project.as_ref().map_or("_", |project| project.as_str());
    let rights = if caller.admin { "admin" } else { "member" };
    Ok(Keyed {
        key: keys::idempotency(scope, &hash(&[rights.as_bytes(), key.as_bytes()])),
        request: hash(&[method.as_bytes(), path.as_bytes(), body]),
    })
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Keyed {
    /// The answer that was given before, out of what is kept under the key.
    pub fn answer(&self, record: &[u8]) -> Result<Answer, ApiError> {
        let kept: Kept = record::decode("an idempotency key's answer", record)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        if kept.request != self.request {
            let text =
                "This Idempotency-Key was used for another request: choose a new key for a new request.";
            return Err(ApiError::conflict("IdempotencyKeyConflict", text));
        }
        Ok(kept.answer)
    }

    /// The proposal with the key: committed once, and its answer kept for as long as the lease lives.
    pub fn attach(&self, mut proposal: Proposal, lease: LeaseId) -> Result<Proposal, ApiError> {
        let kept = Kept {
            request: self.request.clone(),
            answer: proposal.answer.clone(),
        };
        let value = record::encode(&kept).map_err(|error| ApiError::internal(error.to_string()))?;
        proposal.transaction = proposal
            .transaction
            .when(Compare::Absent(self.key.clone()))
            .then(Operation::put_leased(self.key.clone(), value.clone(), lease));
        proposal.witness = Some(Witness::Put(self.key.clone(), value));
        let too_large = |error: anet_store::RequestError| {
            ApiError::new(
                400,
                "RequestTooLarge",
                "The request changes too much to be done at once.",
            )
            .with_detail(error.to_string())
        };
        proposal.transaction.check().map_err(too_large)?;
        Ok(proposal)
    }
}
