//! An agent with a plan and no data plane: it joins, connects, applies, acknowledges.

use std::time::{Duration, SystemTime};

use anet_cluster::Bytes;
use anet_cluster::bus::direct::{Settings, Stream, connect};
use anet_cluster::trust::{Certificate, ClientTls, Clock, Credentials, KeyPair, Role, Verifier};
use anet_model::state::{Cursor, PlanState};
use anet_wire::codec::{decode_controller_message, decode_signed_changeset, encode_agent_message};
use anet_wire::control::report::{LinkState, PortState};
use anet_wire::control::trace::{TraceReport, TraceVerdict};
use anet_wire::session::{
    AgentHello, AgentMessage, AgentReport, CHANGESET_PURPOSE, ControllerMessage, VswitchState,
};
use serde_json::json;

use super::http::{Client, Reply};

/// A host.
pub struct Agent {
    pub name: String,
    pub credentials: Credentials,
    pub state: PlanState,
    pub instance: u64,
    endpoint: String,
    stream: Option<Stream>,
}

/// A secret out of a new token.
pub fn secret(client: &Client, host: Option<&str>) -> String {
    let reply = client.post("/anet/v1/host-tokens", json!({"host": host}));
    assert_eq!(reply.status, 201, "{reply:?}");
    let text = reply.body["token"]
        .as_str()
        .unwrap()
        .strip_prefix("anet1.")
        .unwrap()
        .to_owned();
    let json: serde_json::Value = serde_json::from_slice(&unbase64(&text)).unwrap();
    json["secret"].as_str().unwrap().to_owned()
}

fn unbase64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    let (mut group, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        group = group << 6 | u32::from(digit(byte));
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 0xFF) as u8);
        }
    }
    bytes
}

/// Asks to join; answers the reply and the key.
pub fn ask_to_join(client: &Client, name: &str, secret: &str, tunnel: &str) -> (Reply, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let body = json!({"secret": secret, "host": name, "csr": key.signing_request().unwrap(), "tunnel_address": tunnel});
    let mut nobody = client.clone();
    nobody.token.clear();
    (nobody.post("/anet/v1/join", body), key)
}

impl Agent {
    pub fn join(client: &Client, name: &str, tunnel: &str) -> Self {
        Self::join_with(client, name, &secret(client, None), tunnel)
    }

    pub fn join_with(client: &Client, name: &str, secret: &str, tunnel: &str) -> Self {
        let (reply, key) = ask_to_join(client, name, secret, tunnel);
        assert_eq!(reply.status, 200, "{reply:?}");
        let pem = |field: &str| Certificate::from_pem(reply.body[field].as_str().unwrap()).unwrap();
        Self {
            name: name.to_owned(),
            credentials: Credentials::new(key, pem("certificate"), pem("authority")).unwrap(),
            state: PlanState::default(),
            instance: 1,
            endpoint: reply.body["controllers"][0].as_str().unwrap().to_owned(),
            stream: None,
        }
    }

    pub async fn connect(&mut self) {
        let tls = ClientTls::new(&self.credentials, Role::Controller, Clock::system()).unwrap();
        let stream = connect(std::slice::from_ref(&self.endpoint), &tls, &Settings::default())
            .await
            .unwrap();
        self.stream = Some(stream);
        let hello = AgentHello {
            protocol: anet_wire::session::PROTOCOL,
            software: "anet-agent test".to_owned(),
            host: self.name.parse().unwrap(),
            instance: self.instance,
            cursor: self.state.cursor(),
            digest: self.state.digest().total(),
            machine: "test".to_owned(),
        };
        self.say(&AgentMessage::Hello(hello)).await;
    }

    pub async fn say(&mut self, message: &AgentMessage) {
        let stream = self.stream.as_mut().unwrap();
        stream
            .sender
            .send(Bytes::from(encode_agent_message(message)))
            .await
            .unwrap();
    }

    /// The next message, or `None` when the stream has ended.
    pub async fn hear(&mut self) -> Option<ControllerMessage> {
        let stream = self.stream.as_mut().unwrap();
        let bytes = tokio::time::timeout(Duration::from_secs(60), stream.receiver.receive())
            .await
            .unwrap();
        Some(decode_controller_message(&bytes.ok()?).unwrap())
    }

    /// Applies a changeset and acknowledges it.
    pub async fn apply(&mut self, envelope: Vec<u8>) -> Cursor {
        let verifier = Verifier::new(self.credentials.authority()).unwrap();
        let opened = verifier
            .open(CHANGESET_PURPOSE, Bytes::from(envelope), SystemTime::now())
            .unwrap();
        assert_eq!(opened.signer.identity.role(), Role::Controller);
        let signed = decode_signed_changeset(&opened.payload).unwrap();
        assert_eq!(signed.host.as_str(), self.name);
        self.state.apply(&signed.changeset).unwrap();
        let cursor = self.state.cursor();
        let digest = self.state.digest().total();
        self.say(&AgentMessage::Acknowledged { cursor, digest }).await;
        cursor
    }

    /// Applies what comes until the plan is as wanted; traces are answered on the way.
    pub async fn until(&mut self, wanted: impl Fn(&PlanState) -> bool) {
        while !wanted(&self.state) {
            match self.hear().await.expect("the stream is open") {
                ControllerMessage::Changeset(envelope) => {
                    self.apply(envelope).await;
                }
                ControllerMessage::Welcome { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reports that all its ports are up.
    pub async fn report(&mut self) {
        let ports = self.state.plan().ports.keys();
        let ports = ports.map(|port| PortState {
            port: port.clone(),
            link: LinkState::Up,
        });
        let report = AgentReport {
            cursor: self.state.cursor(),
            digest: self.state.digest().total(),
            ports: ports.collect(),
            not_durable: None,
            vswitch: VswitchState::Up,
        };
        self.say(&AgentMessage::Report(report)).await;
    }

    /// Answers the next trace, whatever comes before it.
    pub async fn answer_trace(&mut self, verdict: TraceVerdict) {
        loop {
            match self.hear().await.expect("the stream is open") {
                ControllerMessage::Trace { id, .. } => {
                    let answer = Ok(TraceReport {
                        steps: Vec::new(),
                        verdict,
                    });
                    return self.say(&AgentMessage::TraceAnswer { id, answer }).await;
                }
                ControllerMessage::Changeset(envelope) => {
                    self.apply(envelope).await;
                }
                _ => {}
            }
        }
    }
}
