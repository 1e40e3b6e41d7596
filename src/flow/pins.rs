//! Pin files: `.lpf` (ECP5), `.pcf` (iCE40), `.cst` (Gowin).

use bitweft_hdl::pll::Family;

/// The suffix of a family's pin files.
#[must_use]
pub(crate) fn suffix(family: Family) -> &'static str {
    match family {
        Family::Ecp5 => ".lpf",
        Family::Ice40 => ".pcf",
        Family::Gowin => ".cst",
    }
}

/// (pin, place) of every pin that the text places.
pub(crate) fn locations(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| {
            let line = line.split(['#']).next().unwrap_or_default();
            let line = line.split("//").next().unwrap_or_default();
            let words: Vec<&str> = line
                .split(|c: char| c.is_whitespace() || c == ';' || c == '"')
                .filter(|word| !word.is_empty())
                .collect();
            match words[..] {
                ["LOCATE", "COMP", name, "SITE", site] => Some((name, site)),
                ["set_io", .., name, site] | ["IO_LOC", name, site] => Some((name, site)),
                _ => None,
            }
        })
        .collect()
}

/// A pin file that places nothing but a clock.
pub(crate) fn clock_alone(family: Family, clock: &str, site: &str) -> String {
    match family {
        Family::Ecp5 => format!(
            "LOCATE COMP \"{clock}\" SITE \"{site}\";\nIOBUF PORT \"{clock}\" IO_TYPE=LVCMOS33;\n"
        ),
        Family::Ice40 => format!("set_io {clock} {site}\n"),
        Family::Gowin => format!("IO_LOC \"{clock}\" {site};\n"),
    }
}

/// The line of a pin file that says how fast a clock pin is; Gowin's have none.
pub(crate) fn clock_rate(family: Family, clock: &str, mhz: f64) -> String {
    match family {
        Family::Ecp5 => format!("FREQUENCY PORT \"{clock}\" {mhz} MHZ;\n"),
        Family::Ice40 => format!("set_frequency {clock} {mhz}\n"),
        Family::Gowin => String::new(),
    }
}
