//! What this machine lets a test do.
//!
//! A missing facility fails the test that needs it, with a message that says what to change. There is one way out:
//! where the kernel withholds a capability from the whole container, the errno is asserted and the reason printed.

use rustix::io::Errno;

const CAP_SYS_ADMIN: u32 = 21;
const CAP_MKNOD: u32 = 27;
const CAP_SETFCAP: u32 = 31;

fn capable(bit: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("read /proc/self/status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .expect("CapEff in /proc/self/status");
    let set = u64::from_str_radix(line.trim(), 16).expect("CapEff is hexadecimal");
    // Within a user namespace the capability counts for the namespace's own things only: none of these.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    set & (1 << bit) != 0 && whole
}

pub fn can_administer() -> bool {
    capable(CAP_SYS_ADMIN)
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// These tests make device nodes, give files away and mount file systems.
pub fn need_root() {
    assert!(
        is_root(),
        "this test must run as root: it makes devices and gives files to other owners"
    );
}

/// Judges the result of setting the attribute `name`: true where it is set, false where this container can never
/// set it.
pub fn attribute_set(name: &str, result: rustix::io::Result<()>) -> bool {
    let allowed = match name {
        "security.capability" => capable(CAP_SETFCAP),
        _ if name.starts_with("trusted.") || name.starts_with("security.") => can_administer(),
        _ => true,
    };
    match result {
        Ok(()) => true,
        Err(Errno::PERM) if !allowed => {
            println!(
                "LEFT OUT: {name} cannot be set in this container: the capability is withheld (EPERM)"
            );
            false
        }
        Err(error) => panic!(
            "cannot set the attribute {name}: {error}; run the tests with TMPDIR on a file system with extended \
             attributes and ACLs (ext4, xfs, btrfs)"
        ),
    }
}

/// As [`attribute_set`], for device nodes.
pub fn device_made(result: rustix::io::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(Errno::PERM) if !capable(CAP_MKNOD) => {
            println!(
                "LEFT OUT: device nodes cannot be made in this container: CAP_MKNOD is withheld (EPERM)"
            );
            false
        }
        Err(error) => panic!(
            "cannot make a device node: {error}; run the tests with TMPDIR on a local file system"
        ),
    }
}

/// Runs a command as the user `nobody`, who may read little and write less.
pub fn as_nobody(program: &std::path::Path) -> std::process::Command {
    let mut command = std::process::Command::new("setpriv");
    command
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all",
            "--",
        ])
        .arg(program);
    command
}
