//! Verilog text in, a running model out: verilating, compiling, caching, loading and tracing.
//!
//! ```no_run
//! # fn main() -> Result<(), bitweft_sim::SimError> {
//! use bitweft_sim::{Build, Profile};
//!
//! let verilog = "module counter(input clock, input reset, output reg [7:0] count);
//!     always @(posedge clock) count <= reset ? 8'd0 : count + 8'd1;
//! endmodule
//! ";
//! bitweft_sim::lint("counter", &[("counter.v".into(), verilog.into())])?;
//! let library = Build::from_text("counter", verilog, Profile::Check).build()?;
//! let mut model = library.instantiate(1)?;
//! let (reset, count) = (model.signal("reset")?, model.signal("count")?);
//! model.set(reset, 1);
//! model.tick(1)?;
//! model.set(reset, 0);
//! model.tick(5)?;
//! assert_eq!(model.get(count), 5);
//! # Ok(())
//! # }
//! ```
//!
//! This crate and `flow` are the only ones that start processes, and this is the only one with `unsafe` code: a
//! model is a shared object, called through the C interface in `src/runtime/shim.cpp`.

mod build;
mod cache;
mod compile;
mod error;
mod library;
mod lint;
mod model;
mod ports;
mod process;
mod source;
mod toolchain;
pub mod tools;

pub use build::{Build, Profile};
pub use error::SimError;
pub use library::Library;
pub use lint::{Waiver, lint, lint_with};
pub use model::{Model, Signal};
pub use ports::{Direction, Port};
pub use toolchain::Toolchain;
