//! The external tools around the design, and the boards it goes to.

pub mod board;
pub mod build;
pub mod doctor;
pub mod part;
mod pins;
mod process;
pub mod schema;
pub mod upload;
