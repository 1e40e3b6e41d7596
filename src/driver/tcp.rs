//! A byte stream over TCP: a virtual board, or a serial port behind a network bridge.

use super::{DriverError, Transport};
use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// Longest wait of one reception.
const QUANTUM: Duration = Duration::from_millis(10);
/// Longest wait for a connection, and for room to send.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// An open connection.
pub struct Tcp {
    name: String,
    stream: TcpStream,
}

impl Tcp {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    /// No such host, or nobody listens.
    pub fn connect(address: &str) -> Result<Self, DriverError> {
        let failed = |reason: String| DriverError::Port {
            name: format!("tcp://{address}"),
            reason,
            help: "is `bitweft board serve --tcp` (or a bridge) running there? The form is tcp://HOST:PORT",
        };
        let mut last = "no such host".to_owned();
        let addresses = address.to_socket_addrs();
        for one in addresses.map_err(|error| failed(error.to_string()))? {
            match TcpStream::connect_timeout(&one, WAIT_MAX) {
                Ok(stream) => {
                    let name = format!("tcp://{address}");
                    let set = stream
                        .set_nodelay(true)
                        .and_then(|()| stream.set_read_timeout(Some(QUANTUM)))
                        .and_then(|()| stream.set_write_timeout(Some(WAIT_MAX)));
                    set.map_err(|error| failed(error.to_string()))?;
                    return Ok(Self { name, stream });
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(failed(last))
    }

    fn closed(&self) -> DriverError {
        DriverError::Link(format!(
            "{}: the connection was closed: the board serves another client, or was stopped",
            self.name
        ))
    }

    /// An end of the connection has several names, as bytes may be under way when it comes.
    fn broken(&self, error: &io::Error) -> DriverError {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => self.closed(),
            _ => DriverError::Link(format!("{}: {error}", self.name)),
        }
    }
}

impl Transport for Tcp {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        self.stream
            .write_all(bytes)
            .map_err(|error| self.broken(&error))
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(self.closed()),
            Ok(count) => Ok(buffer[..count].to_vec()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::TimedOut
                        | io::ErrorKind::WouldBlock
                        | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(Vec::new())
            }
            Err(error) => Err(self.broken(&error)),
        }
    }
}
