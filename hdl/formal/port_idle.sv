    // Bound into `port`: it always returns to idle. In every cycle that begins in another state a measure falls, or the port is idle in the next; so
    // no frame, garbage or pause keeps it for more cycles than the measure has values. The link must take a byte within 2^24 cycles.
    // Also: a byte offered to the link stays until it is taken.
    localparam [3:0] IDLE = 4'd0, HEADER = 4'd1, PAYLOAD = 4'd2, CHECK = 4'd3, SETTLE = 4'd4, ANSWER = 4'd5,
        WRITE = 4'd6, FETCH = 4'd7, RESPOND = 4'd8, SEND = 4'd9, SEND_CRC = 4'd10;
    localparam [6:0] FETCH_LAST = 7'd7;
    reg begun = 1'b0;
    always @(posedge clock) begun <= 1'b1;
    always @* if (!begun) assume (reset);
    // How long the link has not been ready.
    reg [23:0] stalled = 24'd0;
    wire stalls = transmit_valid && !transmit_ready;
    always @(posedge clock) stalled <= stalls && !reset ? stalled + 24'd1 : 24'd0;
    always @* assume (!(stalls && &stalled));

    wire reads = is_read && status == 4'd0;
    // Stages of a frame, payload bytes left, cycles left, and patience: the measure, most significant first.
    reg [3:0] stage;
    reg [8:0] left;
    reg [3:0] steps;
    reg [23:0] patience;
    always @* begin
        {stage, left, steps, patience} = 41'd0;
        case (state)
            HEADER: {stage, left, patience} = {4'd8, 9'd8 - {1'b0, count}, ~pause};
            PAYLOAD: {stage, left, patience} = {4'd7, payload_bytes - {1'b0, count}, ~pause};
            CHECK: {stage, left, patience} = {4'd6, 9'd3 - {1'b0, count}, ~pause};
            SETTLE: {stage, left} = {4'd5, 9'd3 - {1'b0, count}};
            ANSWER: stage = 4'd4;
            WRITE: {stage, left} = {4'd3, payload_bytes - {1'b0, count}};
            RESPOND: {stage, left, patience} = {4'd2, 9'd5 - {1'b0, count}, ~stalled};
            FETCH: {stage, left, steps} = {4'd1, payload_bytes - {1'b0, count}, 4'd8 - in_row[3:0]};
            SEND: {stage, left, patience} = {4'd1, payload_bytes - {1'b0, count}, ~stalled};
            SEND_CRC: {stage, left, patience} = {4'd0, 9'd3 - {1'b0, count}, ~stalled};
            default: ;
        endcase
    end
    wire [40:0] measure = {stage, left, steps, patience};
    reg [40:0] measure_before;
    reg was_busy = 1'b0, was_stalled = 1'b0;
    reg [7:0] offered;
    always @(posedge clock) begin
        measure_before <= measure;
        was_busy <= !reset && state != IDLE;
        was_stalled <= !reset && stalls;
        offered <= transmit_data;
    end
    always @* if (begun) begin
        if (was_busy && state != IDLE) assert (measure < measure_before);
        if (was_stalled) assert (transmit_valid && transmit_data == offered);
        // What the induction needs.
        assert (state <= SEND_CRC);
        if (state == HEADER) assert (count <= 8'd8);
        if (state == PAYLOAD || state == WRITE || state == FETCH || state == SEND)
            assert ({1'b0, count} < payload_bytes && payload_bytes <= 9'd256);
        if (state == CHECK || state == SETTLE || state == SEND_CRC) assert (count <= 8'd3);
        if (state == RESPOND) assert (count <= 8'd5);
        if (state >= CHECK) assert (payload_bytes <= 9'd256);
        if (state == ANSWER && status == 4'd0 && opcode[2:0] == 3'd1) assert (payload_bytes != 9'd0);
        if (state == ANSWER || state == WRITE) assert (is_read == (opcode[2:0] == 3'd2));
        if (state == WRITE) assert (opcode[2:0] == 3'd1);
        if (state == RESPOND && reads) assert (payload_bytes != 9'd0 && in_row == 7'd0);
        if (state == FETCH) assert (reads && in_row <= FETCH_LAST);
        // Registers of what holds from one state to the next.
        if (state >= PAYLOAD && state <= WRITE || state >= RESPOND && count != 8'd0 || state == FETCH || state == SEND)
            assert (last_index == payload_bytes[7:0] - 8'd1);
        if (state >= WRITE) assert (reading == reads);
        if (state == RESPOND && count != 8'd0 || state == FETCH || state == SEND)
            assert (is_counter == (reads && space[2:0] == 3'd4));
        if (state == RESPOND) assert ((!filling_1 || count == 8'd0) && (!filling_2 || count <= 8'd1));
        if (state == FETCH || state == SEND) assert (!filling_1 && !filling_2);
        if (state == SEND) assert (row_moves_0 == row_behind && !row_loads_0);
        assert (stalls || stalled == 24'd0 || was_stalled);
    end
`ifdef COVER
    always @* assume (transmit_ready || count == 8'd3);
`endif
    always @* begin
        cover (begun && was_busy && state == IDLE && status == 4'd0 && measure_before[40:37] == 4'd0);
        cover (begun && state == SEND_CRC && stalls && count == 8'd3);
    end
