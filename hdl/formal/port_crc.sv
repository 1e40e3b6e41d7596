    // Bound into `port`. A frame is acted on only if its CRC, computed here bit by bit over what a parser of its own took for the frame,
    // is the one that came: no run, stop, write, rate or answer but BadCrc otherwise.
    localparam [31:0] POLYNOMIAL = 32'hedb88320;
    localparam [3:0] IDLE = 4'd0, HEADER = 4'd1, PAYLOAD = 4'd2, CHECK = 4'd3, SETTLE = 4'd4, ANSWER = 4'd5,
        WRITE = 4'd6, RESPOND = 4'd8, SEND_CRC = 4'd10;
    // A byte's effect on the register, bit by bit, as the standard has it; only ever of constants.
    function automatic [31:0] serial(input [31:0] register, input [7:0] data);
        integer i;
        begin
            serial = register;
            for (i = 0; i < 8; i = i + 1)
                serial = (serial >> 1) ^ (serial[0] ^ data[i] ? POLYNOMIAL : 32'd0);
        end
    endfunction
    // The same of variables: all is linear, so the eight bits that are shifted out add what each of them adds alone.
    function automatic [31:0] crc_step(input [31:0] register, input [7:0] data);
        crc_step = (register >> 8) ^
            ({32{register[0] ^ data[0]}} & serial(32'd0, 8'h01)) ^ ({32{register[1] ^ data[1]}} & serial(32'd0, 8'h02)) ^
            ({32{register[2] ^ data[2]}} & serial(32'd0, 8'h04)) ^ ({32{register[3] ^ data[3]}} & serial(32'd0, 8'h08)) ^
            ({32{register[4] ^ data[4]}} & serial(32'd0, 8'h10)) ^ ({32{register[5] ^ data[5]}} & serial(32'd0, 8'h20)) ^
            ({32{register[6] ^ data[6]}} & serial(32'd0, 8'h40)) ^ ({32{register[7] ^ data[7]}} & serial(32'd0, 8'h80));
    endfunction

    reg begun = 1'b0;
    always @(posedge clock) begun <= 1'b1;
    always @* if (!begun) assume (reset);

    // The frame: bytes since the magic one, the length they say, the CRC over all but the last four, and whether those are it.
    wire taken = receive_valid && receive_ready;
    reg active = 1'b0, right = 1'b0, good = 1'b0;
    reg [9:0] position = 10'd0;
    reg [15:0] bytes = 16'd0;
    reg [23:0] quiet = 24'd0;
    wire [9:0] body = 10'd9 + bytes[9:0];
    // The register after the last byte of the body.
    reg [31:0] expected = 32'hffffffff;
    wire [31:0] frame_crc = position == body ? crc : expected;
    always @(posedge clock) expected <= frame_crc;
    wire [1:0] check_at = position[1:0] - body[1:0];
    wire [7:0] difference = receive_data ^ ~frame_crc[8 * check_at +: 8];
    wire in_body = position < 10'd9 || position < body;
    wire [15:0] bytes_now = {receive_data, bytes[15:8]};
    always @(posedge clock) begin
        quiet <= active && !taken ? quiet + 24'd1 : 24'd0;
        if (reset) {active, good} <= 2'b00;
        else if (taken && !active && receive_data == 8'hb7) begin
            {active, good, right} <= 3'b101;
            position <= 10'd0;
        end else if (taken && active) begin
            position <= position + 10'd1;
            if (position == 10'd7 || position == 10'd8) bytes <= bytes_now;
            if (!in_body) right <= right && difference == 8'd0;
            if (position == 10'd8 && bytes_now > 16'd256) active <= 1'b0;
            if (position >= 10'd9 && position == body + 10'd3) begin
                active <= 1'b0;
                good <= right && difference == 8'd0;
            end
        end else if (active && &quiet) active <= 1'b0;
    end

    // The register is the CRC of what has come: it starts with the frame and takes every byte, of the CRC the complement.
    wire receiving = state == HEADER || state == PAYLOAD || state == CHECK;
    reg [31:0] crc_was;
    reg [7:0] byte_was;
    reg started = 1'b0, stepped = 1'b0, kept = 1'b0;
    always @(posedge clock) begin
        {crc_was, byte_was} <= {crc, state == CHECK ? ~receive_data : receive_data};
        started <= !reset && taken && !receiving && receive_data == 8'hb7;
        stepped <= !reset && taken && receiving;
        kept <= !taken && !transmit_valid;
    end
    wire steady = started ? crc == 32'hffffffff : stepped ? crc == crc_step(crc_was, byte_was) : !kept || crc == crc_was;
`ifdef STEP
    always @* if (begun) assert (steady);
    always @* cover (begun && stepped && state == CHECK);
`else
`ifndef COVER
    always @* assume (steady);
`endif

    wire acts = run_start || stop || rate_set || frame_valid || write_program || write_record || write_plane || write_activation;
    reg [7:0] tag_before;
    reg was_reset = 1'b1;
    always @(posedge clock) {tag_before, was_reset} <= {tag, reset};
    always @* if (begun) begin
        if (acts) assert (good);
        if (!was_reset && tag != tag_before) assert (good);
    end

    // What the induction needs: parser and port go together, and the register is what is left of the CRC, while all its bytes were right.
    wire writes = write_program || write_record || write_plane || write_activation;
    always @* if (begun) begin
        assert (!active || quiet == pause);
        assert (active == receiving && state <= SEND_CRC);
        if (state == IDLE && active == 1'b0 || receiving) assert (!good || state == IDLE);
        if (state == HEADER) assert (position == {2'd0, count} && position < 10'd9);
        if (state == PAYLOAD || state == CHECK) assert (bytes <= 16'd256 && bytes == {7'd0, payload_bytes});
        if (state == HEADER && position == 10'd8) assert (bytes[15:8] == payload_bytes[7:0]);
        if (state == PAYLOAD) assert (last_index == payload_bytes[7:0] - 8'd1);
        if (state == PAYLOAD) assert (bytes != 16'd0 && position == 10'd9 + {2'd0, count} && {8'd0, count} < bytes);
        if (state == CHECK) assert (position == body + {2'd0, count} && count < 8'd4);
        if (state == HEADER || state == PAYLOAD) assert (right && !wrong);
        if (state == CHECK) assert (right ? !wrong && crc == frame_crc >> (8 * count[1:0]) : wrong && count != 8'd0);
        if (state == SETTLE) assert (good == !wrong);
        if (state >= ANSWER) assert (status == 4'd1 || good);
        if (state == WRITE) assert (status == 4'd0);
        if (whole_1 || whole_2 || whole_3 || writes) assert (status == 4'd0 && (state == WRITE || state == RESPOND));
        if (state == RESPOND)
            assert ((!whole_1 || count == 8'd0) && (!whole_2 || count <= 8'd1) && (!whole_3 || count <= 8'd2) && (!writes || count <= 8'd3));
    end
    always @* begin
        cover (begun && stop);
        cover (begun && state == RESPOND && status == 4'd1);
    end
`endif
