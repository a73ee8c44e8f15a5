//! `duramen key list|add|remove|passwd|rotate`.

use std::path::Path;
use std::process::ExitCode;

use duramen::error::{Kind, Result};
use duramen::ops::key::{self, SlotInfo};
use serde::Serialize;

use super::{init, recovery};
use crate::cli::args::{AddArgs, KeyCommand, PasswdArgs, RemoveArgs};
use crate::cli::context::{Context, usage};
use crate::cli::credentials::{self, Origin, origins};
use crate::cli::output::{self, put};
use crate::cli::{exit, opening, text, time};

#[derive(Serialize)]
struct SlotObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_type: Option<&'static str>,
    id: String,
    short_id: String,
    current: bool,
    kind: &'static str,
    created: String,
    label: String,
    #[serde(rename = "hostName")]
    host: String,
    #[serde(rename = "userName")]
    user: String,
    kdf: Option<KdfObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file_generated: Option<bool>,
}

#[derive(Serialize)]
struct KdfObject {
    algorithm: &'static str,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    seconds: Option<f64>,
}

impl SlotObject {
    fn of(slot: &SlotInfo, message_type: Option<&'static str>) -> Self {
        Self {
            message_type,
            id: slot.id.hex(),
            short_id: slot.id.short(),
            current: slot.current,
            kind: slot.kind,
            created: time::rfc3339(slot.created),
            label: slot.label.clone(),
            host: slot.host.clone(),
            user: slot.user.clone(),
            kdf: slot.kdf.map(|(memory_kib, passes, lanes)| KdfObject {
                algorithm: "argon2id",
                memory_kib,
                passes,
                lanes,
                seconds: slot.kdf_seconds,
            }),
            key_file: None,
            key_file_generated: None,
        }
    }
}

/// `duramen key ...`.
pub fn run(context: &Context, command: &KeyCommand) -> Result<ExitCode> {
    match command {
        KeyCommand::List(_) => list(context),
        KeyCommand::Add(args) => add(context, args),
        KeyCommand::Remove(args) => remove(context, args),
        KeyCommand::Passwd(args) => passwd(context, args),
        KeyCommand::Rotate(_) => rotate(context),
        KeyCommand::Export(_) => recovery::export(context),
        KeyCommand::Import(args) => recovery::import(context, args),
    }
}

fn list(context: &Context) -> Result<ExitCode> {
    let reporter = context.reporter_beside_results("key list");
    let repository = opening::open(context, &reporter)?;
    let slots = key::list(&repository, true)?;
    reporter.finish();
    let text = if context.global.json {
        let objects: Vec<SlotObject> = slots
            .iter()
            .map(|slot| SlotObject::of(slot, None))
            .collect();
        output::json_line(&objects)?
    } else {
        table(&slots)
    };
    output::results(|out| put(out, text.as_bytes()))?;
    Ok(exit::DONE)
}

fn table(slots: &[SlotInfo]) -> String {
    let heads = [
        "",
        "id",
        "kind",
        "created",
        "by",
        "label",
        "one guess takes",
    ];
    let mut rows = vec![heads.map(String::from).to_vec()];
    for slot in slots {
        let cost = match (slot.kdf, slot.kdf_seconds) {
            (Some((memory, passes, lanes)), seconds) => format!(
                "{}{} MiB, {}, {}",
                seconds
                    .map(|seconds| format!("{seconds:.2} s, "))
                    .unwrap_or_default(),
                memory / 1024,
                text::plural(passes.into(), "pass", "passes"),
                text::plural(lanes.into(), "lane", "lanes")
            ),
            (None, _) => "cannot be guessed".into(),
        };
        rows.push(vec![
            if slot.current { "*" } else { "" }.into(),
            slot.id.short(),
            slot.kind.into(),
            time::local(slot.created),
            text::safe(&format!("{}@{}", slot.user, slot.host)),
            text::safe(&slot.label),
            cost,
        ]);
    }
    text::table(&rows, &[])
}

/// Where a new slot's secret comes from: flags go before `DURAMEN_NEW_PASSWORD`, and without either somebody must be
/// there to be asked. Before the repository is opened, so that nothing is asked in vain.
fn new_origins<'a>(
    context: &'a Context,
    mut named: Vec<Origin<'a>>,
    flags: &str,
) -> Result<Vec<Origin<'a>>> {
    if named.is_empty() {
        named.extend(
            context
                .environment
                .new_password
                .as_ref()
                .map(Origin::Password),
        );
    }
    if named.is_empty() && !context.environment.can_ask {
        return Err(
            usage("nothing was given for the new key slot").hint(format!(
                "name it with {flags}, or put a passphrase into DURAMEN_NEW_PASSWORD"
            )),
        );
    }
    Ok(named)
}

fn add(context: &Context, args: &AddArgs) -> Result<ExitCode> {
    let named = origins(
        args.new_password_file.as_ref(),
        args.new_password_command.as_deref(),
        args.new_key_file.as_ref(),
    );
    let flags = "--new-password-file, --new-password-command or --new-key-file";
    let named = new_origins(context, named, flags)?;
    let reporter = context.reporter_beside_results("key add");
    let repository = opening::open(context, &reporter)?;
    let (credential, key_file) = match named.as_slice() {
        [] => (
            reporter.aside(|| credentials::ask_new("the new key slot"))?,
            None,
        ),
        [Origin::KeyFile(path)] => init::key_file(path)?,
        [one] => (one.read()?, None),
        _ => return Err(credentials::several()),
    };
    let slot = key::add(&repository, &credential, &args.label)?;
    reporter.finish();
    let mut object = SlotObject::of(&slot, Some("key_added"));
    object.key_file = key_file.as_ref().map(|(path, _)| name(path));
    object.key_file_generated = key_file.as_ref().map(|(_, generated)| *generated);
    context.tell(&object, || {
        let mut words = format!("key slot {} added ({})\n", slot.id.short(), slot.kind);
        if let Some((path, true)) = &key_file {
            words.push_str(&format!(
                "generated the key file {}\n",
                text::safe(&name(path))
            ));
        }
        words
    })?;
    Ok(exit::DONE)
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn remove(context: &Context, args: &RemoveArgs) -> Result<ExitCode> {
    let reporter = context.reporter_beside_results("key remove");
    let repository = opening::open(context, &reporter)?;
    let slot = key::remove(&repository, &args.slot, args.force).map_err(|error| {
        match (error.kind(), error.hint_text()) {
            (Kind::NotFound, None) => error.hint("duramen key list shows them all"),
            _ => error,
        }
    })?;
    reporter.finish();
    context.tell(&SlotObject::of(&slot, Some("key_removed")), || {
        format!("key slot {} removed ({})\n", slot.id.short(), slot.kind)
    })?;
    Ok(exit::DONE)
}

fn passwd(context: &Context, args: &PasswdArgs) -> Result<ExitCode> {
    let named = origins(
        args.new_password_file.as_ref(),
        args.new_password_command.as_deref(),
        None,
    );
    let flags = "--new-password-file or --new-password-command";
    let named = new_origins(context, named, flags)?;
    let reporter = context.reporter_beside_results("key passwd");
    let repository = opening::open(context, &reporter)?;
    let credential = match named.first() {
        Some(origin) => origin.read()?,
        None => reporter.aside(|| credentials::ask_new("the repository"))?,
    };
    let old = repository.current_slot();
    let slot = key::passwd(&repository, &credential)?;
    reporter.finish();
    context.tell(&SlotObject::of(&slot, Some("key_changed")), || {
        format!(
            "passphrase changed: key slot {} takes the place of {}\n",
            slot.id.short(),
            old.short()
        )
    })?;
    Ok(exit::DONE)
}

#[derive(Serialize)]
struct RotatedObject {
    message_type: &'static str,
    epoch: u32,
}

fn rotate(context: &Context) -> Result<ExitCode> {
    let reporter = context.reporter_beside_results("key rotate");
    let repository = opening::open(context, &reporter)?;
    let epoch = key::rotate(&repository)?;
    reporter.finish();
    let object = RotatedObject {
        message_type: "key_rotated",
        epoch,
    };
    context.tell(&object, || {
        format!("sealing key {epoch} made; whatever starts from now on seals with it\n")
    })?;
    Ok(exit::DONE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::json::tests::documented;
    use duramen::id::SlotId;

    fn slot() -> SlotInfo {
        SlotInfo {
            id: SlotId([0xab; 16]),
            kind: "passphrase",
            created: 0,
            label: "l\n".into(),
            host: "h".into(),
            user: "u".into(),
            current: true,
            kdf: Some((65_536, 3, 1)),
            kdf_seconds: Some(0.512),
        }
    }

    #[test]
    fn slots_for_people_and_for_scripts() {
        let shown = table(&[slot()]);
        let line = shown.lines().nth(1).unwrap();
        assert!(line.starts_with("*  abababab  passphrase"), "{line}");
        assert!(
            line.ends_with("u@h  l\\n    0.51 s, 64 MiB, 3 passes, 1 lane"),
            "{line}"
        );
        let object = documented("key", &SlotObject::of(&slot(), None));
        assert_eq!(object["current"], true);
        assert_eq!(object["userName"], "u");
        assert_eq!(object["kdf"]["memory_kib"], 65_536);
        assert!(object.get("key_file").is_none());
        let rotated = RotatedObject {
            message_type: "key_rotated",
            epoch: 2,
        };
        documented("key", &rotated);
    }
}
