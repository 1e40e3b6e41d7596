    // Bound into `port`: it always returns to idle. In every cycle that begins in another state a measure falls, or the port is idle in the next; so
    // no frame, garbage or pause keeps it for more cycles than the measure has values. The link must take a byte within 2^24 cycles.
    // Also: a byte offered to the link stays until it is taken.
    localparam [3:0] IDLE = 4'd0, HEADER = 4'd1, PAYLOAD = 4'd2, CHECK = 4'd3, DECODE = 4'd4, SIZE = 4'd5, ANSWER = 4'd6,
        WRITE_BYTE = 4'd7, WRITE_ROW = 4'd8, RESPOND = 4'd9, FETCH = 4'd10, SEND = 4'd11, SEND_CRC = 4'd12;
    localparam [6:0] FETCH_LAST = 7'd8;
    reg begun = 1'b0;
    always @(posedge clock) begun <= 1'b1;
    always @* if (!begun) assume (reset);
    // How long the link has not been ready.
    reg [23:0] stalled = 24'd0;
    wire stalls = transmit_valid && !transmit_ready;
    always @(posedge clock) stalled <= stalls && !reset ? stalled + 24'd1 : 24'd0;
    always @* assume (!(stalls && &stalled));

    wire ok = status == 8'd0;
    wire reads = ok && fields[7:0] == 8'd2;
    wire [6:0] payload_end = reads ? row_last : fields[7:0] == 8'd0 ? 7'd7 : 7'd3;
    // Stages of a frame, rows left, half of a row, what is left of that, and patience: the measure, most significant first.
    reg [3:0] stage;
    reg [8:0] left;
    reg half;
    reg [10:0] steps;
    reg [23:0] patience;
    always @* begin
        {stage, left, half, steps, patience} = 49'd0;
        case (state)
            HEADER: {stage, steps, patience} = {4'd9, 11'd8 - {1'b0, count}, ~pause};
            PAYLOAD: {stage, steps, patience} = {4'd8, {1'b0, payload_last} - {1'b0, count}, ~pause};
            CHECK: {stage, steps, patience} = {4'd7, 11'd3 - {1'b0, count}, ~pause};
            DECODE: stage = 4'd6;
            SIZE: {stage, left, steps} = {4'd5, size_left, settle[2] ? 11'd0 : 11'd4 - {8'd0, settle}};
            ANSWER: stage = 4'd4;
            WRITE_BYTE: {stage, left, half, steps} = {4'd3, rows_left, 1'b1, {4'd0, row_last} + 11'd2 - {4'd0, byte_in_row}};
            WRITE_ROW: {stage, left} = {4'd3, rows_left};
            RESPOND: {stage, steps, patience} = {4'd2, 11'd5 - {4'd0, byte_in_row}, ~stalled};
            FETCH: {stage, left, half, steps} = {4'd1, rows_left, 1'b1, {4'd0, FETCH_LAST} - {4'd0, byte_in_row}};
            SEND: {stage, left, steps, patience} = {4'd1, rows_left, {4'd0, payload_end} - {4'd0, byte_in_row}, ~stalled};
            SEND_CRC: {stage, steps, patience} = {4'd0, 11'd3 - {4'd0, byte_in_row}, ~stalled};
            default: ;
        endcase
    end
    wire [48:0] measure = {stage, left, half, steps, patience};
    reg [48:0] measure_before;
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
        if (state == HEADER) assert (count <= 10'd8);
        if (state == PAYLOAD) assert (count <= payload_last && payload_last < 10'd256);
        if (state == CHECK) assert (count <= 10'd3);
        if (state == WRITE_BYTE) assert (byte_in_row <= row_last + 7'd2 && row_last <= 7'd100);
        if (state == RESPOND) assert (byte_in_row <= 7'd5);
        if (state == FETCH) assert (byte_in_row <= FETCH_LAST);
        if (state == SEND) assert (byte_in_row <= payload_end);
        if (state == SEND_CRC) assert (byte_in_row <= 7'd3);
        if (state == WRITE_BYTE || state == WRITE_ROW) assert (ok && is_write && rows_left != 9'd0);
        if (state == FETCH) assert (reads);
        if ((state == RESPOND || state == FETCH || state == SEND) && reads) assert (rows_left != 9'd0);
        if (state == SEND || state == FETCH) assert (ok);
        if (state >= SIZE) assert (is_write == (fields[7:0] == 8'd1) && is_read == (fields[7:0] == 8'd2));
        if (state == ANSWER && ok && (is_write || is_read)) assert (row_count != 9'd0);
        assert (stalls || stalled == 24'd0 || was_stalled);
    end
`ifdef COVER
    always @* assume (transmit_ready || byte_in_row == 7'd3);
`endif
    always @* begin
        cover (begun && was_busy && state == IDLE && ok && measure_before[48:45] == 4'd0);
        cover (begun && state == SEND_CRC && stalls && byte_in_row == 7'd3);
    end
