//! What goes wrong with a port and with what is behind it: each is named, with what to do.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bitweft::driver::{Endpoint, Serial, Transport};
use bitweft_isa::{VERSION, port::RESPONSE_MAGIC};

use crate::served::{Board, Files, PROGRAM, error_of};

/// A user and a group without rights.
const NOBODY: u32 = 65534;

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
}

#[test]
fn a_port_that_another_program_uses_is_named() {
    let files = Files::new();
    let board = Board::serve("tiny", &["--pty", "--fast-link"]);
    // A terminal program that locks the port, and another session of the driver.
    let locked = std::fs::File::open(&board.port).expect("opens");
    locked.lock().expect("locks");
    let error = files.fails(5, &board.port, &[]);
    assert!(error.contains("another program"), "{error}");
    locked.unlock().expect("unlocks");
    let session = Serial::open(Path::new(&board.port)).expect("opens");
    let error = files.fails(5, &board.port, &[]);
    assert!(error.contains("another program"), "{error}");
    drop(session);
    files.runs("one", &board.port, &[]);
}

/// The device node refuses the user, who is no superuser.
#[test]
fn a_port_that_the_user_may_not_use_is_named_with_the_group_and_the_rule() {
    let files = Files::new();
    let board = Board::serve("tiny", &["--pty", "--fast-link"]);
    let mode = |path: &Path, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("sets the mode");
    };
    mode(Path::new(&board.port), 0);
    // Where that user finds the program and reads the files.
    mode(&files.path(""), 0o755);
    let program = files.path("bitweft");
    std::fs::copy(PROGRAM, &program).expect("copies");
    let mut run = files.run_by(&program, "one", &board.port);
    if std::fs::metadata("/proc/self").expect("a process").uid() == 0 {
        run.uid(NOBODY).gid(NOBODY);
    }
    let error = error_of(5, &run.output().expect("starts"));
    for part in [&*board.port, "ermission denied", "dialout", "udev rule"] {
        assert!(error.contains(part), "`{part}`: {error}");
    }
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

/// A program that locks nothing, such as `cat`, takes what arrives: whoever gets less neither hangs nor gives up early.
#[test]
fn a_port_that_another_program_reads_as_well_keeps_its_time_limits() {
    let endpoint = Endpoint::pty().expect("a pseudo-terminal");
    let path = endpoint.address();
    let Endpoint::Pty { master, .. } = endpoint else {
        unreachable!("asked for");
    };
    let mut other = std::fs::File::open(&path).expect("opens");
    let mut port = Serial::open(Path::new(&path)).expect("opens");
    std::thread::spawn(move || while let Ok(1..) = other.read(&mut [0; 64]) {});
    let mut board = std::fs::File::from(master.try_clone().expect("another"));
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let begin = Instant::now();
        let mut silences = 0;
        while begin.elapsed() < Duration::from_secs(3) {
            silences += u32::from(port.receive().expect("a port").is_empty());
        }
        let _ = done.send((silences, begin.elapsed()));
    });
    for _ in 0..10_000 {
        board.write_all(b"x").expect("sends");
        std::thread::sleep(Duration::from_micros(100));
    }
    let (silences, time) = ended
        .recv_timeout(Duration::from_secs(60))
        .expect("a reception without end");
    assert!(silences > 0 && time > silences * Duration::from_millis(5));
}

#[test]
fn a_board_of_another_architecture_is_named() {
    let files = Files::new();
    let board = Board::serve("tiny", &["--pty", "--fast-link"]);
    let error = files.fails(5, &board.port, &["--arch", "icebreaker"]);
    assert!(error.contains("give --arch tiny"), "{error}");
    // One of the user's own.
    let small = files.text("small.toml");
    let board = Board::serve(&small, &["--pty", "--fast-link"]);
    let error = files.fails(5, &board.port, &[]);
    assert!(error.contains("the TOML file"), "{error}");
    files.runs("one", &board.port, &["--arch", &small]);
}

/// What a peer says to every piece that arrives, until its client leaves.
fn peer(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = format!("tcp://{}", listener.local_addr().expect("bound"));
    let talker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let _ = stream.write_all(&answer(&buffer[..count]));
        }
    });
    (port, talker)
}

#[test]
fn what_is_no_board_is_told_from_a_silent_port() {
    let files = Files::new();
    for (said, expected) in [
        // A boot message, as another board would give.
        (&b"\r\nbooting from flash {\r\n"[..], "bytes that are none"),
        (b"", "has bitweft's bitstream"),
    ] {
        let (port, talker) = peer(move |_| said.to_vec());
        let error = files.fails(5, &port, &[]);
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.contains("bytes that are none"), !said.is_empty());
        talker.join().expect("ends");
    }
}

#[test]
fn a_board_with_the_bitstream_of_another_version_is_named() {
    let files = Files::new();
    let (port, talker) = peer(|request| {
        let mut bytes = vec![RESPONSE_MAGIC, request[1], request[2], 0, 8, 0, 1, 2, 3, 4];
        bytes.extend((VERSION - 1).to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes[1..]).to_le_bytes());
        bytes
    });
    let error = files.fails(5, &port, &[]);
    let found = format!("of contract version {}", VERSION - 1);
    assert!(
        error.contains(&found) && error.contains("load a bitstream"),
        "{error}"
    );
    talker.join().expect("ends");
}
