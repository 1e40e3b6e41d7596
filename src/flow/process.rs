//! Running an external program within bounds: a time limit, and a stop from outside. Nothing it started stays behind.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

const POLL: Duration = Duration::from_millis(20);
/// Between two looks at what the program prints.
const WATCH: Duration = Duration::from_secs(1);
const TAIL_BYTES: u64 = 4096;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// Killed at the time limit.
    TimedOut,
    /// Killed because `stop` said so.
    Stopped,
}

/// A child that is the leader of a process group of its own; the group is killed when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // Fails if nothing of the group is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// Runs a program to its end or to `limit`, its output going to the file `log`; `stop` is asked all the time, and `watch` sees
/// the last line of the output about once a second.
///
/// # Errors
/// The log cannot be written, or the program cannot be started.
pub(crate) fn run(
    command: &mut Command,
    log: &Path,
    limit: Duration,
    stop: &dyn Fn() -> bool,
    watch: &dyn Fn(&str),
) -> io::Result<Ended> {
    let output = File::create(log)?;
    command
        .stdin(Stdio::null())
        .stderr(output.try_clone()?)
        .stdout(output)
        .process_group(0);
    let mut group = Group(command.spawn()?);
    let begin = Instant::now();
    let mut watched = begin;
    loop {
        if let Some(status) = group.0.try_wait()? {
            return Ok(Ended::Exited(status));
        }
        if stop() {
            return Ok(Ended::Stopped);
        }
        if begin.elapsed() >= limit {
            return Ok(Ended::TimedOut);
        }
        if watched.elapsed() >= WATCH {
            watched = Instant::now();
            if let Some(line) = tail(log, 1).lines().next_back() {
                watch(line);
            }
        }
        thread::sleep(POLL);
    }
}

/// The last lines of a log, as far as a few kilobytes hold them; empty if it cannot be read.
pub(crate) fn tail(log: &Path, lines_max: usize) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = fs::metadata(log)?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration, stop: bool) -> (Ended, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let ended = run(&mut command, &log, limit, &|| stop, &|_| ()).expect("starts");
        (ended, tail(&log, 2))
    }

    #[test]
    fn an_ended_program_leaves_its_last_lines() {
        let script = "echo one; echo two; echo three >&2; exit 7";
        let (ended, text) = shell(script, Duration::from_secs(10), false);
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(7)));
        assert_eq!(text, "two\nthree");
    }

    /// The program and what it started are killed; both would sleep for a minute.
    #[test]
    fn a_limit_and_a_stop_kill_the_whole_group() {
        for (limit, stop, expected) in [
            (Duration::from_secs(2), false, Ended::TimedOut),
            (Duration::from_secs(30), true, Ended::Stopped),
        ] {
            let begin = Instant::now();
            let (ended, text) = shell("sleep 61 & echo $!; wait", limit, stop);
            assert_eq!(ended, expected);
            assert!(begin.elapsed() < Duration::from_secs(20));
            if ended == Ended::TimedOut {
                let sleeper: u32 = text.trim().parse().expect("the number of a process");
                // A signal is delivered in its own time; then the process is gone, or waits for its new parent to notice.
                let lives = || {
                    let state = fs::read_to_string(format!("/proc/{sleeper}/stat"));
                    state.is_ok_and(|state| !state.contains(") Z "))
                };
                while lives() {
                    assert!(begin.elapsed() < Duration::from_secs(30), "{sleeper} lives");
                    thread::sleep(POLL);
                }
            }
        }
    }
}
