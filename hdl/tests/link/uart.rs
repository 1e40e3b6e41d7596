//! Receiver, transmitter and queue alone.

use crate::line::{Line, Random, Reader};
use bitweft_hdl::{
    fifo::fifo,
    uart::{increment, receiver, transmitter},
};
use bitweft_isa::architecture::Storage;
use bitweft_sim::{Build, Model, Profile, lint};

const CLOCK: u32 = 50_000_000;

fn start(top: &str, verilog: String, seed: u64) -> Model {
    lint(top, &[("unit.v".into(), verilog.clone())]).expect("clean");
    let library = Build::from_text(top, verilog, Profile::Check).build();
    let mut model = library.expect("builds").instantiate(seed).expect("starts");
    let reset = model.signal("reset").expect("port");
    model.set(reset, 1);
    model.tick(3).expect("runs");
    model.set(reset, 0);
    model
}

fn set(model: &mut Model, name: &str, value: u64) {
    let signal = model.signal(name).expect(name);
    model.set(signal, value);
}

fn get(model: &Model, name: &str) -> u64 {
    model.get(model.signal(name).expect(name))
}

/// What the receiver makes of a line: bytes, framing errors, breaks.
fn receive(line: &mut Line, rate: u32, seed: u64) -> (Vec<u8>, usize, usize) {
    let mut model = start("uart_receiver", receiver().verilog().expect("emits"), seed);
    set(&mut model, "increment", increment(CLOCK, rate));
    let (mut bytes, mut errors, mut breaks) = (Vec::new(), 0, 0);
    let end = line.end + 20.0 * f64::from(CLOCK) / f64::from(rate);
    let mut time = 0.0;
    while time < end {
        set(&mut model, "line", u64::from(line.level(time)));
        model.tick(1).expect("runs");
        if get(&model, "received_valid") == 1 {
            bytes.push(u8::try_from(get(&model, "received")).expect("a byte"));
        }
        errors += usize::from(get(&model, "framing_error") == 1);
        breaks += usize::from(get(&model, "line_break") == 1);
        time += 1.0;
    }
    (bytes, errors, breaks)
}

fn bit(rate: u32) -> f64 {
    f64::from(CLOCK) / f64::from(rate)
}

#[test]
fn bytes_arrive_at_any_rate_mismatch_and_gap() {
    // 3 Mbaud from 50 MHz: bits of 16.7 cycles.
    for (rate, count) in [(115_200, 12), (1_000_000, 60), (3_000_000, 200)] {
        for mismatch in [-0.02, -0.011, 0.0, 0.009, 0.02] {
            let seed = u64::from(rate) + (1e3 * (1.0 + mismatch)) as u64;
            let mut random = Random::new(seed);
            let mut line = Line::new(10.0 + random.part());
            let mut sent = Vec::new();
            for _ in 0..count {
                let byte = random.byte();
                line.byte(byte, bit(rate) * (1.0 + mismatch));
                sent.push(byte);
                if random.below(2) == 0 {
                    line.hold(true, random.part() * 3.0 * bit(rate));
                }
            }
            let found = receive(&mut line, rate, seed);
            assert_eq!(found, (sent, 0, 0), "{rate}, {mismatch}");
        }
    }
}

#[test]
fn glitches_shorter_than_an_eighth_of_a_bit_do_no_harm() {
    let bit = bit(1_000_000);
    let mut random = Random::new(3);
    let mut line = Line::new(10.0);
    let mut sent = Vec::new();
    for _ in 0..60 {
        // While idle: no start bit comes of it.
        let idle = line.end;
        line.hold(true, 4.0 * bit);
        line.glitch(idle + bit, bit * (0.05 + 0.25 * random.part()));
        let (byte, begin) = (random.byte(), line.end);
        line.byte(byte, bit);
        sent.push(byte);
        for at in 0..10 {
            let into = if at == 0 { 0.3 } else { 0.1 } + 0.5 * random.part();
            line.glitch(begin + (f64::from(at) + into) * bit, 0.1 * bit);
        }
    }
    assert_eq!(receive(&mut line, 1_000_000, 4), (sent, 0, 0));
}

#[test]
fn a_low_stop_bit_and_a_break_are_told_apart_and_left_behind() {
    let bit = bit(1_000_000);
    let mut line = Line::new(20.0);
    line.byte(0x55, bit);
    // Framing error: a byte with bits set whose stop bit is low.
    line.byte(0xa5, bit);
    line.end -= bit;
    line.hold(false, 1.5 * bit);
    line.hold(true, 2.0 * bit);
    line.byte(0x5a, bit);
    line.hold(false, 35.0 * bit);
    line.hold(true, bit);
    line.byte(0xc3, bit);
    assert_eq!(
        receive(&mut line, 1_000_000, 5),
        (vec![0x55, 0x5a, 0xc3], 2, 1)
    );
}

#[test]
fn bytes_leave_at_their_rate() {
    for rate in [115_200, 2_000_000, 3_000_000] {
        let verilog = transmitter().verilog().expect("emits");
        let mut model = start("uart_transmitter", verilog, 6);
        set(&mut model, "increment", increment(CLOCK, rate));
        let mut random = Random::new(u64::from(rate));
        let mut reader = Reader::new(bit(rate));
        let mut sent: Vec<u8> = Vec::new();
        let (mut offer, mut quiet) = (None, 0);
        while quiet < 12 * bit(rate) as usize {
            if offer.is_none() && sent.len() < 20 && random.below(100) == 0 {
                offer = Some(random.byte());
            }
            set(&mut model, "transmit_valid", u64::from(offer.is_some()));
            set(&mut model, "transmit_data", u64::from(offer.unwrap_or(0)));
            model.eval().expect("runs");
            if get(&model, "transmit_ready") == 1
                && let Some(byte) = offer.take()
            {
                sent.push(byte);
            }
            model.tick(1).expect("runs");
            reader.sample(get(&model, "line") == 1);
            let done = sent.len() == 20 && get(&model, "sending") == 0;
            quiet = if done { quiet + 1 } else { 0 };
        }
        assert!(reader.idle());
        assert_eq!((reader.bytes, reader.errors), (sent, 0), "{rate}");
    }
}

#[test]
fn a_queue_keeps_order_and_drops_only_what_has_no_room() {
    let depth = 8;
    let verilog = fifo(depth, Storage::Distributed).verilog();
    let mut model = start("fifo", verilog.expect("emits"), 7);
    let mut random = Random::new(8);
    let (mut put, mut taken, mut dropped) = (Vec::new(), Vec::new(), 0);
    for cycle in 0..20_000 {
        // Long times of many and of few bytes.
        let busy = if cycle / 500 % 2 == 0 { 2 } else { 9 };
        let byte = random.byte();
        let offer = random.below(busy) == 0;
        let ready = random.below(5) == 0;
        set(&mut model, "put", u64::from(offer));
        set(&mut model, "put_data", u64::from(byte));
        set(&mut model, "take_ready", u64::from(ready));
        model.eval().expect("runs");
        let lost = get(&model, "overrun") == 1;
        assert!(!lost || offer && put.len() - taken.len() >= depth);
        if offer && !lost {
            put.push(byte);
        }
        dropped += usize::from(lost);
        if ready && get(&model, "take_valid") == 1 {
            taken.push(u8::try_from(get(&model, "take_data")).expect("a byte"));
        }
        assert!(put.len() - taken.len() <= depth + 1);
        model.tick(1).expect("runs");
    }
    assert!(
        dropped > 100 && taken.len() > 1000,
        "{dropped}, {}",
        taken.len()
    );
    assert_eq!(taken, put[..taken.len()]);
}
