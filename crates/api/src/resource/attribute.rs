//! What the table says of one attribute.

use serde_json::{Value, json};

/// One attribute of a resource: its name in JSON, what it may be, and who may do what with it.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Name in JSON.
    pub name: &'static str,
    /// Legal values.
    pub kind: Kind,
    /// True where `null` is legal too.
    pub nullable: bool,
    /// What it is after a POST that says nothing of it.
    pub initial: Initial,
    /// Who may give it in a POST.
    pub create: Access,
    /// Who may give it in a PUT.
    pub update: Access,
    /// Who sees it.
    pub show: Access,
    /// True where a list can be filtered by it.
    pub filter: bool,
    /// True where a list can be sorted by it.
    pub sort: bool,
    /// For people: what it is, in a few words.
    pub help: &'static str,
}

/// Legal values of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The id of an object.
    Id,
    /// Text of at most so many characters.
    Text(usize),
    /// A host name: labels joined by dots (RFC 1123).
    HostName,
    /// True or false.
    Boolean,
    /// A whole number, first and last.
    Integer(i64, i64),
    /// A unicast IP address.
    Address,
    /// `ADDRESS/LENGTH`; bits behind the length are cleared.
    Cidr,
    /// `ADDRESS/LENGTH` or an address alone.
    Prefix,
    /// A station's MAC.
    Mac,
    /// One of some words, whatever their case.
    Word(&'static [&'static str]),
    /// An IP protocol by name or number.
    Protocol,
    /// At most so many different ids.
    Ids(usize),
    /// At most so many different addresses.
    Addresses(usize),
    /// `{start, end}` each.
    Pools(usize),
    /// `{subnet_id, ip_address}` each, at least one of the two.
    FixedIps(usize),
    /// `{destination, nexthop}` each.
    HostRoutes(usize),
    /// `{ip_address, mac_address}` each.
    AddressPairs(usize),
    /// `{mac_address, ip_addresses}` each.
    Stations(usize),
    /// Neutron knows more than this fabric: just this one value.
    Only(Literal),
    /// Made by the fabric, whatever it looks like.
    Made,
}

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nobody.
    Nobody,
    /// Administrators.
    Admin,
    /// Whoever may use the object.
    Everybody,
}

/// As whom somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An administrator of the fabric.
    Admin,
    /// A member of the project.
    Member,
}

impl Access {
    /// True where `role` may.
    pub const fn permits(self, role: Role) -> bool {
        match self {
            Access::Nobody => false,
            Access::Admin => matches!(role, Role::Admin),
            Access::Everybody => true,
        }
    }
}

/// A constant of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// A number.
    Integer(i64),
    /// A text.
    Text(&'static str),
    /// `[]`
    EmptyList,
    /// `{}`
    EmptyObject,
}

impl Literal {
    /// As JSON.
    pub fn to_json(self) -> Value {
        match self {
            Literal::Null => Value::Null,
            Literal::Boolean(value) => json!(value),
            Literal::Integer(value) => json!(value),
            Literal::Text(value) => json!(value),
            Literal::EmptyList => json!([]),
            Literal::EmptyObject => json!({}),
        }
    }
}

/// What an attribute is after a POST that says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    /// Such a POST is refused.
    Required,
    /// The fabric chooses, or has nothing to choose.
    Chosen,
    /// This.
    Is(Literal),
}

impl Attribute {
    /// One that everybody sees and nobody can set; lists can be filtered and sorted by it where it is a plain value.
    pub const fn shown(name: &'static str, kind: Kind, help: &'static str) -> Self {
        let plain = matches!(
            kind,
            Kind::Id
                | Kind::Text(_)
                | Kind::HostName
                | Kind::Boolean
                | Kind::Integer(..)
                | Kind::Address
                | Kind::Cidr
                | Kind::Prefix
                | Kind::Mac
                | Kind::Word(_)
                | Kind::Protocol
        );
        Self {
            name,
            kind,
            nullable: false,
            initial: Initial::Chosen,
            create: Access::Nobody,
            update: Access::Nobody,
            show: Access::Everybody,
            filter: plain,
            sort: plain,
            help,
        }
    }

    /// As [`Attribute::shown`], and everybody may give it in POST and PUT.
    pub const fn settable(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            update: Access::Everybody,
            ..Self::fixed(name, kind, help)
        }
    }

    /// As [`Attribute::shown`], and everybody may give it in POST, after which it stays.
    pub const fn fixed(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            create: Access::Everybody,
            ..Self::shown(name, kind, help)
        }
    }

    /// What Neutron's clients may send although the fabric has just one value for it.
    pub const fn only(name: &'static str, value: Literal, help: &'static str) -> Self {
        Self {
            filter: true,
            nullable: true,
            initial: Initial::Is(value),
            ..Self::settable(name, Kind::Only(value), help)
        }
    }

    /// A POST must say it.
    pub const fn required(self) -> Self {
        Self {
            initial: Initial::Required,
            ..self
        }
    }

    /// What it is where a POST says nothing.
    pub const fn initially(self, value: Literal) -> Self {
        Self {
            initial: Initial::Is(value),
            ..self
        }
    }

    /// `null` is legal.
    pub const fn nullable(self) -> Self {
        Self {
            nullable: true,
            ..self
        }
    }

    /// A list can be filtered by it, although it is no plain value.
    pub const fn filterable(self) -> Self {
        Self { filter: true, ..self }
    }

    /// Only administrators see and set it.
    pub const fn admin(self) -> Self {
        const fn lowered(access: Access) -> Access {
            match access {
                Access::Everybody => Access::Admin,
                other => other,
            }
        }
        Self {
            create: lowered(self.create),
            update: lowered(self.update),
            show: lowered(self.show),
            ..self
        }
    }

    /// Everybody sees it; only administrators set it.
    pub const fn set_by_admin(self) -> Self {
        let show = self.show;
        Self { show, ..self.admin() }
    }
}
