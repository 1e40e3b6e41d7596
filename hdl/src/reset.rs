//! Reset of a processor that is spread over a large die: every unit, and every row of the array, takes it through a register of its own, so that
//! no wire of it has to reach all of them in one cycle. All registers are equal; the module keeps its hierarchy so that synthesis does not
//! make them one again.
//!
//! ```text
//! clock        _/~\_/~\_/~\_/~\_
//! reset        _/~~~~~~~\_______
//! reset_held   _____/~~~~~~~\___
//! ```

use crate::builder::{Module, Net};

/// The module's reset, a cycle late, through a register of that name.
pub(crate) fn held(m: &Module, name: &str) -> Net {
    let register = Module::new("reset_register");
    register.attribute("keep_hierarchy");
    let held = register.registered("held", &register.input("reset_now", 1));
    register.output("reset_held", &held);
    let outputs = m.instance(name, &register, &[("reset_now", &m.reset())]);
    outputs.get("reset_held").clone()
}
