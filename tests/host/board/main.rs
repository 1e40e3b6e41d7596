//! The virtual board and `bitweft run`, as processes: pseudo-terminal and TCP, bytes and bits, and what goes wrong.

mod bridge;
#[path = "../../cases/mod.rs"]
mod cases;
mod ports;
mod served;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use served::{Board, Files, bitweft};

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
    board.stop("-TERM");
}

/// The network that comes with bitweft on the smallest board, quantized to four bits a MAC.
#[test]
fn the_embedded_network_on_an_icebreaker() {
    let folder = tempfile::tempdir().expect("folder");
    let images = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/default-images.npz");
    let network = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/default.onnx");
    let quantized = folder.path().join("default.bw");
    let quantized = quantized.to_str().expect("UTF-8");
    let output = bitweft(&[
        "quantize",
        network,
        "--calibration",
        images,
        "--budget",
        "4",
        "-o",
        quantized,
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let board = Board::serve("icebreaker", &["--pty", "--fast-link"]);
    let output = bitweft(&[
        "run",
        quantized,
        "--port",
        &board.port,
        "--data",
        images,
        "--limit",
        "2",
        "--verify",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["architecture"], "icebreaker");
    assert_eq!(
        (&found["output_bytes"], &found["mismatches"]),
        (&20.into(), &0.into())
    );
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
fn a_simulation_in_the_process_runs_the_same() {
    let files = Files::new();
    let found = files.runs("two", "sim", &["--arch", "tiny"]);
    assert_eq!(found["repeated_requests"], 0);
}

/// `constraints/board.schema.json` is what `boards schema` prints, every file there holds to it, and it refuses what is none.
#[test]
fn boards_have_a_schema() {
    let printed = bitweft(&["boards", "schema"]);
    assert_eq!(printed.status.code(), Some(0));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("constraints");
    let kept = std::fs::read(folder.join("board.schema.json")).expect("reads");
    assert!(
        kept == printed.stdout,
        "make it again: bitweft boards schema > constraints/board.schema.json"
    );
    let schema: Value = serde_json::from_slice(&kept).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|suffix| suffix != "toml") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).expect("reads");
        let valid = |text: &str| {
            let value: Value = toml::from_str(text).expect("TOML");
            validator.is_valid(&value)
        };
        assert!(valid(&text), "{}", path.display());
        assert!(!valid(&text.replace("lane = \"", "lane = \"no ")));
        assert!(!valid(&text.replacen("columns =", "colums =", 1)));
        assert!(!valid(&format!("{text}\n[bugdet]\n")));
    }
    assert!(files > 8, "{files}");
}

#[test]
fn boards_are_checked() {
    let shipped = bitweft(&["boards", "check", "--json"]);
    assert_eq!(shipped.status.code(), Some(0));
    let found: Value = serde_json::from_slice(&shipped.stdout).expect("JSON");
    assert_eq!(found.as_array().map(Vec::len), Some(8));
    let files = Files::new();
    let small = files.text("small.toml");
    let pins = "set_io board_clock 35\nset_io uart_receive 6\nset_io uart_transmit 6\n";
    std::fs::write(files.path("small.pcf"), pins).expect("writes");
    let output = bitweft(&["boards", "check", &small]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("both at 6"), "{text}");
    let unknown = std::fs::read_to_string(&small).expect("reads") + "\n[bugdet]\n";
    std::fs::write(&small, unknown).expect("writes");
    let output = bitweft(&["boards", "check", &small]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("no table `bugdet`"), "{text}");
    let text = include_str!("../../../constraints/colorlight-i5.toml");
    let few = format!(
        "{}rows = [25]\ncolumns = [10, 8, 6, 4]\n",
        text.split_once("rows = [").expect("rows").0
    );
    let rest = text.split_once("\n[budget]").expect("a budget").1;
    let tied = files.text("tied.toml");
    std::fs::write(&tied, format!("{few}[budget]{rest}")).expect("writes");
    std::fs::write(
        files.path("colorlight-i5.lpf"),
        include_str!("../../../constraints/colorlight-i5.lpf"),
    )
    .expect("writes");
    let output = bitweft(&["boards", "check", &tied]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("`part.accumulators` has 4 places for 24 memories"),
        "{text}"
    );
    assert!(
        text.contains("needs `columns` in ascending order"),
        "{text}"
    );
    let out = files.text("out");
    let made = bitweft(&["generate", "--arch", "icebreaker", "--board", "-o", &out]);
    assert_eq!(made.status.code(), Some(0));
    let top = std::fs::read_to_string(Path::new(&out).join("board.v")).expect("written");
    assert!(top.contains("module board(") && top.contains("module ice40_pll"));
    assert!(Path::new(&out).join("icebreaker.pcf").is_file());
}
