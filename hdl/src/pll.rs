//! Settings of the FPGA families' PLLs, found by trying all of them.

use std::fmt::Write as _;

/// Families of FPGAs whose PLL is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Lattice ECP5 (EHXPLLL).
    Ecp5,
    /// Lattice iCE40 with a clock pin that has a PLL (SB_PLL40_PAD).
    Ice40,
    /// Gowin GW2A at speed grade C8/I7 (rPLL).
    Gowin,
}

/// A clock that no setting makes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no PLL setting of {family:?} makes {wanted_hertz} Hz out of {input_hertz} Hz within {TOLERANCE_PPM} ppm; the nearest is {nearest_hertz} Hz"
)]
pub struct PllError {
    /// Family.
    pub family: Family,
    /// Clock of the board.
    pub input_hertz: u32,
    /// Clock wanted.
    pub wanted_hertz: u32,
    /// Nearest clock that can be made; 0 if there is none.
    pub nearest_hertz: u32,
}

/// What a clock may differ from the one wanted, in millionths: a UART bears twenty times as much.
const TOLERANCE_PPM: u64 = 1000;

/// A setting: parameters by name, and the clock that they make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Module in `hdl/vendor`.
    pub module: &'static str,
    /// Parameters of the module, as Verilog literals.
    pub parameters: Vec<(&'static str, String)>,
    /// Clock.
    pub hertz: u32,
}

impl Setting {
    /// `#(.NAME(value), ...)`.
    #[must_use]
    pub(crate) fn verilog(&self) -> String {
        let mut text = String::from("#(");
        for (at, (name, value)) in self.parameters.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}.{name}({value})");
        }
        text + ")"
    }
}

/// The setting that comes nearest to `wanted_hertz`.
///
/// # Errors
/// None comes within 1000 ppm.
pub fn setting(family: Family, input_hertz: u32, wanted_hertz: u32) -> Result<Setting, PllError> {
    let best = match family {
        Family::Ecp5 => ecp5(input_hertz),
        Family::Ice40 => ice40(input_hertz),
        Family::Gowin => gowin(input_hertz),
    }
    .into_iter()
    .min_by_key(|setting| setting.hertz.abs_diff(wanted_hertz));
    let within = |setting: &Setting| {
        u64::from(setting.hertz.abs_diff(wanted_hertz)) * 1_000_000
            <= u64::from(wanted_hertz) * TOLERANCE_PPM
    };
    match best {
        Some(setting) if within(&setting) => Ok(setting),
        other => Err(PllError {
            family,
            input_hertz,
            wanted_hertz,
            nearest_hertz: other.map_or(0, |setting| setting.hertz),
        }),
    }
}

fn literals<const COUNT: usize>(
    values: [(&'static str, u64); COUNT],
) -> Vec<(&'static str, String)> {
    let literal = |(name, value): (&'static str, u64)| (name, value.to_string());
    values.into_iter().map(literal).collect()
}

fn rounded(numerator: u64, denominator: u64) -> u32 {
    u32::try_from((numerator + denominator / 2) / denominator).unwrap_or(u32::MAX)
}

/// Phase detector 3.125 to 400 MHz, oscillator 400 to 800 MHz, dividers 1 to 128.
fn ecp5(input_hertz: u32) -> Vec<Setting> {
    let input = u64::from(input_hertz);
    let mut settings = Vec::new();
    for divider in 1..=128 {
        if !(3_125_000 * divider..=400_000_000 * divider).contains(&input) {
            continue;
        }
        for feedback in 1..=80 {
            let made = input * feedback / divider;
            // The division nearest to the middle of the oscillator's range.
            let output = (600_000_000 / made.max(1)).clamp(2, 128);
            if (400_000_000..=800_000_000).contains(&(made * output)) {
                settings.push(Setting {
                    module: "ecp5_pll",
                    parameters: literals([
                        ("INPUT_DIVIDER", divider),
                        ("FEEDBACK_DIVIDER", feedback),
                        ("OUTPUT_DIVIDER", output),
                    ]),
                    hertz: rounded(input * feedback, divider),
                });
            }
        }
    }
    settings
}

/// Phase detector 10 to 133 MHz, oscillator 533 to 1066 MHz; the loop filter goes by the phase detector's clock.
fn ice40(input_hertz: u32) -> Vec<Setting> {
    let input = u64::from(input_hertz);
    let mut settings = Vec::new();
    for divr in 0..16_u64 {
        let detector = input / (divr + 1);
        if !(10_000_000..=133_000_000).contains(&detector) {
            continue;
        }
        let limits = [17_000_000, 26_000_000, 44_000_000, 66_000_000, 101_000_000];
        let filter = 1 + limits.iter().filter(|&&limit| detector >= limit).count() as u64;
        for divf in 0..128_u64 {
            let oscillator = input * (divf + 1) / (divr + 1);
            if !(533_000_000..=1_066_000_000).contains(&oscillator) {
                continue;
            }
            for divq in 1..=6_u64 {
                settings.push(Setting {
                    module: "ice40_pll",
                    parameters: literals([
                        ("DIVR", divr),
                        ("DIVF", divf),
                        ("DIVQ", divq),
                        ("FILTER", filter),
                    ]),
                    hertz: rounded(input * (divf + 1), (divr + 1) << divq),
                });
            }
        }
    }
    settings
}

/// Phase detector 3 to 500 MHz, oscillator 500 to 1250 MHz, output 3.90625 to 625 MHz.
fn gowin(input_hertz: u32) -> Vec<Setting> {
    const OUTPUT_DIVIDERS: [u64; 11] = [2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128];
    let input = u64::from(input_hertz);
    let mut settings = Vec::new();
    for divider in 1..=64 {
        if !(3_000_000 * divider..=500_000_000 * divider).contains(&input) {
            continue;
        }
        for feedback in 1..=64 {
            let made = input * feedback / divider;
            let output = OUTPUT_DIVIDERS
                .into_iter()
                .find(|output| (500_000_000..=1_250_000_000).contains(&(made * output)));
            if let Some(output) = output
                && (3_906_250..=625_000_000).contains(&made)
            {
                let mut parameters = literals([
                    ("INPUT_DIVIDER", divider),
                    ("FEEDBACK_DIVIDER", feedback),
                    ("OUTPUT_DIVIDER", output),
                ]);
                parameters.push(("INPUT_MHZ", format!("\"{}\"", input as f64 / 1e6)));
                settings.push(Setting {
                    module: "gowin_pll",
                    parameters,
                    hertz: rounded(input * feedback, divider),
                });
            }
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(setting: &Setting, name: &str) -> u64 {
        let found = setting.parameters.iter().find(|(n, _)| *n == name);
        found.expect("a parameter").1.parse().expect("a number")
    }

    #[test]
    fn clocks_are_made_within_the_limits_of_the_oscillator() {
        for mhz in [50_000_000, 60_000_000, 75_000_000, 90_000_000, 100_000_000] {
            let found = setting(Family::Ecp5, 25_000_000, mhz).expect("a setting");
            let made = 25_000_000 * parameter(&found, "FEEDBACK_DIVIDER")
                / parameter(&found, "INPUT_DIVIDER");
            assert!(made.abs_diff(u64::from(mhz)) < u64::from(mhz) / 1000);
            let oscillator = made * parameter(&found, "OUTPUT_DIVIDER");
            assert!((400_000_000..=800_000_000).contains(&oscillator), "{mhz}");
        }
        let found = setting(Family::Ice40, 12_000_000, 24_000_000).expect("a setting");
        assert_eq!(found.hertz, 24_000_000);
        let oscillator = 24_000_000 << parameter(&found, "DIVQ");
        assert!((533_000_000..=1_066_000_000).contains(&oscillator));
        let found = setting(Family::Gowin, 27_000_000, 54_000_000).expect("a setting");
        assert_eq!(found.hertz, 54_000_000);
        let oscillator = 54_000_000 * parameter(&found, "OUTPUT_DIVIDER");
        assert!((500_000_000..=1_250_000_000).contains(&oscillator));
    }

    #[test]
    fn a_clock_out_of_reach_is_refused_with_the_nearest() {
        let error = setting(Family::Ice40, 12_000_000, 5_000_000).expect_err("too slow");
        assert!(error.nearest_hertz > 5_000_000, "{error}");
    }
}
