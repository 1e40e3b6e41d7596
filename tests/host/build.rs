//! `bitweft build` and `bitweft upload`: real synthesis, routing and packing of small designs, and what goes wrong.

mod command;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bitweft::flow::build::{BuildError, Design, Effort, Event, Outcome, RECORD, Record, build};
use bitweft::flow::part::Part;
use bitweft_hdl::pll::Family;
use bitweft_isa::architecture::Architecture;
use command::{assert_contains, fails, json};
use tempfile::TempDir;

/// A counter and a light, in place of a board's top.
const BLINK: &str = "module board(input board_clock, output led_busy);
    reg [23:0] count = 24'd0;
    always @(posedge board_clock) count <= count + 24'd1;
    assign led_busy = count[23];
endmodule
";

fn blink(family: Family, part: &str, pins: &str) -> Design {
    let part = Part::from_toml(part).expect("readable").expect("a part");
    let tiny = Architecture::from_toml(include_str!("../../constraints/tiny.toml")).expect("valid");
    assert_eq!(part.check(family, &tiny), Vec::<String>::new());
    Design::board(
        "blink",
        BLINK.to_owned(),
        (family, part),
        pins.to_owned(),
        25.0,
    )
}

fn ecp5() -> Design {
    let part =
        "[part]\ndevice = \"25k\"\npackage = \"CABGA381\"\nspeed = 6\nrouter = \"router1\"\n";
    let pins = "LOCATE COMP \"board_clock\" SITE \"P3\";\nLOCATE COMP \"led_busy\" SITE \"U16\";\n";
    blink(Family::Ecp5, part, pins)
}

fn effort(seeds: &[u32], timeout: Duration) -> Effort {
    Effort {
        seeds: seeds.to_vec(),
        timeout,
        jobs: 2,
    }
}

const LONG: Duration = Duration::from_secs(600);

/// Builds; also the tools that were started.
fn built(
    design: &Design,
    effort: &Effort,
    folder: &Path,
) -> (Result<(Record, bool), BuildError>, Vec<&'static str>) {
    let started = std::sync::Mutex::new(Vec::new());
    let observe = |event: Event<'_>| {
        if let Event::Started(tool, _) = event {
            started.lock().expect("unpoisoned").push(tool);
        }
    };
    let result = build(design, effort, folder, &AtomicBool::new(false), &observe);
    (result, started.into_inner().expect("unpoisoned"))
}

/// Processes that run in a folder.
fn running_in(folder: &Path) -> usize {
    let folder = folder.canonicalize().expect("a folder");
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
        .count()
}

#[test]
fn a_bitstream_of_every_family_and_nothing_to_do_the_second_time() {
    let ice40 = "[part]\ndevice = \"up5k\"\npackage = \"sg48\"\n";
    let gowin = "[part]\ndevice = \"GW2AR-LV18QN88C8/I7\"\nchip = \"GW2A-18C\"\n";
    let designs = [
        ecp5(),
        blink(
            Family::Ice40,
            ice40,
            "set_io board_clock 35\nset_io led_busy 37\n",
        ),
        blink(
            Family::Gowin,
            gowin,
            "IO_LOC \"board_clock\" 4;\nIO_LOC \"led_busy\" 15;\n",
        ),
    ];
    for design in designs {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, started) = built(&design, &effort(&[1], LONG), folder.path());
        let (record, there) = first.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(started, ["yosys", "nextpnr", "packer"]);
        assert!(record.met && !there && record.timing.reached_mhz > 25.0);
        let bitstream = record.bitstream.clone().expect("a bitstream");
        assert!(bitstream.bytes > 1000 && record.holds(folder.path()));
        assert!(record.timing.critical_path.is_some(), "{:?}", design.family);
        let lut = &record.timing.utilisation[0];
        assert!(lut.used > 0 && lut.used < lut.available, "{lut:?}");

        let (second, started) = built(&design, &effort(&[1], LONG), folder.path());
        assert_eq!(second.expect("there"), (record.clone(), true));
        assert!(started.is_empty(), "{started:?}");

        // Without its bitstream it is packed again, and nothing else.
        fs::remove_file(folder.path().join(&bitstream.file)).expect("removed");
        let (third, started) = built(&design, &effort(&[1], LONG), folder.path());
        assert_eq!(third.expect("packed").0.bitstream, Some(bitstream));
        assert_eq!(started, ["packer"]);

        // Another Verilog text is another build.
        let mut other = design.clone();
        other.verilog = BLINK.replace("count[23]", "count[22]");
        let (changed, started) = built(&other, &effort(&[1], LONG), folder.path());
        assert_ne!(
            changed.expect("built").0.verilog_sha256,
            record.verilog_sha256
        );
        assert_eq!(started, ["yosys", "nextpnr", "packer"]);
    }
}

#[test]
fn a_clock_that_no_seed_reaches_is_an_error_with_the_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut design = ecp5();
    design.wanted_mhz = 3000.0;
    let (result, _) = built(&design, &effort(&[1, 2], LONG), folder.path());
    let error = result.expect_err("too fast");
    let text = error.to_string();
    assert_contains(
        &text,
        &[
            "board_clock",
            "3000",
            "critical path",
            "routing) from",
            "2 seeds",
        ],
    );
    let BuildError::Timing(record) = error else {
        panic!("{error}")
    };
    assert!(
        record
            .seeds
            .iter()
            .all(|seed| seed.outcome == Outcome::Slow)
    );
    let best = record
        .seeds
        .iter()
        .filter_map(|seed| seed.reached_mhz)
        .fold(0.0, f64::max);
    assert_eq!(record.timing.reached_mhz, best);
    assert!(record.bitstream.is_none() && !record.met);
    assert_eq!(Record::read(folder.path()).expect("recorded"), *record);
    // The seeds are not routed again; a clock that they reach needs none.
    let (again, started) = built(&design, &effort(&[1, 2], LONG), folder.path());
    assert!(matches!(again, Err(BuildError::Timing(_))) && started.is_empty());
    design.wanted_mhz = 25.0;
    let (fine, started) = built(&design, &effort(&[1, 2], LONG), folder.path());
    assert!(fine.expect("met").0.met);
    assert_eq!(started, ["packer"]);
}

#[test]
fn a_time_out_and_a_broken_design_are_errors_and_nothing_stays_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = Instant::now();
    let (result, _) = built(
        &ecp5(),
        &effort(&[1], Duration::from_millis(50)),
        folder.path(),
    );
    let error = result.expect_err("too short").to_string();
    assert_contains(&error, &["yosys", "killed", "--timeout"]);
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(running_in(folder.path()), 0);
    let mut broken = ecp5();
    broken.verilog = BLINK.replace("reg [23:0]", "rag");
    let (result, _) = built(&broken, &effort(&[1], LONG), folder.path());
    assert_contains(
        &result.expect_err("broken").to_string(),
        &["yosys.txt", "ERROR"],
    );
    let mut unplaced = ecp5();
    unplaced.pins = unplaced.pins.replace("U16", "Z99");
    let (result, _) = built(&unplaced, &effort(&[1, 2], LONG), folder.path());
    assert_contains(
        &result.expect_err("no pin").to_string(),
        &["nextpnr.txt", "Z99"],
    );
}

/// A whole board of the smallest processor, on the command line.
struct Board(TempDir);

impl Board {
    fn new(programmer: &str) -> Self {
        let board = Self(tempfile::tempdir().expect("a folder"));
        let text = format!(
            "[architecture]\ncolumns = 1\nquads = 2\nlane = \"plain\"\naccumulator_bits = 24\naccumulator_depth = 16\n\
             accumulator_storage = \"block\"\ndrain_ways = 1\nactivation_words = 256\nplane_words = 256\nrecord_count = 64\n\
             descriptor_count = 16\n\n[part]\ndevice = \"25k\"\npackage = \"CABGA381\"\nspeed = 6\nrouter = \"router1\"\n\
             seed = 3\n\n[board]\nname = \"small\"\nfamily = \"ecp5\"\nclock_mhz = 25\nprocessor_mhz = 40\npins = \"colorlight-i5.lpf\"\n\
             leds = [\"busy\"]\nuart = \"none\"\nprogrammer = \"{programmer}\"\n"
        );
        fs::write(board.path("small.toml"), text).expect("writes");
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// `bitweft upload` with the board's folder first in PATH.
    fn upload(&self, from: &str, more: &[&str]) -> Output {
        let path = std::env::var("PATH").expect("a PATH");
        Command::new(env!("CARGO_BIN_EXE_bitweft"))
            .args([
                "upload",
                "--board",
                &self.text("small.toml"),
                &self.text(from),
            ])
            .args(more)
            .env("PATH", format!("{}:{path}", self.0.path().display()))
            .output()
            .expect("starts")
    }
}

#[test]
fn a_whole_board_is_built_and_uploaded() {
    let board = Board::new("fake-programmer --into sram");
    let (file, out) = (board.text("small.toml"), board.text("out"));
    let run = ["build", "--board", &file, "-o", &out, "--quiet", "--json"];
    let found = json(&run);
    assert_eq!(
        (&found["met"], &found["up_to_date"]),
        (&true.into(), &false.into())
    );
    assert!(found["timing"]["reached_mhz"].as_f64() > Some(40.0));
    for name in [
        "board.bit",
        RECORD,
        "board.v",
        "board.lpf",
        "synthesis.txt",
        "seed-3/report.json",
    ] {
        assert!(board.path("out").join(name).is_file(), "{name}");
    }
    let again = json(&run);
    assert_eq!(again["up_to_date"], true);

    board.program(
        "fake-programmer",
        "echo \"$@\" > \"$(dirname \"$0\")/said\"; echo done",
    );
    let output = board.upload("out", &["--json"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = fs::read_to_string(board.path("said")).expect("it ran");
    assert_eq!(said.trim(), format!("--into sram {out}/board.bit"));

    fs::write(board.path("out/board.bit"), "other").expect("writes");
    let output = board.upload("out", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_contains(&String::from_utf8_lossy(&output.stderr), &["build again"]);
}

#[test]
fn an_interrupted_build_ends_at_once_with_its_tools() {
    let board = Board::new("none");
    let out = board.path("out");
    let mut process = Command::new(env!("CARGO_BIN_EXE_bitweft"))
        .args([
            "build",
            "--board",
            &board.text("small.toml"),
            "-o",
            &board.text("out"),
        ])
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let begin = Instant::now();
    while !out.is_dir() || running_in(&out) == 0 {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "no tool was started"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = fails(
        1,
        &[
            "build",
            "--board",
            &board.text("small.toml"),
            "-o",
            &board.text("out"),
        ],
    );
    assert_contains(&second, &["another build"]);
    let id = process.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .expect("kill")
            .success()
    );
    let begin = Instant::now();
    while process.try_wait().expect("waits").is_none() {
        assert!(begin.elapsed() < Duration::from_secs(20), "does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(process.wait().expect("waits").code(), Some(1));
    assert_eq!(running_in(&out), 0);
}

#[test]
fn what_is_missing_is_named() {
    let board = Board::new("none");
    let (file, out) = (board.text("small.toml"), board.text("out"));
    let output = Command::new(env!("CARGO_BIN_EXE_bitweft"))
        .args(["build", "--board", &file, "-o", &out])
        .env("BITWEFT_CACHE", board.0.path())
        .output()
        .expect("starts");
    assert_eq!(output.status.code(), Some(4));
    assert_contains(&String::from_utf8_lossy(&output.stderr), &["scripts/setup"]);
    assert_contains(
        &fails(2, &["build", "--board", "tiny", "-o", &out]),
        &["unknown board `tiny`", "ulx3s-85f"],
    );
    assert_contains(
        &fails(2, &["build", "--board", &file, "--processor-only"]),
        &["[budget]"],
    );
    assert_contains(
        &fails(2, &["build", "--board", &file, "--seeds", "5..3"]),
        &["lower"],
    );
    let text = fs::read_to_string(&file).expect("reads");
    fs::write(&file, text.replace("speed = 6\n", "")).expect("writes");
    assert_contains(
        &fails(1, &["build", "--board", &file]),
        &["`speed` is missing"],
    );
}

#[test]
fn programmers_that_fail_are_explained() {
    let board = Board::new("fake-programmer --fast");
    fs::write(board.path("x.bit"), "bits").expect("writes");
    let ends = |code: i32, more: &[&str], parts: &[&str]| {
        let begin = Instant::now();
        let output = board.upload("x.bit", more);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert_contains(&error, parts);
        assert!(begin.elapsed() < Duration::from_secs(20));
    };
    ends(4, &[], &["fake-programmer is not installed", "PATH"]);
    board.program(
        "fake-programmer",
        "echo 'unable to open ftdi device: -4 (usb_open() failed)'; exit 1",
    );
    ends(5, &[], &["udev", "usb_open"]);
    board.program("fake-programmer", "echo 'no cable found'; exit 1");
    ends(5, &[], &["no cable found", "plugged in"]);
    board.program("fake-programmer", "echo writing; sleep 300");
    ends(5, &["--timeout", "1"], &["killed after 1 s", "writing"]);
    let output = board.upload("absent", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_contains(
        &String::from_utf8_lossy(&output.stderr),
        &["absent", "neither", "bitweft build"],
    );
    // A shipped board, where no program at all is to be found.
    let output = Command::new(env!("CARGO_BIN_EXE_bitweft"))
        .args(["upload", "--board", "icebreaker", &board.text("x.bit")])
        .env("PATH", "/nonexistent")
        .output()
        .expect("starts");
    assert_eq!(output.status.code(), Some(4));
    assert_contains(
        &String::from_utf8_lossy(&output.stderr),
        &["package openfpgaloader"],
    );
}
