//! A request's body: all of it, within bounds of size and time.

use std::time::Duration;

use anet_api::ApiError;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

/// The largest body.
pub const BODY_MAXIMUM: usize = 1024 * 1024;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The largest body of somebody who is not known yet.
pub const STRANGERS_MAXIMUM: usize = 64 * 1024;

/// Reads a body of at most so many bytes.
pub async fn read(headers: &HeaderMap, body: Incoming, maximum: usize) -> Result<Vec<u8>, ApiError> {
    let told = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|length| length > maximum as u64) {
        return Err(too_large(maximum));
    }
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        let text = "A compressed body is not accepted: send it as it is.";
        return Err(ApiError::new(415, "HTTPUnsupportedMediaType", text));
    }
    let all = tokio::time::timeout(BODY_TIME, Limited::new(body, maximum).collect()).await;
    match all {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(maximum)),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("The body broke off: {error}."))),
        Err(_) => {
            let text = format!("The body took longer than {} s.", BODY_TIME.as_secs());
            Err(ApiError::new(408, "HTTPRequestTimeout", text))
        }
    }
}

fn too_large(maximum: usize) -> ApiError {
    ApiError::too_large(format!(
        "The body is larger than {maximum} bytes: ask for fewer objects at once."
    ))
}
