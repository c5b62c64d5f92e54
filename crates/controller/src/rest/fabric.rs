//! `/anet/v1` beside the resources: joining, health, events, traces.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anet_api::ApiError;
use anet_api::hosts::{HostToken, HostTokenRequest, JoinAnswer, JoinRequest};
use anet_api::timestamp;
use anet_api::trace::TraceRequest;
use anet_cluster::trust::{Certificate, Names, Role, VALIDITY};
use anet_model::intent::HostId;
use anet_wire::control::trace::{TraceReport, TraceRequest as HostTraceRequest};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{Asking, Outcome, tell};
use crate::core::admit::join::{self, JoinToken, Joining, UsedToken};
use crate::core::events::EventKind;
use crate::core::join_text::JoinText;
use crate::core::trace::{Run, Step};
use crate::core::{keys, record};
use crate::driver::of_store;
use crate::shared::Shared;
use crate::tokens;

/// How long a host may take to answer a trace.
const TRACE: Duration = Duration::from_secs(5);
/// Names traces.
static TRACES: AtomicU64 = AtomicU64::new(1);

/// All of it but joining, which needs no token.
pub async fn route(shared: &Shared, path: &[&str], asking: &Asking, text: &str) -> Outcome {
    match (&asking.method, path) {
        (&Method::GET, ["health"]) => health(shared, asking).await,
        (&Method::GET, ["events"]) => {
            asking.caller.must_be_admin("Reading events")?;
            events(shared, &asking.query)
        }
        (&Method::POST, ["trace"]) => trace(shared, asking).await,
        (&Method::POST, ["host-tokens"]) => {
            asking.caller.must_be_admin("Making host tokens")?;
            make_token(shared, asking).await
        }
        (_, ["health" | "events" | "trace" | "host-tokens"]) => {
            Err(ApiError::method_not_allowed(asking.method.as_str(), text))
        }
        _ => Err(ApiError::no_such_path(text)),
    }
}

fn shown(status: u16, body: &impl Serialize) -> Outcome {
    let body = serde_json::to_value(body).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok((status, body))
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let value = anet_api::json::parse(body)?;
    serde_json::from_value(value)
        .map_err(|error| ApiError::bad_request(format!("The body is not as expected: {error}.")))
}

async fn health(shared: &Shared, asking: &Asking) -> Outcome {
    let store = shared
        .driver
        .catch_up()
        .await
        .map(|_| ())
        .map_err(|error| error.message);
    shown(200, &tell::health(&shared.driver.state(), &asking.caller, store))
}

fn events(shared: &Shared, query: &str) -> Outcome {
    let (mut after, mut limit) = (0, tell::EVENTS_MAXIMUM);
    for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        let number: u64 = value
            .parse()
            .map_err(|_| ApiError::invalid(name, "expected a whole number"))?;
        match name {
            "after" => after = number,
            "limit" => limit = usize::try_from(number).unwrap_or(usize::MAX),
            other => return Err(ApiError::invalid(other, "expected after or limit")),
        }
    }
    shown(200, &tell::events(&shared.driver.state(), after, limit))
}

async fn trace(shared: &Shared, asking: &Asking) -> Outcome {
    let request: TraceRequest = decode(&asking.body)?;
    shared.driver.catch_up().await?;
    let (mut run, mut step) = Run::begin(shared.driver.state().mirror(), &asking.caller, &request)?;
    loop {
        match step {
            Step::Done(trace) => return shown(200, &trace),
            Step::Ask(host, request) => {
                let answer = ask(shared, &host, request).await;
                step = run.answered(shared.driver.state().mirror(), answer);
            }
        }
    }
}

async fn ask(shared: &Shared, host: &HostId, request: HostTraceRequest) -> Result<TraceReport, String> {
    let id = TRACES.fetch_add(1, Ordering::Relaxed);
    let (answered, waiting) = oneshot::channel();
    let traces = || shared.traces.lock().unwrap_or_else(PoisonError::into_inner);
    traces().insert(id, answered);
    let asked = shared
        .driver
        .act(|state, _| match state.trace(host, id, request) {
            Ok(effect) => (vec![effect], Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        });
    let answer = match asked {
        Ok(()) => tokio::time::timeout(TRACE, waiting).await,
        Err(error) => Ok(Ok(Err(error))),
    };
    traces().remove(&id);
    match answer {
        Ok(Ok(answer)) => answer,
        _ => Err(format!(
            "host {host} did not answer within {} s: look at its agent and switch",
            TRACE.as_secs()
        )),
    }
}

async fn make_token(shared: &Shared, asking: &Asking) -> Outcome {
    let request: HostTokenRequest = match asking.body.is_empty() {
        true => HostTokenRequest::default(),
        false => decode(&asking.body)?,
    };
    let host = request.host.as_deref().map(join::host_name).transpose()?;
    let secret = tokens::draw().map_err(|error| ApiError::internal(error.to_string()))?;
    let hash = tokens::hash(&secret);
    let mut expires_at = 0;
    shared
        .driver
        .write(None, |state, draw| {
            let (proposal, ends) =
                join::admit_token(state.mirror(), &hash, host.clone(), request.valid_for_s, draw)?;
            expires_at = ends;
            Ok(proposal)
        })
        .await?;
    let token = JoinText {
        urls: shared.configuration.urls(),
        ca_sha256: shared.authority.fingerprint().to_string(),
        cluster: shared.authority.cluster().to_owned(),
        secret,
    };
    let token = HostToken {
        token: token.to_text(),
        expires_at: timestamp::to_text(expires_at),
    };
    shown(201, &token)
}

/// A host joins: its token goes, the host comes, and it gets its certificate. What a stranger can have refused is one subject for each
/// reason, so that guessing fills no list.
pub async fn join(shared: &Shared, body: &[u8]) -> Outcome {
    let request: JoinRequest = decode(body)?;
    let host = join::host_name(&request.host)?;
    let joined = admitted(shared, request, &host).await;
    let certificate = joined.inspect_err(|error| {
        let subject = format!("join {} {}", error.status, error.kind);
        shared
            .driver
            .refuse(&subject, format!("host {host} wanted to join: {}", error.message));
    })?;
    let text = format!("joined with key {}", certificate.fingerprint());
    shared.driver.tell(EventKind::HostJoined, Some(&host), text);
    let answer = JoinAnswer {
        host: host.to_string(),
        cluster: shared.authority.cluster().to_owned(),
        certificate: certificate.to_pem(),
        authority: shared.authority.certificate().to_pem(),
        controllers: shared.configuration.streams(),
    };
    shown(200, &answer)
}

/// The token first: nothing is signed for somebody who has none.
async fn admitted(shared: &Shared, request: JoinRequest, host: &HostId) -> Result<Certificate, ApiError> {
    let hash = tokens::hash(&request.secret);
    let token = token(shared, &hash).await?;
    join::fits(&token, host, shared.driver.now().wall_ms / 1_000)?;
    let certificate = sign(shared, host, &request.csr)?;
    let joining = Joining {
        hash,
        host: host.clone(),
        identity: certificate.fingerprint().to_string(),
        tunnel_address: request.tunnel_address,
        tunnel_port: request.tunnel_port,
        machine: request.machine,
    };
    let joined = shared
        .driver
        .write(None, |state, draw| {
            join::admit(state.mirror(), &joining, &token, draw)
        })
        .await;
    match joined {
        Ok(_) => Ok(certificate),
        // Somebody else may have used it in the same moment.
        Err(error) if error.status == 503 => {
            Err(self::token(shared, &joining.hash).await.err().unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}

fn sign(shared: &Shared, host: &HostId, request: &str) -> Result<Certificate, ApiError> {
    let (name, now) = (host.as_str(), SystemTime::now());
    let signed = shared
        .authority
        .sign_request(request, Role::Host, name, Names::none(), now, VALIDITY);
    signed.map_err(|error| ApiError::invalid("csr", error))
}

async fn token(shared: &Shared, hash: &str) -> Result<JoinToken, ApiError> {
    let get = async |key| {
        shared
            .driver
            .store
            .get(key)
            .await
            .map_err(|error| of_store(&error))
    };
    let internal = |error: record::RecordError| ApiError::internal(error.to_string());
    if let Some(token) = get(keys::join_token(hash)).await? {
        return record::decode("a join token", &token.value).map_err(internal);
    }
    let used = get(keys::used_token(hash)).await?;
    let used: Option<UsedToken> = used
        .map(|used| record::decode("a used token", &used.value))
        .transpose()
        .map_err(internal)?;
    Err(join::refuse_token(used.as_ref()))
}
