//! Frames and calls over a stream.

use std::io::{Cursor, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use anet_model::changeset::{Change, Changeset};
use anet_model::host_plan::AddressSet;
use anet_model::state::PlanState;
use anet_wire::client::{Client, ClientError, answer_hello};
use anet_wire::codec::{decode_request, encode_request, encode_response};
use anet_wire::control::{Hello, PROTOCOL, Refusal, Request, Response, common_protocol};
use anet_wire::frame::{
    FrameError, MESSAGE_MAXIMUM, REQUEST_MAXIMUM, read_frame, read_request_frame, write_frame,
};

/// A stream that announces a length and then holds `body`.
fn stream(length: usize, body: &[u8]) -> Cursor<Vec<u8>> {
    Cursor::new(
        [
            &u32::try_from(length).expect("a short length").to_be_bytes(),
            body,
        ]
        .concat(),
    )
}

#[test]
fn frames_come_back_one_by_one_until_the_end() {
    let mut written = Vec::new();
    for message in [&b"one"[..], b"", b"three"] {
        write_frame(&mut written, message).unwrap();
    }
    let mut reader = Cursor::new(written);
    let mut next = || read_frame(&mut reader, 10).unwrap();
    assert_eq!(next().as_deref(), Some(&b"one"[..]));
    assert_eq!(next().as_deref(), Some(&b""[..]));
    assert_eq!(next().as_deref(), Some(&b"three"[..]));
    assert_eq!(next(), None);
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_an_error() {
    for cut in 1..7 {
        let whole = stream(3, b"abc").into_inner();
        let outcome = read_frame(&mut Cursor::new(&whole[..cut]), 10);
        assert!(matches!(outcome, Err(FrameError::Stream(_))), "cut at {cut}");
    }
}

#[test]
fn only_a_changeset_may_be_long() {
    let long = |outcome| matches!(outcome, Err(FrameError::TooLong { .. }));
    assert!(long(read_frame(&mut stream(11, &[0; 11]), 10)));
    assert!(long(read_request_frame(&mut stream(
        MESSAGE_MAXIMUM + 1,
        &[0x12]
    ))));
    assert!(long(read_request_frame(&mut stream(
        REQUEST_MAXIMUM + 1,
        &[0x0a; 80_000]
    ))));
    let body = [&[0x12][..], &[0; REQUEST_MAXIMUM]].concat();
    let read = read_request_frame(&mut stream(body.len(), &body))
        .unwrap()
        .unwrap();
    assert_eq!(read, body);
    assert!(matches!(
        read_request_frame(&mut stream(MESSAGE_MAXIMUM, &[0x12])),
        Err(FrameError::Stream(_))
    ));
}

#[test]
fn versions_n_and_n_minus_one_understand_each_other() {
    assert_eq!(common_protocol(PROTOCOL), Some(PROTOCOL));
    assert_eq!(
        common_protocol(PROTOCOL + 1),
        Some(PROTOCOL),
        "a newer client speaks ours"
    );
    assert_eq!(common_protocol(0), None);
    let old = answer_hello(
        &Hello {
            protocol: 0,
            software: "old 0".to_owned(),
        },
        "anet-vswitch 1",
    );
    assert!(matches!(old, Response::Error(reason) if reason.contains("replace old 0")));
}

/// Serves one connection with a plan and nothing else.
fn serve(mut stream: UnixStream) {
    let mut state = PlanState::default();
    while let Ok(Some(bytes)) = read_request_frame(&mut stream) {
        let answer = match decode_request(&bytes) {
            Ok(Request::Hello(hello)) => answer_hello(&hello, "test server"),
            Ok(Request::Apply(changeset)) => match state.apply(&changeset) {
                Ok(_) => Response::applied(&state),
                Err(error) => Response::refused(&state, &error),
            },
            Ok(_) => Response::Error("not here".to_owned()),
            Err(error) => Response::Error(error.to_string()),
        };
        write_frame(&mut stream, &encode_response(&answer)).expect("the client reads");
    }
}

#[test]
fn a_client_applies_changes() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(|| serve(theirs));
    let mut client = Client::greet(ours, "test").unwrap();
    assert_eq!(
        client.server(),
        &Hello {
            protocol: PROTOCOL,
            software: "test server".to_owned()
        }
    );
    let changes = vec![Change::AddressSet(
        "admins".parse().unwrap(),
        Some(AddressSet::default()),
    )];
    let changeset = Changeset {
        to: 1,
        changes,
        ..Changeset::default()
    };
    let applied = client.call(&Request::Apply(changeset.clone())).unwrap();
    assert!(
        matches!(applied, Response::Applied { revision: 1, .. }),
        "{applied:?}"
    );
    let again = client.call(&Request::Apply(changeset.clone())).unwrap();
    assert!(
        matches!(
            again,
            Response::Refused {
                refusal: Refusal::AlreadyApplied,
                revision: 1,
                ..
            }
        ),
        "{again:?}"
    );
    let gap = client
        .call(&Request::Apply(Changeset {
            from: 5,
            to: 6,
            ..changeset
        }))
        .unwrap();
    assert!(
        matches!(
            gap,
            Response::Refused {
                refusal: Refusal::SnapshotNeeded,
                ..
            }
        ),
        "{gap:?}"
    );
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_server_that_hangs_up_or_talks_rubbish_is_an_error() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert!(Client::greet(ours, "test").is_err());
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let refusal = Response::Error("16 clients are connected already".to_owned());
    write_frame(&mut theirs, &encode_response(&refusal)).unwrap();
    drop(theirs);
    let error = Client::greet(ours, "test").unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(reason) if reason.starts_with("16 clients")),
        "the reason, though the hello could not be sent: {error}"
    );
    let (ours, _silent) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(Client::greet(ours, "test").unwrap_err().is_timeout());
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&[0, 0, 0, 1, 0xff]).unwrap();
    assert!(matches!(Client::greet(ours, "test"), Err(ClientError::Decode(_))));
    let mut asked = vec![
        0;
        4 + encode_request(&Request::Hello(Hello {
            protocol: PROTOCOL,
            software: "test".to_owned()
        }))
        .len()
    ];
    theirs.read_exact(&mut asked).unwrap();
}
