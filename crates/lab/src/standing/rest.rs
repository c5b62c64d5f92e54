//! The controller's API, as a lab uses it.

use serde_json::Value;

use super::place::Place;
use crate::LabError;

/// A lab's way to its controller.
#[derive(Debug)]
pub struct Rest {}

impl Rest {
    /// Reads how a lab's controller is reached.
    pub fn of(place: &Place) -> Result<Self, LabError> {
        let _ = place.client_file();
        Ok(Self {})
    }

    /// True where the controller answers.
    pub fn answers(&self) -> bool {
        false
    }

    /// Makes an object: its collection (`networks`), its attributes; what it became.
    pub fn create(&self, collection: &str, attributes: Value) -> Result<Value, LabError> {
        let _ = (collection, attributes);
        Err(LabError::Refused(String::new()))
    }

    /// As [`Rest::create`], but content where the same is there already.
    pub fn create_unless_there(&self, collection: &str, attributes: Value) -> Result<(), LabError> {
        self.create(collection, attributes).map(drop)
    }

    /// Changes an object.
    pub fn update(&self, collection: &str, id: &str, attributes: Value) -> Result<Value, LabError> {
        let _ = (collection, id, attributes);
        Err(LabError::Refused(String::new()))
    }

    /// Deletes an object.
    pub fn delete(&self, collection: &str, id: &str) -> Result<(), LabError> {
        let _ = (collection, id);
        Err(LabError::Refused(String::new()))
    }

    /// All objects of a collection.
    pub fn list(&self, collection: &str) -> Result<Vec<Value>, LabError> {
        let _ = collection;
        Err(LabError::Refused(String::new()))
    }

    /// A token with which one host may join.
    pub fn host_token(&self, host: &str) -> Result<String, LabError> {
        let _ = host;
        Err(LabError::Refused(String::new()))
    }

    /// True where each of the hosts has applied all that is meant for it.
    pub fn all_applied(&self, hosts: &[&str]) -> Result<bool, LabError> {
        let _ = hosts;
        Err(LabError::Refused(String::new()))
    }
}
