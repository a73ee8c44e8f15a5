//! The tree with every oddity that a file system of Linux can hold and a snapshot must bring back.

use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};

use super::tree::{
    ACL_GROUP, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER, ACL_USER, ACL_USER_OBJ, Builder, acl,
    drawn_time, open_dir, times, write_at,
};

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Everything at its full size.
    Full,
    /// Every oddity still, but 1 MB instead of 40, 50 entries instead of 5,000 and 40 levels instead of 1,000.
    Small,
}

pub const DEEP_NAME: &[u8] = b"a-level-of-the-deep-one";

/// Builds all of it in `root`. As root only.
pub fn oddities(root: &Path, scale: Scale) {
    super::facility::need_root();
    let mut builder = Builder::new(root);
    sizes(&mut builder, scale);
    holes(&mut builder);
    links(&mut builder);
    special(&mut builder);
    modes_and_owners(&mut builder);
    attributes(&mut builder);
    names(&mut builder);
    many(&mut builder, scale);
    moments(&mut builder);
    let levels = if scale == Scale::Full { 1_000 } else { 40 };
    deep(&mut builder, levels);
    let root = open_dir(&builder.root, b".");
    builder.finish();
    deep_times(&root, levels);
}

fn sizes(builder: &mut Builder, scale: Scale) {
    builder.dir(b"sizes");
    for size in [
        0,
        1,
        2,
        255,
        256,
        257,
        300,
        4095,
        4096,
        4097,
        16_384,
        65_535,
        65_536,
        65_537,
        (1 << 20) + 1,
    ] {
        builder.random_file(format!("sizes/{size}").as_bytes(), size);
    }
    let large = if scale == Scale::Full {
        40_000_000
    } else {
        1_000_000
    };
    builder.random_file(b"sizes/large", large);
    builder.file(b"sizes/written-zeros", &vec![0; 1 << 20]);
    builder.file(b"sizes/one-byte-again", &b"ab".repeat(100_000));
    // The same content twice: stored once, restored twice.
    for copy in ["sizes/twin-a", "sizes/twin-b"] {
        builder.file(
            copy.as_bytes(),
            &super::random::Random::new(77).bytes(200_000),
        );
    }
}

fn holes(builder: &mut Builder) {
    const K: u64 = 1024;
    const G: u64 = 1 << 30;
    builder.dir(b"holes");
    builder.sparse(
        b"holes/leading",
        1_000 * K + 5,
        &[(900 * K, 100 * 1024 + 5)],
    );
    builder.sparse(
        b"holes/middle",
        3_000 * K,
        &[(0, 70_000), (2_000 * K, 1_000 * 1024)],
    );
    builder.sparse(b"holes/trailing", 2_000 * K + 7, &[(0, 64 * 1024)]);
    builder.sparse(b"holes/all", 5_000 * K + 1, &[]);
    builder.sparse(b"holes/one-byte-of-data", 100 * K, &[(50 * K + 11, 1)]);
    builder.sparse(b"holes/small-and-all", 300, &[]);
    let comb: Vec<_> = (0..200).map(|tooth| (tooth * 64 * K, 4096)).collect();
    builder.sparse(b"holes/comb", 200 * 64 * K, &comb);
    builder.sparse(
        b"holes/huge",
        50 * G,
        &[(25 * G + 4096, 3_000_000), (50 * G - 5_000, 5_000)],
    );
    // Zeros that were written stand beside zeros that were not.
    builder.sparse(b"holes/zeros-and-holes", 4_096 * K, &[(0, 4096)]);
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(
        &builder.root,
        b"holes/zeros-and-holes".as_slice(),
        flags,
        Mode::empty(),
    )
    .unwrap();
    write_at(&file, &vec![0; 256 * 1024], 1_024 * K);
}

fn links(builder: &mut Builder) {
    builder.dir(b"links");
    builder.dir(b"links/far");
    builder.dir(b"links/far/away");
    builder.symlink(b"links/dangling", b"no/such/thing");
    builder.symlink(b"links/absolute", b"/etc/passwd");
    builder.symlink(b"links/up", b"../../../../../..");
    builder.symlink(b"links/loop", b"loop");
    builder.symlink(b"links/not-utf8", b"caf\xe9/\xff\xfe");
    builder.symlink(b"links/long", &b"0123456789".repeat(400));
    builder.symlink(b"links/to-dir", b"far");
    builder.symlink(b"links/owned", b"far/away");
    builder.owner(b"links/owned", 4242, 4343);

    builder.random_file(b"links/pair-1", 5_000);
    builder.link(b"links/pair-1", b"links/pair-2");
    builder.random_file(b"links/wide-1", 300_000);
    builder.link(b"links/wide-1", b"links/far/wide-2");
    builder.link(b"links/wide-1", b"links/far/away/wide-3");
    builder.file(b"links/empty-1", b"");
    builder.link(b"links/empty-1", b"links/far/empty-2");
    // Equal to the pair, but an inode of its own.
    let bytes = super::random::Random::of(b"links/pair-1").bytes(5_000);
    builder.file(b"links/pair-lookalike", &bytes);
    builder.symlink(b"links/symlink-1", b"somewhere");
    builder.link(b"links/symlink-1", b"links/far/symlink-2");
    builder.fifo(b"links/fifo-1");
    builder.link(b"links/fifo-1", b"links/far/fifo-2");
    builder.sparse(b"links/sparse-1", 2 << 20, &[(1 << 20, 4096)]);
    builder.link(b"links/sparse-1", b"links/sparse-2");
}

fn special(builder: &mut Builder) {
    builder.dir(b"special");
    builder.fifo(b"special/fifo");
    builder.socket(b"special/socket");
    builder.device(b"special/char-null", FileType::CharacterDevice, 1, 3);
    builder.device(
        b"special/char-large",
        FileType::CharacterDevice,
        2_000,
        300_000,
    );
    builder.device(b"special/block", FileType::BlockDevice, 7, 200);
}

fn modes_and_owners(builder: &mut Builder) {
    builder.dir(b"modes");
    for (name, uid, gid, mode) in [
        ("setuid", 0, 0, 0o4755),
        ("setgid", 1, 2, 0o2755),
        ("both-and-sticky", 65_534, 65_534, 0o7777),
        ("setuid-of-another", 4242, 4343, 0o4711),
        ("none", 0, 0, 0),
        ("write-only", 1, 1, 0o222),
        ("known", 1, 2, 0o640),
        ("unknown", 1_234_567, 2_345_678, 0o604),
        ("very-large-numbers", 4_294_967_294, 3_000_000_000, 0o600),
    ] {
        let path = format!("modes/{name}");
        builder.file(path.as_bytes(), name.as_bytes());
        builder.owner(path.as_bytes(), uid, gid);
        builder.mode(path.as_bytes(), mode);
        let path = format!("modes/dir-{name}");
        builder.dir(path.as_bytes());
        builder.file(format!("{path}/member").as_bytes(), b"");
        builder.owner(path.as_bytes(), uid, gid);
        builder.mode(path.as_bytes(), mode);
    }
}

fn attributes(builder: &mut Builder) {
    builder.dir(b"attributes");
    let file = |builder: &mut Builder, name: &str| {
        let path = format!("attributes/{name}").into_bytes();
        builder.file(&path, name.as_bytes());
        path
    };
    let path = file(builder, "user");
    builder.xattr(&path, "user.small", b"value");
    builder.xattr(&path, "user.empty", b"");
    builder.xattr(&path, "user.binary", &[0, 255, 10, 13, 0, 128, 0]);
    builder.xattr(&path, "user.b256", &[7; 256]);
    builder.xattr(
        &path,
        "user.b257",
        &super::random::Random::new(257).bytes(257),
    );
    builder.xattr(
        &path,
        "user.b300",
        &super::random::Random::new(300).bytes(300),
    );
    builder.xattr(
        &path,
        "user.\u{e4}\u{f6}\u{fc} name",
        b"a name beyond ASCII",
    );
    let path = file(builder, "user-large");
    builder.xattr(
        &path,
        "user.large",
        &super::random::Random::new(3900).bytes(3_900),
    );
    let path = file(builder, "trusted");
    builder.xattr(&path, "trusted.secret", b"only root reads this");
    builder.xattr(
        &path,
        "trusted.b300",
        &super::random::Random::new(301).bytes(300),
    );
    let path = file(builder, "security");
    builder.xattr(&path, "security.duramen", b"a label");
    // cap_net_bind_service as setcap writes it: revision 2, effective, one word of permitted.
    let path = file(builder, "capability");
    let mut capability = [0u8; 20];
    capability[..4].copy_from_slice(&0x0200_0001u32.to_le_bytes());
    capability[4..8].copy_from_slice(&(1u32 << 10).to_le_bytes());
    builder.owner(&path, 1, 1);
    builder.mode(&path, 0o755);
    builder.xattr(&path, "security.capability", &capability);
    // user.* may stand on files and directories alone; trusted.* anywhere.
    builder.dir(b"attributes/dir");
    builder.xattr(b"attributes/dir", "user.dir", b"on a directory");
    builder.xattr(b"attributes/dir", "trusted.dir", b"on a directory");
    builder.symlink(b"attributes/symlink", b"user");
    builder.xattr(b"attributes/symlink", "trusted.link", b"on the link itself");
    builder.fifo(b"attributes/fifo");
    builder.xattr(b"attributes/fifo", "trusted.fifo", b"on a pipe");
    // Readable by nobody, and still it has attributes.
    let path = file(builder, "mode-000");
    builder.xattr(&path, "user.hidden", b"behind mode 000");
    builder.mode(&path, 0);

    let access = acl(&[
        (ACL_USER_OBJ, 6, None),
        (ACL_USER, 4, Some(1)),
        (ACL_USER, 7, Some(1_234_567)),
        (ACL_GROUP_OBJ, 4, None),
        (ACL_GROUP, 5, Some(2)),
        (ACL_MASK, 5, None),
        (ACL_OTHER, 0, None),
    ]);
    let path = file(builder, "acl");
    builder.xattr(&path, "system.posix_acl_access", &access);
    builder.dir(b"attributes/acl-dir");
    // Made before the default ACL: they have none, and must not inherit one when they come back.
    builder.file(b"attributes/acl-dir/plain", b"plain");
    builder.dir(b"attributes/acl-dir/plain-dir");
    let default = acl(&[
        (ACL_USER_OBJ, 7, None),
        (ACL_USER, 5, Some(65_534)),
        (ACL_GROUP_OBJ, 5, None),
        (ACL_MASK, 7, None),
        (ACL_OTHER, 1, None),
    ]);
    builder.xattr(b"attributes/acl-dir", "system.posix_acl_default", &default);
    builder.xattr(b"attributes/acl-dir", "system.posix_acl_access", &access);
}

fn names(builder: &mut Builder) {
    builder.dir(b"names");
    let long_multibyte = "\u{1f333}".repeat(63);
    let long = "n".repeat(255);
    let list: Vec<&[u8]> = vec![
        b"\xff\xfe\x80not-utf8",
        b"latin1-caf\xe9",
        b"new\nline",
        b"tab\tand\rreturn",
        b" leading and trailing spaces ",
        b" ",
        b"-rf",
        b"--help",
        b"-",
        b"...",
        b"trailing.",
        b"trailing...",
        b".hidden",
        b"~",
        b"$HOME",
        b"%41",
        b"back\\slash",
        b"quote'\"`",
        b"star*?[a-z]{1,2}",
        b"!not",
        b"#comment",
        b"colon:name",
        b"\x01\x1b[31m\x7f",
        b"CON",
        b"con",
        "nfc-\u{e9}".as_bytes(),
        "nfc-e\u{301}".as_bytes(),
        long.as_bytes(),
        long_multibyte.as_bytes(),
    ];
    for name in list {
        let path = [b"names/", name].concat();
        builder.file(&path, name);
    }
    builder.dir(b"names/dir-\xff\xfe\n");
    builder.file(b"names/dir-\xff\xfe\n/-inside-\xff", b"inside");
    builder.symlink(b"names/link-\xff\xfe", b"dir-\xff\xfe\n");
    // Names whose order differs with and without the slash that follows a directory's name.
    builder.dir(b"names/order");
    builder.dir(b"names/order/a");
    builder.file(b"names/order/a/b", b"1");
    for name in ["a-", "a.b", "a0", "A", "a!"] {
        builder.file(format!("names/order/{name}").as_bytes(), b"2");
    }
}

fn many(builder: &mut Builder, scale: Scale) {
    let count = if scale == Scale::Full { 5_000 } else { 50 };
    builder.dir(b"many");
    for at in 0..count {
        let path = format!("many/entry-{at:06}");
        match at % 50 {
            7 => builder.symlink(path.as_bytes(), b"entry-000000"),
            11 => builder.dir(path.as_bytes()),
            _ => builder.file(path.as_bytes(), path.repeat(at % 30).as_bytes()),
        }
    }
    builder.dir(b"empty");
    builder.dir(b"empty/dir");
    builder.dir(b"empty/dir/in-dir");
}

fn moments(builder: &mut Builder) {
    builder.dir(b"times");
    for (name, seconds, nanoseconds) in [
        ("epoch", 0, 0),
        ("one-nanosecond-before-1970", -1, 999_999_999),
        ("one-nanosecond-after-1970", 0, 1),
        ("1905", -2_040_000_000, 1),
        ("last-second-of-32-bits", 2_147_483_647, 999_999_999),
        ("2038", 2_147_483_648, 0),
        ("2106", 4_294_967_296, 500_000_000),
        ("2200", 7_258_118_400, 123_456_789),
        ("whole-second", 1_700_000_000, 0),
        ("microsecond", 1_700_000_000, 1_000),
    ] {
        for (path, is_dir) in [
            (format!("times/{name}"), false),
            (format!("times/dir-{name}"), true),
        ] {
            if is_dir {
                builder.dir(path.as_bytes());
                builder.file(format!("{path}/member").as_bytes(), b"");
            } else {
                builder.file(path.as_bytes(), b"t");
            }
            builder.mtime(path.as_bytes(), seconds, nanoseconds);
        }
    }
    builder.symlink(b"times/symlink-before-1970", b"epoch");
    builder.mtime(b"times/symlink-before-1970", -86_400, 7);
    builder.fifo(b"times/fifo-before-1970");
    builder.mtime(b"times/fifo-before-1970", -2, 5);
}

/// A chain of directories whose path is longer than any call takes, with something at the bottom.
fn deep(builder: &mut Builder, levels: usize) {
    builder.dir(b"deep");
    let mut at = open_dir(&builder.root, b"deep");
    for level in 0..levels {
        fs::mkdirat(&at, DEEP_NAME, Mode::from_raw_mode(0o755))
            .expect("a level of the deep directory");
        fs::chmodat(&at, DEEP_NAME, Mode::from_raw_mode(0o755), AtFlags::empty()).unwrap();
        if level % 100 == 50 {
            let file = fs::openat(
                &at,
                b"beside".as_slice(),
                OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o600),
            )
            .unwrap();
            write_at(&file, format!("level {level}").as_bytes(), 0);
            fs::futimens(&file, &times(level as i64, 1)).unwrap();
        }
        at = open_dir(&at, DEEP_NAME);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = fs::openat(&at, b"bottom".as_slice(), flags, Mode::from_raw_mode(0o600)).unwrap();
    write_at(
        &file,
        &super::random::Random::of(b"bottom").bytes(100_000),
        0,
    );
    fs::futimens(&file, &times(-5, 5)).unwrap();
    fs::symlinkat(b"bottom".as_slice(), &at, b"link".as_slice()).unwrap();
    fs::utimensat(
        &at,
        b"link".as_slice(),
        &times(99, 99),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
}

fn deep_times(root: &std::os::fd::OwnedFd, levels: usize) {
    let mut at = open_dir(root, b"deep");
    for level in 0..levels {
        let (seconds, nanoseconds) = drawn_time(format!("deep {level}").as_bytes());
        fs::utimensat(
            &at,
            DEEP_NAME,
            &times(seconds, nanoseconds),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        at = open_dir(&at, DEEP_NAME);
    }
}
