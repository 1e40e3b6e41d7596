//! Timing of the drain side: post, requantizer, drain, write-back, pool, elementwise.

/// From a requantizer's value to the scaled value before zero point and clamp.
pub const SCALED_LATENCY: usize = 6;

/// From a requantizer's value to its byte.
pub const REQUANTIZER_LATENCY: usize = SCALED_LATENCY + 2;
