//! Golden repositories.
