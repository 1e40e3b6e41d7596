//! The external tools around the design: finding them and running them.

pub mod doctor;
