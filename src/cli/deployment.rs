//! Addresses of MongoDB servers as they are typed, and the passwords that should not be.

use std::path::Path;

use duramen::error::Result;
pub use duramen::ops::snapshot::is_address;
use duramen::ops::snapshot::{address_with_password, lacks_password};

use super::context::Context;
use super::credentials::{self, without_newline};

/// The address with its password: where it names a user and none, that of `DURAMEN_MONGODB_PASSWORD` or of the file that
/// `DURAMEN_MONGODB_PASSWORD_FILE` names. What stands on a command line can be read by everybody on the machine.
///
/// # Errors
/// Where that file cannot be read.
pub fn with_password(context: &Context, address: &str) -> Result<String> {
    with_password_of(context, address, None)
}

/// The same; where the environment says nothing, the file of the configuration.
///
/// # Errors
/// Where a file cannot be read.
pub fn with_password_of(context: &Context, address: &str, file: Option<&Path>) -> Result<String> {
    if !lacks_password(address) {
        return Ok(address.to_owned());
    }
    let environment = &context.environment;
    let named = environment.mongodb_password_file.as_deref();
    let password = match (&environment.mongodb_password, named.or(file)) {
        (Some(password), _) => password.clone(),
        (None, Some(file)) => without_newline(credentials::read_file(file)?),
        (None, None) => return Ok(address.to_owned()),
    };
    Ok(address_with_password(address, &password))
}
