//! Telling a URL.

use std::time::Duration;

use serde::Serialize;

/// Longest time that a name, a connection and an answer may take together.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time for the connection alone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends `body` as JSON by POST; any answer from 200 to 299 will do. What went wrong comes back as a sentence in which
/// the URL does not stand.
pub fn post(url: &str, body: &impl Serialize) -> Result<(), String> {
    let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        // The body would not follow, and the URL is as long-lived as the configuration.
        .max_redirects(0)
        // No setting of the environment: at night it would be another one.
        .proxy(None)
        .user_agent(concat!("duramen/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let answer = agent
        .post(url)
        .header("content-type", "application/json")
        .send(&body[..]);
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!(
            "it answered with status {}",
            answer.status().as_u16()
        )),
        Err(ureq::Error::StatusCode(status)) => Err(format!("it answered with status {status}")),
        Err(ureq::Error::Timeout(_)) => Err("it did not answer in time".into()),
        Err(ureq::Error::HostNotFound) => Err("there is no such host".into()),
        Err(ureq::Error::Io(error)) => Err(format!("it cannot be reached: {error}")),
        // These repeat the URL.
        Err(ureq::Error::BadUri(_) | ureq::Error::Http(_)) => Err("not a URL".into()),
        Err(error) => Err(format!("it cannot be told: {error}")),
    }
}
