//! Host port: frames of a byte stream (`isa::port`) to rows of the memories, runs and status.
//!
//! # Contract
//! `receive_*` and `transmit_*` are channels: a byte moves in a cycle with valid and ready; a
//! `transmit_valid` holds with its data until ready. A frame is buffered whole; only when its CRC has matched is
//! anything done. Between the magic byte and the end of the response nothing is received.
//!
//! A row to write stands on `row_<space>` at `row_address` in the cycle of `write_<space>`. A row to read: `row_address`
//! holds, and from [`READ_WAIT`] cycles on `read_<space>` is taken, byte by byte. `host_select` is high while no run
//! is in progress: then memories listen to `row_address`. `run_start` pulses with `run_first` and `run_count`; `stop` pulses.
//!
//! `frame_valid` pulses with every request whose CRC matches. `rate_set` pulses with the last byte of the response to a
//! Rate, while `rate` is its index; on a link without rates nobody listens.
//!
//! A frame that pauses for more than 2^`pause_bits` cycles between two bytes is dropped. Reset drops everything.
//!
//! ```text
//! clock           _/~\_/~\_/~\_/~\_/~\_
//! receive_valid   /~~~~~~~~~~~~~~~\____
//! receive_ready   ~~~~~~~~~~~~\________   (low from the last CRC byte on)
//! receive_data    X n-2 X n-1 X n X       (CRC bytes)
//! state           check       X settle X ...
//! ```

use crate::{
    apart,
    builder::{Module, Net},
    crc32,
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::{
    Space, VERSION,
    architecture::{Architecture, Storage},
    port::{
        CRC, Command, PAUSE_BITS, PAYLOAD_MAX, RATES, REQUEST_HEADER, REQUEST_MAGIC,
        RESPONSE_HEADER, RESPONSE_MAGIC, Status,
    },
};

/// Cycles from a row address to the row, for every space.
pub const READ_WAIT: usize = 7;

/// Bits of `row_address`.
pub const ADDRESS_BITS: usize = 20;

const SPACES: [(Space, &str); 5] = [
    (Space::Program, "program"),
    (Space::Record, "record"),
    (Space::Plane, "plane"),
    (Space::Activation, "activation"),
    (Space::Counter, "counter"),
];
const WRITABLE: usize = 4;
const READABLE: [usize; 2] = [3, 4];

/// Bits of a count of bytes in a payload.
const COUNT_BITS: usize = 8;
/// Bits of a number of bytes of a payload, or of rows in it.
const LENGTH_BITS: usize = COUNT_BITS + 1;
/// Bits of a count of bytes in a row.
const ROW_COUNT_BITS: usize = 7;
/// Bytes of the words that rows to read are made of.
const WORD: usize = 4;
/// Bits of a number of words in a payload.
const WORDS_BITS: usize = 7;
const _: () = assert!(PAYLOAD_MAX / WORD == 1 << (WORDS_BITS - 1));
/// Bytes of a Run's payload: fingerprint and count.
const RUN_BYTES: usize = 6;
const STATUS_BITS: usize = 4;
/// Bits of `run_first`, a descriptor's number.
pub const DESCRIPTOR_BITS: usize = 12;

/// States of the port: the first four receive, those from 8 on send. (What reads bits of a state is no machine that yosys would
/// give another code, which takes more cells.)
#[derive(Clone, Copy)]
enum State {
    Idle,
    Header,
    Payload,
    Check,
    Settle,
    Answer,
    Write,
    Fetch,
    Respond,
    Send,
    SendCrc,
}

const STATE_BITS: usize = 4;
/// Bit of the count that is set by the last bytes of the response's head.
const HEAD_LATE: usize = 2;
const _: () = assert!((RESPONSE_HEADER - 1) >> HEAD_LATE == 1);
/// Cycles of Settle: what registers make of the request is there.
const SETTLE: usize = 4;

/// Bits of a space's row on the port.
#[must_use]
pub fn row_bits(architecture: &Architecture, space: Space) -> usize {
    match space {
        Space::Plane => architecture.inputs() + 1,
        _ => 8 * architecture.row_bytes(space),
    }
}

/// Bits of the addresses that rows have.
fn address_bits(architecture: &Architecture) -> usize {
    let rows = SPACES.map(|(space, _)| architecture.rows(space).next_power_of_two());
    let bits = rows.map(|rows| rows.trailing_zeros() as usize);
    bits.into_iter().fold(LENGTH_BITS, usize::max)
}

/// Everything the unit's parts share: state, and the registers of a frame.
struct Unit<'a> {
    m: Module,
    a: &'a Architecture,
    state: Net,
    next: Vec<(Net, State)>,
    /// Bytes of this part of the frame before this one, and the next of it.
    count: Net,
    count_next: Net,
    /// Bytes of the row before this one (or cycles of a fetch), and the next of it.
    in_row: Net,
    in_row_next: Net,
    opcode: Net,
    sequence: Net,
    space: Net,
    /// Of a row, and whether the request's is beyond all of them.
    address: Net,
    far: Net,
    /// Bytes of the payload: of the request's, from Answer on of the response's.
    length: Net,
    /// Last bytes of the request's payload, then the row to write; the oldest byte lowest.
    row: Net,
    /// On a large die it is in several registers, each with controls of its own.
    row_parts: Vec<Net>,
    status: Net,
    /// Sequence of the last Run or Stop taken.
    tag: Net,
    /// Of the request, then of the response: a frame at a time, hence one register.
    crc: Net,
    /// A byte of the request's CRC was wrong.
    wrong: Net,
}

impl Unit<'_> {
    fn is(&self, state: State) -> Net {
        self.m.equals(&self.state, state as u64)
    }

    /// The opcode is that of `command`, or an unknown one, which nothing is done for.
    fn asks(&self, command: Command) -> Net {
        let m = &self.m;
        m.equals(&m.slice(&self.opcode, 0, 3), command as u64)
    }

    /// A register that holds `net` of Settle.
    fn settled(&self, name: &str, net: &Net) -> Net {
        let q = self.m.register(name, net.width());
        self.m.clocked_enable(&q, net, &self.is(State::Settle));
        q
    }

    fn ok(&self) -> Net {
        self.m.equals(&self.status, Status::Ok as u64)
    }

    /// The count is that of the last of `bytes`, where it is no greater.
    fn last_of(&self, bytes: usize) -> Net {
        let last = bytes as u64 - 1;
        let bits = (u64::BITS - last.leading_zeros()) as usize;
        self.m.equals(&self.m.slice(&self.count, 0, bits), last)
    }

    /// The last `bytes` of the payload but `after`.
    fn tail(&self, bytes: usize, after: usize) -> Net {
        let low = self.row.width() - 8 * (bytes + after);
        self.m.slice(&self.row, low, 8 * bytes)
    }

    /// A constant of the space; any, if there is no such space.
    fn by_space(&self, width: usize, value: impl Fn(Space) -> usize) -> Net {
        let literal = |(space, _)| self.m.literal(value(space) as u64, width);
        let index = self.m.slice(&self.space, 0, 3);
        self.m.select(&index, &SPACES.map(literal))
    }

    /// Leaves for `to` in a cycle of `when`. Later calls win.
    fn go(&mut self, when: &Net, to: State) {
        self.next.push((when.clone(), to));
    }

    fn finish(&self) {
        let mut next = self.state.clone();
        for (when, to) in &self.next {
            next = self
                .m
                .mux(when, &self.m.literal(*to as u64, STATE_BITS), &next);
        }
        self.m.clocked_reset(&self.state, &next, State::Idle as u64);
    }
}

/// What happens in a cycle.
struct Events {
    /// A byte is taken, of the header, of the payload.
    take: Net,
    take_header: Net,
    take_payload: Net,
    byte: Net,
    /// A byte is sent.
    sent: Net,
    /// Of the payload; the row moves a cycle later.
    sent_payload: Net,
    /// The last byte of a row is taken, put into it, or sent.
    row_end: Net,
    check: Net,
    settle: Net,
    answer: Net,
    write: Net,
    /// Nothing is (any longer) to be written.
    written: Net,
    /// What is to be sent enters the row in the next cycle.
    load: Net,
    crc_end: Net,
}

/// The unit as a module, with the pause of the contract.
#[must_use]
pub fn port(architecture: &Architecture) -> Module {
    with_pause(architecture, PAUSE_BITS)
}

/// The unit as a module.
#[must_use]
pub fn with_pause(architecture: &Architecture, pause_bits: usize) -> Module {
    let m = Module::new("port");
    let row_bytes = SPACES.map(|(space, _)| architecture.row_bytes(space));
    // What can be sent lies side by side.
    let sources = architecture.row_bytes(Space::Activation) + 2 * WORD;
    let row_bytes = row_bytes.into_iter().fold(sources, usize::max);
    let (bits, parts) = (8 * row_bytes, architecture.control_groups);
    let part = |at: usize| {
        let width = bits * (at + 1) / parts - bits * at / parts;
        m.register(&format!("row_part_{at}"), width)
    };
    let row_parts: Vec<Net> = (0..parts).map(part).collect();
    let count = m.register("count", COUNT_BITS);
    let in_row = m.register("in_row", ROW_COUNT_BITS);
    let mut unit = Unit {
        a: architecture,
        state: m.register("state", STATE_BITS),
        next: Vec::new(),
        count_next: m.increment(&count),
        count,
        in_row_next: m.increment(&in_row),
        in_row,
        opcode: m.register("opcode", 8),
        sequence: m.register("sequence_asked", 8),
        space: m.register("space", 8),
        address: m.register("row_at", address_bits(architecture)),
        far: m.register("far", 1),
        length: m.register("payload_bytes", LENGTH_BITS),
        row: m.concat(&row_parts.iter().collect::<Vec<_>>()),
        row_parts,
        status: m.register("status", STATUS_BITS),
        tag: m.register("tag", 8),
        crc: m.register("crc", 32),
        wrong: m.register("wrong", 1),
        m,
    };
    // From Respond on.
    let read = unit.settled("is_read", &unit.asks(Command::Read));
    let reads = unit.m.registered("reading", &unit.m.and(&read, &unit.ok()));
    let events = steps(&mut unit, &reads, pause_bits);
    let size = decide(&unit, &events);
    let stored = write_rows(&unit, &events);
    let read_on = unit.m.all(&[&reads, &events.sent, &events.row_end]);
    fields(&unit, &events, &size, &unit.m.or(&stored, &read_on));
    transmit(&unit, &events, &reads);
    unit.finish();
    unit.m
}

/// The states and counts.
fn steps(unit: &mut Unit<'_>, reads: &Net, pause_bits: usize) -> Events {
    let m = unit.m.clone();
    let [idle, header, payload, check] =
        [State::Idle, State::Header, State::Payload, State::Check].map(|state| unit.is(state));
    let [settle, answer, write, respond] =
        [State::Settle, State::Answer, State::Write, State::Respond].map(|state| unit.is(state));
    let [fetch, send, send_crc] =
        [State::Fetch, State::Send, State::SendCrc].map(|state| unit.is(state));
    let byte = m.input("receive_data", 8);
    let receiving = m.any(&[&header, &payload, &check]);
    let ready = m.equals(&m.slice(&unit.state, 2, 2), 0);
    m.output("receive_ready", &ready);
    let take = m.and(&m.input("receive_valid", 1), &ready);
    let [take_header, take_payload, take_check] =
        [&header, &payload, &check].map(|state| m.and(&take, state));
    let sending = m.bit(&unit.state, 3);
    m.output("transmit_valid", &sending);
    let sent = m.and(&sending, &m.input("transmit_ready", 1));
    let sent_payload = m.and(&send, &sent);

    // There before the first byte is: the length's low byte comes before its high one, and a payload has one byte or more.
    let low = m.truncate(&unit.length, COUNT_BITS);
    let last_index = m.subtract(&low, &m.literal(1, COUNT_BITS));
    let last_index = m.registered("last_index", &last_index);
    let last = m.equal(&unit.count, &last_index);
    let begin = m.all(&[&take, &idle, &m.equals(&byte, u64::from(REQUEST_MAGIC))]);
    // The magic byte has no count, and the length's last byte is just arriving.
    let header_end = m.and(&take_header, &unit.last_of(REQUEST_HEADER - 1));
    let no_low = m.equals(&m.slice(&unit.length, 0, 8), 0);
    let empty = m.and(&no_low, &m.equals(&byte, 0));
    let oversized = m.or(
        &m.reduce_or(&m.slice(&byte, 1, 7)),
        &m.and(&m.bit(&byte, 0), &m.not(&no_low)),
    );
    let payload_end = m.and(&take_payload, &last);
    let check_end = m.and(&take_check, &unit.last_of(CRC));
    let settle_end = m.and(&settle, &unit.last_of(SETTLE));
    let write_end = m.and(&write, &last);
    let head_end = m.all(&[&respond, &sent, &unit.last_of(RESPONSE_HEADER)]);
    let fetch_end = m.and(&fetch, &m.equals(&unit.in_row, READ_WAIT as u64));
    // What is to be sent is there in the head's last cycle, or the fetch's; a row that was written is gone by the head's second half.
    let fetched = m.and(&fetch, &m.equals(&unit.in_row, READ_WAIT as u64 - 1));
    let late = m.bit(&unit.count, HEAD_LATE);
    let headed = m.all(&[&respond, &late, &m.not(&head_end)]);
    let load = m.or(&headed, &fetched);
    let send_end = m.and(&sent_payload, &last);
    let crc_end = m.all(&[&send_crc, &sent, &unit.last_of(CRC)]);

    let row_last = m.registered(
        "row_last",
        &unit.by_space(ROW_COUNT_BITS, |space| unit.a.row_bytes(space) - 1),
    );
    // Of no meaning in Fetch.
    let row_end = m.equal(&unit.in_row, &row_last);
    let row_clear = m.and(&m.not(&fetch), &row_end);
    let clear = m.any(&[&header, &row_clear, &fetch_end, &answer]);
    let in_row = m.gate(&unit.in_row_next, &m.not(&clear));
    let counts = m.any(&[
        &header,
        &take_payload,
        &answer,
        &write,
        &fetch,
        &sent_payload,
    ]);
    m.clocked_enable(&unit.in_row, &in_row, &counts);
    let restart = m.any(&[
        &begin,
        &header_end,
        &payload_end,
        &check_end,
        &settle_end,
        &write_end,
        &head_end,
        &send_end,
    ]);
    let count = m.gate(&unit.count_next, &m.not(&restart));
    m.clocked_enable(
        &unit.count,
        &count,
        &m.any(&[&take, &settle, &write, &sent]),
    );

    let writes = m.all(&[&answer, &unit.ok(), &unit.asks(Command::Write)]);
    let written = m.or(&m.and(&answer, &m.not(&writes)), &write_end);
    unit.go(&begin, State::Header);
    unit.go(&header_end, State::Payload);
    unit.go(&m.and(&header_end, &empty), State::Check);
    unit.go(&m.and(&header_end, &oversized), State::Idle);
    unit.go(&payload_end, State::Check);
    unit.go(&check_end, State::Settle);
    let pause = m.register("pause", pause_bits);
    let waiting = m.and(&receiving, &m.not(&take));
    let paused = m.increment(&m.zero_extend(&pause, pause_bits + 1));
    m.clocked_reset(
        &pause,
        &m.gate(&m.truncate(&paused, pause_bits), &waiting),
        0,
    );
    unit.go(&m.and(&waiting, &m.bit(&paused, pause_bits)), State::Idle);
    unit.go(&settle_end, State::Answer);
    unit.go(&answer, State::Write);
    unit.go(&written, State::Respond);
    unit.go(&head_end, State::Send);
    unit.go(
        &m.and(&head_end, &m.equals(&unit.length, 0)),
        State::SendCrc,
    );
    unit.go(&m.and(&head_end, reads), State::Fetch);
    unit.go(&fetch_end, State::Send);
    unit.go(&m.all(&[&sent_payload, &row_end, reads]), State::Fetch);
    unit.go(&send_end, State::SendCrc);
    unit.go(&crc_end, State::Idle);
    Events {
        take,
        take_header,
        take_payload,
        byte,
        sent,
        sent_payload,
        row_end,
        check,
        settle,
        answer,
        write,
        written,
        load,
        crc_end,
    }
}

/// The fields of the header as they come; the length becomes the response's `size`, the address goes on to the next row after `step`.
fn fields(unit: &Unit<'_>, events: &Events, size: &Net, step: &Net) {
    let m = &unit.m;
    let lane = |offset: usize| {
        // The magic byte has no count.
        let there = m.equals(&m.slice(&unit.count, 0, 4), offset as u64 - 1);
        m.and(&events.take_header, &there)
    };
    let byte = &events.byte;
    let early = m.less(&m.slice(&unit.count, 0, 4), &m.literal(3, 4));
    let comes = m.and(&events.take_header, &early);
    m.clocked_enable(&unit.space, byte, &comes);
    // In the response's head status and length follow opcode and sequence into the place of the opcode.
    let head = unit.is(State::Respond);
    let at = m.slice(&unit.count, 0, 3);
    let goes = m.all(&[&head, &events.sent, &m.not_equal(&at, &m.literal(0, 3))]);
    let high = m.zero_extend(&m.bit(&unit.length, 8), 8);
    let length = m.mux(&m.bit(&at, 0), &high, &m.slice(&unit.length, 0, 8));
    let status = m.zero_extend(&unit.status, 8);
    let answered = m.mux(&m.bit(&at, 1), &length, &status);
    let moves = m.or(&comes, &goes);
    m.clocked_enable(&unit.opcode, &unit.sequence, &moves);
    let sequence = m.mux(&head, &answered, &unit.space);
    m.clocked_enable(&unit.sequence, &sequence, &moves);
    let following = m.increment(&unit.address);
    let width = unit.address.width();
    let (mut far, mut bits) = (m.literal(0, 1), Vec::new());
    for (low, lane) in [0, 8, 16, 24].into_iter().zip([4, 5, 6, 7].map(lane)) {
        let used = width.saturating_sub(low).min(8);
        if used > 0 {
            let here = m.mux(
                &events.take_header,
                &m.truncate(byte, used),
                &m.slice(&following, low, used),
            );
            let held = m.slice(&unit.address, low, used);
            bits.push(m.mux(&m.or(&lane, step), &here, &held));
        }
        if used < 8 {
            let beyond = m.reduce_or(&m.slice(byte, used, 8 - used));
            far = m.or(&far, &m.and(&lane, &beyond));
        }
    }
    m.clocked(&unit.address, &m.concat(&bits.iter().collect::<Vec<_>>()));
    let begun = m.not(&unit.is(State::Idle));
    m.clocked(&unit.far, &m.and(&begun, &m.or(&unit.far, &far)));
    m.output("row_address", &m.zero_extend(&unit.address, ADDRESS_BITS));

    let low = m.mux(&events.take_header, byte, &m.truncate(size, 8));
    let high = m.mux(&events.take_header, &m.bit(byte, 0), &m.bit(size, 8));
    let [low_lane, high_lane] = [8, 9].map(lane);
    let low = m.mux(
        &m.or(&low_lane, &events.written),
        &low,
        &m.slice(&unit.length, 0, 8),
    );
    let high = m.mux(
        &m.or(&high_lane, &events.written),
        &high,
        &m.bit(&unit.length, 8),
    );
    m.clocked(&unit.length, &m.concat(&[&low, &high]));
}

/// Bytes of the response's payload, if it is `Ok`; status, run, stop, rate.
fn decide(unit: &Unit<'_>, events: &Events) -> Net {
    let m = &unit.m;
    let running = m.input("running", 1);
    m.output("host_select", &m.not(&running));
    let [write, read, run, stop, rate] = [
        Command::Write,
        Command::Read,
        Command::Run,
        Command::Stop,
        Command::Rate,
    ]
    .map(|command| unit.asks(command));
    let kinds = [&write, &read, &run, &stop, &rate];
    let [write, read, run, stop, rate] = apart::near(m, unit.a, "kinds", kinds);
    let unknown = m.less(&m.literal(Command::Rate as u64, 8), &unit.opcode);
    let access = m.or(&write, &read);
    let simple = m.not(&m.or(&access, &run));

    // Rows: what was received, or what is asked for.
    let asked = unit.tail(2, 0);
    let whole = m.and(&events.take_payload, &events.row_end);
    let received = m.counter("rows", LENGTH_BITS, &events.take_header, &whole);
    let rows = m.mux(&read, &m.truncate(&asked, LENGTH_BITS), &received);
    let width = unit.address.width() + 1;
    let end = m.add(
        &m.zero_extend(&unit.address, width),
        &m.zero_extend(&rows, width),
    );
    let end = m.zero_extend(&m.registered("end_row", &end), width + 1);
    // A carry where the end is beyond the space's rows; by hand, since a comparison takes the end's complement in cells of its own.
    let room = unit.by_space(width, |space| (1 << width) - 1 - unit.a.rows(space));
    let sum = m.add(&end, &m.zero_extend(&room, width + 1));
    m.unused(&m.truncate(&sum, width));
    let beyond = m.registered("beyond", &m.bit(&sum, width));
    let counter = m.equals(&m.slice(&unit.space, 0, 3), Space::Counter as u64);
    // Bytes that are asked for, in words.
    let words = m.truncate(&asked, WORDS_BITS);
    let many = m.reduce_or(&m.slice(&asked, WORDS_BITS, 16 - WORDS_BITS));
    let none = m.not(&m.or(&many, &m.reduce_or(&words)));
    let wide = m.zero_extend(&words, 2 * WORDS_BITS);
    let words = m.mux(&counter, &wide, &times(m, &wide, unit.a.columns));
    let (above, most) = (WORDS_BITS, WORDS_BITS - 1);
    let too_many = m.any(&[
        &many,
        &m.reduce_or(&m.slice(&words, above, WORDS_BITS)),
        &m.and(
            &m.bit(&words, most),
            &m.reduce_or(&m.truncate(&words, most)),
        ),
    ]);
    let words = m.truncate(&words, WORDS_BITS);

    let first = m.slice(&unit.address, 0, DESCRIPTOR_BITS.min(unit.address.width()));
    m.output("run_first", &m.zero_extend(&first, DESCRIPTOR_BITS));
    m.output("run_count", &asked);
    let descriptors = unit.a.descriptor_count as u64;
    let bits = (u64::BITS - descriptors.leading_zeros()) as usize;
    let above = |net: &Net| m.reduce_or(&m.slice(net, bits, net.width() - bits));
    let low = |net: &Net| m.zero_extend(&m.truncate(net, bits), bits + 1);
    let run_end = m.registered("run_end", &m.add(&low(&unit.address), &low(&asked)));
    let run_beyond = m.any(&[
        &m.less(&m.literal(descriptors, bits + 1), &run_end),
        &above(&unit.address),
        &above(&asked),
    ]);
    let fingerprint = m.literal(u64::from(unit.a.fingerprint()), 32);
    let stranger = m.not_equal(&unit.tail(4, 2), &fingerprint);
    let stale = m.not_equal(&unit.tag, &unit.space);

    let length_is = |bytes: u64| m.equals(&unit.length, bytes);
    let empty = length_is(0);
    let ragged = m.not_equal(&unit.in_row, &m.literal(0, ROW_COUNT_BITS));
    let bad_length = m.any(&[
        &m.and(&write, &m.or(&ragged, &empty)),
        &m.and(&read, &m.any(&[&m.not(&length_is(2)), &none, &too_many])),
        &m.and(&run, &m.or(&m.not(&length_is(RUN_BYTES as u64)), &none)),
        &m.and(&simple, &m.not(&empty)),
    ]);
    let spaces = m.decode(&unit.space, SPACES.len());
    let writable = m.any(&spaces[..WRITABLE].iter().collect::<Vec<_>>());
    let readable = m.any(&READABLE.map(|at| &spaces[at]));
    let bad_space = m.or(
        &m.and(&write, &m.not(&writable)),
        &m.and(&read, &m.not(&readable)),
    );
    let rate_bits = RATES.len().trailing_zeros() as usize;
    let no_rate = m.reduce_or(&m.slice(&unit.address, rate_bits, unit.address.width() - rate_bits));
    let bad_address = m.any(&[
        &m.and(&access, &m.or(&unit.far, &beyond)),
        &m.and(&run, &m.or(&unit.far, &run_beyond)),
        &m.and(&rate, &m.or(&unit.far, &no_rate)),
    ]);
    let busy = m.and(&running, &m.not(&simple));
    let findings = [
        &m.and(&run, &stale),
        &m.and(&run, &stranger),
        &bad_address,
        &bad_length,
        &bad_space,
        &busy,
        &unknown,
    ];
    let findings = apart::near(m, unit.a, "findings", findings);
    let statuses = [
        Status::Stale,
        Status::BadFingerprint,
        Status::BadAddress,
        Status::BadLength,
        Status::BadSpace,
        Status::Busy,
        Status::BadCommand,
    ];
    let mut status = m.literal(Status::Ok as u64, STATUS_BITS);
    let findings = findings.iter().zip(statuses);
    for (condition, value) in findings.chain([(&unit.wrong, Status::BadCrc)]) {
        status = m.mux(condition, &m.literal(value as u64, STATUS_BITS), &status);
    }
    // Held from here on: what is answered to a Run must not change when it starts.
    m.clocked_enable(&unit.status, &status, &events.settle);
    let act = m.and(&events.answer, &unit.ok());
    m.output("run_start", &m.and(&act, &run));
    m.output("stop", &m.and(&act, &stop));
    let runs = m.and(&act, &m.or(&run, &stop));
    m.clocked_enable_reset(&unit.tag, &unit.sequence, &runs, 0);
    let intact = m.not(&m.equals(&unit.status, Status::BadCrc as u64));
    m.output("frame_valid", &m.and(&events.answer, &intact));
    m.output("rate", &m.slice(&unit.address, 0, rate_bits));
    m.output(
        "rate_set",
        &m.all(&[&events.crc_end, &unit.ok(), &unit.settled("is_rate", &rate)]),
    );

    let is = |command, bytes: u64| m.gate(&m.literal(bytes, LENGTH_BITS), &unit.asks(command));
    let read_bytes = m.concat(&[&m.literal(0, 2), &words]);
    let size = m.any(&[
        &is(Command::Identify, 8),
        &is(Command::Status, 4),
        &m.gate(&read_bytes, &read),
    ]);
    m.gate(&size, &unit.ok())
}

/// A number times a constant, an adder a cycle.
fn times(m: &Module, number: &Net, factor: usize) -> Net {
    let bits = (0..usize::BITS as usize).filter(|bit| factor >> bit & 1 == 1);
    let mut parts = bits.map(|bit| m.shift_left(number, bit));
    let first = parts.next().unwrap_or_else(|| m.literal(0, number.width()));
    parts.enumerate().fold(first, |sum, (at, part)| {
        m.registered(&format!("words_{at}"), &m.add(&sum, &part))
    })
}

/// The payload on its way: into the buffer and, for what is no row, into the row; from the buffer into the row. Gives when a row is stored.
fn write_rows(unit: &Unit<'_>, events: &Events) -> Net {
    let m = &unit.m;
    let buffer = Memory {
        storage: Storage::Block,
        width: 8,
        depth: PAYLOAD_MAX,
        latency: 2,
    };
    let ports = MemoryPorts {
        write_enable: &events.take_payload,
        write_address: &unit.count,
        write_data: &events.byte,
        read_address: &unit.count,
    };
    let payload = buffer.instance(m, "buffer", &ports);
    // A byte enters the row at the end of the cycle after that in which it is read or taken; the row is whole for a cycle then.
    let filling = m.delayed_reset("filling", &events.write, buffer.latency);
    let whole = m.and(&events.write, &events.row_end);
    let whole = m.delayed_reset("whole", &whole, buffer.latency + 1);
    let byte = m.registered("row_byte", &m.mux(&filling, &payload, &events.byte));
    let moves = m.any(&[
        &filling,
        &events.take_payload,
        &events.load,
        &events.sent_payload,
    ]);
    let identify = unit.settled("is_identify", &unit.asks(Command::Identify));
    let width = unit.row.width();
    let shifted = m.concat(&[&m.slice(&unit.row, 8, width - 8), &byte]);
    let identity = u64::from(VERSION) << 32 | u64::from(unit.a.fingerprint());
    let identity = m.zero_extend(&m.literal(identity, 64), width);
    let sources = sources(unit);
    let mut low = 0;
    for (at, part) in unit.row_parts.iter().enumerate() {
        let name = |what: &str| format!("row_{what}_{at}");
        let of = |net: &Net| m.slice(net, low, part.width());
        let source = |identify: &Net| m.mux(identify, &of(&identity), &of(&sources));
        let (source, [moves, load]) = if unit.a.is_wide() {
            let controls = [&moves, &events.load, &identify];
            let [moves, load, identify] = apart::registered(m, &name("controls"), controls);
            (source(&identify), [moves, load])
        } else {
            let controls = [("moves", &moves), ("loads", &events.load)];
            let held = |(what, net)| m.registered_reset(&name(what), net);
            (source(&identify), controls.map(held))
        };
        let next = m.mux(&load, &source, &of(&shifted));
        m.clocked_enable(part, &next, &moves);
        low += part.width();
    }
    let strobes = SPACES[..WRITABLE].iter().map(|&(space, name)| {
        let bytes = unit.a.row_bytes(space);
        let row = m.slice(&unit.row, width - 8 * bytes, row_bits(unit.a, space));
        m.output(&format!("row_{name}"), &row);
        let chosen = m.equals(&m.slice(&unit.space, 0, 3), space as u64);
        let strobe = m.registered_reset(&format!("write_{name}_held"), &m.and(&whole, &chosen));
        m.output(&format!("write_{name}"), &strobe);
        strobe
    });
    let strobes: Vec<Net> = strobes.collect();
    m.any(&strobes.iter().collect::<Vec<_>>())
}

/// Bytes of the row before those of an activation row, a counter and the status.
const SENT: [fn(&Architecture) -> usize; 3] = [
    |_| 0,
    |architecture| architecture.row_bytes(Space::Activation),
    |architecture| architecture.row_bytes(Space::Activation) + WORD,
];

/// All that is sent from the row, side by side.
fn sources(unit: &Unit<'_>) -> Net {
    let m = &unit.m;
    let [activation, counter] = READABLE.map(|at| {
        let (space, name) = SPACES[at];
        m.input(&format!("read_{name}"), row_bits(unit.a, space))
    });
    let state = m.input("run_state", 8);
    let finished = m.input("run_finished", 16);
    let all = m.concat(&[&activation, &counter, &state, &unit.tag, &finished]);
    m.zero_extend(&all, unit.row.width())
}

/// The byte to send, and the CRC of what has been received or sent.
fn transmit(unit: &Unit<'_>, events: &Events, reads: &Net) {
    let m = &unit.m;
    let [idle, in_head, in_crc] =
        [State::Idle, State::Respond, State::SendCrc].map(|state| unit.is(state));
    let behind = m.registered("row_behind", &events.sent_payload);
    let taps = SENT.map(|source| {
        let at = |byte: usize| m.slice(&unit.row, 8 * (source(unit.a) + byte), 8);
        m.mux(&behind, &at(1), &at(0))
    });
    let [activation, counter, status] = &taps;
    let is_counter = m.equals(&m.slice(&unit.space, 0, 3), Space::Counter as u64);
    let is_counter = m.registered("is_counter", &m.and(&is_counter, reads));
    let payload = m.mux(&is_counter, counter, activation);
    let payload = m.mux(
        &unit.settled("is_status", &unit.asks(Command::Status)),
        status,
        &payload,
    );
    let first = m.equals(&m.slice(&unit.count, 0, 3), 0);
    let magic = m.literal(u64::from(RESPONSE_MAGIC), 8);
    let head = m.mux(&first, &magic, &unit.opcode);
    let crc = m.not(&m.slice(&unit.crc, 0, 8));
    let byte = m.mux(&in_head, &head, &payload);
    let byte = m.mux(&in_crc, &crc, &byte);
    m.output("transmit_data", &byte);
    // The magic bytes do not count.
    let restart = m.or(&idle, &m.and(&in_head, &first));
    let counted = m.mux(&m.bit(&unit.state, 3), &byte, &events.byte);
    // Bytes of the CRC are its complement, so that there is no difference where they are right.
    let counted = m.xor(&counted, &m.repeat(&m.or(&events.check, &in_crc), 8));
    let difference = m.xor(&m.slice(&unit.crc, 0, 8), &counted);
    let right = m.equal(&events.byte, &crc);
    let wrong = m.and(&events.check, &m.or(&unit.wrong, &m.not(&right)));
    let changes = m.or(&events.take, &idle);
    m.clocked_enable(&unit.wrong, &wrong, &changes);
    let initial = m.literal(u64::from(crc32::INITIAL), 32);
    let stepped = crc32::step(m, &unit.crc, &difference);
    let next = m.mux(&restart, &initial, &stepped);
    m.clocked_enable(&unit.crc, &next, &m.or(&events.take, &events.sent));
}
