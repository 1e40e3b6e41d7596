//! The device's side of MLPerf Tiny's runner: ASCII commands that end in `%`, answered by lines, the last one `m-ready`.
//!
//! The commands and lines are those of the reference firmware (mlcommons/tiny, `benchmark/api`): `name`, `profile`, `timestamp`,
//! `help`, `db load N`, `db HH..`, `db print`, `infer N [W]`, `results`. What the firmware does not say is wrong here gets
//! an `e-[..]` line, too. Memory is bounded: a command has at most [`COMMAND_BYTES_MAX`] bytes, the buffer at most the input's.

use super::{DriverError, endpoint::Endpoint};
use std::{
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Longest command, its end not counted. The firmware takes 80 bytes, the runner sends up to 65.
pub const COMMAND_BYTES_MAX: usize = 1024;
/// What the runner knows the firmware by.
const PROFILE: &str = "ULPMark for tinyML Firmware V0.0.1";
/// Warm-up inferences of an `infer` that does not state them.
const WARMUP_DEFAULT: u32 = 10;
/// Bytes of a line of `db print`.
const PRINT_BYTES: usize = 8;
/// What a bridge waits for bytes before it looks for the end.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Longest time that a client may take none of its lines.
const WRITE_TIME_MAX: Duration = Duration::from_secs(5);

/// What is benchmarked.
pub trait Benchmark {
    /// Name of the device; no brackets.
    fn device(&self) -> String;

    /// The runner's name of the model, such as `ic01`.
    fn model(&self) -> String;

    /// Bytes of an input in the runner's format.
    fn input_bytes(&self) -> usize;

    /// Takes an input, of [`Self::input_bytes`].
    ///
    /// # Errors
    /// Why it cannot be one.
    fn load(&mut self, input: &[u8]) -> Result<(), String>;

    /// Runs the input taken last.
    ///
    /// # Errors
    /// Why it could not be run.
    fn infer(&mut self) -> Result<(), String>;

    /// Result of the last inference, if there was one.
    fn results(&self) -> Option<Vec<f32>>;
}

/// A conversation with a runner.
pub struct Monitor<B> {
    benchmark: B,
    /// The command under way, and whether it is too long.
    command: Vec<u8>,
    overlong: bool,
    /// Bytes loaded and bytes expected.
    buffer: Vec<u8>,
    expected: usize,
    begin: Instant,
}

/// Whom lines go to.
trait Client {
    /// Sends a line; false if the client has gone.
    fn line(&mut self, text: &str) -> bool;

    /// Whether anybody waits for an answer.
    fn is_there(&mut self) -> bool;
}

impl<B: Benchmark> Monitor<B> {
    /// A monitor that has heard nothing yet.
    pub fn new(benchmark: B) -> Self {
        Self {
            benchmark,
            command: Vec::new(),
            overlong: false,
            buffer: Vec::new(),
            expected: 0,
            begin: Instant::now(),
        }
    }

    /// Serves clients one after the other until `stop` is set.
    ///
    /// # Errors
    /// An end point that cannot be read.
    pub fn serve(&mut self, endpoint: &mut Endpoint, stop: &AtomicBool) -> Result<(), DriverError> {
        while !stop.load(Ordering::Relaxed) {
            if endpoint.begin()? {
                self.forget();
            }
            let bytes = endpoint.read()?;
            if bytes.is_empty() {
                endpoint.wait(IDLE_WAIT)?;
                continue;
            }
            let mut lines = Lines {
                endpoint: &mut *endpoint,
                stop,
                error: None,
            };
            self.take(&bytes, &mut lines);
            if let Some(error) = lines.error {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Another client: what the one before has begun is nothing to it.
    fn forget(&mut self) {
        self.command.clear();
        self.overlong = false;
        self.buffer.clear();
        self.expected = 0;
    }

    /// Takes bytes of the runner.
    fn take(&mut self, bytes: &[u8], client: &mut impl Client) {
        for &byte in bytes {
            match byte {
                b'%' => {
                    let command = std::mem::take(&mut self.command);
                    let reply = if std::mem::take(&mut self.overlong) {
                        Err(format!("A command has at most {COMMAND_BYTES_MAX} bytes"))
                    } else {
                        let text = String::from_utf8_lossy(&command);
                        self.obey(text.trim(), client)
                    };
                    if let Err(reason) = reply {
                        client.line(&format!("e-[{}]", plain(&reason)));
                    }
                    client.line("m-ready");
                }
                _ if self.command.len() < COMMAND_BYTES_MAX => self.command.push(byte),
                _ => self.overlong = true,
            }
        }
    }

    fn obey(&mut self, command: &str, client: &mut impl Client) -> Result<(), String> {
        let words: Vec<&str> = command.split_ascii_whitespace().collect();
        match words[..] {
            ["name"] => {
                client.line(&format!("m-name-dut-[{}]", plain(&self.benchmark.device())));
            }
            ["profile"] => {
                client.line(&format!("m-profile-[{PROFILE}]"));
                client.line(&format!("m-model-[{}]", plain(&self.benchmark.model())));
            }
            ["timestamp"] => self.timestamp(client),
            ["help"] => HELP.lines().for_each(|line| {
                client.line(line);
            }),
            ["results"] => self.results(client)?,
            ["infer", ref counts @ ..] => self.infer(counts, client)?,
            ["db", "load", ref count @ ..] => self.expect(count, client)?,
            ["db", "print"] => self.print(client),
            ["db", digits] => self.fill(digits, client)?,
            ["db", ..] => {
                return Err("Command 'db' takes load N, print, or hex digits".to_owned());
            }
            _ => return Err(format!("Unknown command: {command}")),
        }
        Ok(())
    }

    fn timestamp(&self, client: &mut impl Client) {
        client.line(&format!("m-lap-us-{}", self.begin.elapsed().as_micros()));
    }

    fn expect(&mut self, count: &[&str], client: &mut impl Client) -> Result<(), String> {
        let most = self.benchmark.input_bytes();
        let count = match count {
            [count] => count.parse::<usize>().ok().filter(|&count| count > 0),
            _ => None,
        };
        let count = count.ok_or("Command 'db load' takes a number of bytes, at least 1")?;
        if count > most {
            return Err(format!("{count} bytes, but an input has {most}"));
        }
        self.buffer.clear();
        self.expected = count;
        client.line(&format!("m-[Expecting {count} bytes]"));
        Ok(())
    }

    fn fill(&mut self, digits: &str, client: &mut impl Client) -> Result<(), String> {
        if self.buffer.len() >= self.expected {
            return Err("No bytes are expected: 'db load N' comes first".to_owned());
        }
        if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
            return Err("Bytes have two hex digits each".to_owned());
        }
        let bytes = digits.as_bytes().chunks(2).map(|pair| {
            let text = std::str::from_utf8(pair).unwrap_or_default();
            let value = pair.iter().all(u8::is_ascii_hexdigit);
            let value = value.then(|| u8::from_str_radix(text, 16).ok()).flatten();
            value.ok_or_else(|| format!("Invalid hex digits '{text}'"))
        });
        // All of them or none.
        let bytes = bytes.collect::<Result<Vec<u8>, String>>()?;
        let room = self.expected - self.buffer.len();
        self.buffer.extend(bytes.iter().take(room));
        if self.buffer.len() == self.expected {
            client.line("m-load-done");
        }
        Ok(())
    }

    fn print(&self, client: &mut impl Client) {
        for line in self.buffer.chunks(PRINT_BYTES) {
            let text = line.iter().fold("m-buffer".to_owned(), |mut text, byte| {
                let _ = write!(text, "-{byte:02x}");
                text
            });
            client.line(&text);
        }
    }

    fn infer(&mut self, counts: &[&str], client: &mut impl Client) -> Result<(), String> {
        let number = |at: usize, default: u32| match counts.get(at) {
            None => Ok(default),
            Some(text) => text
                .parse::<u32>()
                .map_err(|_| format!("'{text}' is no number of inferences")),
        };
        let (count, warmup) = (number(0, 1)?, number(1, WARMUP_DEFAULT)?);
        if count == 0 {
            return Err("Inference iterations must be >0".to_owned());
        }
        let most = self.benchmark.input_bytes();
        if self.buffer.len() != most {
            let found = self.buffer.len();
            return Err(format!("{found} bytes are loaded, but an input has {most}"));
        }
        self.benchmark.load(&self.buffer)?;
        client.line(&format!("m-warmup-start-{warmup}"));
        self.repeat(warmup, client)?;
        client.line("m-warmup-done");
        client.line(&format!("m-infer-start-{count}"));
        self.timestamp(client);
        self.repeat(count, client)?;
        self.timestamp(client);
        client.line("m-infer-done");
        self.results(client)
    }

    fn repeat(&mut self, count: u32, client: &mut impl Client) -> Result<(), String> {
        for _ in 0..count {
            if !client.is_there() {
                return Err("The runner has gone".to_owned());
            }
            self.benchmark.infer()?;
        }
        Ok(())
    }

    fn results(&self, client: &mut impl Client) -> Result<(), String> {
        let results = self.benchmark.results().ok_or("There is no result yet")?;
        let list: Vec<String> = results.iter().map(|value| format!("{value:.3}")).collect();
        client.line(&format!("m-results-[{}]", list.join(",")));
        Ok(())
    }
}

/// A text that cannot be taken for the end of a bracket or a line.
fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        '[' => '(',
        ']' => ')',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(plain).collect()
}

const HELP: &str = "\
help          : These lines
name          : Name of the device
profile       : Name of the firmware's interface and of the model
timestamp     : Microseconds since the bridge has begun
db load N     : N bytes of an input will come
db HH[HH]*    : Bytes of the input
db print      : The bytes that have come
infer N [W=10]: N inferences of the input after W more
results       : Result of the last inference";

/// The client of an end point.
struct Lines<'a> {
    endpoint: &'a mut Endpoint,
    stop: &'a AtomicBool,
    error: Option<DriverError>,
}

impl Client for Lines<'_> {
    fn line(&mut self, text: &str) -> bool {
        let text = format!("{text}\r\n");
        let (mut rest, begin) = (text.as_bytes(), Instant::now());
        while !rest.is_empty() && self.is_there() && begin.elapsed() < WRITE_TIME_MAX {
            match self.endpoint.write(rest) {
                Ok(0) => std::thread::sleep(Duration::from_millis(1)),
                Ok(count) => rest = &rest[count..],
                Err(error) => self.error = Some(error),
            }
        }
        rest.is_empty()
    }

    fn is_there(&mut self) -> bool {
        self.error.is_none() && !self.stop.load(Ordering::Relaxed) && self.endpoint.has_client()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles its input; one value of it cannot be run.
    #[derive(Default)]
    struct Doubler {
        input: Vec<u8>,
        result: Option<Vec<f32>>,
        runs: usize,
    }

    impl Benchmark for Doubler {
        fn device(&self) -> String {
            "a [device]".to_owned()
        }

        fn model(&self) -> String {
            "ic01".to_owned()
        }

        fn input_bytes(&self) -> usize {
            3
        }

        fn load(&mut self, input: &[u8]) -> Result<(), String> {
            self.input = input.to_vec();
            Ok(())
        }

        fn infer(&mut self) -> Result<(), String> {
            if self.input[0] == 255 {
                return Err("it [broke]\r\n".to_owned());
            }
            self.runs += 1;
            self.result = Some(self.input.iter().map(|&b| f32::from(b) * 2.0).collect());
            Ok(())
        }

        fn results(&self) -> Option<Vec<f32>> {
            self.result.clone()
        }
    }

    #[derive(Default)]
    struct Written {
        lines: Vec<String>,
        leaves_after: Option<usize>,
    }

    impl Client for Written {
        fn line(&mut self, text: &str) -> bool {
            self.lines.push(text.to_owned());
            true
        }

        fn is_there(&mut self) -> bool {
            self.leaves_after
                .is_none_or(|lines| self.lines.len() < lines)
        }
    }

    fn said(monitor: &mut Monitor<Doubler>, text: &[u8]) -> Vec<String> {
        let mut client = Written::default();
        monitor.take(text, &mut client);
        client.lines
    }

    #[test]
    fn commands_are_answered_in_the_runners_words() {
        let mut monitor = Monitor::new(Doubler::default());
        let lines = said(&mut monitor, b"name%");
        assert_eq!(lines, ["m-name-dut-[a (device)]", "m-ready"]);
        let lines = said(&mut monitor, b"profile%");
        assert_eq!(lines[1..], ["m-model-[ic01]", "m-ready"]);
        assert_eq!(lines[0], format!("m-profile-[{PROFILE}]"));
        let lines = said(&mut monitor, b"db load 3%db 01%db 0aFf77%");
        let expected = [
            "m-[Expecting 3 bytes]",
            "m-ready",
            "m-ready",
            "m-load-done",
            "m-ready",
        ];
        assert_eq!(lines, expected);
        let lines = said(&mut monitor, b"db print%");
        assert_eq!(lines, ["m-buffer-01-0a-ff", "m-ready"]);
        let lines = said(&mut monitor, b"\r\n infer 2 1 %");
        assert_eq!(
            lines[..3],
            ["m-warmup-start-1", "m-warmup-done", "m-infer-start-2"]
        );
        assert_eq!(
            lines[5..],
            [
                "m-infer-done",
                "m-results-[2.000,20.000,510.000]",
                "m-ready"
            ]
        );
        let lap = |line: &str| {
            line.strip_prefix("m-lap-us-")
                .and_then(|t| t.parse::<u64>().ok())
        };
        assert!(lap(&lines[3]).expect("a number") <= lap(&lines[4]).expect("a number"));
        assert_eq!(monitor.benchmark.runs, 3);
        assert_eq!(said(&mut monitor, b"results%").len(), 2);
        said(&mut monitor, b"infer 1%");
        assert_eq!(monitor.benchmark.runs, 3 + 1 + WARMUP_DEFAULT as usize);
    }

    #[test]
    fn what_is_wrong_is_said_and_the_next_command_is_taken() {
        let mut monitor = Monitor::new(Doubler::default());
        let long = [vec![b'a'; 5 * COMMAND_BYTES_MAX], b"%".to_vec()].concat();
        let wrong: [&[u8]; 16] = [
            b"%",
            b"frobnicate%",
            b"name you%",
            &long,
            b"db%",
            b"db load%",
            b"db load 0%",
            b"db load 4%",
            b"db load x%",
            b"db 01%",
            b"infer 1 0%",
            b"results%",
            b"infer 0%",
            b"infer -1%",
            b"infer 1 x%",
            b"\xff\x00\x7b%",
        ];
        for command in wrong {
            let lines = said(&mut monitor, command);
            assert!(
                lines[0].starts_with("e-[") && lines[0].ends_with(']'),
                "{lines:?}"
            );
            assert_eq!(lines[1..], ["m-ready"]);
        }
        said(&mut monitor, b"db load 3%");
        for digits in ["db 0%", "db 0x%", "db +1%", "db 01 02%", "db 0\u{e9}%"] {
            assert!(
                said(&mut monitor, digits.as_bytes())[0].starts_with("e-["),
                "{digits}"
            );
        }
        // Nothing of it was taken.
        assert_eq!(said(&mut monitor, b"db print%"), ["m-ready"]);
        said(&mut monitor, b"db ff0000%");
        let lines = said(&mut monitor, b"infer 1 0%");
        assert_eq!(lines[lines.len() - 2..], ["e-[it (broke)  ]", "m-ready"]);
        assert_eq!(said(&mut monitor, b"db 01%")[0][..3], *"e-[");
    }

    #[test]
    fn inferences_end_when_nobody_waits_for_them() {
        let mut monitor = Monitor::new(Doubler::default());
        said(&mut monitor, b"db load 3%db 010203%");
        let mut client = Written {
            lines: Vec::new(),
            leaves_after: Some(3),
        };
        monitor.take(b"infer 4000000000 0%", &mut client);
        assert_eq!(monitor.benchmark.runs, 0);
        assert_eq!(said(&mut monitor, b"name%").len(), 2);
    }
}
