//! Results to standard output; notes, progress and errors to standard error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, LineStyle, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Where and how much a command prints.
pub(crate) struct Console {
    json: bool,
    quiet: bool,
    verbosity: u8,
}

impl Console {
    /// `verbosity` counts `-v`; `RUST_LOG` of `debug` or `trace` is one, too.
    pub(crate) fn new(json: bool, quiet: bool, verbosity: u8) -> Self {
        let log = std::env::var("RUST_LOG").unwrap_or_default();
        let asked = ["debug", "trace"].iter().any(|level| log.contains(level));
        Self {
            json,
            quiet,
            verbosity: verbosity.max(u8::from(asked)),
        }
    }

    /// The command's result: `value` as JSON, or the text.
    pub(crate) fn result<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        let mut output = if self.json {
            serde_json::to_string_pretty(value)?
        } else {
            text()
        };
        if !output.ends_with('\n') {
            output.push('\n');
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(output.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// A line that is worth knowing, unless `--quiet`.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            write_error_line(text.as_ref());
        }
    }

    /// A line for `--verbose`.
    pub(crate) fn detail(&self, text: impl AsRef<str>) {
        if self.verbosity > 0 && !self.quiet {
            write_error_line(text.as_ref());
        }
    }

    /// An error with its causes, on one line where they are.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut text = String::new();
        for cause in error.chain().map(ToString::to_string) {
            // Many errors already say what caused them.
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        write_error_line(&format!("error: {text}"));
    }

    /// A bar over `length` steps; invisible unless standard error is a terminal.
    pub(crate) fn bar(&self, length: usize, message: &str) -> ProgressBar {
        if !self.shows_progress() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(length as u64);
        let template = "{msg} [{bar:32}] {pos}/{len} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// A sign of life for work of unknown length; invisible unless standard error is a terminal.
    pub(crate) fn spinner(&self, message: &str) -> ProgressBar {
        if !self.shows_progress() {
            return ProgressBar::hidden();
        }
        let spinner = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.set_message(message.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(200));
        spinner
    }

    fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }
}

/// Nothing can be said about an error of standard error.
fn write_error_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A table whose first `left` columns are aligned to the left and the others to the right.
pub(crate) fn table(header: &[&str], left: usize, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    table.load_style(presets::NOTHING.header_separator(line).bottom_border(line));
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(left) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// A count with its thousands apart.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_501_632, "12,501,632"),
        ];
        for (count, text) in cases {
            assert_eq!(grouped(count), text);
        }
    }
}
