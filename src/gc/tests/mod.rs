//! What only tests need.

mod simulation;
