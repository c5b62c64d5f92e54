//! Messages of a session to and from bytes.
//!
//! Texts that are too long are refused when they are read and cut when they are written, so that what is sent is always
//! understood.

use anet_model::state::Cursor;
use prost::Message as _;

use super::changeset::{decode_changeset, encode_changeset};
use super::field::{DecodeError, Decoded, at, digest, id, required, text};
use super::raw::{Fields, Value};
use super::requests::{check_length, refusal, refusal_number};
use super::{proto, reports, traces};
use crate::control::report::{LinkState, PortState};
use crate::session::{
    AgentHello, AgentMessage, AgentReport, ControllerMessage, SignedChangeset, VswitchState,
};
use proto::agent_message::Message as Said;
use proto::controller_message::Message as Told;
use proto::trace_answer::Answer;

/// Bytes of the longest message of a session: a changeset, or a report.
pub const SESSION_MESSAGE_MAXIMUM: usize = 16 << 20;

/// Bytes of the longest message of an agent that is not a report: a trace's answer.
pub const AGENT_MESSAGE_MAXIMUM: usize = 256 << 10;

/// Bytes of the longest name of a software or cluster.
const NAME_MAXIMUM: usize = 128;

/// Bytes of the longest text for people.
const REASON_MAXIMUM: usize = 1_024;

/// The first byte of an encoded report: field 4, length-delimited.
const REPORT_TAG: u8 = 4 << 3 | 2;

/// The bytes of an agent's message.
pub fn encode_agent_message(message: &AgentMessage) -> Vec<u8> {
    let said = match message {
        AgentMessage::Hello(hello) => Said::Hello(hello_message(hello)),
        AgentMessage::Acknowledged { cursor, digest } => Said::Acknowledged(proto::Acknowledged {
            cursor: cursor_message(*cursor),
            digest: digest.to_bytes().to_vec(),
        }),
        AgentMessage::Refused {
            cursor,
            changeset_to,
            refusal,
            reason,
        } => Said::Refused(proto::AgentRefused {
            cursor: cursor_message(*cursor),
            changeset_to: *changeset_to,
            refusal: refusal_number(*refusal).into(),
            reason: cut(reason, REASON_MAXIMUM),
        }),
        AgentMessage::Report(report) => Said::Report(report_message(report).encode_to_vec()),
        AgentMessage::TraceAnswer { id, answer } => Said::TraceAnswer(trace_answer_message(*id, answer)),
    };
    proto::AgentMessage { message: Some(said) }.encode_to_vec()
}

/// An agent's message out of bytes.
pub fn decode_agent_message(bytes: &[u8]) -> Result<AgentMessage, DecodeError> {
    if bytes.first() == Some(&REPORT_TAG) {
        return at("report", report(report_bytes(bytes)?)).map(AgentMessage::Report);
    }
    check_length(bytes, AGENT_MESSAGE_MAXIMUM)?;
    Ok(
        match required("message", proto::AgentMessage::decode(bytes)?.message)? {
            Said::Hello(message) => AgentMessage::Hello(at("hello", hello(message))?),
            Said::Acknowledged(message) => AgentMessage::Acknowledged {
                cursor: cursor("acknowledged.cursor", message.cursor)?,
                digest: at("acknowledged.digest", digest(&message.digest))?,
            },
            Said::Refused(message) => AgentMessage::Refused {
                cursor: cursor("refused.cursor", message.cursor)?,
                changeset_to: message.changeset_to,
                refusal: required("refused.refusal", refusal(message.refusal))?,
                reason: text("refused.reason", message.reason, REASON_MAXIMUM)?,
            },
            Said::Report(message) => AgentMessage::Report(at("report", report(&message))?),
            Said::TraceAnswer(message) => at("trace_answer", trace_answer(message))?,
        },
    )
}

/// The bytes of a controller's message.
pub fn encode_controller_message(message: &ControllerMessage) -> Vec<u8> {
    let told = match message {
        ControllerMessage::Welcome {
            protocol,
            software,
            cluster,
            cursor,
            digest,
        } => Told::Welcome(proto::Welcome {
            protocol: *protocol,
            software: cut(software, NAME_MAXIMUM),
            cluster: cut(cluster, NAME_MAXIMUM),
            incarnation: cursor.incarnation,
            revision: cursor.revision,
            digest: digest.to_bytes().to_vec(),
        }),
        ControllerMessage::Changeset(envelope) => Told::Changeset(envelope.clone()),
        ControllerMessage::Trace { id, request } => Told::Trace(proto::SessionTrace {
            id: *id,
            request: Some(traces::request_message(request)),
        }),
        ControllerMessage::Farewell { reason, retry } => Told::Farewell(proto::Farewell {
            reason: cut(reason, REASON_MAXIMUM),
            retry: *retry,
        }),
    };
    proto::ControllerMessage { message: Some(told) }.encode_to_vec()
}

/// A controller's message out of bytes.
pub fn decode_controller_message(bytes: &[u8]) -> Result<ControllerMessage, DecodeError> {
    check_length(bytes, SESSION_MESSAGE_MAXIMUM)?;
    Ok(
        match required("message", proto::ControllerMessage::decode(bytes)?.message)? {
            Told::Welcome(message) => ControllerMessage::Welcome {
                protocol: message.protocol,
                software: text("welcome.software", message.software, NAME_MAXIMUM)?,
                cluster: text("welcome.cluster", message.cluster, NAME_MAXIMUM)?,
                cursor: Cursor {
                    incarnation: message.incarnation,
                    revision: message.revision,
                },
                digest: at("welcome.digest", digest(&message.digest))?,
            },
            Told::Changeset(envelope) => ControllerMessage::Changeset(envelope),
            Told::Trace(message) => ControllerMessage::Trace {
                id: message.id,
                request: at(
                    "trace.request",
                    required("request", message.request).and_then(traces::request),
                )?,
            },
            Told::Farewell(message) => ControllerMessage::Farewell {
                reason: text("farewell.reason", message.reason, REASON_MAXIMUM)?,
                retry: message.retry,
            },
        },
    )
}

/// The bytes that a controller signs.
pub fn encode_signed_changeset(signed: &SignedChangeset) -> Vec<u8> {
    let message = proto::SignedChangeset {
        host: signed.host.to_string(),
        changeset: encode_changeset(&signed.changeset),
    };
    message.encode_to_vec()
}

/// What a controller signed, out of bytes.
pub fn decode_signed_changeset(bytes: &[u8]) -> Result<SignedChangeset, DecodeError> {
    check_length(bytes, SESSION_MESSAGE_MAXIMUM)?;
    let message = proto::SignedChangeset::decode(bytes)?;
    Ok(SignedChangeset {
        host: id("host", &message.host)?,
        changeset: at("changeset", decode_changeset(&message.changeset))?,
    })
}

fn hello(message: proto::AgentHello) -> Decoded<AgentHello> {
    Ok(AgentHello {
        protocol: message.protocol,
        software: text("software", message.software, NAME_MAXIMUM)?,
        host: id("host", &message.host)?,
        instance: message.instance,
        cursor: cursor("cursor", message.cursor)?,
        digest: at("digest", digest(&message.digest))?,
        machine: text("machine", message.machine, REASON_MAXIMUM)?,
    })
}

fn hello_message(hello: &AgentHello) -> proto::AgentHello {
    proto::AgentHello {
        protocol: hello.protocol,
        software: cut(&hello.software, NAME_MAXIMUM),
        host: hello.host.to_string(),
        instance: hello.instance,
        cursor: cursor_message(hello.cursor),
        digest: hello.digest.to_bytes().to_vec(),
        machine: cut(&hello.machine, REASON_MAXIMUM),
    }
}

fn cursor(field: &str, message: Option<proto::Cursor>) -> Decoded<Cursor> {
    required(field, message).map(cursor_of)
}

fn cursor_of(message: proto::Cursor) -> Cursor {
    Cursor {
        incarnation: message.incarnation,
        revision: message.revision,
    }
}

fn cursor_message(cursor: Cursor) -> Option<proto::Cursor> {
    Some(proto::Cursor {
        incarnation: cursor.incarnation,
        revision: cursor.revision,
    })
}

/// The one field that a message with a report consists of, without a copy.
fn report_bytes(bytes: &[u8]) -> Decoded<&[u8]> {
    check_length(bytes, SESSION_MESSAGE_MAXIMUM)?;
    let mut fields = Fields::of(bytes);
    match (fields.next_field()?, fields.next_field()?) {
        (Some((4, Value::Bytes(report))), None) => Ok(report),
        _ => Err(DecodeError::new("a report must be alone in its message")),
    }
}

/// Decodes a report field by field, so that its ports are counted before they take memory.
fn report(bytes: &[u8]) -> Decoded<AgentReport> {
    let (mut place, mut read_back) = (None, None);
    let (mut ports, mut not_durable, mut vswitch) = (Vec::new(), None, VswitchState::Up);
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Value::Bytes(value)) => place = Some(cursor_of(at("cursor", proto::Cursor::decode(value))?)),
            (2, Value::Bytes(value)) => read_back = Some(at("digest", digest(value))?),
            (3, Value::Bytes(value)) => {
                let index = ports.len();
                ports.push(at(&format!("ports[{index}]"), port_state(value, index))?);
            }
            (4, Value::Bytes(value)) => not_durable = Some(reason("not_durable", value)?),
            (5, Value::Bytes(value)) => {
                vswitch = VswitchState::Down {
                    reason: reason("vswitch_down", value)?,
                }
            }
            (1..=5, _) => {
                return Err(DecodeError::new(format!("field {} has a wrong type", field.0)));
            }
            _ => {} // A field of a later version.
        }
    }
    Ok(AgentReport {
        cursor: required("cursor", place)?,
        digest: required("digest", read_back)?,
        ports,
        not_durable,
        vswitch,
    })
}

fn reason(field: &str, bytes: &[u8]) -> Decoded<String> {
    let is_text = std::str::from_utf8(bytes).map_err(|e| DecodeError::new(e.to_string()));
    text(field, at(field, is_text)?.to_owned(), REASON_MAXIMUM)
}

fn port_state(bytes: &[u8], index: usize) -> Decoded<PortState> {
    if index >= AgentReport::PORTS_MAXIMUM {
        let problem = format!("too many ports: at most {}", AgentReport::PORTS_MAXIMUM);
        return Err(DecodeError::new(problem));
    }
    let state = reports::port_state(proto::PortState::decode(bytes)?)?;
    match &state.link {
        LinkState::Retrying { error, .. } | LinkState::Quarantined { error }
            if error.len() > REASON_MAXIMUM =>
        {
            let problem = format!("{} bytes are too long: at most {REASON_MAXIMUM}", error.len());
            Err(DecodeError::new(problem).inside("link.error"))
        }
        _ => Ok(state),
    }
}

fn report_message(report: &AgentReport) -> proto::AgentReport {
    let port = |state: &PortState| {
        let link = match &state.link {
            LinkState::Retrying { error, attempts } => LinkState::Retrying {
                error: cut(error, REASON_MAXIMUM),
                attempts: *attempts,
            },
            LinkState::Quarantined { error } => LinkState::Quarantined {
                error: cut(error, REASON_MAXIMUM),
            },
            link => link.clone(),
        };
        reports::port_state_message(&state.port, link)
    };
    let ports = report.ports.iter().take(AgentReport::PORTS_MAXIMUM);
    proto::AgentReport {
        cursor: cursor_message(report.cursor),
        digest: report.digest.to_bytes().to_vec(),
        ports: ports.map(port).collect(),
        not_durable: report.not_durable.as_deref().map(|why| cut(why, REASON_MAXIMUM)),
        vswitch_down: match &report.vswitch {
            VswitchState::Up => None,
            VswitchState::Down { reason } => Some(cut(reason, REASON_MAXIMUM)),
        },
    }
}

fn trace_answer(message: proto::TraceAnswer) -> Decoded<AgentMessage> {
    let answer = match required("answer", message.answer)? {
        Answer::Report(report) => Ok(at("report", traces::report(report))?),
        Answer::Error(error) => Err(text("error", error, REASON_MAXIMUM)?),
    };
    Ok(AgentMessage::TraceAnswer {
        id: message.id,
        answer,
    })
}

/// A report that is too long to be taken is told as an error.
fn trace_answer_message(
    id: u64,
    answer: &Result<crate::control::trace::TraceReport, String>,
) -> proto::TraceAnswer {
    let room = AGENT_MESSAGE_MAXIMUM - 64;
    let answer = match answer {
        Ok(report) => {
            let message = traces::report_message(report);
            match message.encoded_len() {
                length if length <= room => Answer::Report(message),
                length => Answer::Error(format!(
                    "the trace's report of {length} bytes is too long for the session: ask the host's vswitch itself"
                )),
            }
        }
        Err(error) => Answer::Error(cut(error, REASON_MAXIMUM)),
    };
    proto::TraceAnswer {
        id,
        answer: Some(answer),
    }
}

/// The beginning of a text, of at most so many bytes.
fn cut(text: &str, limit: usize) -> String {
    let end = (0..=limit.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}
