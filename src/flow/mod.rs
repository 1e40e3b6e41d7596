//! The external tools around the design, and the boards it goes to.

pub mod board;
pub mod doctor;
