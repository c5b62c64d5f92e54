//! What a list may be asked for: filters, fields, order, pages. It works on objects as clients see them.

mod matching;
mod page;
mod parameters;

use serde_json::{Map, Value, json};

use crate::error::{ApiError, excerpt};
use crate::resource::{Attribute, Resource, Role};
use matching::Filter;
pub use parameters::{decode_part, encode};

/// An object as clients see it.
pub type Object = Map<String, Value>;

/// A checked query string of a collection or of one object.
#[derive(Debug, Clone)]
pub struct Query {
    resource: Resource,
    /// Everything that was asked for, for links to other pages.
    parameters: Vec<(String, String)>,
    filters: Vec<Filter>,
    fields: Vec<String>,
    order: Vec<(&'static Attribute, Direction)>,
    limit: Option<usize>,
    marker: Option<String>,
    page_reverse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ascending,
    Descending,
}

impl Query {
    /// Reads what is behind the `?` of a request. `role` cannot ask by what it does not see.
    pub fn parse(resource: Resource, role: Role, text: &str) -> Result<Self, ApiError> {
        let mut query = Self {
            resource,
            parameters: parameters::parse(text)?,
            filters: Vec::new(),
            fields: Vec::new(),
            order: Vec::new(),
            limit: None,
            marker: None,
            page_reverse: false,
        };
        let (mut keys, mut directions) = (Vec::new(), Vec::new());
        for (name, value) in query.parameters.clone() {
            match name.as_str() {
                "fields" => query.fields.push(value),
                "sort_key" => keys.push(sortable(resource, role, &value)?),
                "sort_dir" => directions.push(direction(&value)?),
                "limit" => query.limit = limit(&value)?,
                "marker" => query.marker = Some(value).filter(|id| !id.is_empty()),
                "page_reverse" => query.page_reverse = value.eq_ignore_ascii_case("true"),
                _ => matching::add(&mut query.filters, resource, role, &name, &value)?,
            }
        }
        query.order = order(keys, directions)?;
        Ok(query)
    }

    /// The answer to a list: `{"networks": […], "networks_links": […]}`. `objects` are those that the caller may see; `base` is
    /// the collection's address, for links.
    pub fn list(&self, objects: Vec<Object>, base: &str) -> Result<Value, ApiError> {
        let plural = self.resource.plural();
        let mut matching: Vec<Object> = objects.into_iter().filter(|o| self.matches(o)).collect();
        page::sort(&mut matching, &self.order);
        let page = page::cut(self, matching)?;
        let links = page::links(self, &page, base);
        let shown: Vec<Object> = page.into_iter().map(|object| self.fields_of(object)).collect();
        let mut answer = Map::new();
        answer.insert(plural.to_string(), json!(shown));
        if !links.is_empty() {
            answer.insert(format!("{plural}_links"), json!(links));
        }
        Ok(Value::Object(answer))
    }

    /// True where all filters hold.
    pub fn matches(&self, object: &Object) -> bool {
        self.filters.iter().all(|filter| filter.matches(object))
    }

    /// The fields of an object that were asked for; all where none was named. Unknown ones are as if they had not been named.
    pub fn fields_of(&self, mut object: Object) -> Object {
        if !self.fields.is_empty() {
            object.retain(|name, _| self.fields.contains(name));
        }
        object
    }

    /// The answer to a request for one object: `{"network": {…}}`.
    pub fn show(&self, object: Object) -> Value {
        let mut answer = Map::new();
        let shown = self.fields_of(object);
        answer.insert(self.resource.singular().to_string(), Value::Object(shown));
        Value::Object(answer)
    }
}

fn sortable(resource: Resource, role: Role, name: &str) -> Result<&'static Attribute, ApiError> {
    let attribute = resource.attribute(name);
    let attribute = attribute.filter(|attribute| attribute.sort && attribute.show.permits(role));
    attribute.ok_or_else(|| {
        let known = resource.attributes().iter();
        let known: Vec<&str> = known
            .filter(|a| a.sort && a.show.permits(role))
            .map(|a| a.name)
            .collect();
        let message = format!("['{}'] is invalid attribute for sort_key.", excerpt(name));
        ApiError::bad_request(message).with_detail(format!("expected: {}", known.join(", ")))
    })
}

fn direction(text: &str) -> Result<Direction, ApiError> {
    match text {
        "asc" => Ok(Direction::Ascending),
        "desc" => Ok(Direction::Descending),
        other => Err(ApiError::invalid(
            "sort_dir",
            format_args!("'{}' is not asc or desc", excerpt(other)),
        )),
    }
}

/// 0 is no limit, as in Neutron.
fn limit(text: &str) -> Result<Option<usize>, ApiError> {
    match text.parse::<usize>() {
        Ok(0) => Ok(None),
        Ok(limit) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(limit)),
        _ => Err(ApiError::invalid(
            "limit",
            format_args!("'{}' is not a whole number, 0 or more", excerpt(text)),
        )),
    }
}

fn order(
    keys: Vec<&'static Attribute>,
    directions: Vec<Direction>,
) -> Result<Vec<(&'static Attribute, Direction)>, ApiError> {
    if !directions.is_empty() && directions.len() != keys.len() {
        return Err(ApiError::bad_request(
            "The number of sort_keys and sort_dirs must be same: give one sort_dir for each sort_key, or none.",
        ));
    }
    let directions = directions
        .into_iter()
        .chain(std::iter::repeat(Direction::Ascending));
    Ok(keys.into_iter().zip(directions).collect())
}
