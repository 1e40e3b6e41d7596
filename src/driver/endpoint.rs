//! Where clients of a virtual board connect: a pseudo-terminal or a TCP port, one client at a time.

use super::DriverError;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    io::{Errno, ioctl_fionbio},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// Bytes taken at a time.
const READ_BYTES: usize = 4096;
/// Longest wait for the end of a connection whose client comes again: it may arrive behind the new one.
const LEAVE_TIME_MAX: Duration = Duration::from_millis(50);
/// How often a pseudo-terminal without a client is looked at.
const ABSENT_WAIT: Duration = Duration::from_millis(50);

/// A place to connect to.
pub enum Endpoint {
    /// A pseudo-terminal.
    Pty {
        /// This side of it.
        master: OwnedFd,
        /// Path of the other side.
        path: String,
    },
    /// A TCP port.
    Tcp {
        /// Where clients arrive.
        listener: TcpListener,
        /// The one that is served.
        client: Option<TcpStream>,
    },
}

fn failed(what: &str, error: impl std::fmt::Display) -> DriverError {
    DriverError::Link(format!("{what}: {error}"))
}

impl Endpoint {
    /// A new pseudo-terminal, raw, at the first rate of a line.
    ///
    /// # Errors
    /// The system has none.
    pub fn pty() -> Result<Self, DriverError> {
        let open = || -> Result<(OwnedFd, String), Errno> {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let path = ptsname(&master, Vec::new())?;
            let slave = rustix::fs::open(&*path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
            let mut settings = tcgetattr(&slave)?;
            settings.make_raw();
            settings.set_speed(super::FIRST_RATE)?;
            tcsetattr(&slave, OptionalActions::Now, &settings)?;
            ioctl_fionbio(&master, true)?;
            Ok((master, path.to_string_lossy().into_owned()))
        };
        let (master, path) = open().map_err(|error| failed("pseudo-terminal", error))?;
        Ok(Self::Pty { master, path })
    }

    /// A TCP port, `HOST:PORT`; port 0 takes any.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn tcp(address: &str) -> Result<Self, DriverError> {
        let listener = TcpListener::bind(address).map_err(|error| failed(address, error))?;
        listener
            .set_nonblocking(true)
            .map_err(|error| failed(address, error))?;
        Ok(Self::Tcp {
            listener,
            client: None,
        })
    }

    /// What a client is to be told: a path, or `tcp://HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Pty { path, .. } => path.clone(),
            Self::Tcp { listener, .. } => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |at| format!("tcp://{at}")),
        }
    }

    /// Lets a client in; true if one came. While one is served others are turned away.
    pub(super) fn begin(&mut self) -> Result<bool, DriverError> {
        let Self::Tcp { listener, client } = self else {
            return Ok(false);
        };
        match listener.accept() {
            // The one served may have gone without a word having been read from it.
            Ok((stream, _)) if client.as_ref().is_none_or(leaves) => {
                stream
                    .set_nonblocking(true)
                    .and_then(|()| stream.set_nodelay(true))
                    .map_err(|error| failed("client", error))?;
                *client = Some(stream);
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) if is_transient(error.kind()) => Ok(false),
            Err(error) => Err(failed("listening", error)),
        }
    }

    /// Bytes of the client, perhaps none.
    pub(super) fn read(&mut self) -> Result<Vec<u8>, DriverError> {
        let mut buffer = vec![0; READ_BYTES];
        let count = match self {
            Self::Pty { master, .. } => match rustix::io::read(&*master, &mut buffer) {
                Ok(count) => count,
                // Nobody has the other side open.
                Err(Errno::IO | Errno::AGAIN | Errno::INTR) => 0,
                Err(error) => return Err(failed("pseudo-terminal", error)),
            },
            Self::Tcp { client, .. } => match client.as_mut().map(|c| c.read(&mut buffer)) {
                None => 0,
                Some(Ok(count)) if count > 0 => count,
                Some(Err(error)) if is_transient(error.kind()) => 0,
                Some(_) => {
                    *client = None;
                    0
                }
            },
        };
        buffer.truncate(count);
        Ok(buffer)
    }

    /// Sends what the client takes now; gives how much of it. Without a client all is lost.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, DriverError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match self {
            Self::Pty { master, .. } => match rustix::io::write(&*master, bytes) {
                Ok(count) => Ok(count),
                Err(Errno::AGAIN | Errno::INTR) => Ok(0),
                Err(Errno::IO) => Ok(bytes.len()),
                Err(error) => Err(failed("pseudo-terminal", error)),
            },
            Self::Tcp { client, .. } => match client.as_mut().map(|c| c.write(bytes)) {
                Some(Ok(count)) if count > 0 => Ok(count),
                Some(Err(error)) if is_transient(error.kind()) => Ok(0),
                _ => {
                    *client = None;
                    Ok(bytes.len())
                }
            },
        }
    }

    /// Whether somebody would take what is written.
    pub(super) fn has_client(&self) -> bool {
        match self {
            Self::Pty { master, .. } => {
                let mut watched = [PollFd::new(master, PollFlags::IN)];
                let polled = poll(&mut watched, Some(&Timespec::default()));
                polled.is_err() || !watched[0].revents().contains(PollFlags::HUP)
            }
            Self::Tcp { client, .. } => client.as_ref().is_some_and(|client| !has_left(client)),
        }
    }

    /// The rate to which the client has set its side.
    pub(super) fn rate(&self) -> Option<u32> {
        match self {
            Self::Pty { master, .. } => {
                let rate = tcgetattr(master).map(|settings| settings.output_speed());
                rate.ok().filter(|&rate| rate > 0)
            }
            Self::Tcp { .. } => None,
        }
    }

    /// Waits until a client sends something or comes, at most so long.
    pub(super) fn wait(&self, time: Duration) -> Result<(), DriverError> {
        let mut watched = match self {
            Self::Pty { master, .. } => vec![PollFd::new(master, PollFlags::IN)],
            Self::Tcp { listener, client } => {
                let mut watched = vec![PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
                watched.extend(
                    client
                        .as_ref()
                        .map(|client| PollFd::from_borrowed_fd(client.as_fd(), PollFlags::IN)),
                );
                watched
            }
        };
        match poll(&mut watched, Some(&limit(time))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(failed("waiting", error)),
        }
        // A pseudo-terminal that nobody has open is always ready.
        let absent = watched.iter().any(|one| {
            one.revents().contains(PollFlags::HUP) && !one.revents().contains(PollFlags::IN)
        });
        if absent {
            std::thread::sleep(ABSENT_WAIT);
        }
        Ok(())
    }
}

fn is_transient(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A time below a second.
fn limit(time: Duration) -> Timespec {
    Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

fn has_left(client: &TcpStream) -> bool {
    matches!(client.peek(&mut [0]), Ok(0))
        || matches!(client.peek(&mut [0]), Err(error) if !is_transient(error.kind()))
}

/// Whether the client has left or does so now.
fn leaves(client: &TcpStream) -> bool {
    let mut watched = [PollFd::new(client, PollFlags::IN)];
    // However that ends, the client tells.
    let _ = poll(&mut watched, Some(&limit(LEAVE_TIME_MAX)));
    has_left(client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_client_comes_again_before_its_end_has_arrived_and_another_is_turned_away() {
        let mut endpoint = Endpoint::tcp("127.0.0.1:0").expect("a port");
        let address = endpoint.address();
        let connect = || TcpStream::connect(&address["tcp://".len()..]).expect("connects");
        let first = connect();
        assert!(endpoint.begin().expect("listens"));
        let _second = connect();
        let leaving = thread::spawn(move || {
            thread::sleep(LEAVE_TIME_MAX / 10);
            drop(first);
        });
        assert!(endpoint.begin().expect("listens"));
        leaving.join().expect("ends");
        let mut third = connect();
        assert!(!endpoint.begin().expect("listens"));
        assert_eq!(third.read(&mut [0]).expect("an end"), 0);
    }
}
