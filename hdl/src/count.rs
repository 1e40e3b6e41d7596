//! Loop counters: a value and, registered beside it, whether it is the last one.

use crate::builder::{Module, Net};

/// A counter that runs 0 .. limit and wraps.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    /// The value.
    pub(crate) value: Net,
    /// The value is limit - 1 (a register, so that loops can be nested without long paths).
    pub(crate) last: Net,
}

/// A counter `name` over 0 .. `limit` (at least 1). It goes to 0 after `restart`, else to its next value after `step`.
/// `limit` must have been stable for a cycle when `restart` comes.
///
/// ```text
/// clock         _/~\_/~\_/~\_/~\_/~\_     limit 2
/// restart       /~~~\________________
/// step          ________/~~~~~~~~\___
/// name              X 0     X 1 X 0
/// name_last     ____________/~~~\____
/// ```
pub(crate) fn count(module: &Module, name: &str, limit: &Net, restart: &Net, step: &Net) -> Count {
    let width = limit.width();
    let before_last = module.registered(
        &format!("{name}_before_last"),
        &module.subtract(limit, &module.literal(2, width)),
    );
    let only_one = module.registered(&format!("{name}_only_one"), &module.equals(limit, 1));
    let value = module.register(name, width);
    let last = module.register(&format!("{name}_last"), 1);
    let clear = module.or(restart, &last);
    let changes = module.or(restart, step);
    let next = module.mux(&clear, &module.literal(0, width), &module.increment(&value));
    module.clocked_enable(&value, &next, &changes);
    let next_is_last = module.mux(&clear, &only_one, &module.equal(&value, &before_last));
    module.clocked_enable(&last, &next_is_last, &changes);
    Count { value, last }
}

/// Whether a counter `name` over 0 .. `limit`, which goes on as that of [`count`], is at its last value. If `small` this is found in
/// the same cycle, with fewer registers and a longer path.
pub(crate) fn at_last(
    module: &Module,
    small: bool,
    name: &str,
    limit: &Net,
    [restart, step]: [&Net; 2],
) -> Net {
    if !small {
        let count = count(module, name, limit, restart, step);
        module.unused(&count.value);
        return count.last;
    }
    // 1 .. limit.
    let value = module.register(name, limit.width());
    let last = module.named(&format!("{name}_last"), &module.equal(&value, limit));
    let clear = module.or(restart, &last);
    let one = module.literal(1, limit.width());
    let next = module.mux(&clear, &one, &module.increment(&value));
    module.clocked_enable(&value, &next, &module.or(restart, step));
    last
}

/// The low `width` bits of an input whose other bits this architecture cannot use.
pub(crate) fn low_bits(module: &Module, net: &Net, width: usize) -> Net {
    if net.width() > width {
        module.unused(&module.slice(net, width, net.width() - width));
    }
    module.truncate(net, width)
}
