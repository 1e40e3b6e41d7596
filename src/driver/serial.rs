//! A serial port, or a pseudo-terminal that stands for one.

use super::{DriverError, Transport};
use rustix::io::ioctl_fionbio;
use serialport::{ClearBuffer, DataBits, FlowControl, Parity, SerialPort, StopBits, TTYPort};
use std::{
    io::{self, Read, Write},
    os::fd::{AsRawFd, BorrowedFd},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Longest wait for a port whose last program is ending: a process that it was starting holds the lock for a moment longer.
const CLAIM_TIME_MAX: Duration = Duration::from_secs(1);
/// Longest wait of one reception.
const QUANTUM: Duration = Duration::from_millis(10);
/// Longest wait for room to send.
const SEND_TIME_MAX: Duration = Duration::from_secs(5);

/// An open port, held for this process alone (the crate `serialport` locks it).
pub struct Serial {
    name: String,
    port: TTYPort,
}

impl Serial {
    /// Opens a port by its path.
    ///
    /// # Errors
    /// No such port, no permission, in use, or no serial port at all.
    pub fn open(path: &Path) -> Result<Self, DriverError> {
        let name = path.display().to_string();
        let builder = serialport::new(name.as_str(), super::FIRST_RATE)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(FlowControl::None)
            .timeout(QUANTUM);
        let begin = Instant::now();
        let port = loop {
            let error = match builder.clone().open_native() {
                Ok(port) => break port,
                Err(error) => error,
            };
            let kind = match error.kind() {
                serialport::ErrorKind::Io(kind) => kind,
                // What another process has claimed is reported so.
                serialport::ErrorKind::NoDevice => io::ErrorKind::ResourceBusy,
                _ => io::ErrorKind::Other,
            };
            if kind != io::ErrorKind::ResourceBusy || begin.elapsed() > CLAIM_TIME_MAX {
                return Err(refused(&name, kind, &error.to_string()));
            }
            thread::sleep(QUANTUM);
        };
        never_waits(&port)
            .and_then(|()| Ok(port.clear(ClearBuffer::All)?))
            .map_err(|error| DriverError::Link(format!("{name}: {error}")))?;
        Ok(Self { name, port })
    }

    fn broken(&self, error: &io::Error) -> DriverError {
        DriverError::Link(format!(
            "{}: {error}; was the board unplugged, or its virtual board stopped?",
            self.name
        ))
    }
}

/// Nothing waits longer than the port's time limit, also where another program that reads the port takes what had arrived.
#[allow(unsafe_code)]
fn never_waits(port: &TTYPort) -> io::Result<()> {
    // SAFETY: the descriptor is the port's, which lives longer than the borrow.
    let descriptor = unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) };
    Ok(ioctl_fionbio(descriptor, true)?)
}

fn refused(name: &str, kind: io::ErrorKind, reason: &str) -> DriverError {
    let help = match kind {
        io::ErrorKind::PermissionDenied => {
            "your user may not use it: add it to the group that owns the port (`sudo usermod -aG dialout $USER`, then log in \
             again), or add a udev rule such as `SUBSYSTEM==\"tty\", ATTRS{idVendor}==\"0403\", MODE=\"0666\"`"
        }
        io::ErrorKind::ResourceBusy => "another program uses it: end that program first",
        io::ErrorKind::NotFound => "there is no such port: is the board plugged in?",
        _ => "it cannot be used as a serial port",
    };
    DriverError::Port {
        name: name.to_owned(),
        reason: reason.to_owned(),
        help,
    }
}

impl Transport for Serial {
    fn send(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        let begin = Instant::now();
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.port.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                            | io::ErrorKind::WouldBlock
                    ) =>
                {
                    if begin.elapsed() > SEND_TIME_MAX {
                        return Err(DriverError::Link(format!(
                            "{}: takes no bytes for {} s",
                            self.name,
                            SEND_TIME_MAX.as_secs()
                        )));
                    }
                }
                Err(error) => return Err(self.broken(&error)),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>, DriverError> {
        let mut buffer = [0; 4096];
        match self.port.read(&mut buffer) {
            Ok(0) => Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => Ok(buffer[..count].to_vec()),
            // Another program was faster: as if nothing had come.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(QUANTUM);
                Ok(Vec::new())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(Vec::new())
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn has_rates(&self) -> bool {
        true
    }

    fn set_rate(&mut self, bits_per_second: u32) -> Result<bool, DriverError> {
        // What has been sent leaves at the rate it was sent for.
        let _ = self.port.flush();
        Ok(self.port.set_baud_rate(bits_per_second).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_a_port_says_what_to_do() {
        for (kind, help) in [
            (io::ErrorKind::PermissionDenied, "udev rule"),
            (io::ErrorKind::PermissionDenied, "dialout"),
            (io::ErrorKind::ResourceBusy, "end that program"),
            (io::ErrorKind::NotFound, "plugged in"),
        ] {
            let text = refused("/dev/ttyUSB0", kind, "reason").to_string();
            assert!(text.starts_with("/dev/ttyUSB0: reason; "), "{text}");
            assert!(text.contains(help), "{text}");
        }
    }
}
