//! Co-simulations of the drain side: requantizer, post, and drain, write-back, pool and elementwise together with their
//! posts, against naive models.

mod assembly;
mod convolution;
mod post;
mod requantizer;
mod support;
