//! Co-simulations of the drain side: requantizer, post, and drain, write-back, pool and elementwise together with their
//! posts, against naive models.

mod add;
mod assembly;
mod convolution;
mod pooling;
mod post;
mod requantizer;
mod sequence;
mod support;
