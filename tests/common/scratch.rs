//! A folder for one test, removed afterwards whatever stands in it.
//!
//! `rm -rf` does it, not the standard library: that one keeps a directory open for every level, and a tree a thousand
//! deep is more than many a machine's limit of open files.

use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Scratch {
    path: PathBuf,
    mounts: std::sync::Mutex<Vec<PathBuf>>,
}

impl Scratch {
    pub fn new(name: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix(&format!("duramen-{name}-"))
            .tempdir()
            .expect("a temporary folder");
        Self {
            path: dir.keep().canonicalize().expect("its real path"),
            mounts: Default::default(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path below; nothing is made there.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder below, made.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(&path).expect("make a folder");
        path
    }

    /// Mounts a small file system in memory at `name`. `None` where this container may not mount; anything else
    /// that goes wrong fails the test.
    pub fn mount_tmpfs(&self, name: &str, size: &str) -> Option<PathBuf> {
        let path = self.folder(name);
        let done = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=0755"),
                "tmpfs",
            ])
            .arg(&path)
            .output()
            .expect("run mount");
        if done.status.success() {
            self.mounts.lock().unwrap().push(path.clone());
            return Some(path);
        }
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            !super::facility::can_administer(),
            "mount -t tmpfs failed though this process may administer the system: {said}"
        );
        println!("LEFT OUT: no tmpfs can be mounted here (CAP_SYS_ADMIN is missing): {said}");
        None
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for mount in self.mounts.lock().unwrap().iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(mount).status();
        }
        if std::env::var_os("DURAMEN_KEEP").is_some() {
            println!("kept: {}", self.path.display());
            return;
        }
        let _ = Command::new("rm")
            .arg("-rf")
            .arg("--one-file-system")
            .arg("--")
            .arg(&self.path)
            .status();
    }
}
