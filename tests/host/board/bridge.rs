//! `bitweft bridge mlperf-tiny` between a client that speaks as MLPerf Tiny's runner does, and a virtual board.

use std::path::Path;
use std::time::{Duration, Instant};

use bitweft::driver::{Serial, Tcp, Transport};
use bitweft::golden::network;
use bitweft::model::integer::IntegerNetwork;
use bitweft::model::load::{Model, load_model};
use ndarray::Array3;

use crate::cases::Random;
use crate::served::{Board, Files, bitweft, error_of};

/// Bytes that the runner sends a command.
const LOAD_BYTES: usize = 31;
/// Longest wait for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// The runner's side of a stream.
struct Runner {
    stream: Box<dyn Transport>,
    received: Vec<u8>,
}

impl Runner {
    fn new(port: &str) -> Self {
        let stream: Box<dyn Transport> = match port.strip_prefix("tcp://") {
            Some(address) => Box::new(Tcp::connect(address).expect("connects")),
            None => Box::new(Serial::open(Path::new(port)).expect("opens")),
        };
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends bytes and gives the lines up to the next `m-ready`, without it.
    fn send(&mut self, bytes: &[u8]) -> Vec<String> {
        self.stream.send(bytes).expect("sends");
        let begin = Instant::now();
        let end = b"m-ready\r\n";
        while !self.received.ends_with(end) {
            assert!(
                begin.elapsed() < ANSWER_TIME_MAX,
                "no end: {:?}",
                self.received
            );
            self.received
                .extend(self.stream.receive().expect("receives"));
        }
        let text = String::from_utf8(std::mem::take(&mut self.received)).expect("ASCII");
        let mut lines: Vec<String> = text.split_terminator("\r\n").map(str::to_owned).collect();
        lines.pop();
        lines
    }

    fn ask(&mut self, command: &str) -> Vec<String> {
        self.send(format!("{command}%").as_bytes())
    }

    /// Loads an input as the runner does, and gives the result of an inference.
    fn infer(&mut self, input: &[u8]) -> String {
        let lines = self.ask(&format!("db load {}", input.len()));
        assert_eq!(lines, [format!("m-[Expecting {} bytes]", input.len())]);
        let mut last = Vec::new();
        for part in input.chunks(LOAD_BYTES) {
            let digits: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
            last = self.ask(&format!("db {digits}"));
        }
        assert_eq!(last, ["m-load-done"]);
        let mut lines = self.ask("infer 2 1");
        for (at, line) in ["m-warmup-start-1", "m-warmup-done", "m-infer-start-2"]
            .iter()
            .enumerate()
        {
            assert_eq!(lines[at], *line);
        }
        let lap = |line: &str| {
            let digits = line.strip_prefix("m-lap-us-").expect("a time");
            digits.parse::<u64>().expect("a number")
        };
        assert!(lap(&lines[3]) < lap(&lines[4]), "{lines:?}");
        assert_eq!(lines[5], "m-infer-done");
        assert_eq!(lines.len(), 7);
        assert_eq!(self.ask("results"), lines[6..]);
        lines.swap_remove(6)
    }
}

fn network_of(files: &Files) -> IntegerNetwork {
    match load_model(files.path("one.bw")).expect("reads") {
        Model::Integer(network) => network,
        Model::Float(_) => panic!("a float network"),
    }
}

/// The golden model's output of an input, as the runner is told it.
fn expected(network: &IntegerNetwork, input: &[u8]) -> String {
    let shape = network.tensors[network.input].shape;
    let dim = (shape.height, shape.width, shape.channels);
    let input = Array3::from_shape_vec(dim, input.to_vec()).expect("an input");
    let mut golden = network::run(network, input.view()).expect("runs");
    let tensor = &network.tensors[network.output];
    let output = golden.swap_remove(network.output);
    let reals = output.iter().map(|&byte| {
        let real = (i32::from(byte) - tensor.zero_point) as f32 * tensor.scale;
        format!("{real:.3}")
    });
    format!("m-results-[{}]", reals.collect::<Vec<_>>().join(","))
}

/// The processor's bytes of an input in the runner's format.
type Format = fn(&IntegerNetwork, &[u8]) -> Vec<u8>;

/// Bytes of pixels, through the network's own scale.
fn pixels(network: &IntegerNetwork, input: &[u8]) -> Vec<u8> {
    let tensor = &network.tensors[network.input];
    let byte = |&byte: &u8| {
        let steps = (f64::from(byte) / f64::from(tensor.scale)).round();
        (steps + f64::from(tensor.zero_point)).clamp(0.0, 255.0) as u8
    };
    input.iter().map(byte).collect()
}

fn signed(_: &IntegerNetwork, input: &[u8]) -> Vec<u8> {
    input.iter().map(|byte| byte ^ 0x80).collect()
}

#[test]
fn the_runner_gets_the_golden_models_results() {
    let files = Files::new();
    let board = Board::serve("tiny", &["--tcp", "127.0.0.1:0", "--fast-link"]);
    let network = network_of(&files);
    let count = network.tensors[network.input].shape.elements();
    // Pixels of few steps: the network's scale takes others to its end.
    let cases: [(&str, &str, Format, u8); 2] = [
        ("tcp://127.0.0.1:0", "ic01", pixels, 0x07),
        ("pty", "kws01", signed, 0xff),
    ];
    let mut random = Random::new(3);
    for (listen, model, format, mask) in cases {
        let net = files.text("one.bw");
        let bridge = [
            "bridge",
            "mlperf-tiny",
            &net,
            "--port",
            &board.port,
            "--listen",
            listen,
            "--benchmark",
            model,
        ];
        let bridge = Board::start(&bridge);
        let mut runner = Runner::new(&bridge.port);
        assert_eq!(runner.ask("name"), ["m-name-dut-[bitweft tiny]"]);
        assert_eq!(runner.ask("profile")[1], format!("m-model-[{model}]"));
        let mut results = Vec::new();
        for _ in 0..2 {
            let input: Vec<u8> = (0..count).map(|_| random.byte() & mask).collect();
            let found = runner.infer(&input);
            assert_eq!(found, expected(&network, &format(&network, &input)));
            results.push(found);
        }
        assert_ne!(results[0], results[1]);
        drop(runner);
        // Another runner after the first one.
        let mut runner = Runner::new(&bridge.port);
        assert_eq!(runner.ask("help").len(), 9);
        bridge.stop("-TERM");
    }
    board.stop("-INT");
}

#[test]
fn what_no_runner_says_is_refused_and_a_board_that_comes_back_is_used_again() {
    let files = Files::new();
    let mut board = Board::serve("tiny", &["--tcp", "127.0.0.1:0", "--fast-link"]);
    let net = files.text("one.bw");
    let to_board = [
        "--port",
        &board.port.clone(),
        "--listen",
        "tcp://127.0.0.1:0",
    ];
    let command = [&["bridge", "mlperf-tiny", &net], &to_board[..]].concat();
    error_of(2, &bitweft(&command));
    let bridge = Board::start(&[&command[..], &["--benchmark", "ic01"]].concat());
    let mut runner = Runner::new(&bridge.port);
    let network = network_of(&files);
    let count = network.tensors[network.input].shape.elements();
    let long = vec![b'x'; 100_000];
    let mut random = Random::new(5);
    let garbage: Vec<u8> = (0..500).map(|_| random.byte() | 0x80).collect();
    for wrong in [
        &b"hello"[..],
        &long,
        &garbage,
        b"db load 0",
        b"db load 99999999999999999999",
        b"db 00",
        b"infer 1 0",
        b"results",
    ] {
        let lines = runner.send(&[wrong, b"%"].concat());
        assert!(lines.len() == 1 && lines[0].starts_with("e-["), "{lines:?}");
    }
    runner.ask(&format!("db load {count}"));
    for wrong in ["db 0", "db zz", "db 1g"] {
        assert!(runner.ask(wrong)[0].starts_with("e-["), "{wrong}");
    }
    runner.ask("db 0011");
    assert!(runner.ask("infer 1 0")[0].contains("2 bytes are loaded"));
    let input = vec![77; count];
    let right = runner.infer(&input);
    // The board goes, and comes back at the same port.
    let address = board
        .port
        .strip_prefix("tcp://")
        .expect("an address")
        .to_owned();
    board.stop("-INT");
    let lines = runner.ask("infer 1 0");
    assert!(
        lines.last().is_some_and(|line| line.starts_with("e-[")),
        "{lines:?}"
    );
    assert_eq!(runner.ask("name").len(), 1);
    board = Board::serve("tiny", &["--tcp", &address, "--fast-link"]);
    assert_eq!(runner.infer(&input), right);
    bridge.stop("-INT");
    board.stop("-INT");
}
