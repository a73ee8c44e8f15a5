//! cron and systemd, the real ones: what is installed, what is left alone, and that what was installed works.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::nights::{Night, as_cron_does, words};
use crate::common::facility::need_root;
use crate::common::place::Run;

const CONFIG: &str = "[sources.tree]\npaths = \"../tree\"\n[retention]\nkeep-last = 1\n[schedule]\nprune = \"daily at 03:30\"\n";

/// The table of users takes one change at a time.
static USERS: Mutex<()> = Mutex::new(());

/// A user of this test alone, so that nobody's crontab is touched.
struct User {
    name: String,
}

impl User {
    fn new(word: &str) -> Self {
        need_root();
        let user = Self {
            name: format!("dura{word}{}", std::process::id()),
        };
        let _one_at_a_time = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        user.done(
            Command::new("useradd")
                .args(["--no-create-home", "--home-dir", "/nonexistent"])
                .arg(&user.name),
        );
        user
    }

    fn done(&self, command: &mut Command) {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{command:?}: {output:?}");
    }

    /// Runs a command of the test as this user.
    fn run(&self, command: &Command) -> Run {
        let mut other = Command::new("setpriv");
        other.args([
            &format!("--reuid={}", self.name),
            &format!("--regid={}", self.name),
            "--clear-groups",
            "--",
        ]);
        other.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => other.env(name, value),
                None => other.env_remove(name),
            };
        }
        other.stdin(Stdio::null()).current_dir("/");
        Run::of(other)
    }

    fn crontab(&self) -> Option<String> {
        let output = Command::new("crontab")
            .args(["-l", "-u", &self.name])
            .output()
            .expect("the program crontab: install cron");
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn set_crontab(&self, content: &str) {
        use std::io::Write;
        let mut child = Command::new("crontab")
            .args(["-u", &self.name, "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(content.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _one_at_a_time = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = Command::new("crontab")
            .args(["-r", "-u", &self.name])
            .output();
        let _ = Command::new("userdel").arg(&self.name).output();
    }
}

/// A night whose every file belongs to a user of its own.
fn night_of(user: &User, name: &str) -> Night {
    let mut night = Night::new(name, CONFIG);
    night.place.open_to_all();
    night.place.scratch.folder("home");
    user.done(
        Command::new("chown")
            .args(["-R", &user.name])
            .arg(night.place.scratch.path()),
    );
    night
}

#[test]
fn the_installed_lines_run_and_other_lines_stay() {
    let user = User::new("cron");
    let night = night_of(&user, "cron");
    let other = "# mine  \n\nMAILTO=\"\"\n5 4 * * *\techo \"100\\% mine\"\n";
    for before in [None, Some(other)] {
        if let Some(before) = before {
            user.set_crontab(before);
        }
        let install = night.command(&["schedule", "install", "--with", "cron"]);
        let said = user
            .run(&night.command(&["schedule", "install", "--with", "cron", "--dry-run"]))
            .ok();
        assert!(words(&said.stdout).contains("30 3 * * * "), "{said}");
        assert_eq!(user.crontab().as_deref(), before, "a dry run wrote");
        user.run(&install).ok();
        let installed = user.crontab().unwrap();
        assert!(
            installed.starts_with(before.unwrap_or_default()),
            "{installed}"
        );
        let said = user.run(&install).ok();
        assert!(words(&said.stdout).contains("there already"), "{said}");
        assert_eq!(user.crontab().unwrap(), installed, "twice is not once");
        let shown = user
            .run(&night.command(&["schedule", "show", "--json"]))
            .ok();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["installed"][0]["with"], "cron");
        assert_eq!(shown["installed"][0]["up_to_date"], true);
        // A changed configuration is noticed, and replaces what stands there.
        night.write(&CONFIG.replace("[schedule]", "[schedule]\nsnapshot = \"hourly at 5\""));
        let shown = user.run(&night.command(&["schedule", "show"])).ok();
        assert!(words(&shown.stdout).contains("install it again"), "{shown}");
        user.run(&install).ok();
        let changed = user.crontab().unwrap();
        assert!(
            changed.contains("\n5 * * * * ") && !changed.contains("# snapshot tree: daily"),
            "{changed}"
        );
        night.write(CONFIG);
        user.run(&install).ok();
        assert_eq!(user.crontab().unwrap(), installed);
        user.run(&night.command(&["schedule", "remove"])).ok();
        assert_eq!(user.crontab().as_deref(), before);
    }
}

#[test]
fn an_installed_line_takes_a_snapshot_forgets_prunes_and_mails_failures() {
    let user = User::new("line");
    let night = night_of(&user, "line");
    user.run(&night.command(&["schedule", "install", "--with", "cron"]))
        .ok();
    let crontab = user.crontab().unwrap();
    let line = crontab
        .lines()
        .find(|line| line.starts_with("30 3"))
        .unwrap();
    let home = night.place.at("home");
    let output = as_cron_does(line, &home);
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    let log = night.log();
    for job in ["snapshot tree: ok", "forget: ok", "prune: ok", "check: ok"] {
        assert!(log.contains(job), "{job}\n{log}");
    }
    assert_eq!(night.place.snapshots().len(), 1);
    // What fails is printed, for cron to mail, and does not end with 0.
    fs::rename(night.place.at("tree"), night.place.at("away")).unwrap();
    let output = as_cron_does(&format!("{line} --force"), &home);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("duramen: snapshot tree: failed"), "{said}");
}

#[test]
fn nothing_is_installed_that_could_not_run_alone() {
    let night = Night::new("alone", CONFIG);
    let refused = |command: Command, part: &str| {
        let run = Run::of(command);
        assert_eq!(run.code, Some(2), "{run}");
        assert!(words(&run.stderr).contains(part), "{part}: {run}");
    };
    let args = ["schedule", "install", "--with", "cron", "--dry-run"];
    let mut command = night.command(&args);
    command.args(["-r", "/elsewhere"]);
    refused(command, "not known at night");
    fs::write(
        &night.config,
        format!("repository = {:?}\n{CONFIG}", night.place.repository),
    )
    .unwrap();
    let mut command = night.command(&args);
    command.env("DURAMEN_KEY_FILE", &night.place.key);
    refused(command, "nobody can be asked");
    night.write("[schedule]\nsnapshot = \"never\"\nprune = \"never\"\ncheck = \"never\"\n");
    refused(night.command(&args), "nothing is ever due");
    let mut command = night.place.bare();
    command.args(["schedule", "install", "--with", "cron"]);
    refused(command, "no configuration");
}

/// The units of a dry run, written below `folder` by their names.
fn written(night: &Night, with: &str, folder: &PathBuf) -> Vec<PathBuf> {
    let run = night
        .run(&["schedule", "install", "--with", with, "--dry-run", "--json"])
        .ok();
    let object: Value = serde_json::from_slice(&run.stdout).unwrap();
    fs::create_dir_all(folder).unwrap();
    let files = object["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let path = PathBuf::from(file["path"].as_str().unwrap());
            let path = folder.join(path.file_name().unwrap());
            fs::write(&path, file["text"].as_str().unwrap()).unwrap();
            path
        })
        .collect()
}

#[test]
fn systemd_finds_no_fault_with_the_units() {
    let night = Night::new(
        "units",
        &format!("{CONFIG}jitter = \"10m\"\ncheck = \"weekdays at 18:00\"\n"),
    );
    for (with, manager) in [("systemd", "--system"), ("systemd-user", "--user")] {
        let folder = night.place.at(with);
        let units = written(&night, with, &folder);
        assert_eq!(units.len(), 2);
        let runtime = night.place.scratch.folder("runtime");
        let output = Command::new("systemd-analyze")
            .arg("verify")
            .arg("--man=no")
            .arg(manager)
            .args(&units)
            .env("XDG_RUNTIME_DIR", runtime)
            .output()
            .expect("the program systemd-analyze: install systemd");
        let said = format!("{}{}", words(&output.stdout), words(&output.stderr));
        assert!(output.status.success() && said.is_empty(), "{with}: {said}");
        let timer =
            fs::read_to_string(units.iter().find(|unit| unit.ends_with_timer()).unwrap()).unwrap();
        for line in timer
            .lines()
            .filter_map(|line| line.strip_prefix("OnCalendar="))
        {
            let output = Command::new("systemd-analyze")
                .args(["calendar", line])
                .output()
                .unwrap();
            assert!(output.status.success(), "{line}: {output:?}");
        }
    }
}

trait IsTimer {
    fn ends_with_timer(&self) -> bool;
}

impl IsTimer for PathBuf {
    fn ends_with_timer(&self) -> bool {
        self.extension().is_some_and(|end| end == "timer")
    }
}

#[test]
fn units_of_a_user_are_written_and_taken_away() {
    let night = Night::new("user-units", CONFIG);
    let run = night.run(&["schedule", "install", "--with", "systemd-user"]);
    let folder = night.place.at("home/.config/systemd/user");
    let there = || {
        let mut names: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let names = there();
    assert_eq!(names.len(), 2, "{run}");
    assert!(
        names[0].starts_with("duramen-") && names[0].ends_with(".service"),
        "{names:?}"
    );
    fs::write(folder.join("other.timer"), "[Timer]\n").unwrap();
    night.run(&["schedule", "remove", "--with", "systemd-user"]);
    assert_eq!(there(), ["other.timer"]);
}
