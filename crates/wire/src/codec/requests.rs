//! Requests and responses to and from bytes.

use prost::Message as _;

use super::changeset::{decode_changeset, encode_changeset};
use super::field::{
    DecodeError, Decoded, address, address_bytes, at, digest, optional, optional_id, optional_number,
    required, text,
};
use super::raw::{Fields, Value};
use super::{proto, reports, traces};
use crate::control::{APPLY_TAG, Filter, Hello, Refusal, Request, Response};
use crate::frame::{MESSAGE_MAXIMUM, REQUEST_MAXIMUM};
use proto::request::Request as Asked;
use proto::response::Response as Answer;

/// Bytes of the longest name that a hello may carry.
const SOFTWARE_BYTES_MAXIMUM: usize = 128;

/// The bytes of a request.
pub fn encode_request(request: &Request) -> Vec<u8> {
    let nothing = proto::Nothing {};
    let asked = match request {
        Request::Hello(hello) => Asked::Hello(hello_message(hello)),
        Request::Apply(changeset) => Asked::Apply(encode_changeset(changeset)),
        Request::Digest => Asked::Digest(nothing),
        Request::Trace(trace) => Asked::Trace(traces::request_message(trace)),
        Request::Drops => Asked::Drops(nothing),
        Request::Flows(filter) => Asked::Flows(filter_message(filter)),
        Request::Connections(filter) => Asked::Connections(filter_message(filter)),
        Request::Counters => Asked::Counters(nothing),
        Request::Dump => Asked::Dump(nothing),
        Request::Ports => Asked::Ports(nothing),
        Request::Version => Asked::Version(nothing),
    };
    proto::Request { request: Some(asked) }.encode_to_vec()
}

/// A request out of bytes.
pub fn decode_request(bytes: &[u8]) -> Result<Request, DecodeError> {
    if bytes.first() == Some(&APPLY_TAG) {
        return at("apply", decode_changeset(only_field(bytes)?)).map(Request::Apply);
    }
    check_length(bytes, REQUEST_MAXIMUM)?;
    Ok(
        match required("request", proto::Request::decode(bytes)?.request)? {
            Asked::Hello(message) => Request::Hello(at("hello", hello(message))?),
            Asked::Apply(message) => Request::Apply(at("apply", decode_changeset(&message))?),
            Asked::Digest(_) => Request::Digest,
            Asked::Trace(message) => Request::Trace(at("trace", traces::request(message))?),
            Asked::Drops(_) => Request::Drops,
            Asked::Flows(message) => Request::Flows(at("flows", filter(message))?),
            Asked::Connections(message) => Request::Connections(at("connections", filter(message))?),
            Asked::Counters(_) => Request::Counters,
            Asked::Dump(_) => Request::Dump,
            Asked::Ports(_) => Request::Ports,
            Asked::Version(_) => Request::Version,
        },
    )
}

/// The one field that a request with a changeset consists of, without a copy.
fn only_field(bytes: &[u8]) -> Decoded<&[u8]> {
    check_length(bytes, MESSAGE_MAXIMUM)?;
    let mut fields = Fields::of(bytes);
    match (fields.next_field()?, fields.next_field()?) {
        (Some((2, Value::Bytes(changeset))), None) => Ok(changeset),
        _ => Err(DecodeError::new("a changeset must be alone in its request")),
    }
}

pub(super) fn check_length(bytes: &[u8], limit: usize) -> Decoded<()> {
    match bytes.len() {
        length if length > limit => Err(DecodeError::new(format!(
            "a message of {length} bytes is too long: at most {limit}"
        ))),
        _ => Ok(()),
    }
}

/// The bytes of a response.
pub fn encode_response(response: &Response) -> Vec<u8> {
    let answer = match response {
        Response::Hello(hello) => Answer::Hello(hello_message(hello)),
        Response::Applied { revision, digest } => Answer::Applied(proto::Applied {
            revision: *revision,
            digest: digest.to_bytes().to_vec(),
        }),
        Response::Refused {
            refusal,
            reason,
            incarnation,
            revision,
        } => Answer::Refused(proto::Refused {
            refusal: refusal_number(*refusal).into(),
            reason: reason.clone(),
            incarnation: *incarnation,
            revision: *revision,
        }),
        Response::Digest(report) => Answer::Digest(reports::digest_message(report)),
        Response::Trace(report) => Answer::Trace(traces::report_message(report)),
        Response::Drops(drops) => Answer::Drops(reports::drops_message(drops)),
        Response::Flows(list) => Answer::Flows(reports::flows_message(list)),
        Response::Connections(list) => Answer::Connections(reports::connections_message(list)),
        Response::Counters(counters) => Answer::Counters(reports::counters_message(counters)),
        Response::Dump(text) => Answer::Dump(text.clone()),
        Response::Ports(ports) => Answer::Ports(reports::ports_message(ports)),
        Response::Version(version) => Answer::Version(reports::version_message(version)),
        Response::Error(text) => Answer::Error(text.clone()),
    };
    proto::Response {
        response: Some(answer),
    }
    .encode_to_vec()
}

/// A response out of bytes.
pub fn decode_response(bytes: &[u8]) -> Result<Response, DecodeError> {
    check_length(bytes, MESSAGE_MAXIMUM)?;
    Ok(
        match required("response", proto::Response::decode(bytes)?.response)? {
            Answer::Hello(message) => Response::Hello(at("hello", hello(message))?),
            Answer::Applied(message) => Response::Applied {
                revision: message.revision,
                digest: at("applied.digest", digest(&message.digest))?,
            },
            Answer::Refused(message) => Response::Refused {
                refusal: required("refused.refusal", refusal(message.refusal))?,
                reason: message.reason,
                incarnation: message.incarnation,
                revision: message.revision,
            },
            Answer::Digest(message) => Response::Digest(at("digest", reports::digest_report(message))?),
            Answer::Trace(message) => Response::Trace(at("trace", traces::report(message))?),
            Answer::Drops(message) => Response::Drops(at("drops", reports::drops(message))?),
            Answer::Flows(message) => Response::Flows(at("flows", reports::flows(message))?),
            Answer::Connections(message) => {
                Response::Connections(at("connections", reports::connections(message))?)
            }
            Answer::Counters(message) => Response::Counters(reports::counters(message)),
            Answer::Dump(text) => Response::Dump(text),
            Answer::Ports(message) => Response::Ports(at("ports", reports::ports(message))?),
            Answer::Version(message) => Response::Version(reports::version(message)),
            Answer::Error(text) => Response::Error(text),
        },
    )
}

fn hello(message: proto::Hello) -> Decoded<Hello> {
    Ok(Hello {
        protocol: message.protocol,
        software: text("software", message.software, SOFTWARE_BYTES_MAXIMUM)?,
    })
}

fn hello_message(hello: &Hello) -> proto::Hello {
    proto::Hello {
        protocol: hello.protocol,
        software: hello.software.clone(),
    }
}

fn filter(message: proto::Filter) -> Decoded<Filter> {
    let limit = message.limit;
    if !(1..=Filter::LIMIT_MAXIMUM).contains(&limit) {
        let problem = format!("{limit} is out of range: expected 1 to {}", Filter::LIMIT_MAXIMUM);
        return Err(DecodeError::new(problem).inside("limit"));
    }
    Ok(Filter {
        port: optional_id("port", message.port)?,
        network: optional_id("network", message.network)?,
        address: optional("address", message.address, address)?,
        protocol: optional_number("protocol", message.protocol)?,
        layer4_port: optional_number("layer4_port", message.layer4_port)?,
        limit,
    })
}

fn filter_message(filter: &Filter) -> proto::Filter {
    proto::Filter {
        port: filter.port.as_ref().map(ToString::to_string),
        network: filter.network.as_ref().map(ToString::to_string),
        address: filter.address.map(address_bytes),
        protocol: filter.protocol.map(Into::into),
        layer4_port: filter.layer4_port.map(Into::into),
        limit: filter.limit,
    }
}

pub(super) fn refusal(number: i32) -> Option<Refusal> {
    match proto::Refusal::try_from(number).ok()? {
        proto::Refusal::Unspecified => None,
        proto::Refusal::SnapshotNeeded => Some(Refusal::SnapshotNeeded),
        proto::Refusal::AlreadyApplied => Some(Refusal::AlreadyApplied),
        proto::Refusal::Outdated => Some(Refusal::Outdated),
        proto::Refusal::Invalid => Some(Refusal::Invalid),
        proto::Refusal::Unavailable => Some(Refusal::Unavailable),
    }
}

pub(super) const fn refusal_number(refusal: Refusal) -> proto::Refusal {
    match refusal {
        Refusal::SnapshotNeeded => proto::Refusal::SnapshotNeeded,
        Refusal::AlreadyApplied => proto::Refusal::AlreadyApplied,
        Refusal::Outdated => proto::Refusal::Outdated,
        Refusal::Invalid => proto::Refusal::Invalid,
        Refusal::Unavailable => proto::Refusal::Unavailable,
    }
}
