//! Host port: frames of a byte stream (`isa::port`) to rows of the memories, runs and status.
//!
//! # Contract
//! `receive_*` and `transmit_*` are channels: a byte moves in a cycle with valid and ready; a
//! `transmit_valid` holds with its data until ready. A frame is buffered whole; only when its CRC has matched is
//! anything done. Between the magic byte and the end of the response nothing is received.
//!
//! A row to write stands on `row_<space>` at `row_address` in the cycle of `write_<space>`. A row to read: `row_address` and
//! `read_select` hold for [`READ_WAIT`] cycles, then `read_<space>` is taken. `host_select` is high while no run
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
//! state           receive     X decode X ...
//! ```

use crate::{
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

/// Register of the CRC after a message and its CRC.
const RESIDUE: u64 = 0xDEBB_20E3;
const COUNT_BITS: usize = 10;
/// Bits of a count of bytes in a row.
const ROW_COUNT_BITS: usize = 7;

/// States of the port.
#[derive(Clone, Copy)]
enum State {
    Idle,
    Header,
    Payload,
    Check,
    Decode,
    Size,
    Answer,
    WriteByte,
    WriteRow,
    Respond,
    Fetch,
    Send,
    SendCrc,
}

const STATE_BITS: usize = 4;

/// Bits of a space's row on the port.
#[must_use]
pub fn row_bits(architecture: &Architecture, space: Space) -> usize {
    match space {
        Space::Plane => architecture.inputs() + 1,
        _ => 8 * architecture.row_bytes(space),
    }
}

/// Everything the unit's parts share.
struct Unit<'a> {
    m: Module,
    a: &'a Architecture,
    pause_bits: usize,
    state: Net,
    next: Vec<(Net, State)>,
}

impl Unit<'_> {
    fn is(&self, state: State) -> Net {
        self.m.equals(&self.state, state as u64)
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

/// Registered fields of the request.
struct Request {
    opcode: Net,
    sequence: Net,
    space: Net,
    address: Net,
    length: Net,
    /// Last six payload bytes, the oldest lowest.
    tail: Net,
    /// Whole rows of payload.
    rows: Net,
    /// The payload ends in the middle of a row.
    ragged: Net,
    /// Bytes of a row of the space, less one.
    row_last: Net,
    /// A byte is taken, and the byte.
    take: Net,
    byte: Net,
    /// The CRC register, of the request until the response begins.
    crc: Net,
    payload: Net,
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
    let state = m.register("state", STATE_BITS);
    let mut unit = Unit {
        m,
        a: architecture,
        state,
        pause_bits,
        next: Vec::new(),
    };
    let read_byte = unit.m.wire("buffer_address", 8);
    let request = receive(&mut unit, &read_byte);
    let verdict = decode(&mut unit, &request);
    respond(&mut unit, &request, &verdict, &read_byte);
    unit.finish();
    unit.m
}

fn constant_by_space(
    unit: &Unit<'_>,
    space: &Net,
    width: usize,
    value: impl Fn(Space) -> u64,
) -> Net {
    let choices: Vec<Net> = SPACES
        .iter()
        .map(|&(space, _)| unit.m.literal(value(space), width))
        .collect();
    unit.m.select(&unit.m.slice(space, 0, 3), &choices)
}

/// Idle to Decode: header, payload into the buffer, CRC.
fn receive(unit: &mut Unit<'_>, read_byte: &Net) -> Request {
    let [idle, header, payload, check] =
        [State::Idle, State::Header, State::Payload, State::Check].map(|state| unit.is(state));
    let m = unit.m.clone();
    let valid = m.input("receive_valid", 1);
    let byte = m.input("receive_data", 8);
    let ready = m.any(&[&idle, &header, &payload, &check]);
    m.output("receive_ready", &ready);
    let take = m.and(&valid, &ready);
    let take_in = |state: &Net| m.and(&take, state);
    let begin = m.all(&[&take, &idle, &m.equals(&byte, u64::from(REQUEST_MAGIC))]);
    let count = m.register("count", COUNT_BITS);
    let [take_header, take_payload, take_check] = [&header, &payload, &check].map(take_in);
    let header_end = m.and(&take_header, &m.equals(&count, REQUEST_HEADER as u64 - 2));

    let fields = m.register("fields", 8 * (REQUEST_HEADER - 1));
    let shifted = m.concat(&[&m.slice(&fields, 8, fields.width() - 8), &byte]);
    m.clocked_enable(&fields, &shifted, &take_header);
    let length_now = m.slice(&shifted, 56, 16);
    let empty = m.equals(&length_now, 0);
    let oversized = m.less(&m.literal(PAYLOAD_MAX as u64, 16), &length_now);
    let length = m.slice(&fields, 56, 16);
    // A longer payload is refused with the header.
    let last = m.register("payload_last", COUNT_BITS);
    let less = m.subtract(
        &m.truncate(&length_now, COUNT_BITS),
        &m.literal(1, COUNT_BITS),
    );
    m.clocked_enable(&last, &less, &header_end);
    let payload_end = m.and(&take_payload, &m.equal(&count, &last));
    let check_end = m.and(&take_check, &m.equals(&count, CRC as u64 - 1));
    let restart = m.any(&[&begin, &header_end, &payload_end, &check_end]);
    let counted = m.mux(&restart, &m.literal(0, COUNT_BITS), &m.increment(&count));
    m.clocked_enable(&count, &counted, &take);

    let tail = m.register("tail", 48);
    m.clocked_enable(
        &tail,
        &m.concat(&[&m.slice(&tail, 8, 40), &byte]),
        &take_payload,
    );
    let buffer = Memory {
        storage: Storage::Block,
        width: 8,
        depth: PAYLOAD_MAX,
        latency: 2,
    };
    let write_address = m.truncate(&count, 8);
    let ports = MemoryPorts {
        write_enable: &take_payload,
        write_address: &write_address,
        write_data: &byte,
        read_address: read_byte,
    };
    let payload_byte = buffer.instance(&m, "buffer", &ports);

    let space = m.slice(&fields, 16, 8);
    let row_last = m.registered(
        "row_last",
        &constant_by_space(unit, &space, ROW_COUNT_BITS, |s| {
            unit.a.row_bytes(s) as u64 - 1
        }),
    );
    let in_row = m.register("in_row", ROW_COUNT_BITS);
    let row_end = m.equal(&in_row, &row_last);
    let in_row_next = m.mux(
        &m.or(&header, &row_end),
        &m.literal(0, ROW_COUNT_BITS),
        &m.increment(&in_row),
    );
    m.clocked_enable(&in_row, &in_row_next, &m.or(&take_header, &take_payload));
    let rows = m.counter("rows", 9, &take_header, &m.and(&take_payload, &row_end));

    unit.go(&begin, State::Header);
    unit.go(&m.and(&header_end, &m.not(&empty)), State::Payload);
    unit.go(&m.and(&header_end, &empty), State::Check);
    unit.go(&m.and(&header_end, &oversized), State::Idle);
    unit.go(&payload_end, State::Check);
    unit.go(&check_end, State::Decode);
    let pause = m.register("pause", unit.pause_bits);
    let receiving = m.any(&[&header, &payload, &check]);
    let waiting = m.and(&receiving, &m.not(&take));
    m.clocked_reset(&pause, &m.gate(&m.increment(&pause), &waiting), 0);
    unit.go(&m.and(&waiting, &m.reduce_and(&pause)), State::Idle);
    Request {
        opcode: m.slice(&fields, 0, 8),
        sequence: m.slice(&fields, 8, 8),
        address: m.slice(&fields, 24, 32),
        ragged: m.not_equal(&in_row, &m.literal(0, ROW_COUNT_BITS)),
        space,
        length,
        tail,
        rows,
        row_last,
        take,
        byte,
        crc: m.register("crc", 32),
        payload: payload_byte,
    }
}

/// What Decode and Size find out.
struct Verdict {
    status: Net,
    /// Rows of payload to send or write.
    rows: Net,
    /// Bytes of the response payload.
    size: Net,
    reads: Net,
    /// Of the last Run or Stop taken.
    tag: Net,
}

fn decode(unit: &mut Unit<'_>, request: &Request) -> Verdict {
    let [decode, size_state, answer] =
        [State::Decode, State::Size, State::Answer].map(|s| unit.is(s));
    let m = unit.m.clone();
    let running = m.input("running", 1);
    m.output("host_select", &m.not(&running));
    let command = |command: Command| m.equals(&request.opcode, command as u64);
    let [write, read, run] = [Command::Write, Command::Read, Command::Run].map(command);
    let simple = m.any(&[
        &command(Command::Identify),
        &command(Command::Status),
        &command(Command::Stop),
        &command(Command::Rate),
    ]);
    let asked = m.slice(&request.tail, 32, 16);
    let [write, read, run] =
        [("is_write", write), ("is_read", read), ("is_run", run)].map(|(n, c)| m.registered(n, &c));
    // Rows: what was received, or what is asked for.
    let asked_many = m.reduce_or(&m.slice(&asked, 9, 7));
    let rows = m.registered(
        "row_count",
        &m.mux(&read, &m.truncate(&asked, 9), &request.rows),
    );
    let limit = m.registered(
        "limit",
        &constant_by_space(unit, &request.space, 22, |s| unit.a.rows(s) as u64),
    );
    let end = m.registered(
        "end_row",
        &m.add(&m.slice(&request.address, 0, 22), &m.zero_extend(&rows, 22)),
    );
    let far = m.reduce_or(&m.slice(&request.address, ADDRESS_BITS, 32 - ADDRESS_BITS));
    let beyond = m.registered("beyond", &m.or(&far, &m.less(&limit, &end)));
    let spaces = m.decode(&request.space, SPACES.len());
    let writable = m.any(&spaces[..WRITABLE].iter().collect::<Vec<_>>());
    let readable = m.any(&READABLE.map(|at| &spaces[at]));
    // Bytes that a read gives: a sum of rows, one a cycle.
    let size = m.register("size", 11);
    let left = m.register("size_left", 9);
    let done = m.equals(&left, 0);
    let row_bytes = m.increment(&m.zero_extend(&request.row_last, 11));
    let grown = m.add(&size, &row_bytes);
    let full = m.bit(&size, 10);
    m.clocked_enable(
        &size,
        &m.gate(&grown, &size_state),
        &m.or(&decode, &m.and(&m.not(&done), &m.not(&full))),
    );
    let fewer = m.subtract(&left, &m.literal(1, 9));
    let left_next = m.mux(&decode, &m.gate(&rows, &read), &fewer);
    m.clocked_enable(&left, &left_next, &m.or(&decode, &m.not(&done)));
    unit.go(&decode, State::Size);
    // Registers behind the fields need a few cycles; Size lasts at least that long.
    let settle = m.register("settle", 3);
    m.clocked_reset(&settle, &m.gate(&m.increment(&settle), &size_state), 0);
    unit.go(
        &m.all(&[&size_state, &m.or(&done, &full), &m.bit(&settle, 2)]),
        State::Answer,
    );

    let fingerprint = m.literal(u64::from(unit.a.fingerprint()), 32);
    let stranger = m.not_equal(&m.slice(&request.tail, 0, 32), &fingerprint);
    let count = m.registered("run_rows", &asked);
    let run_end = m.registered(
        "run_end",
        &m.add(
            &m.slice(&request.address, 0, 22),
            &m.zero_extend(&count, 22),
        ),
    );
    let run_beyond = m.or(
        &far,
        &m.less(&m.literal(unit.a.descriptor_count as u64, 22), &run_end),
    );
    let length_is = |bytes: u64| m.equals(&request.length, bytes);
    let zero_rows = m.equals(&rows, 0);
    let too_long = m.less(&m.literal(PAYLOAD_MAX as u64, 11), &size);
    let bad_length = m.any(&[
        &m.and(&write, &m.or(&request.ragged, &zero_rows)),
        &m.all(&[
            &read,
            &m.any(&[&m.not(&length_is(2)), &asked_many, &zero_rows, &too_long]),
        ]),
        &m.and(&run, &m.or(&m.not(&length_is(6)), &m.equals(&count, 0))),
        &m.and(&simple, &m.not(&length_is(0))),
    ]);
    let bad_space = m.or(
        &m.and(&write, &m.not(&writable)),
        &m.and(&read, &m.not(&readable)),
    );
    let access = m.or(&write, &read);
    let rate_bits = RATES.len().trailing_zeros() as usize;
    let no_rate = m.reduce_or(&m.slice(&request.address, rate_bits, 32 - rate_bits));
    let bad_address = m.any(&[
        &m.and(&access, &beyond),
        &m.and(&run, &run_beyond),
        &m.and(&command(Command::Rate), &no_rate),
    ]);
    let busy = m.and(&running, &m.or(&access, &run));
    let wrong_crc = m.not_equal(&request.crc, &m.literal(RESIDUE, 32));
    let mut status = m.literal(Status::Ok as u64, 8);
    let tag = m.register("tag", 8);
    let stale = m.not_equal(&tag, &request.space);
    for (condition, value) in [
        (m.and(&run, &stale), Status::Stale),
        (m.and(&run, &stranger), Status::BadFingerprint),
        (bad_address, Status::BadAddress),
        (bad_length, Status::BadLength),
        (bad_space, Status::BadSpace),
        (busy, Status::Busy),
        (m.not(&m.any(&[&access, &run, &simple])), Status::BadCommand),
        (wrong_crc, Status::BadCrc),
    ] {
        status = m.mux(&condition, &m.literal(value as u64, 8), &status);
    }
    // Held from here on: what is answered to a Run must not change when it starts.
    let held = m.register("status", 8);
    m.clocked_enable(&held, &status, &size_state);
    let status = held;
    let ok = m.equals(&status, Status::Ok as u64);
    let act = m.and(&answer, &ok);
    m.output("run_start", &m.and(&act, &run));
    m.output("run_first", &m.slice(&request.address, 0, 12));
    m.output("run_count", &count);
    let stop = command(Command::Stop);
    m.output("stop", &m.and(&act, &stop));
    m.clocked_enable_reset(&tag, &request.sequence, &m.and(&act, &m.or(&run, &stop)), 0);
    let intact = m.not(&m.equals(&status, Status::BadCrc as u64));
    m.output("frame_valid", &m.and(&answer, &intact));
    m.output("rate", &m.slice(&request.address, 0, rate_bits));
    unit.go(&answer, State::Respond);
    unit.go(&m.and(&act, &write), State::WriteByte);
    Verdict {
        reads: m.and(&ok, &read),
        rows,
        size,
        status,
        tag,
    }
}

/// Answer to Idle: rows written, response sent.
fn respond(unit: &mut Unit<'_>, request: &Request, verdict: &Verdict, read_byte: &Net) {
    let [answer, write_byte, write_row, head, fetch, send, send_crc] = [
        State::Answer,
        State::WriteByte,
        State::WriteRow,
        State::Respond,
        State::Fetch,
        State::Send,
        State::SendCrc,
    ]
    .map(|state| unit.is(state));
    let m = unit.m.clone();
    let row_bits_max = SPACES
        .iter()
        .map(|&(s, _)| 8 * unit.a.row_bytes(s))
        .max()
        .unwrap_or(64)
        .max(64);
    let ready = m.input("transmit_ready", 1);
    let sending = m.any(&[&head, &send, &send_crc]);
    let sent = m.and(&sending, &ready);

    // Progress through rows and bytes.
    let at = m.register("byte_in_row", ROW_COUNT_BITS);
    let byte_step = m.any(&[&write_byte, &fetch, &sent]);
    let response_head = m.equals(&at, RESPONSE_HEADER as u64 - 1);
    // One for the stage behind `row_at`.
    let fetch_end = m.and(&fetch, &m.equals(&at, READ_WAIT as u64 + 1));
    let small_last = m.mux(
        &m.equals(&request.opcode, Command::Identify as u64),
        &m.literal(7, ROW_COUNT_BITS),
        &m.literal(3, ROW_COUNT_BITS),
    );
    let payload_last = m.mux(&verdict.reads, &request.row_last, &small_last);
    let send_end = m.all(&[&send, &sent, &m.equal(&at, &payload_last)]);
    let head_end = m.all(&[&head, &sent, &response_head]);
    let crc_end = m.all(&[&send_crc, &sent, &m.equals(&at, CRC as u64 - 1)]);
    // A byte reaches the row two cycles after its address.
    let fill_end = m.and(
        &write_byte,
        &m.equal(&at, &m.increment(&m.increment(&request.row_last))),
    );
    let clear = m.any(&[
        &answer, &write_row, &fetch_end, &send_end, &head_end, &crc_end,
    ]);
    let next_at = m.mux(&clear, &m.literal(0, ROW_COUNT_BITS), &m.increment(&at));
    m.clocked_enable(&at, &next_at, &m.or(&clear, &byte_step));
    let left = m.register("rows_left", 9);
    let row_done = m.or(&write_row, &send_end);
    let left_next = m.mux(&answer, &verdict.rows, &m.subtract(&left, &m.literal(1, 9)));
    m.clocked_enable(&left, &left_next, &m.or(&answer, &row_done));
    let last_row = m.equals(&left, 1);
    let address = m.register("row_at", ADDRESS_BITS);
    let address_next = m.mux(
        &answer,
        &m.slice(&request.address, 0, ADDRESS_BITS),
        &m.increment(&address),
    );
    m.clocked_enable(&address, &address_next, &m.or(&answer, &row_done));
    // A stage behind address and strobes: they go to every block memory of the part. The row is still then.
    m.output("row_address", &m.registered("row_address_held", &address));
    let byte_at = m.register("buffer_at", 8);
    let in_row = m.and(&write_byte, &m.not(&m.less(&request.row_last, &at)));
    m.clocked_enable(
        &byte_at,
        &m.gate(&m.increment(&byte_at), &m.not(&answer)),
        &m.or(&answer, &in_row),
    );
    m.drive(read_byte, &byte_at);

    // The row under way: written rows enter from above, sent rows leave below.
    let row = m.register("row", row_bits_max);
    let shift_in = m.concat(&[&m.slice(&row, 8, row_bits_max - 8), &request.payload]);
    let shift_out = m.concat(&[&m.slice(&row, 8, row_bits_max - 8), &m.literal(0, 8)]);
    let loaded = loaded_row(unit, request, verdict, row_bits_max);
    let load = m.or(&fetch_end, &head_end);
    let filling = m.and(
        &write_byte,
        &m.not(&m.less(&at, &m.literal(2, ROW_COUNT_BITS))),
    );
    let row_next = m.mux(&filling, &shift_in, &m.mux(&load, &loaded, &shift_out));
    m.clocked_enable(
        &row,
        &row_next,
        &m.any(&[&filling, &load, &m.and(&send, &sent)]),
    );
    for &(space, name) in &SPACES[..WRITABLE] {
        let bytes = 8 * unit.a.row_bytes(space);
        m.output(
            &format!("row_{name}"),
            &m.slice(&row, row_bits_max - bytes, row_bits(unit.a, space)),
        );
        let chosen = m.equals(&request.space, space as u64);
        let strobe = m.and(&write_row, &chosen);
        let strobe = m.registered_reset(&format!("write_{name}_held"), &strobe);
        m.output(&format!("write_{name}"), &strobe);
    }

    let has_payload = m.registered(
        "has_payload",
        &m.not_equal(&response_size(&m, request, verdict), &m.literal(0, 16)),
    );
    unit.go(&fill_end, State::WriteRow);
    unit.go(&write_row, State::WriteByte);
    unit.go(&m.and(&write_row, &last_row), State::Respond);
    unit.go(&head_end, State::SendCrc);
    unit.go(&m.and(&head_end, &has_payload), State::Send);
    unit.go(&m.and(&head_end, &verdict.reads), State::Fetch);
    unit.go(&fetch_end, State::Send);
    unit.go(&m.and(&send_end, &verdict.reads), State::Fetch);
    unit.go(
        &m.and(&send_end, &m.or(&last_row, &m.not(&verdict.reads))),
        State::SendCrc,
    );
    unit.go(&crc_end, State::Idle);
    let ok = m.equals(&verdict.status, Status::Ok as u64);
    let rate = m.equals(&request.opcode, Command::Rate as u64);
    m.output("rate_set", &m.all(&[&crc_end, &ok, &rate]));
    transmit(
        unit,
        request,
        verdict,
        &at,
        &m.slice(&row, 0, 8),
        &sending,
        &sent,
    );
}

fn response_size(m: &Module, request: &Request, verdict: &Verdict) -> Net {
    let ok = m.equals(&verdict.status, Status::Ok as u64);
    let identify = m.and(&ok, &m.equals(&request.opcode, Command::Identify as u64));
    let status = m.and(&ok, &m.equals(&request.opcode, Command::Status as u64));
    let small = m.mux(
        &identify,
        &m.literal(8, 16),
        &m.gate(&m.literal(4, 16), &status),
    );
    m.mux(&verdict.reads, &m.zero_extend(&verdict.size, 16), &small)
}

/// What the response's payload comes from.
fn loaded_row(unit: &Unit<'_>, request: &Request, verdict: &Verdict, bits: usize) -> Net {
    let m = &unit.m;
    let identity = u64::from(VERSION) << 32 | u64::from(unit.a.fingerprint());
    let identity = m.zero_extend(&m.literal(identity, 64), bits);
    let state = m.input("run_state", 8);
    let finished = m.input("run_finished", 16);
    let status = m.zero_extend(&m.concat(&[&state, &verdict.tag, &finished]), bits);
    let rows = READABLE.map(|at| {
        let (space, name) = SPACES[at];
        m.zero_extend(
            &m.input(&format!("read_{name}"), row_bits(unit.a, space)),
            bits,
        )
    });
    let counter = m.equals(&request.space, Space::Counter as u64);
    let read = m.mux(&counter, &rows[1], &rows[0]);
    let identify = m.equals(&request.opcode, Command::Identify as u64);
    m.mux(&verdict.reads, &read, &m.mux(&identify, &identity, &status))
}

/// The byte to send, and the CRC of what has been received or sent: a frame at a time, hence one register.
fn transmit(
    unit: &Unit<'_>,
    request: &Request,
    verdict: &Verdict,
    at: &Net,
    payload: &Net,
    sending: &Net,
    sent: &Net,
) {
    let m = &unit.m;
    let size = m.registered("response_size", &response_size(m, request, verdict));
    let head = [
        m.literal(u64::from(RESPONSE_MAGIC), 8),
        request.opcode.clone(),
        request.sequence.clone(),
        verdict.status.clone(),
        m.slice(&size, 0, 8),
        m.slice(&size, 8, 8),
    ];
    let head_byte = m.select(&m.slice(at, 0, 3), &head);
    let crc = &request.crc;
    let crc_bytes: Vec<Net> = (0..CRC)
        .map(|byte| m.not(&m.slice(crc, 8 * byte, 8)))
        .collect();
    let crc_byte = m.select(&m.slice(at, 0, 2), &crc_bytes);
    let [in_head, in_send, in_crc] =
        [State::Respond, State::Send, State::SendCrc].map(|state| unit.is(state));
    let byte = m.mux(&in_head, &head_byte, &m.mux(&in_send, payload, &crc_byte));
    m.output("transmit_valid", sending);
    m.output("transmit_data", &byte);
    // The magic bytes do not count.
    let restart = m.or(&unit.is(State::Idle), &m.and(&in_head, &m.equals(at, 0)));
    let counted = m.mux(sending, &byte, &request.byte);
    let initial = m.literal(u64::from(crc32::INITIAL), 32);
    let next = m.mux(&restart, &initial, &crc32::step(m, crc, &counted));
    let enable = m.or(&request.take, &m.and(sent, &m.not(&in_crc)));
    m.clocked_enable(crc, &next, &enable);
}
