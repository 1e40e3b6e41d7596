//! Runs the command line.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs `bitweft` with these arguments.
pub(crate) fn bitweft(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bitweft"))
        .args(arguments)
        .output()
        .expect("starts")
}

/// Standard error of a command that ends with `code`.
pub(crate) fn fails(code: i32, arguments: &[&str]) -> String {
    let output = bitweft(arguments);
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

/// The JSON of a command that ends well.
pub(crate) fn json(arguments: &[&str]) -> Value {
    let output = bitweft(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    assert!(output.stderr.is_empty(), "{error}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Fails where one of the parts is missing.
pub(crate) fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
