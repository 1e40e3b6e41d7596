use std::ffi::{CStr, CString};
use std::path::Path;

use crate::error::{SimError, last_lines};
use crate::library::{Handle, Library, RawPort};
use crate::ports::{Direction, Port};

/// A port of a model, looked up once by [`Model::signal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal {
    index: u32,
    bits: u32,
}

impl Signal {
    /// Its width in bits.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// How many 32-bit words hold it.
    pub fn words(self) -> usize {
        self.bits.div_ceil(32) as usize
    }
}

/// Where a port's value lies, by the type that Verilator gives it.
#[derive(Clone, Copy)]
enum Data {
    Bits8(*mut u8),
    Bits16(*mut u16),
    Bits32(*mut u32),
    Bits64(*mut u64),
    Words(*mut u32),
}

impl Data {
    fn new(port: &RawPort) -> Self {
        match port.bits {
            0..=8 => Data::Bits8(port.data.cast()),
            9..=16 => Data::Bits16(port.data.cast()),
            17..=32 => Data::Bits32(port.data.cast()),
            33..=64 => Data::Bits64(port.data.cast()),
            65.. => Data::Words(port.data.cast()),
        }
    }
}

/// What the C interface returns besides success.
const STATUS_STOPPED: i32 = 1;
const STATUS_UNAVAILABLE: i32 = 2;

/// A running instance of a design, with its own registers, memories and time.
///
/// Inputs are set, then [`Model::tick`] lets clock cycles pass. After it, outputs show the state behind the last
/// rising edge, with the inputs as they were set before it. Two models never share anything.
pub struct Model {
    library: Library,
    handle: Handle,
    ports: Vec<Port>,
    data: Vec<Data>,
    failure: Option<(u64, String)>,
}

// SAFETY: the C++ object is reached through this one owner, and shim.cpp binds its context and log to the calling
// thread on every call. A Model is not Sync.
unsafe impl Send for Model {}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Model")
            .field("library", &self.library)
            .finish_non_exhaustive()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: the handle came from `create` and is not used again.
        unsafe { (self.library.interface().destroy)(self.handle) }
    }
}

impl Model {
    pub(crate) fn new(library: Library, seed: u64) -> Result<Self, SimError> {
        // Verilator takes a positive 31-bit seed, and draws one of its own for zero.
        let folded = (seed ^ (seed >> 31) ^ (seed >> 62)) % (i32::MAX as u64);
        let seed = i32::try_from(folded).unwrap_or_default() + 1;
        let interface = library.interface();
        let randomize = i32::from(library.profile().randomizes());
        let mut status = 0;
        // SAFETY: `status` outlives the call, which always returns a valid handle.
        let handle = unsafe { (interface.create)(seed, randomize, &mut status) };
        let mut model = Self {
            library,
            handle,
            ports: Vec::new(),
            data: Vec::new(),
            failure: None,
        };
        model.check(status)?;
        let mut count = 0u64;
        // SAFETY: the handle is valid, and the table, its strings and what it points at live as long as the handle.
        let table = unsafe {
            let table = (interface.ports)(handle, &mut count);
            std::slice::from_raw_parts(table, count as usize)
        };
        for raw in table {
            // SAFETY: the name is a string literal of shim.cpp.
            let name = unsafe { CStr::from_ptr(raw.name) }
                .to_string_lossy()
                .into_owned();
            let direction = match raw.direction {
                0 => Direction::Input,
                1 => Direction::Output,
                _ => Direction::Inout,
            };
            model.ports.push(Port {
                name,
                bits: raw.bits,
                direction,
            });
            model.data.push(Data::new(raw));
        }
        Ok(model)
    }

    /// The ports of the top module.
    pub fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Looks a port up by its name in the Verilog.
    ///
    /// # Errors
    /// [`SimError::UnknownPort`], with the names there are.
    pub fn signal(&self, name: &str) -> Result<Signal, SimError> {
        let index = self.ports.iter().position(|port| port.name == name);
        match index.and_then(|index| u32::try_from(index).ok()) {
            Some(index) => Ok(Signal {
                index,
                bits: self.ports[index as usize].bits,
            }),
            None => Err(SimError::UnknownPort {
                name: name.to_owned(),
                known: self.ports.iter().map(|port| port.name.clone()).collect(),
            }),
        }
    }

    /// Drives a port of at most 64 bits. Bits above its width are dropped, so a negative number may be given sign
    /// extended.
    ///
    /// # Panics
    /// If the port is an output or wider, or the signal is of another design.
    #[inline]
    pub fn set(&mut self, signal: Signal, value: u64) {
        let data = self.input(signal);
        let value = if signal.bits < 64 {
            value & ((1 << signal.bits) - 1)
        } else {
            value
        };
        // SAFETY: the pointer is to a live member of the C++ object of this very type, which nothing else reads
        // or writes during the call. `value` has no bits above the port's width, as Verilator requires.
        unsafe {
            match data {
                Data::Bits8(pointer) => pointer.write(value as u8),
                Data::Bits16(pointer) => pointer.write(value as u16),
                Data::Bits32(pointer) => pointer.write(value as u32),
                Data::Bits64(pointer) => pointer.write(value),
                Data::Words(_) => panic!("a port of {} bits: use set_words", signal.bits),
            }
        }
    }

    /// The value of a port of at most 64 bits.
    ///
    /// # Panics
    /// If the port is wider, or the signal is of another design.
    #[inline]
    pub fn get(&self, signal: Signal) -> u64 {
        // SAFETY: the pointer is to a live member of the C++ object of this very type.
        unsafe {
            match self.data(signal) {
                Data::Bits8(pointer) => pointer.read().into(),
                Data::Bits16(pointer) => pointer.read().into(),
                Data::Bits32(pointer) => pointer.read().into(),
                Data::Bits64(pointer) => pointer.read(),
                Data::Words(_) => panic!("a port of {} bits: use words", signal.bits),
            }
        }
    }

    /// The value of a port of at most 64 bits, as two's complement.
    ///
    /// # Panics
    /// As [`Model::get`].
    #[inline]
    pub fn get_signed(&self, signal: Signal) -> i64 {
        let unused = 64 - signal.bits;
        (self.get(signal) << unused).cast_signed() >> unused
    }

    /// Drives a port of any width with 32-bit words, the lowest first. Words that are not given are zero; bits above
    /// the width are dropped.
    ///
    /// # Panics
    /// If the port is an output, there are more words than it has, or the signal is of another design.
    pub fn set_words(&mut self, signal: Signal, words: &[u32]) {
        assert!(
            words.len() <= signal.words(),
            "{} words for {} bits",
            words.len(),
            signal.bits
        );
        let Data::Words(pointer) = self.input(signal) else {
            let word = |index: usize| u64::from(words.get(index).copied().unwrap_or(0));
            return self.set(signal, word(0) | word(1) << 32);
        };
        // SAFETY: Verilator holds a port of this width as `signal.words()` words at the pointer, which nothing else
        // reads or writes while the slice lives.
        let target = unsafe { std::slice::from_raw_parts_mut(pointer, signal.words()) };
        target[..words.len()].copy_from_slice(words);
        target[words.len()..].fill(0);
        let used = signal.bits % 32;
        if used != 0
            && let Some(top) = target.last_mut()
        {
            *top &= (1 << used) - 1;
        }
    }

    /// The value of a port of more than 64 bits as 32-bit words, the lowest first, without a copy.
    ///
    /// # Panics
    /// If the port is narrower, or the signal is of another design.
    #[inline]
    pub fn words(&self, signal: Signal) -> &[u32] {
        let Data::Words(pointer) = self.data(signal) else {
            panic!("a port of {} bits: use get or get_words", signal.bits)
        };
        // SAFETY: as in `set_words`; the C++ object changes only through `&mut self`.
        unsafe { std::slice::from_raw_parts(pointer, signal.words()) }
    }

    /// The value of a port of any width as 32-bit words, the lowest first.
    ///
    /// # Panics
    /// If the signal is of another design.
    pub fn get_words(&self, signal: Signal) -> Vec<u32> {
        if signal.bits > 64 {
            return self.words(signal).to_vec();
        }
        let value = self.get(signal);
        [value as u32, (value >> 32) as u32][..signal.words()].to_vec()
    }

    /// Lets combinational outputs follow the inputs. No time passes.
    ///
    /// # Errors
    /// [`SimError::Stopped`] if an assertion fails or the design stops, now or before.
    pub fn eval(&mut self) -> Result<(), SimError> {
        self.check_before()?;
        // SAFETY: the handle is valid.
        let status = unsafe { (self.library.interface().eval)(self.handle) };
        self.check(status)
    }

    /// As [`Model::eval`], then one unit of time passes, for designs with several clocks, which the caller drives
    /// with [`Model::set`]. Waveforms show these steps.
    ///
    /// # Errors
    /// As [`Model::eval`].
    pub fn step(&mut self) -> Result<(), SimError> {
        self.check_before()?;
        // SAFETY: the handle is valid.
        let status = unsafe { (self.library.interface().step)(self.handle) };
        self.check(status)
    }

    /// Lets `cycles` clock cycles pass, or fewer if the design reaches `$finish`.
    ///
    /// # Errors
    /// [`SimError::Stopped`] at the first cycle in which an assertion fails or the design stops, and ever after;
    /// [`SimError::NoClock`].
    #[inline]
    pub fn tick(&mut self, cycles: u64) -> Result<(), SimError> {
        self.check_before()?;
        // SAFETY: the handle is valid.
        let status = unsafe { (self.library.interface().tick)(self.handle, cycles) };
        if status == STATUS_UNAVAILABLE {
            return Err(SimError::NoClock {
                clock: self.library.clock().to_owned(),
            });
        }
        self.check(status)
    }

    /// Lets clock cycles pass until a port of at most 64 bits has a value, and returns how many passed.
    ///
    /// # Errors
    /// [`SimError::Timeout`] after `cycles_max`; otherwise as [`Model::tick`].
    ///
    /// # Panics
    /// As [`Model::get`].
    pub fn tick_until(
        &mut self,
        signal: Signal,
        value: u64,
        cycles_max: u64,
    ) -> Result<u64, SimError> {
        for passed in 0..=cycles_max {
            if self.get(signal) == value {
                return Ok(passed);
            }
            if passed < cycles_max {
                self.tick(1)?;
            }
        }
        let signal = self.ports[signal.index as usize].name.clone();
        Err(SimError::Timeout {
            signal,
            value,
            cycles_max,
        })
    }

    /// Clock cycles passed since the model was made.
    pub fn cycles(&self) -> u64 {
        // SAFETY: the handle is valid.
        unsafe { (self.library.interface().cycles)(self.handle) }
    }

    /// Whether the design reached `$finish`, or stopped.
    pub fn finished(&self) -> bool {
        // SAFETY: the handle is valid.
        unsafe { (self.library.interface().finished)(self.handle) != 0 }
    }

    /// Takes what the design printed since the last call, at most a megabyte.
    pub fn take_output(&mut self) -> String {
        let text = self.output();
        // SAFETY: the handle is valid.
        unsafe { (self.library.interface().output_clear)(self.handle) }
        text
    }

    /// Starts a waveform file (FST) of every signal. Recording costs most of the speed: open a window around the
    /// cycles of interest. An open file is closed first. Inputs change at even times, the clock rises at odd ones.
    ///
    /// # Errors
    /// [`SimError::Unavailable`] unless built with [`crate::Profile::Trace`]; [`SimError::Write`].
    pub fn trace_open(&mut self, path: impl AsRef<Path>) -> Result<(), SimError> {
        let path = path.as_ref();
        if self.library.profile() != crate::Profile::Trace {
            return Err(SimError::Unavailable {
                what: "write waveforms",
                profile: "Profile::Trace",
            });
        }
        self.trace_close()?;
        // The C++ writer does not tell whether it could create the file.
        std::fs::File::create(path).map_err(|_| SimError::Write {
            path: path.to_path_buf(),
        })?;
        let text = c_path(path)?;
        // SAFETY: the handle is valid and the path is a string that outlives the call.
        let status = unsafe { (self.library.interface().trace_open)(self.handle, text.as_ptr()) };
        if status == STATUS_UNAVAILABLE {
            return Err(SimError::Write {
                path: path.to_path_buf(),
            });
        }
        self.check(status)
    }

    /// Completes the waveform file. Dropping the model does it too.
    ///
    /// # Errors
    /// [`SimError::Stopped`] if the file cannot be completed. That the design had stopped before is no error here.
    pub fn trace_close(&mut self) -> Result<(), SimError> {
        let stopped_before = self.failure.is_some();
        // SAFETY: the handle is valid.
        let status = unsafe { (self.library.interface().trace_close)(self.handle) };
        if stopped_before {
            Ok(())
        } else {
            self.check(status)
        }
    }

    /// Writes the coverage counted so far, in Verilator's format.
    ///
    /// # Errors
    /// [`SimError::Unavailable`] unless built with [`crate::Profile::Coverage`]; [`SimError::Write`].
    pub fn coverage_write(&mut self, path: impl AsRef<Path>) -> Result<(), SimError> {
        let path = path.as_ref();
        let text = c_path(path)?;
        // SAFETY: the handle is valid and the path is a string that outlives the call.
        let status =
            unsafe { (self.library.interface().coverage_write)(self.handle, text.as_ptr()) };
        if status == STATUS_UNAVAILABLE {
            return Err(SimError::Unavailable {
                what: "count coverage",
                profile: "Profile::Coverage",
            });
        }
        if path.is_file() {
            Ok(())
        } else {
            Err(SimError::Write {
                path: path.to_path_buf(),
            })
        }
    }

    fn output(&self) -> String {
        let mut bytes = 0u64;
        // SAFETY: the handle is valid; the text lives until the next call and is copied here.
        let text = unsafe {
            let text = (self.library.interface().output)(self.handle, &mut bytes);
            std::slice::from_raw_parts(text.cast::<u8>(), bytes as usize)
        };
        String::from_utf8_lossy(text).into_owned()
    }

    #[inline]
    fn data(&self, signal: Signal) -> Data {
        let index = signal.index as usize;
        assert!(
            self.ports
                .get(index)
                .is_some_and(|port| port.bits == signal.bits),
            "the signal is of another design"
        );
        self.data[index]
    }

    #[inline]
    fn input(&self, signal: Signal) -> Data {
        let data = self.data(signal);
        let port = &self.ports[signal.index as usize];
        assert!(
            port.direction != Direction::Output,
            "{} is an output",
            port.name
        );
        data
    }

    /// A design that stopped stays stopped.
    #[inline]
    fn check_before(&self) -> Result<(), SimError> {
        match &self.failure {
            None => Ok(()),
            Some((cycle, text)) => Err(SimError::Stopped {
                cycle: *cycle,
                text: text.clone(),
            }),
        }
    }

    #[inline]
    fn check(&mut self, status: i32) -> Result<(), SimError> {
        if status == STATUS_STOPPED && self.failure.is_none() {
            self.failure = Some((self.cycles(), last_lines(&self.output())));
        }
        self.check_before()
    }
}

fn c_path(path: &Path) -> Result<CString, SimError> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| SimError::Write {
        path: path.to_path_buf(),
    })
}
