//! A request's body: all of it, within bounds of size and time.

use std::time::Duration;

use anet_api::ApiError;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// The largest body.
pub const BODY_MAXIMUM: usize = 1024 * 1024;
/// How much of a body that is too large is read before the connection is cut.
const THROWN_AWAY_MAXIMUM: usize = 16 * 1024 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The largest body of somebody who is not known yet.
pub const STRANGERS_MAXIMUM: usize = 64 * 1024;

/// Reads a body of at most so many bytes.
pub async fn read(headers: &HeaderMap, body: Incoming, maximum: usize) -> Result<Vec<u8>, ApiError> {
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        let text = "A compressed body is not accepted: send it as it is.";
        return Err(ApiError::new(415, "HTTPUnsupportedMediaType", text));
    }
    match tokio::time::timeout(BODY_TIME, collect(body, maximum)).await {
        Ok(read) => read,
        Err(_) => {
            let text = format!("The body took longer than {} s.", BODY_TIME.as_secs());
            Err(ApiError::new(408, "HTTPRequestTimeout", text))
        }
    }
}

/// What is too much is read and thrown away, up to a bound: a client that is still sending does not hear an answer.
async fn collect(mut body: Incoming, maximum: usize) -> Result<Vec<u8>, ApiError> {
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::bad_request(format!("The body broke off: {error}.")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        match length {
            length if length <= maximum => bytes.extend_from_slice(&data),
            length if length <= THROWN_AWAY_MAXIMUM => bytes = Vec::new(),
            _ => break,
        }
    }
    match length <= maximum {
        true => Ok(bytes),
        false => Err(ApiError::too_large(format!(
            "The body is larger than {maximum} bytes: ask for fewer objects at once."
        ))),
    }
}
