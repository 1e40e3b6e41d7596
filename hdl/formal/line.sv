// A byte through transmitter and receiver at bits of 8 cycles (the shortest), the receiver's `RECEIVING an increment up to 2 % off.
//
// Induction over bytes: from any state between two bytes (`between`: the transmitter is ready, the receiver idle or within the last
// bit's stop bit, the last byte perhaps still owed) one byte leads to such a state again, in which it has arrived or is owed. The same
// from reset. Nothing but the bytes sent is ever received.
module line (
    input wire clock, reset, transmit_valid,
    input wire [7:0] transmit_data
);
    localparam LAST = 7'd88;
    wire serial, ready, sending, valid, framing_error, line_break;
    wire [7:0] received;
    uart_transmitter transmitter (
        .clock(clock), .reset(reset), .transmit_valid(transmit_valid), .transmit_data(transmit_data),
        .increment(`SENDING), .line(serial), .transmit_ready(ready), .sending(sending)
    );
    uart_receiver receiver (
        .clock(clock), .reset(reset), .line(serial), .increment(`RECEIVING), .received(received),
        .received_valid(valid), .framing_error(framing_error), .line_break(line_break)
    );
    (* hierconn *) wire \receiver.line_1 , \receiver.line_2 , \receiver.was_high , \receiver.busy ;
    (* hierconn *) wire \receiver.sample_early , \receiver.sample_middle ;
    (* hierconn *) wire [3:0] \receiver.bit_index ;
    (* hierconn *) wire [19:0] \receiver.phase ;
    (* hierconn *) wire [8:0] \transmitter.bits ;
    wire [2:0] eighth = \receiver.phase [19:17];
    wire stopping = \receiver.bit_index == 4'd9 && \receiver.sample_early &&
        (eighth == 3'd3 || eighth == 3'd4 && \receiver.sample_middle );
    wire between = ready && \transmitter.bits == 9'h1ff && \receiver.line_1 && \receiver.line_2 && \receiver.was_high &&
        (!\receiver.busy || stopping) && !(\receiver.busy && valid) && !framing_error && !line_break;

    reg [6:0] step = 7'd0;
    reg [7:0] byte_sent, byte_owed;
    reg started = 1'b0, arrived = 1'b0, owed = 1'b0;
    (* anyconst *) wire from_reset;
    wire begins = step == (from_reset ? 7'd3 : 7'd0);
    always @(posedge clock) begin
        step <= step + 7'd1;
        if (begins) begin
            started <= transmit_valid;
            arrived <= 1'b0;
            byte_sent <= transmit_data;
            owed <= \receiver.busy ;
            byte_owed <= received;
        end else if (valid && owed) owed <= 1'b0;
        else if (valid) arrived <= 1'b1;
    end
    always @* begin
        assume (reset == (from_reset && step == 7'd0));
        if (begins && !from_reset) assume (between);
        if (begins && from_reset) assert (between && !\receiver.busy && !valid);
        if (!begins) assume (!transmit_valid);
    end
    wire after = step > (from_reset ? 7'd3 : 7'd0);
    always @* if (after) begin
        assert (!framing_error && !line_break);
        if (valid && owed) assert (received == byte_owed);
        if (valid && !owed) assert (started && !arrived && received == byte_sent);
        if (step > (from_reset ? 7'd7 : 7'd4)) assert (!owed);
        if (ready) assert (between);
        if (ready && started) assert (arrived || received == byte_sent && (valid || \receiver.busy ));
        if (step == LAST) assert (ready);
    end
    always @* begin
        cover (arrived && byte_sent == 8'ha5 && from_reset && step == LAST);
        cover (owed && started);
    end
endmodule
