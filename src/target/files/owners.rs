//! Names of users and groups on this machine.
//!
//! A snapshot holds owners by number and by name. Numbers differ between machines and names mostly do not, so a file
//! of `www-data` comes back as the `www-data` of the machine that it is restored to; a name that is not known here
//! falls back to the number. Only the two files are read: a directory service (LDAP and the like) is not asked.

use std::collections::HashMap;
use std::path::Path;

/// The users and groups of this machine, read once.
#[derive(Debug, Default)]
pub struct Owners {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Owners {
    /// Reads `/etc/passwd` and `/etc/group`; one that cannot be read knows no names.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::read(Path::new("/etc/passwd"), Path::new("/etc/group"))
    }

    /// Knows no names: every owner is taken by its number.
    #[must_use]
    pub fn by_number() -> Self {
        Self::default()
    }

    fn read(passwd: &Path, group: &Path) -> Self {
        let table =
            |path: &Path| std::fs::read(path).map_or_else(|_| HashMap::new(), |t| parse(&t));
        Self {
            users: table(passwd),
            groups: table(group),
        }
    }

    /// The number of the user here, by `name` where it is known.
    #[must_use]
    pub fn user(&self, name: Option<&[u8]>, number: u32) -> u32 {
        name.and_then(|name| self.users.get(name).copied())
            .unwrap_or(number)
    }

    /// The number of the group here, by `name` where it is known.
    #[must_use]
    pub fn group(&self, name: Option<&[u8]>, number: u32) -> u32 {
        name.and_then(|name| self.groups.get(name).copied())
            .unwrap_or(number)
    }
}

/// Both files have the name first and the number third, between colons; other lines are passed over. Of two lines
/// with one name the first counts, as for the C library.
fn parse(text: &[u8]) -> HashMap<Vec<u8>, u32> {
    let mut table = HashMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(_), Some(number)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let number = std::str::from_utf8(number)
            .ok()
            .and_then(|n| n.parse().ok());
        if let (false, Some(number)) = (name.is_empty() || name[0] == b'#', number) {
            table.entry(name.to_vec()).or_insert(number);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn names_win_over_numbers_and_unknown_names_fall_back() {
        let folder = tempfile::tempdir().unwrap();
        let (passwd, group) = (folder.path().join("passwd"), folder.path().join("group"));
        std::fs::write(
            &passwd,
            b"# comment:x:9:\nroot:x:0:0:root:/root:/bin/sh\n\xffodd:x:77:1::/:\nbroken\nbig:x:99999999999:1::/:\nroot:x:5:5::/:\n+::::::\n",
        )
        .unwrap();
        std::fs::write(&group, b"staff:x:50:anna\n").unwrap();
        let owners = Owners::read(&passwd, &group);
        assert_eq!(owners.user(Some(b"root"), 1000), 0);
        assert_eq!(owners.user(Some(b"\xffodd"), 1), 77);
        assert_eq!(owners.user(Some(b"big"), 4), 4);
        assert_eq!(owners.user(Some(b"nobody-here"), 1000), 1000);
        assert_eq!(owners.user(None, 12), 12);
        assert_eq!(owners.group(Some(b"staff"), 1), 50);
        assert_eq!(owners.group(Some(b"anna"), 1), 1);
        assert_eq!(Owners::by_number().user(Some(b"root"), 3), 3);
    }

    #[test]
    fn missing_files_know_no_names() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none");
        assert_eq!(Owners::read(&none, &none).user(Some(b"root"), 8), 8);
    }
}
