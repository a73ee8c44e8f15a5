//! Who is told: commands are run, webhooks are called.
//!
//! A backup that fails in silence is found out on the day that it is needed. What is told here never holds a
//! passphrase or a key, no webhook can hold up a run for longer than half a minute, and one that fails is named and
//! changes nothing of what happened.

mod webhook;

use std::fs::File;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::config::Hook;
use crate::error::{Error, Kind, Result};

/// What happened, or is about to. The fields are the body of a webhook; in capitals and with `DURAMEN_` before them
/// they are the environment of a command.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Notice {
    /// `before`, `after`, `failure`.
    pub event: &'static str,
    /// `run`, `start`, `snapshot`, `forget`, `prune`, `check`.
    pub job: &'static str,
    /// Name of the source, where it is about one.
    pub source: Option<String>,
    /// `ok`, `partial`, `damage`, `failed`; none before the work.
    pub result: Option<&'static str>,
    /// The exit code that it alone would have.
    pub exit_code: Option<u8>,
    /// A sentence about it.
    pub message: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// The snapshot that was taken.
    pub snapshot_id: Option<String>,
    /// RFC 3339.
    pub started: Option<String>,
    /// RFC 3339.
    pub finished: Option<String>,
    /// This machine.
    pub host: String,
    /// Where the repository is.
    pub repository: String,
    /// The configuration file.
    pub config: String,
    /// The log file.
    pub log: String,
    /// All of it in one line, for chats that show nothing else.
    pub text: String,
}

impl Notice {
    /// As environment variables; what has no value is empty, so that nothing of an outer run shows through.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![
            ("DURAMEN_EVENT", self.event.into()),
            ("DURAMEN_JOB", self.job.into()),
            ("DURAMEN_SOURCE", or_empty(&self.source)),
            ("DURAMEN_RESULT", self.result.unwrap_or_default().into()),
            (
                "DURAMEN_EXIT_CODE",
                self.exit_code
                    .map(|code| code.to_string())
                    .unwrap_or_default(),
            ),
            ("DURAMEN_MESSAGE", or_empty(&self.message)),
            ("DURAMEN_HINT", or_empty(&self.hint)),
            ("DURAMEN_SNAPSHOT_ID", or_empty(&self.snapshot_id)),
            ("DURAMEN_STARTED", or_empty(&self.started)),
            ("DURAMEN_FINISHED", or_empty(&self.finished)),
            ("DURAMEN_HOST", self.host.clone()),
            ("DURAMEN_REPOSITORY", self.repository.clone()),
            ("DURAMEN_CONFIG", self.config.clone()),
            ("DURAMEN_LOG", self.log.clone()),
            ("DURAMEN_TEXT", self.text.clone()),
        ]
    }
}

/// Tells one hook. What a command prints goes to `output`.
///
/// # Errors
/// [`Kind::Failed`] naming the hook where the command ends with anything but 0, or the webhook was not accepted.
pub fn tell(hook: &Hook, notice: &Notice, output: &File) -> Result<()> {
    match hook {
        Hook::Command(command) => run(command, notice, output),
        Hook::Webhook(url) => webhook::post(url, notice).map_err(|what| {
            Error::new(Kind::Failed, what)
                .subject(format!("webhook {}", hook.shown()))
                .hint("the URL stands in the configuration; try it with curl")
        }),
    }
}

fn run(command: &str, notice: &Notice, output: &File) -> Result<()> {
    let named = || format!("hook {command:?}");
    let to = || {
        output
            .try_clone()
            .map_err(|error| Error::io_named("open the output of", named(), error))
    };
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .envs(notice.variables())
        // It may be anybody's program, and has no need of what opens the repository.
        .env_remove("DURAMEN_PASSWORD")
        .stdin(Stdio::null())
        .stdout(to()?)
        .stderr(to()?)
        .status()
        .map_err(|error| Error::io_named("start", named(), error))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(Kind::Failed, format!("failed ({status})"))
        .subject(named())
        .hint("what it printed stands in the log"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn notice() -> Notice {
        Notice {
            event: "failure",
            job: "snapshot",
            source: Some("home".into()),
            result: Some("failed"),
            exit_code: Some(1),
            message: Some("no \"space\" left\nat $HOME".into()),
            text: "web1: it failed".into(),
            ..Notice::default()
        }
    }

    #[test]
    fn commands_see_what_happened_and_fail_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let output = File::create(folder.path().join("output")).unwrap();
        let seen = folder.path().join("seen");
        let command = format!(
            "echo printed; echo \"$DURAMEN_JOB:$DURAMEN_SOURCE:$DURAMEN_EXIT_CODE:$DURAMEN_MESSAGE:$DURAMEN_HINT\" > {}",
            seen.display()
        );
        tell(&Hook::Command(command), &notice(), &output).unwrap();
        assert_eq!(
            std::fs::read_to_string(seen).unwrap(),
            "snapshot:home:1:no \"space\" left\nat $HOME:\n"
        );
        let printed = std::fs::read_to_string(folder.path().join("output")).unwrap();
        assert_eq!(printed, "printed\n");
        let error = tell(&Hook::Command("exit 7".into()), &notice(), &output).unwrap_err();
        assert!(error.to_string().contains("exit 7"), "{error}");
        assert!(error.to_string().contains("exit status: 7"), "{error}");
    }

    /// Answers one request with `status` and hands back what was asked.
    fn answer(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "http://{}/services/secret-token",
            listener.local_addr().unwrap()
        );
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let got = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..got]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let length = text
                    .to_lowercase()
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
                if got == 0 || length.is_some() && length == body {
                    break;
                }
            }
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8(request).unwrap()
        });
        (url, server)
    }

    #[test]
    fn webhooks_are_told_in_json() {
        let folder = tempfile::tempdir().unwrap();
        let output = File::create(folder.path().join("output")).unwrap();
        let (url, server) = answer("204 No Content");
        tell(&Hook::Webhook(url), &notice(), &output).unwrap();
        let request = server.join().unwrap();
        assert!(
            request.starts_with("POST /services/secret-token HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("content-type: application/json"),
            "{request}"
        );
        let body = request.split_once("\r\n\r\n").unwrap().1;
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["job"], "snapshot");
        assert_eq!(body["result"], "failed");
        assert_eq!(body["text"], "web1: it failed");
        assert_eq!(body["snapshot_id"], serde_json::Value::Null);
    }

    #[test]
    fn a_webhook_that_fails_is_named_without_its_secret() {
        let folder = tempfile::tempdir().unwrap();
        let output = File::create(folder.path().join("output")).unwrap();
        let (url, server) = answer("500 Oh");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = format!("http://{}/secret-token", nobody.local_addr().unwrap());
        drop(nobody);
        for url in [url, gone, "http://no such host/secret-token".into()] {
            let error = tell(&Hook::Webhook(url.clone()), &notice(), &output).unwrap_err();
            let said = format!("{error} {:?}", error.hint_text());
            assert!(!said.contains("secret"), "{said}");
            assert!(said.contains("http://"), "{said}");
        }
        server.join().unwrap();
    }
}
