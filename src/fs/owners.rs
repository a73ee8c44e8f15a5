//! Names of users and groups, asked of the system once each.

use std::collections::HashMap;
use std::sync::Arc;

use nix::unistd::{Gid, Group, Uid, User};

type Names = HashMap<u32, Option<Arc<[u8]>>>;

/// Remembers what the system said.
#[derive(Default)]
pub struct Owners {
    users: Names,
    groups: Names,
}

impl Owners {
    /// The user's name, where it has one of at most 255 bytes.
    pub fn user(&mut self, uid: u32) -> Option<Arc<[u8]>> {
        let ask = || {
            User::from_uid(Uid::from_raw(uid))
                .ok()
                .flatten()
                .map(|user| user.name)
        };
        self.users.entry(uid).or_insert_with(|| name(ask())).clone()
    }

    /// The group's name, where it has one of at most 255 bytes.
    pub fn group(&mut self, gid: u32) -> Option<Arc<[u8]>> {
        let ask = || {
            Group::from_gid(Gid::from_raw(gid))
                .ok()
                .flatten()
                .map(|group| group.name)
        };
        self.groups
            .entry(gid)
            .or_insert_with(|| name(ask()))
            .clone()
    }
}

fn name(name: Option<String>) -> Option<Arc<[u8]>> {
    name.filter(|name| (1..=crate::limits::NAME_BYTES_MAX).contains(&name.len()))
        .map(|name| Arc::from(name.into_bytes()))
}
