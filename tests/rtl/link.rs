//! The driver on links that go wrong, to a processor in Verilator. `scripts/soak` does the same for longer.

#[path = "../cases/mod.rs"]
mod cases;

use bitweft::driver::{ByteLevel, Device, DriverError, Runner, Session, Simulated, Transport};
use bitweft_isa::{
    Space,
    architecture::Architecture,
    descriptor::{Descriptor, Opcode},
    port::{CRC, Command, RATES, REQUEST_HEADER, State},
};
use bitweft_sim::{Build, Library, Profile};
use cases::{
    faults::Rates,
    soak::{Soak, Tally},
};
use std::time::Duration;

fn tiny() -> Architecture {
    Architecture::from_toml(include_str!("../../constraints/tiny.toml")).expect("valid")
}

fn library() -> Library {
    let verilog = bitweft_hdl::verilog(&tiny()).expect("emits");
    Build::from_text(bitweft_hdl::TOP, verilog, Profile::Fast)
        .build()
        .expect("builds")
}

#[test]
fn no_answer_is_wrong_and_no_session_hangs() {
    let soak = Soak::new(&tiny());
    let mut tally = Tally::default();
    for (seed, bytes_per_fault, sends_per_reset, sends_per_break) in
        [(101, 150, 5000, 5000), (102, 300, 60, 200)]
    {
        let rates = Rates {
            bytes_per_fault,
            sends_per_reset,
            sends_per_break,
        };
        soak.run(seed, 12, rates, &mut tally);
    }
    assert_eq!(tally.wrong, 0, "{tally:?}");
    assert!(tally.faults > 200 && tally.answers > 30, "{tally:?}");
    assert!(tally.restarts > 0 && tally.repeated > 50, "{tally:?}");
}

#[test]
fn a_seed_gives_the_same_again() {
    let soak = Soak::new(&tiny());
    let rates = Rates {
        bytes_per_fault: 300,
        sends_per_reset: 100,
        sends_per_break: 150,
    };
    let run = |seed| {
        let mut tally = Tally::default();
        soak.run(seed, 6, rates, &mut tally);
        tally
    };
    let first = run(103);
    assert_eq!(run(103), first);
    assert_ne!(run(104), first);
}

#[test]
fn without_faults_nothing_is_sent_again() {
    let never = i64::MAX - 1;
    let rates = Rates {
        bytes_per_fault: never,
        sends_per_reset: never,
        sends_per_break: never,
    };
    let mut tally = Tally::default();
    Soak::new(&tiny()).run(1, 8, rates, &mut tally);
    let found = (tally.answers, tally.failed, tally.wrong, tally.repeated);
    assert_eq!(found, (24, 0, 0, 0), "{tally:?}");
}

/// A stream that says always the same.
struct Parrot(Vec<u8>);

impl Transport for Parrot {
    fn send(&mut self, _: &[u8]) -> Result<(), DriverError> {
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        Ok(self.0.clone())
    }

    fn patience(&self) -> usize {
        5
    }
}

#[test]
fn garbage_and_silence_end_and_are_told_apart() {
    for (said, garbage) in [
        (Vec::new(), false),
        (vec![0x7b; 33], true),
        ((0..=255).collect(), true),
    ] {
        let error = Session::open(Parrot(said), &tiny()).err().expect("refused");
        let DriverError::NoAnswer { garbage_bytes, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*garbage_bytes > 0, garbage, "{error}");
        assert_eq!(error.to_string().contains("bytes that are none"), garbage);
    }
}

#[test]
fn a_stream_of_inputs_gives_its_answers_in_order_and_the_loading_shows() {
    let case = cases::cases().swap_remove(0);
    let compiled = bitweft::compiler::compile(&case.network, &tiny()).expect("compiles");
    let simulated = Simulated::new(&library(), 1).expect("starts");
    let mut session = Session::open(simulated, &tiny()).expect("opens");
    let mut runner = Runner::new(&mut session, &compiled.image).expect("suits");
    let mut seen = Vec::new();
    runner
        .load(|done, total| seen.push((done, total)))
        .expect("loads");
    let bytes = |write: &bitweft_isa::image::Write| write.rows.len();
    let total: usize = compiled.image.phases[0].writes.iter().map(bytes).sum();
    assert!(seen.is_sorted() && seen.len() >= compiled.image.phases[0].writes.len());
    assert!(seen.iter().all(|&(done, all)| done < total && all == total));
    let last = compiled.image.layers.last().expect("a layer").tensor;
    let inputs = case.inputs.iter().take(3);
    let expected = inputs.clone().map(|input| {
        let golden = bitweft::golden::network::run(&case.network, input.view()).expect("runs");
        golden[last].iter().copied().collect::<Vec<u8>>()
    });
    let expected: Vec<_> = expected.collect();
    // One of another size ends it.
    let bytes = inputs.map(|input| input.iter().copied().collect::<Vec<u8>>());
    let bytes: Vec<Vec<u8>> = bytes.chain([vec![0; 3], vec![]]).collect();
    let results: Vec<_> = runner.stream(&bytes).collect();
    let (refused, answers) = results.split_last().expect("results");
    assert!(matches!(refused, Err(DriverError::Input { found: 3, .. })));
    let answers: Vec<_> = answers.iter().map(|r| r.as_ref().expect("runs")).collect();
    assert!(answers.iter().map(|a| &a.output).eq(&expected));
    let clock = 1e6;
    let compute = answers[0].compute(clock).as_secs_f64();
    assert!((compute * clock - answers[0].cycles as f64).abs() < 1e-3 * clock);
}

/// A link on which one byte of a memory changes behind the CRC, once.
struct Upset {
    inner: Simulated,
    space: Option<Space>,
}

impl Transport for Upset {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        let hit = self
            .space
            .filter(|&space| bytes[1] == Command::Write as u8 && bytes[3] == space as u8);
        if hit.is_none() {
            return self.inner.send(bytes);
        }
        self.space = None;
        let mut changed = bytes.to_vec();
        changed[REQUEST_HEADER + 3] ^= 0x55;
        let end = changed.len() - CRC;
        let crc = crc32fast::hash(&changed[1..end]).to_le_bytes();
        changed[end..].copy_from_slice(&crc);
        self.inner.send(&changed)
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        self.inner.receive()
    }

    fn patience(&self) -> usize {
        self.inner.patience()
    }
}

#[test]
fn what_the_memories_hold_wrong_shows_in_a_known_answer() {
    let library = library();
    let case = cases::cases().swap_remove(0);
    let compiled = bitweft::compiler::compile(&case.network, &tiny()).expect("compiles");
    let last = compiled.image.layers.last().expect("a layer").tensor;
    let golden = bitweft::golden::network::run(&case.network, case.inputs[0].view()).expect("runs");
    let answer: Vec<u8> = golden[last].iter().copied().collect();
    let input: Vec<u8> = case.inputs[0].iter().copied().collect();
    for space in [None, Some(Space::Plane), Some(Space::Record)] {
        let inner = Simulated::new(&library, 1).expect("starts");
        let mut session = Session::open(Upset { inner, space }, &tiny()).expect("opens");
        let mut runner = Runner::new(&mut session, &compiled.image).expect("suits");
        runner.load(|_, _| ()).expect("acknowledged");
        let result = runner.check(&input, &answer);
        assert_eq!(result.is_err(), space.is_some(), "{space:?}: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, DriverError::Unsound { .. }), "{error}");
            assert!(error.to_string().contains("load again"), "{error}");
            // What is loaded again is sound.
            runner.check(&input, &answer).expect("loads again");
        }
    }
}

/// A link that carries nothing longer than so many bytes.
struct Short(Simulated, usize);

impl Transport for Short {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        if bytes.len() > self.1 {
            return Ok(());
        }
        self.0.send(bytes)
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        let bytes = self.0.receive()?;
        Ok(if bytes.len() > self.1 {
            Vec::new()
        } else {
            bytes
        })
    }

    fn patience(&self) -> usize {
        self.0.patience()
    }
}

#[test]
fn where_long_frames_are_lost_short_ones_are_sent() {
    let library = library();
    let case = cases::cases().swap_remove(0);
    let compiled = bitweft::compiler::compile(&case.network, &tiny()).expect("compiles");
    let input: Vec<u8> = case.inputs[0].iter().copied().collect();
    let mut outputs = Vec::new();
    for limit in [usize::MAX, 100, 26] {
        let link = Short(Simulated::new(&library, 1).expect("starts"), limit);
        let mut session = Session::open(link, &tiny()).expect("opens");
        let mut runner = Runner::new(&mut session, &compiled.image).expect("suits");
        outputs.push(runner.infer(&input).expect("runs").output);
        assert_eq!(
            session.traffic().repeated_requests == 0,
            limit == usize::MAX
        );
    }
    assert!(outputs[1..].iter().all(|output| *output == outputs[0]));
    // A row of a record does not fit.
    let link = Short(Simulated::new(&library, 1).expect("starts"), 20);
    let mut session = Session::open(link, &tiny()).expect("opens");
    let mut runner = Runner::new(&mut session, &compiled.image).expect("suits");
    let error = runner.load(|_, _| ()).expect_err("nothing gets through");
    assert!(matches!(
        error,
        DriverError::NoAnswer {
            command: "Write",
            ..
        }
    ));
}

/// A serial line that carries nothing above a rate.
struct Slow {
    inner: Simulated,
    rate: u32,
    rate_max: u32,
}

impl Transport for Slow {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        if self.rate > self.rate_max {
            return Ok(());
        }
        self.inner.send(bytes)
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        self.inner.receive()
    }

    fn patience(&self) -> usize {
        self.inner.patience()
    }

    fn has_rates(&self) -> bool {
        true
    }

    fn set_rate(&mut self, bits_per_second: u32) -> Result<bool, DriverError> {
        self.rate = bits_per_second;
        Ok(true)
    }
}

#[test]
fn the_fastest_rate_that_works_is_found() {
    let library = library();
    for rate_max in RATES {
        let slow = Slow {
            inner: Simulated::new(&library, 3).expect("starts"),
            rate: 0,
            rate_max,
        };
        let mut session = Session::open(slow, &tiny()).expect("opens");
        assert!(session.speed_up().expect("some rate"));
        assert_eq!(
            (session.rate(), session.transport().rate),
            (rate_max, rate_max)
        );
        session.status().expect("still answers");
    }
}

#[test]
fn a_run_is_cancelled_at_the_end_of_its_descriptor() {
    let case = cases::cases()
        .into_iter()
        .find(|case| case.network.name.starts_with("residual"))
        .expect("a case");
    let compiled = bitweft::compiler::compile(&case.network, &tiny()).expect("compiles");
    let simulated = Simulated::new(&library(), 4).expect("starts");
    let mut session = Session::open(simulated, &tiny()).expect("opens");
    let phase = &compiled.image.phases[0];
    session.load(phase).expect("loads");
    // Given up before the first look at what it does.
    session.limit_run_time(Duration::ZERO);
    let error = session.run(0, phase.descriptors).expect_err("cancelled");
    let DriverError::Run { finished, .. } = error else {
        panic!("{error}");
    };
    assert!(finished < phase.descriptors);
    assert_eq!(session.status().expect("answers").state, Some(State::Idle));
    // What was cancelled is not in the way of what comes next.
    session.limit_run_time(Duration::from_secs(60));
    session.run(0, phase.descriptors).expect("runs");
}

/// A descriptor that no compiler makes: a pool of no strips.
#[test]
fn a_run_that_never_ends_is_reported_and_the_port_still_answers() {
    let endless = Descriptor {
        opcode: Opcode::MaxPool as i64,
        ..Descriptor::default()
    };
    let words = endless.encode().expect("fits");
    let rows: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let simulated = Simulated::new(&library(), 4).expect("starts");
    let mut session = Session::open(simulated, &tiny()).expect("opens");
    session.write(Space::Program, 0, &rows).expect("writes");
    session.limit_polls(20);
    let error = session.run(0, 1).expect_err("never ends").to_string();
    assert!(error.contains("did not end in time"), "{error}");
    let error = session.cancel().expect_err("never stops").to_string();
    assert!(error.contains("reset the board"), "{error}");
    assert_eq!(
        session.status().expect("answers").state,
        Some(State::Running)
    );
    let error = session.write(Space::Program, 0, &rows).expect_err("busy");
    assert!(error.to_string().contains("Busy"), "{error}");
}

#[test]
fn a_reset_between_inferences_is_noticed_and_made_good() {
    let library = library();
    let case = cases::cases().swap_remove(0);
    let compiled = bitweft::compiler::compile(&case.network, &tiny()).expect("compiles");
    let input: Vec<u8> = case.inputs[0].iter().copied().collect();
    let simulated = Simulated::new(&library, 1).expect("starts");
    let mut session = Session::open(simulated, &tiny()).expect("opens");
    let mut runner = Runner::new(&mut session, &compiled.image).expect("suits");
    let first = runner.infer(&input).expect("runs");
    assert_eq!(first.restarts, 0);
    // Another board in its place, which knows nothing of the session.
    *runner.session().transport() = Simulated::new(&library, 2).expect("starts");
    let second = runner.infer(&input).expect("runs");
    assert_eq!((second.output, second.restarts), (first.output, 1));
}

#[test]
fn an_idle_device_says_so_and_only_then() {
    let mut device = ByteLevel::new(&library(), 1).expect("starts");
    let settle = |device: &mut ByteLevel| {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend(device.advance().expect("runs"));
            if device.is_idle() {
                return bytes;
            }
        }
        panic!("never idle");
    };
    assert!(settle(&mut device).is_empty());
    let request = bitweft_isa::port::request(bitweft_isa::port::Command::Identify, 1, 0, 0, &[]);
    device.put(&request);
    assert!(!device.is_idle());
    assert_eq!(settle(&mut device).len(), 18);
    let cycles = device.cycles();
    assert!(device.advance().expect("runs").is_empty());
    // An idle device stays where it is but for a step.
    assert!(device.cycles() - cycles < 100);
}
