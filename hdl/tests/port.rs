//! The host port against `isa::port`, in Verilator, with random stalls both ways.

use bitweft_hdl::port::{READ_WAIT, port, with_pause};
use bitweft_isa::{
    Space, VERSION,
    architecture::Architecture,
    port::{Command, Parsed, REQUEST_MAX, Response, Status, parse_response, request},
};
use bitweft_sim::{Build, Model, Profile, lint};

fn architecture() -> Architecture {
    Architecture::from_toml(include_str!("../../constraints/tiny.toml")).expect("valid")
}

fn verilog(architecture: &Architecture) -> String {
    port(architecture).verilog().expect("emits")
}

/// A port as it is, and one for a large die.
fn on_both(seed: u64, check: impl Fn(Bench, &Architecture)) {
    for control_groups in [1, 2] {
        let architecture = Architecture {
            control_groups,
            ..architecture()
        };
        check(Bench::of(verilog(&architecture), seed), &architecture);
    }
}

/// The port with memories of rows: what was written, what to read.
struct Bench {
    model: Model,
    random: u64,
    writes: Vec<(Space, u64, Vec<u32>)>,
    runs: Vec<(u64, u64)>,
    stops: usize,
    rates: Vec<u64>,
    frames: usize,
    read: fn(Space, u64) -> Vec<u32>,
    address_history: [u64; READ_WAIT],
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self::of(verilog(&architecture()), seed)
    }

    fn of(verilog: String, seed: u64) -> Self {
        let library = Build::from_text("port", verilog, Profile::Check)
            .build()
            .expect("builds");
        let mut model = library.instantiate(seed).expect("instantiates");
        let reset = model.signal("reset").expect("port");
        model.set(reset, 1);
        model.tick(3).expect("runs");
        model.set(reset, 0);
        Self {
            model,
            random: seed * 2 + 1,
            writes: Vec::new(),
            runs: Vec::new(),
            stops: 0,
            rates: Vec::new(),
            frames: 0,
            read: |_, _| vec![0; 2],
            address_history: [0; READ_WAIT],
        }
    }

    fn get(&self, name: &str) -> u64 {
        self.model.get(self.model.signal(name).expect(name))
    }

    fn set(&mut self, name: &str, value: u64) {
        let signal = self.model.signal(name).expect(name);
        self.model.set(signal, value);
    }

    fn set_wide(&mut self, name: &str, words: &[u32]) {
        let signal = self.model.signal(name).expect(name);
        self.model.set_words(signal, &words[..signal.words()]);
    }

    fn chance(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 40 & 3 != 0
    }

    /// One cycle in which a byte may move each way: whether the one offered was taken, and the one given.
    fn cycle(&mut self, offer: Option<u8>, accept: bool) -> (bool, Option<u8>) {
        self.set("receive_valid", u64::from(offer.is_some()));
        self.set("receive_data", u64::from(offer.unwrap_or(0)));
        self.set("transmit_ready", u64::from(accept));
        // Rows come READ_WAIT cycles after their address, garbage before.
        let address = self.address_history[0];
        self.set_wide("read_activation", &(self.read)(Space::Activation, address));
        self.set_wide("read_counter", &(self.read)(Space::Counter, address));
        self.model.eval().expect("runs");
        let taken = offer.is_some() && self.get("receive_ready") == 1;
        let given = accept && self.get("transmit_valid") == 1;
        let byte = given.then(|| u8::try_from(self.get("transmit_data")).expect("a byte"));
        self.observe();
        self.address_history.rotate_left(1);
        self.address_history[READ_WAIT - 1] = self.get("row_address");
        self.model.tick(1).expect("runs");
        (taken, byte)
    }

    /// Sends bytes, and receives until a response is complete or nothing has come for a while.
    fn exchange(&mut self, bytes: &[u8]) -> Option<Response> {
        let (mut sent, mut received, mut quiet) = (0, Vec::new(), 0);
        while quiet < 3000 {
            let offer = bytes.get(sent).copied().filter(|_| self.chance());
            let accept = self.chance();
            let (taken, byte) = self.cycle(offer, accept);
            sent += usize::from(taken);
            quiet = if taken || byte.is_some() {
                0
            } else {
                quiet + 1
            };
            received.extend(byte);
            if let Parsed::Response(response, length) = parse_response(&received) {
                assert_eq!(length, received.len());
                return Some(response);
            }
        }
        assert!(received.is_empty(), "half a response: {received:?}");
        None
    }

    /// Sends bytes, whatever is answered.
    fn pour(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while !self.cycle(Some(byte), true).0 {}
        }
    }

    fn wait(&mut self, cycles: usize) {
        for _ in 0..cycles {
            self.cycle(None, true);
        }
    }

    fn byte(&mut self) -> u8 {
        self.chance();
        self.random.to_le_bytes()[4]
    }

    fn observe(&mut self) {
        for (space, name) in [
            (Space::Program, "program"),
            (Space::Record, "record"),
            (Space::Plane, "plane"),
            (Space::Activation, "activation"),
        ] {
            if self.get(&format!("write_{name}")) == 1 {
                let row = self
                    .model
                    .get_words(self.model.signal(&format!("row_{name}")).expect("row"));
                self.writes.push((space, self.get("row_address"), row));
            }
        }
        if self.get("run_start") == 1 {
            self.runs
                .push((self.get("run_first"), self.get("run_count")));
        }
        if self.get("rate_set") == 1 {
            self.rates.push(self.get("rate"));
        }
        self.frames += usize::try_from(self.get("frame_valid")).expect("a bit");
        self.stops += usize::try_from(self.get("stop")).expect("a bit");
    }

    fn ask(&mut self, command: Command, space: u8, address: u32, payload: &[u8]) -> Response {
        let sequence = u8::try_from(self.random >> 20 & 0xff).expect("a byte");
        let response = self
            .exchange(&request(command, sequence, space, address, payload))
            .expect("a response");
        assert_eq!(
            (response.opcode, response.sequence),
            (command as u8, sequence)
        );
        response
    }

    fn status(
        &mut self,
        command: Command,
        space: u8,
        address: u32,
        payload: &[u8],
    ) -> Option<Status> {
        Status::from_code(self.ask(command, space, address, payload).status)
    }
}

#[test]
fn lint_is_clean_on_every_shape() {
    let mut architecture = architecture();
    for (columns, quads, groups) in [(2, 4, 1), (1, 2, 1), (3, 16, 1), (8, 18, 1), (8, 18, 4)] {
        (architecture.columns, architecture.quads) = (columns, quads);
        architecture.control_groups = groups;
        lint("port", &[("port.v".into(), verilog(&architecture))]).expect("clean");
    }
}

#[test]
fn identify_and_status() {
    on_both(1, |mut bench, architecture| {
        let identity = bench.ask(Command::Identify, 0, 0, &[]);
        let mut expected = architecture.fingerprint().to_le_bytes().to_vec();
        expected.extend(VERSION.to_le_bytes());
        assert_eq!((identity.status, identity.payload), (0, expected));
        bench.set("run_state", 1);
        bench.set("run_finished", 0x1234);
        assert_eq!(
            bench.ask(Command::Status, 0, 0, &[]).payload,
            [1, 0, 0x34, 0x12]
        );
    });
}

#[test]
fn rows_are_written_in_order() {
    on_both(2, |mut bench, _| {
        for (space, bytes, rows) in [
            (Space::Program, 4, 64),
            (Space::Record, 10, 25),
            (Space::Plane, 3, 80),
            (Space::Activation, 8, 1),
        ] {
            bench.writes.clear();
            let payload: Vec<u8> = (0..bytes * rows)
                .map(|i| u8::try_from(i * 7 % 256).expect("a byte"))
                .collect();
            assert_eq!(
                bench.status(Command::Write, space as u8, 100, &payload),
                Some(Status::Ok)
            );
            assert_eq!(bench.writes.len(), rows);
            for (row, (written, address, words)) in bench.writes.iter().enumerate() {
                let mut expected = payload[row * bytes..(row + 1) * bytes].to_vec();
                if space == Space::Plane {
                    // 17 bits of the three bytes exist.
                    expected[2] &= 1;
                }
                expected.resize(words.len() * 4, 0);
                let found: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                assert_eq!(
                    (*written, *address, found),
                    (space, 100 + row as u64, expected)
                );
            }
        }
    });
}

#[test]
fn rows_are_read() {
    on_both(3, |mut bench, _| {
        bench.read = |space, address| {
            let word = u32::try_from(address).expect("small") * 3 + space as u32;
            vec![word, !word]
        };
        // Few, and as many as a response holds.
        for (space, bytes, rows) in [
            (Space::Activation, 8, 5),
            (Space::Activation, 8, 32),
            (Space::Counter, 4, 1),
            (Space::Counter, 4, 64),
        ] {
            let asked = u16::try_from(rows).expect("few").to_le_bytes();
            let response = bench.ask(Command::Read, space as u8, 7, &asked);
            let expected: Vec<u8> = (7..7 + rows)
                .flat_map(|address| {
                    (bench.read)(space, address)
                        .into_iter()
                        .flat_map(u32::to_le_bytes)
                        .take(bytes)
                })
                .collect();
            assert_eq!((response.status, response.payload), (0, expected));
        }
    });
}

#[test]
fn a_run_needs_the_right_fingerprint_and_an_idle_processor() {
    on_both(4, |mut bench, architecture| {
        let payload = |fingerprint: u32, count: u16| {
            [
                fingerprint.to_le_bytes().to_vec(),
                count.to_le_bytes().to_vec(),
            ]
            .concat()
        };
        let right = payload(architecture.fingerprint(), 3);
        assert_eq!(bench.status(Command::Run, 0, 2, &right), Some(Status::Ok));
        assert_eq!(bench.runs, [(2, 3)]);
        let tag = bench.ask(Command::Status, 0, 0, &[]).payload[1];
        assert_eq!(
            bench.status(
                Command::Run,
                tag,
                2,
                &payload(architecture.fingerprint() ^ 1, 3)
            ),
            Some(Status::BadFingerprint)
        );
        assert_eq!(
            bench.status(Command::Run, 0, 254, &right),
            Some(Status::BadAddress)
        );
        assert_eq!(
            bench.status(
                Command::Run,
                tag,
                0,
                &payload(architecture.fingerprint(), 0)
            ),
            Some(Status::BadLength)
        );
        bench.set("running", 1);
        assert_eq!(
            bench.status(Command::Run, tag, 2, &right),
            Some(Status::Busy)
        );
        assert_eq!(
            bench.status(Command::Write, 0, 0, &[0; 4]),
            Some(Status::Busy)
        );
        assert_eq!(bench.status(Command::Stop, 0, 0, &[]), Some(Status::Ok));
        assert_eq!(
            (bench.runs.len(), bench.stops, bench.writes.len()),
            (1, 1, 0)
        );
    });
}

#[test]
fn a_run_is_started_once_however_often_its_request_arrives() {
    let mut bench = Bench::new(7);
    let mut payload = architecture().fingerprint().to_le_bytes().to_vec();
    payload.extend([1, 0]);
    let exchange = |bench: &mut Bench, command, sequence, tag| {
        let payload: &[u8] = if command == Command::Run {
            &payload
        } else {
            &[]
        };
        let response = bench.exchange(&request(command, sequence, tag, 0, payload));
        let response = response.expect("a response");
        (Status::from_code(response.status), response.payload)
    };
    let tag = |bench: &mut Bench| exchange(bench, Command::Status, 1, 0).1[1];
    assert_eq!(tag(&mut bench), 0);
    assert_eq!(
        exchange(&mut bench, Command::Stop, 9, 0).0,
        Some(Status::Ok)
    );
    assert_eq!(tag(&mut bench), 9);
    assert_eq!(
        exchange(&mut bench, Command::Run, 10, 8).0,
        Some(Status::Stale)
    );
    for expected in [Status::Ok, Status::Stale, Status::Stale] {
        assert_eq!(exchange(&mut bench, Command::Run, 10, 9).0, Some(expected));
        assert_eq!(tag(&mut bench), 10);
    }
    assert_eq!(bench.runs.len(), 1);
}

#[test]
fn a_rate_is_set_with_the_last_byte_of_its_response() {
    let mut bench = Bench::new(8);
    for rate in [2, 0, 3] {
        assert_eq!(bench.status(Command::Rate, 0, rate, &[]), Some(Status::Ok));
        assert_eq!(bench.rates.pop(), Some(u64::from(rate)));
    }
    let valid = bench.frames;
    assert_eq!(valid, 3);
    assert_eq!(
        bench.status(Command::Rate, 0, 4, &[]),
        Some(Status::BadAddress)
    );
    let mut bad = request(Command::Rate, 1, 0, 1, &[]);
    bad[2] ^= 1;
    let response = bench.exchange(&bad).expect("a response");
    assert_eq!(response.status, Status::BadCrc as u8);
    assert_eq!((bench.rates.len(), bench.frames), (0, 4));
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_done() {
    on_both(5, |mut bench, architecture| {
        let words = u32::try_from(architecture.program_words()).expect("small");
        for (command, space, address, payload, expected) in [
            (Command::Write, 0, 0, vec![0; 5], Status::BadLength),
            (Command::Write, 0, 0, vec![], Status::BadLength),
            (Command::Write, 4, 0, vec![0; 4], Status::BadSpace),
            (Command::Write, 200, 0, vec![0; 4], Status::BadSpace),
            (Command::Write, 0, words, vec![0; 4], Status::BadAddress),
            (Command::Write, 0, words - 1, vec![0; 8], Status::BadAddress),
            (Command::Write, 0, u32::MAX, vec![0; 4], Status::BadAddress),
            (Command::Read, 0, 0, vec![1, 0], Status::BadSpace),
            (Command::Read, 3, 0, vec![0, 0], Status::BadLength),
            (Command::Read, 3, 0, vec![33, 0], Status::BadLength),
            (Command::Read, 3, 0, vec![255, 255], Status::BadLength),
            (Command::Read, 3, 0, vec![1], Status::BadLength),
            (Command::Status, 0, 0, vec![1], Status::BadLength),
        ] {
            assert_eq!(
                bench.status(command, space, address, &payload),
                Some(expected),
                "{command:?} {space} {address} {payload:?}"
            );
        }
        let mut unknown = request(Command::Identify, 9, 0, 0, &[]);
        unknown[1] = 77;
        let end = unknown.len() - 4;
        let crc = crc32fast::hash(&unknown[1..end]).to_le_bytes();
        unknown[end..].copy_from_slice(&crc);
        assert_eq!(
            bench.exchange(&unknown).map(|response| response.status),
            Some(Status::BadCommand as u8)
        );
        assert!(bench.writes.is_empty());
    });
}

#[test]
fn a_flipped_bit_is_never_acted_on() {
    let mut bench = Bench::new(6);
    let good = request(Command::Write, 1, 0, 0, &[1, 2, 3, 4]);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // What a wrong length still waits for is filled up with zeros.
        bad.extend([0; 300]);
        if let Some(response) = bench.exchange(&bad) {
            assert_eq!(response.status, Status::BadCrc as u8, "bit {bit}");
        }
        assert!(bench.writes.is_empty(), "bit {bit}");
        bench.exchange(&[0; 40]);
        assert_eq!(
            bench.status(Command::Status, 0, 0, &[]),
            Some(Status::Ok),
            "after bit {bit}"
        );
    }
}

/// However much of a request has come, the port is idle again after the pause, and takes the next one.
#[test]
fn a_request_that_stops_is_dropped_after_the_pause_and_not_before() {
    const PAUSE_BITS: usize = 7;
    let unit = with_pause(&architecture(), PAUSE_BITS);
    let mut bench = Bench::of(unit.verilog().expect("emits"), 9);
    let whole = request(Command::Write, 5, Space::Program as u8, 3, &[1, 2, 3, 4]);
    let identify = request(Command::Identify, 6, 0, 0, &[]);
    for cut in 1..whole.len() {
        bench.pour(&whole[..cut]);
        bench.wait((1 << PAUSE_BITS) + 1);
        let response = bench.exchange(&identify).expect("a response");
        assert_eq!(response.sequence, 6, "after {cut} bytes");
        assert!(bench.writes.is_empty(), "after {cut} bytes");
        // A pause that is shorter is none.
        bench.pour(&whole[..cut]);
        bench.wait((1 << PAUSE_BITS) - 32);
        let response = bench.exchange(&whole[cut..]).expect("a response");
        assert_eq!((response.sequence, response.status), (5, Status::Ok as u8));
        assert_eq!(bench.writes.drain(..).count(), 1, "after {cut} bytes");
    }
}

#[test]
fn random_bytes_are_never_acted_on_and_zeros_end_whatever_they_began() {
    let mut bench = Bench::new(10);
    for _ in 0..40 {
        let mut garbage: Vec<u8> = (0..200).map(|_| bench.byte()).collect();
        // Beginnings of requests among them, with lengths of all kinds.
        for at in [20, 90] {
            let length = bench.byte();
            let begun = request(Command::Write, 1, 0, 0, &vec![1; usize::from(length)]);
            let kept = usize::from(bench.byte()).min(begun.len() - 1);
            garbage.splice(at..at, begun[..kept].iter().copied());
        }
        bench.pour(&garbage);
        bench.pour(&[0; REQUEST_MAX]);
        // The answer to what the zeros have ended.
        bench.wait(300);
        assert!(bench.writes.is_empty() && bench.runs.is_empty());
        assert_eq!(bench.status(Command::Status, 0, 0, &[]), Some(Status::Ok));
    }
}
