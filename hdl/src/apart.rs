//! Registers kept apart, for what goes all over a large die (`Architecture::is_wide`): each of several users takes the same nets through
//! registers of its own, near it. Equal registers of one module would be made one again by synthesis; these have a module that
//! keeps its hierarchy.
//!
//! ```text
//! clock      _/~\_/~\_/~\_
//! d          X a X b X
//! q              X a X b X
//! ```

use crate::builder::{Module, Net};
use bitweft_isa::architecture::Architecture;

/// The nets of the previous cycle, through registers `instance` that are not merged with others. No reset.
pub(crate) fn registered<const N: usize>(m: &Module, instance: &str, nets: [&Net; N]) -> [Net; N] {
    let widths = nets.map(|net| net.width().to_string());
    let registers = Module::new(format!("registers_{}", widths.join("_")));
    registers.attribute("keep_hierarchy");
    let names = std::array::from_fn::<_, N, _>(|at| (format!("d_{at}"), format!("q_{at}")));
    for ((d, q), net) in names.iter().zip(nets) {
        let held = registers.registered(&format!("held_{d}"), &registers.input(d, net.width()));
        registers.output(q, &held);
    }
    let ports: Vec<_> = names.iter().map(|(d, _)| d.as_str()).zip(nets).collect();
    let outputs = m.instance(instance, &registers, &ports);
    names.map(|(_, q)| outputs.get(&q).clone())
}

/// The nets as they are, or on a large die those of the previous cycle, as [`registered`] gives them.
pub(crate) fn near<const N: usize>(
    m: &Module,
    architecture: &Architecture,
    instance: &str,
    nets: [&Net; N],
) -> [Net; N] {
    if architecture.is_wide() {
        registered(m, instance, nets)
    } else {
        nets.map(Net::clone)
    }
}
