//! A naive model of a serial line: levels over time, written and read bit by bit in real numbers of cycles.

/// The level of a line over time, as the times of its changes; high before the first.
pub(crate) struct Line {
    /// Time of a change and the level after it.
    changes: Vec<(f64, bool)>,
    /// Time at which what has been written ends.
    pub(crate) end: f64,
    at: usize,
}

impl Line {
    pub(crate) fn new(start: f64) -> Self {
        Self {
            changes: Vec::new(),
            end: start,
            at: 0,
        }
    }

    /// Holds a level for a time.
    pub(crate) fn hold(&mut self, level: bool, cycles: f64) {
        self.changes.push((self.end, level));
        self.end += cycles;
    }

    /// Sends a byte, each bit lasting `bit` cycles.
    pub(crate) fn byte(&mut self, byte: u8, bit: f64) {
        self.hold(false, bit);
        for at in 0..8 {
            self.hold(byte >> at & 1 == 1, bit);
        }
        self.hold(true, bit);
    }

    /// Inverts the line from `from` on for a time; nothing else may change in it.
    pub(crate) fn glitch(&mut self, from: f64, cycles: f64) {
        let before = self.changes.iter().rposition(|(time, _)| *time <= from);
        let level = before.is_none_or(|at| self.changes[at].1);
        let next = before.map_or(0, |at| at + 1);
        let ends = self.changes.get(next).map_or(f64::MAX, |(time, _)| *time);
        assert!(from + cycles < ends, "a glitch across an edge");
        self.changes.insert(next, (from, !level));
        self.changes.insert(next + 1, (from + cycles, level));
    }

    /// The level at a time; times must not decrease.
    pub(crate) fn level(&mut self, time: f64) -> bool {
        while self.changes.get(self.at).is_some_and(|(at, _)| *at <= time) {
            self.at += 1;
        }
        self.at == 0 || self.changes[self.at - 1].1
    }
}

/// Reads bytes off samples of a line, one a cycle, looking at the middle of every bit.
pub(crate) struct Reader {
    bit: f64,
    time: f64,
    /// Time of the start bit's edge and bits seen since.
    byte: Option<(f64, Vec<bool>)>,
    pub(crate) bytes: Vec<u8>,
    /// Start or stop bits that had the wrong level.
    pub(crate) errors: usize,
}

impl Reader {
    pub(crate) fn new(bit: f64) -> Self {
        Self {
            bit,
            time: 0.0,
            byte: None,
            bytes: Vec::new(),
            errors: 0,
        }
    }

    /// Goes on at another rate.
    pub(crate) fn rate(&mut self, bit: f64) {
        self.bit = bit;
    }

    pub(crate) fn idle(&self) -> bool {
        self.byte.is_none()
    }

    pub(crate) fn sample(&mut self, level: bool) {
        self.time += 1.0;
        let (start, bits) = match &mut self.byte {
            None if level => return,
            None => {
                self.byte = Some((self.time, Vec::new()));
                return;
            }
            Some(byte) => (byte.0, &mut byte.1),
        };
        if self.time < start + (bits.len() as f64 + 0.5) * self.bit {
            return;
        }
        bits.push(level);
        if let [first, data @ .., last] = &bits[..]
            && data.len() == 8
        {
            self.errors += usize::from(*first) + usize::from(!*last);
            let byte = data
                .iter()
                .rev()
                .fold(0, |byte, &bit| byte << 1 | u8::from(bit));
            self.bytes.push(byte);
            self.byte = None;
        }
    }
}

/// xorshift64*; a seed reproduces a test.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// A number from 0 to 1.
    pub(crate) fn part(&mut self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 20)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }
}
