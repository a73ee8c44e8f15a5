//! Addresses of MongoDB servers as they are typed, and the passwords that should not be.

use duramen::error::Result;

use super::context::Context;
use super::credentials::{self, without_newline};

/// Whether it is the address of a MongoDB server, and no path.
pub fn is_address(given: &str) -> bool {
    given.starts_with("mongodb://") || given.starts_with("mongodb+srv://")
}

/// The address with its password: where it names a user and none, that of `DURAMEN_MONGODB_PASSWORD` or of the file that
/// `DURAMEN_MONGODB_PASSWORD_FILE` names. What stands on a command line can be read by everybody on the machine.
///
/// # Errors
/// Where that file cannot be read.
pub fn with_password(context: &Context, address: &str) -> Result<String> {
    let Some((scheme, rest)) = address.split_once("://") else {
        return Ok(address.to_owned());
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let Some((user, _)) = rest[..end]
        .rsplit_once('@')
        .filter(|(user, _)| !user.contains(':'))
    else {
        return Ok(address.to_owned());
    };
    let environment = &context.environment;
    let password = match (
        &environment.mongodb_password,
        &environment.mongodb_password_file,
    ) {
        (Some(password), _) => password.clone(),
        (None, Some(file)) => without_newline(credentials::read_file(file)?),
        (None, None) => return Ok(address.to_owned()),
    };
    Ok(format!(
        "{scheme}://{user}:{}{}",
        escaped(&password),
        &rest[user.len()..]
    ))
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
    fn passwords_are_escaped() {
        assert_eq!(escaped(b"p@ss:w/rd%\xC3"), "p%40ss%3Aw%2Frd%25%C3");
        assert!(
            is_address("mongodb+srv://h") && !is_address("mongodb") && !is_address("/mongodb://")
        );
    }
}
