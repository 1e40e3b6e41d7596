//! Co-simulation of the units that feed the array: activation memory, fetch, issue.

mod activation_memory;
mod convolution;
mod pooling;
mod shape;
mod support;
