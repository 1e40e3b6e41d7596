//! The board's top through its pins.

use crate::line::{Line, Reader};
use bitweft_hdl::{
    BOARD_CLOCK, BOARD_TOP,
    board::{Board, BoardError, Led, verilog},
    pll::Family,
};
use bitweft_isa::{
    VERSION,
    architecture::Architecture,
    port::{Command, Parsed, RATES, parse_response, request},
};
use bitweft_sim::{Build, Profile, lint};

fn board(family: Family, input_hertz: u32, clock_hertz: u32) -> Board {
    Board {
        family,
        input_hertz,
        clock_hertz,
        leds: Led::ALL.to_vec(),
        leds_active_low: true,
    }
}

fn tiny() -> Architecture {
    Architecture::from_toml(include_str!("../../../constraints/tiny.toml")).expect("valid")
}

#[test]
fn lint_is_clean_with_and_without_a_pll() {
    let mut dark = board(Family::Ecp5, 25_000_000, 25_000_000);
    dark.leds = vec![Led::Busy];
    for board in [
        board(Family::Ecp5, 25_000_000, 60_000_000),
        board(Family::Ice40, 12_000_000, 24_000_000),
        board(Family::Gowin, 27_000_000, 54_000_000),
        dark,
    ] {
        let verilog = verilog(&tiny(), &board).expect("emits");
        for (pin, _) in board.pins() {
            assert!(verilog.contains(pin), "{pin}");
        }
        lint(BOARD_TOP, &[("board.v".into(), verilog)]).expect("clean");
    }
}

/// A memory in single-port RAM takes a clock twice as fast, which only a PLL makes.
#[test]
fn an_icebreaker_has_two_clocks() {
    let text = include_str!("../../../constraints/icebreaker.toml");
    let architecture = Architecture::from_toml(text).expect("valid");
    let mut board = board(Family::Ice40, 12_000_000, 30_000_000);
    let setting = board.pll(true).expect("a setting").expect("a PLL");
    assert_eq!(setting.hertz, 60_000_000);
    let text = verilog(&architecture, &board).expect("emits");
    assert!(text.contains("ice40_pll_double #("));
    lint(BOARD_TOP, &[("board.v".into(), text)]).expect("clean");
    board.family = Family::Ecp5;
    let text = verilog(&architecture, &board).expect("emits");
    lint(BOARD_TOP, &[("board.v".into(), text)]).expect("clean");
}

#[test]
fn a_clock_too_slow_for_the_link_is_refused() {
    let error = verilog(&tiny(), &board(Family::Ice40, 12_000_000, 12_000_000));
    assert!(matches!(error, Err(BoardError::Clock { .. })), "{error:?}");
}

/// Identify at the first rate, then at the fastest, over the pins alone.
#[test]
fn a_board_answers_through_its_pins() {
    let clock = 60_000_000;
    let bit = |rate: usize| f64::from(clock) / f64::from(RATES[rate]);
    let text = verilog(&tiny(), &board(Family::Ecp5, 25_000_000, clock)).expect("emits");
    let library = Build::from_text(BOARD_TOP, text, Profile::Check)
        .clock(BOARD_CLOCK)
        .build()
        .expect("builds");
    let mut model = library.instantiate(9).expect("starts");
    let receive = model.signal("uart_receive").expect("pin");
    let transmit = model.signal("uart_transmit").expect("pin");
    let mut identity = tiny().fingerprint().to_le_bytes().to_vec();
    identity.extend(VERSION.to_le_bytes());
    let mut reader = Reader::new(bit(0));
    model.set(receive, 1);
    model.tick(40).expect("runs");
    for (sequence, command, address, rate, expected) in [
        (1, Command::Identify, 0, 0, &identity[..]),
        (2, Command::Rate, 3, 0, &[]),
        (3, Command::Identify, 0, 3, &identity),
    ] {
        let mut line = Line::new(0.0);
        for byte in request(command, sequence, 0, address, &[]) {
            line.byte(byte, bit(rate));
        }
        reader.rate(bit(rate));
        reader.bytes.clear();
        let mut time = 0.0;
        let response = loop {
            model.set(receive, u64::from(line.level(time)));
            model.tick(1).expect("runs");
            reader.sample(model.get(transmit) == 1);
            if let Parsed::Response(response, _) = parse_response(&reader.bytes) {
                break response;
            }
            time += 1.0;
            assert!(time < line.end + 300.0 * bit(rate), "no response");
        };
        assert_eq!((response.sequence, response.status), (sequence, 0));
        assert_eq!(response.payload, expected);
        // To the end of the stop bit.
        model.tick(bit(0) as u64).expect("runs");
    }
    assert_eq!(reader.errors, 0);
}
