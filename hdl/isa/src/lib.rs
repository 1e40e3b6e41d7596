//! The contract between software and hardware.
