//! Co-simulation of the units that feed the array: activation memory, fetch, issue.

mod activation_memory;
mod convolution;
mod issue;
mod pooling;
mod schedule;
mod shape;
mod support;
mod timing;
