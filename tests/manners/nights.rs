//! Configuration and runs, as cron and people meet them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::place::{Place, Run};

/// A place with a tree, and a configuration below a folder whose name needs quoting.
pub struct Night {
    pub place: Place,
    pub config: PathBuf,
}

impl Night {
    pub fn new(name: &str, more: &str) -> Self {
        let place = Place::new(name);
        let tree = place.scratch.folder("tree");
        fs::write(tree.join("letter"), "Dear Ann").unwrap();
        fs::write(tree.join("note.tmp"), "milk").unwrap();
        let config = place
            .scratch
            .folder("with 100% blanks")
            .join("my duramen.toml");
        let night = Self { place, config };
        night.write(more);
        night
    }

    /// Writes the configuration: repository and key, and what the test wants more.
    pub fn write(&self, more: &str) {
        let content = format!(
            "repository = {:?}\nkey-file = \"../key\"\ncache-dir = \"../cache\"\n{more}",
            self.place.repository
        );
        fs::write(&self.config, content).unwrap();
    }

    /// The program, told of nothing but the configuration.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.bare();
        command.arg("--config").arg(&self.config).args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args))
    }

    /// JSON objects of a run, the last one its summary.
    pub fn objects(&self, args: &[&str]) -> (i32, Vec<Value>) {
        let mut command = self.command(args);
        let output = command.arg("--json").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let objects = said
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|object: &Value| object["message_type"] != "status")
            .collect();
        (output.status.code().unwrap(), objects)
    }

    pub fn log(&self) -> String {
        let runs = self.place.at("home/.local/state/duramen/run");
        let mut all = String::new();
        for entry in fs::read_dir(runs).unwrap() {
            all.push_str(
                &fs::read_to_string(entry.unwrap().path().join("log")).unwrap_or_default(),
            );
        }
        all
    }
}

/// Output as text.
pub fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const TREE: &str = "[sources.tree]\npaths = \"../tree\"\nexclude = \"*.tmp\"\ntags = \"nightly\"\n";

fn results(objects: &[Value]) -> Vec<(String, String)> {
    let jobs = objects
        .iter()
        .filter(|object| object["message_type"] == "job");
    jobs.map(|job| {
        let name = job["source"]
            .as_str()
            .or_else(|| job["job"].as_str())
            .unwrap();
        (name.to_owned(), job["result"].as_str().unwrap().to_owned())
    })
    .collect()
}

#[test]
fn every_command_takes_its_settings_from_the_file() {
    let night = Night::new("settings", TREE);
    let tree = night.place.at("tree");
    night.run(&["snapshot", tree.to_str().unwrap()]).ok();
    night.run(&["check"]).ok();
    // The environment goes before the file, a flag before both.
    let elsewhere = night.place.at("elsewhere");
    let mut command = night.command(&["snapshots", "--json"]);
    let run = Run::of({
        command.env("DURAMEN_REPOSITORY", &elsewhere);
        command
    });
    assert_eq!(run.code, Some(10), "{run}");
    let mut command = night.command(&["-r", night.place.repository.to_str().unwrap(), "snapshots"]);
    command.env("DURAMEN_REPOSITORY", &elsewhere);
    Run::of(command).ok();
    // Found by itself where it lies; not where somebody else may have put it.
    let here = night.place.at("duramen.toml");
    fs::copy(&night.config, &here).unwrap();
    let content = fs::read_to_string(&here).unwrap().replace("../", "");
    fs::write(&here, content).unwrap();
    let mut command = night.place.bare();
    command.arg("snapshots");
    Run::of(command).ok();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&here, fs::Permissions::from_mode(0o666)).unwrap();
    let mut command = night.place.bare();
    command.arg("snapshots");
    let run = Run::of(command);
    assert_eq!(run.code, Some(1), "{run}");
    assert!(words(&run.stderr).contains("somebody else"), "{run}");
}

#[test]
fn a_configuration_that_makes_no_sense_stops_everything_and_names_its_line() {
    let night = Night::new(
        "nonsense",
        "[sources.tree]\npaths = \"../tree\"\nexcldue = \"*.tmp\"\n",
    );
    for args in [
        &["run"][..],
        &["snapshots"],
        &["config", "check"],
        &["schedule", "show"],
    ] {
        let run = night.run(args);
        assert_eq!(run.code, Some(2), "{args:?}: {run}");
        let said = words(&run.stdout) + &words(&run.stderr);
        assert!(
            said.contains("my duramen.toml:6:1: unknown key \"excldue\""),
            "{run}"
        );
        assert!(said.contains("did you mean exclude?"), "{run}");
    }
    night.run(&["version"]).ok();
    night.run(&["config", "example"]).ok();
    night.write(TREE);
    night.run(&["config", "check"]).ok();
}

#[test]
fn a_configuration_to_begin_with_is_written_once_and_passes() {
    let place = Place::new("example");
    let run = |args: &[&str]| {
        let mut command = place.bare();
        command.args(args);
        Run::of(command)
    };
    run(&["config", "init"]).ok();
    let written = place.at("home/.config/duramen/duramen.toml");
    let content = fs::read_to_string(&written).unwrap();
    assert_eq!(words(&run(&["config", "example"]).ok().stdout), content);
    run(&["config", "check"]).ok();
    assert_eq!(run(&["config", "init"]).code, Some(1));
    assert_eq!(fs::read_to_string(&written).unwrap(), content);
}

#[test]
fn secrets_are_not_shown() {
    let night = Night::new(
        "secrets",
        "password-command = \"echo sesame-one\"\n[hooks]\non-failure = \"https://u:sesame-two@example.org/sesame-three\"\n\
         [sources.db]\ncommand = [\"dump\", \"--password=sesame-four\"]\nfilename = \"all\"\n",
    );
    for args in [
        &["config", "show"][..],
        &["config", "show", "--json"],
        &["run", "db"],
        &["schedule", "show"],
    ] {
        let run = night.run(args);
        let said = words(&run.stdout) + &words(&run.stderr);
        assert!(!said.contains("sesame"), "{args:?}: {said}");
    }
    assert!(!night.log().contains("sesame"));
}

#[test]
fn a_run_takes_what_is_due_and_then_nothing_until_the_next_time() {
    let night = Night::new("due", TREE);
    let (code, objects) = night.objects(&["run"]);
    assert_eq!(code, 0, "{objects:?}");
    let all = ["tree", "forget", "prune", "check"].map(|name| (name.to_owned(), "ok".to_owned()));
    assert_eq!(results(&objects), all);
    let snapshots = night.place.snapshots();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(
        snapshots[0]["tags"],
        serde_json::json!(["nightly", "source:tree"])
    );
    assert_eq!(snapshots[0]["files"], 1);
    let (code, objects) = night.objects(&["run"]);
    assert_eq!((code, objects.len()), (0, 1), "{objects:?}");
    assert!(objects[0]["next"].is_string());
    let (_, objects) = night.objects(&["run", "--force", "tree", "check"]);
    assert_eq!(results(&objects).len(), 2);
    // Quiet says nothing where nothing is wrong: cron would mail it.
    let run = night.run(&["run", "--force", "--quiet"]).ok();
    assert!(run.stdout.is_empty() && run.stderr.is_empty(), "{run}");
    let run = night.run(&["run", "treee"]);
    assert_eq!(run.code, Some(2), "{run}");
    assert!(words(&run.stderr).contains("did you mean tree?"), "{run}");
    let shown = words(&night.run(&["schedule", "show"]).ok().stdout);
    assert!(
        shown.contains("snapshot tree") && shown.contains("nobody"),
        "{shown}"
    );
}

#[test]
fn a_run_forgets_its_own_snapshots_and_no_others() {
    let night = Night::new("forgets", &format!("{TREE}[retention]\nkeep-last = 1\n"));
    let tree = night.place.at("tree");
    night.place.snapshot(&tree);
    night
        .place
        .run(["snapshot", tree.to_str().unwrap(), "--tag", "nightly"])
        .ok();
    for _ in 0..3 {
        night.run(&["run", "--force", "snapshot", "forget"]).ok();
    }
    let snapshots = night.place.snapshots();
    let own = snapshots.iter().filter(|one| {
        one["tags"]
            .as_array()
            .unwrap()
            .contains(&"source:tree".into())
    });
    assert_eq!(own.count(), 1, "{snapshots:?}");
    assert_eq!(snapshots.len(), 3);
}

#[test]
fn one_broken_source_keeps_no_other_from_its_snapshot() {
    let night = Night::new(
        "broken-source",
        &format!(
            "[sources.gone]\npaths = \"/no/such/path\"\n{TREE}[sources.refused]\npaths = \"../tree\"\n\
                  [sources.refused.hooks]\nbefore = \"echo not today; exit 3\"\n"
        ),
    );
    let (code, objects) = night.objects(&["run", "snapshot"]);
    assert_eq!(code, 1, "{objects:?}");
    let expected = [("gone", "failed"), ("tree", "ok"), ("refused", "failed")];
    assert_eq!(
        results(&objects),
        expected.map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    let hint = objects[2]["hint"].as_str().unwrap();
    assert!(hint.contains("not today"), "{hint}");
    assert_eq!(night.place.snapshots().len(), 1);
    // What failed waits for its next try; what was done is done.
    let (_, objects) = night.objects(&["run", "snapshot"]);
    assert_eq!(results(&objects), []);
    let run = night.run(&["run", "--force", "--quiet", "gone"]);
    assert!(
        words(&run.stderr).contains("duramen: snapshot gone: failed"),
        "{run}"
    );
}

#[test]
fn hooks_surround_the_work_and_failures_are_told() {
    let night = Night::new(
        "hooks",
        "[sources.tree]\npaths = \"../tree\"\n[sources.tree.hooks]\nbefore = \"echo before-source >> seen\"\n\
         after = \"echo after-source:$DURAMEN_RESULT >> seen\"\n[sources.gone]\npaths = \"/no/such\"\n\
         [hooks]\nbefore = \"echo before-run >> seen\"\nafter = \"echo after-run:$DURAMEN_RESULT:$DURAMEN_EXIT_CODE >> seen\"\n\
         on-failure = \"echo told:$DURAMEN_SOURCE:$DURAMEN_RESULT:$DURAMEN_PASSWORD >> seen\"\n",
    );
    let mut command = night.command(&["run", "snapshot"]);
    command.env("DURAMEN_PASSWORD", "sesame");
    command.arg("--key-file").arg(&night.place.key);
    let run = Run::of(command);
    assert_eq!(run.code, Some(1), "{run}");
    let seen = fs::read_to_string(night.place.at("seen")).unwrap();
    assert_eq!(
        seen,
        "before-run\nbefore-source\nafter-source:ok\ntold:gone:failed:\nafter-run:failed:1\n"
    );
    // A hook before the run that fails prevents all of it, and the one after it runs all the same.
    night.write("[sources.tree]\npaths = \"../tree\"\n[hooks]\nbefore = \"exit 9\"\nafter = \"echo after >> after\"\n");
    let (code, objects) = night.objects(&["run", "--force"]);
    assert_eq!(code, 1);
    assert_eq!(
        results(&objects),
        [("start".to_owned(), "failed".to_owned())]
    );
    assert!(night.place.at("after").exists());
    // One after it that fails makes the run a failed one, but what was done is done.
    night.write("[sources.tree]\npaths = \"../tree\"\n[hooks]\nafter = \"exit 9\"\n");
    let (code, objects) = night.objects(&["run", "--force", "tree"]);
    assert_eq!(
        (code, results(&objects)[0].1.as_str()),
        (1, "ok"),
        "{objects:?}"
    );
}

#[test]
fn a_webhook_is_told_and_one_that_does_not_answer_changes_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let night = Night::new(
        "webhook",
        &format!(
            "[sources.gone]\npaths = \"/no/such\"\n[hooks]\non-failure = [\"http://127.0.0.1:9/sesame\", {url:?}]\n"
        ),
    );
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut buffer = [0; 8192];
        // The body is JSON, and the last thing that is sent.
        while !request.ends_with('}') {
            let got = stream.read(&mut buffer).unwrap();
            assert!(got > 0, "{request}");
            request.push_str(std::str::from_utf8(&buffer[..got]).unwrap());
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        request
    });
    let (code, objects) = night.objects(&["run", "gone"]);
    assert_eq!(code, 1, "{objects:?}");
    let request = server.join().unwrap();
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["source"], "gone");
    assert_eq!(body["result"], "failed");
    assert_eq!(body["exit_code"], 1);
    let key = fs::read_to_string(&night.place.key).unwrap();
    assert!(!request.contains(key.trim()), "the key was told");
    let trouble = objects.last().unwrap()["trouble"].to_string();
    assert!(
        trouble.contains("127.0.0.1:9") && !trouble.contains("sesame"),
        "{trouble}"
    );
}

#[test]
fn two_runs_at_once_are_one() {
    let night = Night::new(
        "two-runs",
        &format!(
            "{TREE}[hooks]\nbefore = \"touch held; while ! test -e go; do sleep 0.05; done\"\n"
        ),
    );
    let mut first = night.command(&["run"]);
    let mut first = first.stdout(Stdio::null()).spawn().unwrap();
    while !night.place.at("held").exists() {
        assert!(first.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (code, objects) = night.objects(&["run"]);
    assert_eq!(code, 0, "{objects:?}");
    assert_eq!(objects[0]["held"], true);
    assert_eq!(objects[0]["held_by_pid"], first.id());
    let run = night.run(&["run", "--quiet"]).ok();
    assert!(run.stderr.is_empty(), "{run}");
    fs::write(night.place.at("go"), "").unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(night.place.snapshots().len(), 1);
}

#[test]
fn no_repository_is_told_once_and_its_code_is_kept() {
    let night = Night::new("no-repository", TREE);
    fs::rename(&night.place.repository, night.place.at("away")).unwrap();
    let run = night.run(&["run", "--quiet"]);
    assert_eq!(run.code, Some(10), "{run}");
    assert_eq!(words(&run.stderr).matches("duramen:").count(), 1, "{run}");
    assert!(!night.place.repository.exists());
    fs::rename(night.place.at("away"), &night.place.repository).unwrap();
    night.run(&["run", "--force"]).ok();
}

#[test]
fn what_a_command_prints_is_a_source_too() {
    let night = Night::new(
        "command-source",
        "[sources.db]\ncommand = [\"sh\", \"-c\", \"echo dump\"]\nfilename = \"all.sql\"\n\
         [sources.bad]\ncommand = [\"sh\", \"-c\", \"echo half; exit 1\"]\nfilename = \"bad.sql\"\n",
    );
    let (code, objects) = night.objects(&["run", "snapshot"]);
    assert_eq!(code, 1, "{objects:?}");
    let run = night.run(&["cat", "latest:/all.sql"]).ok();
    assert_eq!(words(&run.stdout), "dump\n");
    assert_eq!(night.place.snapshots().len(), 1);
}

/// The interpreter of nobody's crontab: the line as cron hands it to the shell.
pub fn as_cron_does(line: &str, home: &Path) -> std::process::Output {
    let command = line.splitn(6, ' ').nth(5).unwrap().replace("\\%", "%");
    Command::new("env")
        .args([
            "-i",
            &format!("HOME={}", home.display()),
            "PATH=/usr/bin:/bin",
            "sh",
            "-c",
            &command,
        ])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}
