//! Signals that end a command in good order.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Signals that ask a server to end.
pub(crate) const END: &[i32] = &[SIGINT, SIGTERM];
/// And those of a command whose tools would go on without it.
pub(crate) const END_OR_HANG_UP: &[i32] = &[SIGINT, SIGTERM, SIGHUP];

/// A flag that the signals set.
pub(crate) fn flag(signals: &[i32]) -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for &signal in signals {
        signal_hook::flag::register(signal, Arc::clone(&flag)).context("signals")?;
    }
    Ok(flag)
}
