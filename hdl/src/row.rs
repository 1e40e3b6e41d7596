//! Row control: the register through which the lanes of a row take their controls, and the next row after them.
//!
//! Row r sees every control r + 1 cycles after the array's inputs: the controls are delayed and decoded once, in front of row 0,
//! and a row adds one register a bit. Strobes are cleared by reset. A wide row has several such registers side by side, each for
//! the columns near it (`Architecture::control_groups`), each fed by the same one's of the row before; the module keeps its hierarchy so
//! that synthesis does not merge them again.
//!
//! ```text
//! clock               _/~\_/~\_/~\_/~\_
//! capture             _/~~~\___________
//! capture at row 0    _____/~~~\_______
//! capture at row 1    _________/~~~\___
//! ```

use crate::{
    builder::{Module, Net},
    dot::Control,
};

/// The register of a row: an input a control, and the output `next_` and its name.
pub(crate) fn build(controls: &[Control]) -> Module {
    let module = Module::new("row");
    module.attribute("keep_hierarchy");
    for control in controls {
        let input = module.input(control.name, control.net.width());
        let name = format!("held_{}", control.name);
        let held = if control.reset {
            module.registered_reset(&name, &input)
        } else {
            module.registered(&name, &input)
        };
        module.output(&output(control), &held);
    }
    module
}

/// Controls of a row, from those of the row before through an instance of its register.
pub(crate) fn next(
    module: &Module,
    row: &Module,
    instance: &str,
    controls: &[Control],
    reset: &Net,
) -> Vec<Control> {
    let mut ports: Vec<_> = controls.iter().map(|c| (c.name, &c.net)).collect();
    ports.push(("reset", reset));
    let outputs = module.instance(instance, row, &ports);
    controls
        .iter()
        .map(|control| Control {
            net: outputs.get(&output(control)).clone(),
            ..control.clone()
        })
        .collect()
}

fn output(control: &Control) -> String {
    format!("next_{}", control.name)
}
