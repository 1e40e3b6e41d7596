//! What the tests run: networks with images as files, and a virtual board in a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bitweft::model::bwfile;
use ndarray::{Array1, Array4};
use ndarray_npy::NpzWriter;
use serde_json::Value;
use tempfile::TempDir;

use crate::cases;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bitweft");

pub(crate) fn bitweft(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .output()
        .expect("starts")
}

/// Two networks with their images, and a board of the smallest kind.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// `bitweft run` on two images, compared with the golden model, by a program of the caller's choice.
    pub(crate) fn run_by(&self, program: impl AsRef<OsStr>, network: &str, port: &str) -> Command {
        let [net, data] = ["bw", "npz"].map(|kind| self.path(&format!("{network}.{kind}")));
        let mut run = Command::new(program);
        run.arg("run").arg(net).args(["--port", port, "--data"]);
        run.arg(data).args(["--limit", "2", "--verify", "--json"]);
        run
    }

    fn run(&self, network: &str, port: &str, more: &[&str]) -> Output {
        let mut run = self.run_by(PROGRAM, network, port);
        run.args(more).output().expect("starts")
    }

    /// The JSON of a run that ends well, with nothing differing.
    pub(crate) fn runs(&self, network: &str, port: &str, more: &[&str]) -> Value {
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
    pub(crate) fn fails(&self, code: i32, port: &str, more: &[&str]) -> String {
        error_of(code, &self.run("one", port, more))
    }
}

/// Standard error of what ended with `code`.
pub(crate) fn error_of(code: i32, output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

/// A virtual board (or a bridge) in a process of its own.
pub(crate) struct Board {
    process: Child,
    pub(crate) port: String,
}

impl Board {
    pub(crate) fn serve(board: &str, more: &[&str]) -> Self {
        Self::start(&[&["board", "serve", "--board", board], more].concat())
    }

    /// Anything that prints where it can be connected to, and stays.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(arguments)
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
    pub(crate) fn stop(mut self, signal: &str) {
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
    pub(crate) fn processor_seconds(&self) -> f64 {
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
