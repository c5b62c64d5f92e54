//! What clients ask before anything else: which versions, resources and extensions there are. Nothing is listed that is not there.

use anet_api::Resource;
use serde_json::{Value, json};

use crate::shared::Shared;

/// Neutron's extensions that are there: alias, name.
const EXTENSIONS: [(&str, &str); 13] = [
    ("allowed-address-pairs", "Allowed Address Pairs"),
    ("binding", "Port Binding"),
    ("net-mtu", "Network MTU"),
    ("net-mtu-writable", "Network MTU (writable)"),
    ("pagination", "Pagination support"),
    ("port-security", "Port Security"),
    ("project-id", "project_id field enabled"),
    ("provider", "Provider Network"),
    ("security-group", "security-group"),
    ("sorting", "Sorting support"),
    ("standard-attr-description", "standard-attr-description"),
    ("standard-attr-revisions", "Resource revision numbers"),
    ("standard-attr-timestamp", "Resource timestamps"),
];

/// The document at a path, where there is one.
pub fn document(shared: &Shared, path: &[&str]) -> Option<(u16, Value)> {
    let url = shared.configuration.url();
    let document = match path {
        [] => json!({"versions": [{
            "id": "v2.0",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": format!("{url}/v2.0/")}],
        }, {
            "id": "anet/v1",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": format!("{url}/anet/v1/")}],
        }]}),
        ["v2.0"] => resources(&url, "/v2.0/"),
        ["anet", "v1"] => resources(&url, "/anet/v1/"),
        ["v2.0", "extensions"] => {
            json!({"extensions": EXTENSIONS.map(|(alias, name)| extension(alias, name))})
        }
        ["v2.0", "extensions", alias] => {
            let (alias, name) = EXTENSIONS.into_iter().find(|(known, _)| known == alias)?;
            json!({"extension": extension(alias, name)})
        }
        _ => return None,
    };
    Some((200, document))
}

fn resources(url: &str, root: &str) -> Value {
    let there = Resource::ALL
        .into_iter()
        .filter(|resource| resource.path().starts_with(root));
    let resource = |resource: Resource| {
        json!({
            "name": resource.singular(),
            "collection": resource.plural(),
            "links": [{"rel": "self", "href": format!("{url}{}", resource.path())}],
        })
    };
    json!({"resources": there.map(resource).collect::<Vec<_>>()})
}

fn extension(alias: &str, name: &str) -> Value {
    json!({"alias": alias, "name": name, "description": name, "updated": "2026-11-26T00:00:00-00:00", "links": []})
}
