//! Row control: a register between a row's controls and the next row's.
//!
//! Row r sees every control r cycles after row 0: the controls are delayed and decoded once, in front of row 0, and a row
//! adds one register a bit. Strobes are cleared by reset.
//!
//! ```text
//! clock               _/~\_/~\_/~\_/~\_
//! capture at row 0    _/~~~\___________
//! capture at row 1    _____/~~~\_______
//! capture at row 2    _________/~~~\___
//! ```

use crate::{builder::Module, dot::Control};

/// Controls of row `row` from those of the row before.
pub(crate) fn next(module: &Module, controls: &[Control], row: usize) -> Vec<Control> {
    controls
        .iter()
        .map(|control| {
            let name = format!("row_{row}_{}", control.name);
            let net = if control.reset {
                module.registered_reset(&name, &control.net)
            } else {
                module.registered(&name, &control.net)
            };
            Control {
                net,
                ..control.clone()
            }
        })
        .collect()
}
