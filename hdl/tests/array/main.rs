//! Co-simulations of the array and of its parts against naive models, and the lint gate over them.

mod adders;
mod dot;
mod lint;
mod memory;
mod rows;
mod script;
mod support;
