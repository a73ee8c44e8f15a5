//! Addresses of servers, and the passwords that should not stand in them.

/// Whether it is the address of a MongoDB server, and no path.
#[must_use]
pub fn is_address(given: &str) -> bool {
    given.starts_with("mongodb://") || given.starts_with("mongodb+srv://")
}

/// Where a password belongs: behind the user, where the address names one and no password.
fn place(address: &str) -> Option<usize> {
    let (scheme, rest) = address.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (user, _) = rest[..end].rsplit_once('@')?;
    (!user.contains(':')).then_some(scheme.len() + 3 + user.len())
}

/// Whether the address names a user and no password.
#[must_use]
pub fn lacks_password(address: &str) -> bool {
    place(address).is_some()
}

/// The address with that password, where it names a user and none.
#[must_use]
pub fn with_password(address: &str, password: &[u8]) -> String {
    match place(address) {
        Some(at) => format!("{}:{}{}", &address[..at], escaped(password), &address[at..]),
        None => address.to_owned(),
    }
}

/// As RFC 3986 has it in the place of a password.
fn escaped(password: &[u8]) -> String {
    let mut text = String::new();
    for byte in password {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_go_where_they_belong() {
        assert_eq!(escaped(b"p@ss:w/rd%\xC3"), "p%40ss%3Aw%2Frd%25%C3");
        for (address, with) in [
            ("mongodb://u@h,i/db?x=y", "mongodb://u:p%40@h,i/db?x=y"),
            ("mongodb+srv://u@h", "mongodb+srv://u:p%40@h"),
            ("mongodb://u:own@h", "mongodb://u:own@h"),
            ("mongodb://h/db?a=b@c", "mongodb://h/db?a=b@c"),
            ("h", "h"),
        ] {
            assert_eq!(with_password(address, b"p@"), with);
        }
        assert!(
            is_address("mongodb+srv://h") && !is_address("mongodb") && !is_address("/mongodb://")
        );
    }
}
