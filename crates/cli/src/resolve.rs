//! From names to ids.

use anet_api::Resource;
use anet_api::client::ClientError;
use anet_api::query::Object;
use serde_json::Value;

use crate::Session;
use crate::error::CliError;
use crate::flag;

/// What is known of where a name has to be looked for, so that equal names elsewhere do no harm.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    project: Option<String>,
    network: Option<String>,
}

impl Scope {
    /// Takes note of an attribute.
    pub(crate) fn learn(&mut self, attribute: &str, value: &Value) {
        let text = value.as_str().map(str::to_string);
        match attribute {
            "project_id" => self.project = text,
            "network_id" => self.network = text,
            _ => {}
        }
    }
}

impl Scope {
    /// Where no project was named: that of the network or group that was.
    pub(crate) fn learn_owner(
        &mut self,
        session: &Session<'_>,
        attribute: &str,
        value: &Value,
    ) -> Result<(), CliError> {
        let owned = flag::refers_to(attribute)
            .filter(|resource| matches!(resource, Resource::Network | Resource::SecurityGroup));
        if let (None, Some(resource), Some(id)) = (&self.project, owned, value.as_str()) {
            let object = session.client.show(resource, id)?;
            self.learn("project_id", object.get("project_id").unwrap_or(&Value::Null));
        }
        Ok(())
    }
}

/// The id of an object.
pub(crate) fn id_of(object: &Object) -> &str {
    object.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// The value of an attribute that may be another object's name: its id. Other attributes' texts are as they are.
pub(crate) fn reference(
    session: &Session<'_>,
    attribute: &str,
    text: &str,
    scope: &Scope,
) -> Result<String, CliError> {
    let Some(resource) = flag::refers_to(attribute) else {
        return Ok(text.to_string());
    };
    let project = scope.project.as_deref().map(|project| ("project_id", project));
    let project = project.filter(|_| resource == Resource::SecurityGroup);
    let parameters: Vec<(&str, &str)> = project.into_iter().collect();
    match session.client.find(resource, text, &parameters) {
        // Members of a project may not look at these, and know ids.
        Err(ClientError::Refused(refusal)) if resource.is_for_admins() && refusal.status == 403 => {
            Ok(text.to_string())
        }
        found => Ok(id_of(&found?).to_string()),
    }
}

/// The id of a subnet, of the network that is known.
pub(crate) fn subnet(session: &Session<'_>, text: &str, scope: &Scope) -> Result<String, CliError> {
    let network = scope.network.as_deref().map(|network| ("network_id", network));
    let parameters: Vec<(&str, &str)> = network.into_iter().collect();
    Ok(id_of(&session.client.find(Resource::Subnet, text, &parameters)?).to_string())
}
