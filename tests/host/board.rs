//! The virtual board and `bitweft run`, as processes: pseudo-terminal and TCP, bytes and bits, and what goes wrong.

#[path = "../cases/mod.rs"]
mod cases;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bitweft::driver::{Endpoint, Serial, Transport};
use bitweft::model::bwfile;
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use serde_json::Value;
use tempfile::TempDir;

fn bitweft(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bitweft"))
        .args(arguments)
        .output()
        .expect("starts")
}

/// Two networks with their images, and a board of the smallest kind.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().expect("folder"),
        };
        for (name, prefix) in [("one", "whole"), ("two", "uniform5")] {
            let case = cases::cases()
                .into_iter()
                .find(|case| case.network.name.starts_with(prefix))
                .expect("a case");
            bwfile::write(files.path(&format!("{name}.bw")), &case.network).expect("writes");
            let shape = case.network.tensors[case.network.input].shape;
            let dim = (3, shape.height, shape.width, shape.channels);
            let mut random = cases::Random::new(7);
            let images = Array4::from_shape_simple_fn(dim, || random.byte());
            let file = std::fs::File::create(files.path(&format!("{name}.npz")));
            let mut writer = NpzWriter::new(file.expect("creates"));
            writer.add_array("images", &images).expect("writes");
            let labels: Array1<i64> = Array1::zeros(3);
            writer.add_array("labels", &labels).expect("writes");
            writer.finish().expect("writes");
        }
        let board = "[architecture]\ncolumns = 1\nquads = 2\nlane = \"plain\"\naccumulator_bits = 32\n\
                     accumulator_depth = 64\naccumulator_storage = \"block\"\ndrain_ways = 1\nactivation_words = 256\n\
                     plane_words = 1024\nrecord_count = 64\ndescriptor_count = 16\n\n[board]\nname = \"small\"\n\
                     family = \"ice40\"\nclock_mhz = 12\nprocessor_mhz = 24\npins = \"small.pcf\"\nleds = []\n\
                     uart = \"none\"\nprogrammer = \"none\"\n";
        std::fs::write(files.path("small.toml"), board).expect("writes");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    fn run(&self, network: &str, port: &str, more: &[&str]) -> Output {
        let (net, data) = (
            self.text(&format!("{network}.bw")),
            self.text(&format!("{network}.npz")),
        );
        let run = [
            "run", &net, "--port", port, "--data", &data, "--limit", "2", "--verify", "--json",
        ];
        bitweft(&[&run[..], more].concat())
    }

    /// The JSON of a run that ends well, with nothing differing.
    fn runs(&self, network: &str, port: &str, more: &[&str]) -> Value {
        let output = self.run(network, port, more);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{network}, {port}: {error}");
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (&found["images"], &found["mismatches"]),
            (&2.into(), &0.into())
        );
        assert!(found["output_bytes"].as_u64() > Some(0));
        found
    }

    /// Standard error of a run that ends with `code`.
    fn fails(&self, code: i32, port: &str, more: &[&str]) -> String {
        let output = self.run("one", port, more);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(code), "{port}: {error}");
        assert!(!error.contains("panicked"), "{error}");
        error
    }
}

/// A virtual board in a process of its own.
struct Board {
    process: Child,
    port: String,
}

impl Board {
    fn serve(board: &str, more: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bitweft"))
            .args(["board", "serve", "--board", board])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        Self {
            process,
            port: line.trim().to_owned(),
        }
    }

    /// Ends it by a signal, and sees that it ends well.
    fn stop(mut self, signal: &str) {
        let id = self.process.id().to_string();
        let killed = Command::new("kill").args([signal, &id]).status();
        assert!(killed.expect("kill").success());
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("waits") {
                assert_eq!(status.code(), Some(0));
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Seconds of processor time that it has taken.
    fn processor_seconds(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.process.id());
        let text = std::fs::read_to_string(path).expect("a process");
        let fields: Vec<&str> = text
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        // utime and stime, in hundredths.
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn two_networks_one_after_the_other_on_a_pseudo_terminal() {
    let files = Files::new();
    let board = Board::serve("tiny", &["--pty", "--fast-link"]);
    let first = files.runs("one", &board.port, &[]);
    assert_eq!(first["architecture"], "tiny");
    assert_eq!(first["rate"], 3_000_000);
    files.runs("two", &board.port, &["--arch", "tiny"]);
    let again = files.runs("one", &board.port, &[]);
    assert_eq!(again["classes"], first["classes"]);
    // With nobody there it does next to nothing.
    let before = board.processor_seconds();
    std::thread::sleep(Duration::from_secs(2));
    assert!(board.processor_seconds() - before < 0.2);
    board.stop("-INT");
}

#[test]
fn two_networks_over_tcp_one_client_at_a_time() {
    let files = Files::new();
    let board = Board::serve("tiny", &["--tcp", "127.0.0.1:0", "--fast-link"]);
    let first = files.runs("one", &board.port, &[]);
    assert_eq!(first["rate"], Value::Null);
    files.runs("two", &board.port, &[]);
    let address = board.port.strip_prefix("tcp://").expect("an address");
    let holder = std::net::TcpStream::connect(address).expect("connects");
    std::thread::sleep(Duration::from_millis(300));
    let error = files.fails(5, &board.port, &[]);
    assert!(error.contains("another client"), "{error}");
    drop(holder);
    files.runs("one", &board.port, &[]);
    let error = files.fails(5, &board.port, &["--arch", "icebreaker"]);
    assert!(error.contains("of architecture"), "{error}");
    board.stop("-TERM");
}

/// Every bit of the line in simulated time, through the board's own top.
#[test]
fn a_network_over_the_bits_of_a_serial_line() {
    let files = Files::new();
    let small = files.text("small.toml");
    let board = Board::serve(&small, &["--pty"]);
    let found = files.runs("one", &board.port, &["--arch", &small]);
    assert_eq!(found["rate"], 3_000_000);
    assert_eq!(found["clock_hz"], 24e6);
    board.stop("-TERM");
}

#[test]
fn ports_that_cannot_be_used_are_named_with_what_to_do() {
    let files = Files::new();
    let error = files.fails(5, "/dev/ttyABSENT0", &[]);
    assert!(error.contains("plugged in"), "{error}");
    let error = files.fails(5, &files.text("small.toml"), &[]);
    assert!(error.contains("serial port"), "{error}");
    let error = files.fails(5, "tcp://127.0.0.1:1", &[]);
    assert!(error.contains("board serve --tcp"), "{error}");
    let error = files.fails(2, "sim", &[]);
    assert!(error.contains("--arch"), "{error}");
    let board = Board::serve("tiny", &["--pty", "--fast-link"]);
    let held = std::fs::File::open(&board.port).expect("opens");
    held.lock().expect("locks");
    let error = files.fails(5, &board.port, &[]);
    assert!(error.contains("another program"), "{error}");
}

#[test]
fn an_unplugged_port_is_an_error_at_once() {
    for sends in [true, false] {
        let endpoint = Endpoint::pty().expect("a pseudo-terminal");
        let mut port = Serial::open(Path::new(&endpoint.address())).expect("opens");
        assert!(port.receive().expect("silent").is_empty());
        drop(endpoint);
        let begin = Instant::now();
        let error = match sends {
            true => port.send(&[0; 300]).and_then(|()| port.receive().map(drop)),
            false => port.receive().map(drop),
        };
        let error = error.expect_err("gone").to_string();
        assert!(error.contains("unplugged"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn what_is_no_board_is_told_from_a_silent_port() {
    let files = Files::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = format!("tcp://{}", listener.local_addr().expect("bound"));
    let talker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        // Answers every request with a boot message, as another board would.
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
            let _ = stream.write_all(b"\r\nbooting from flash {\r\n");
        }
    });
    let error = files.fails(5, &port, &[]);
    assert!(error.contains("bytes that are none"), "{error}");
    talker.join().expect("ends");
}

#[test]
fn a_simulation_in_the_process_runs_the_same() {
    let files = Files::new();
    let found = files.runs("two", "sim", &["--arch", "tiny"]);
    assert_eq!(found["repeated_requests"], 0);
}

#[test]
fn boards_are_checked() {
    let shipped = bitweft(&["boards", "check", "--json"]);
    assert_eq!(shipped.status.code(), Some(0));
    let found: Value = serde_json::from_slice(&shipped.stdout).expect("JSON");
    assert_eq!(found.as_array().map(Vec::len), Some(3));
    let files = Files::new();
    let small = files.text("small.toml");
    let pins = "set_io board_clock 35\nset_io uart_receive 6\nset_io uart_transmit 6\n";
    std::fs::write(files.path("small.pcf"), pins).expect("writes");
    let output = bitweft(&["boards", "check", &small]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("both at 6"), "{text}");
    let out = files.text("out");
    let made = bitweft(&["generate", "--arch", "icebreaker", "--board", "-o", &out]);
    assert_eq!(made.status.code(), Some(0));
    let top = std::fs::read_to_string(Path::new(&out).join("board.v")).expect("written");
    assert!(top.contains("module board(") && top.contains("module ice40_pll"));
    assert!(Path::new(&out).join("icebreaker.pcf").is_file());
}
