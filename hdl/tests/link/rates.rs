//! The link's rate: set, held, and given up.

use crate::line::{Line, Reader};
use bitweft_hdl::link::link;
use bitweft_isa::{architecture::Storage, port::RATES};
use bitweft_sim::{Build, Model, Profile, lint};

const CLOCK: u32 = 50_000_000;
const HOLD_BITS: usize = 14;

struct Bench {
    model: Model,
    reader: Reader,
}

impl Bench {
    fn new() -> Self {
        let verilog = link(CLOCK, Storage::Distributed, HOLD_BITS).verilog();
        let verilog = verilog.expect("emits");
        lint("link", &[("link.v".into(), verilog.clone())]).expect("clean");
        let library = Build::from_text("link", verilog, Profile::Check).build();
        let mut bench = Self {
            model: library.expect("builds").instantiate(1).expect("starts"),
            reader: Reader::new(bit(0)),
        };
        bench.set("uart_receive", 1);
        bench.set("reset", 1);
        bench.model.tick(3).expect("runs");
        bench.set("reset", 0);
        bench.set("receive_ready", 1);
        bench
    }

    fn set(&mut self, name: &str, value: u64) {
        let signal = self.model.signal(name).expect(name);
        self.model.set(signal, value);
    }

    fn get(&self, name: &str) -> u64 {
        self.model.get(self.model.signal(name).expect(name))
    }

    fn cycle(&mut self) {
        self.model.tick(1).expect("runs");
        self.reader.sample(self.get("uart_transmit") == 1);
    }

    fn pulse(&mut self, name: &str) {
        self.set(name, 1);
        self.cycle();
        self.set(name, 0);
    }

    /// Sends a byte and asks for a rate in the cycle in which it is taken, as the port does with its last one.
    fn ask_rate(&mut self, rate: u64, byte: u8) {
        self.set("transmit_data", u64::from(byte));
        self.set("rate", rate);
        self.set("rate_set", 1);
        self.pulse("transmit_valid");
        self.set("rate_set", 0);
    }

    /// Bytes that arrive while a line plays.
    fn play(&mut self, line: &mut Line) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut time = 0.0;
        while time < line.end + 100.0 {
            self.set("uart_receive", u64::from(line.level(time)));
            self.model.eval().expect("runs");
            if self.get("receive_valid") == 1 {
                bytes.push(u8::try_from(self.get("receive_data")).expect("a byte"));
            }
            self.cycle();
            time += 1.0;
        }
        bytes
    }
}

fn bit(rate: usize) -> f64 {
    f64::from(CLOCK) / f64::from(RATES[rate])
}

#[test]
fn a_rate_begins_behind_the_response_and_holds_while_requests_are_valid() {
    let mut bench = Bench::new();
    bench.ask_rate(3, 0x7b);
    let mut waited = 0.0;
    while bench.get("rate_now") == 0 {
        bench.cycle();
        waited += 1.0;
        assert!(waited < 11.0 * bit(0));
    }
    // The byte itself left at the first rate.
    assert!(waited > 9.9 * bit(0), "{waited}");
    assert_eq!(
        (&bench.reader.bytes[..], bench.reader.errors),
        (&[0x7b][..], 0)
    );
    for byte in 0..60 {
        let mut line = Line::new(0.0);
        line.byte(byte, bit(3));
        line.hold(true, 600.0);
        assert_eq!(bench.play(&mut line), [byte]);
        bench.pulse("frame_valid");
    }
    assert_eq!(bench.get("rate_now"), 3);
    let mut quiet = 0;
    while bench.get("rate_now") == 3 {
        bench.cycle();
        quiet += 1;
        assert!(quiet <= 1 << HOLD_BITS);
    }
    assert!(quiet > (1 << HOLD_BITS) - 3, "{quiet}");
    let mut line = Line::new(0.0);
    line.byte(0x99, bit(0));
    assert_eq!(bench.play(&mut line), [0x99]);
}

#[test]
fn a_break_returns_the_first_rate_and_an_error_shows_until_a_valid_request() {
    let mut bench = Bench::new();
    bench.ask_rate(2, 0);
    let mut line = Line::new(12.0 * bit(0));
    line.byte(0x42, bit(2));
    assert_eq!(bench.play(&mut line), [0x42]);
    assert_eq!((bench.get("rate_now"), bench.get("error")), (2, 0));
    // A zero byte at the first rate is a break at the others.
    let mut line = Line::new(0.0);
    line.byte(0, bit(0));
    line.hold(true, bit(0));
    line.byte(0x43, bit(0));
    assert_eq!(bench.play(&mut line), [0x43]);
    assert_eq!((bench.get("rate_now"), bench.get("error")), (0, 1));
    bench.pulse("frame_valid");
    bench.cycle();
    assert_eq!(bench.get("error"), 0);
}
