//! Reading MongoDB: what exists, what was touched, what documents hold. What is done with it is the snapshot room's.

pub mod address;
pub mod answer;
pub mod catalogue;
pub mod changes;
pub mod command;
#[cfg(feature = "mongodb")]
mod driver;
#[cfg(not(feature = "mongodb"))]
#[path = "no_driver.rs"]
mod driver;
pub mod lag;
pub mod operation;
pub mod oplog;
pub mod reading;
pub mod scan;
pub mod select;
pub mod server;

pub use select::Selection;
pub use server::{Server, Topology};
