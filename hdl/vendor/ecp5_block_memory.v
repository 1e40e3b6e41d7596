// One 18 kbit block RAM of an ECP5 (DP16KD) as a simple dual-port memory with its output register: read latency 2.
//
// WIDTH is 36, 18, 9, 4, 2 or 1. Addresses count bits without parity: words are 32, 16, 8, 4, 2 or 1 apart. Only read with the
// macro ECP5_CELLS; its behaviour is that of `memory_block_*`, which use it. 36 bits take both data ports (pseudo dual
// port: port A's address writes, port B's reads).
`ifdef ECP5_CELLS
module ecp5_block_memory #(parameter WIDTH = 36) (
    input  wire             clock,
    input  wire             write_enable,
    input  wire [3:0]       write_bytes,
    input  wire [13:0]      write_address,
    input  wire [WIDTH-1:0] write_data,
    input  wire [13:0]      read_address,
    output wire [WIDTH-1:0] read_data
);
    // In the wide modes the low address bits enable bytes (of 9 bits).
    wire [3:0] bytes = WIDTH == 36 ? write_bytes : WIDTH == 18 ? {2'd0, write_bytes[1:0]} : 4'd0;
    wire [13:0] address_a = write_address | {10'd0, bytes};
    wire [35:0] data = {{(36 - WIDTH){1'b0}}, write_data};
    wire [17:0] low, high;
    generate
        if (WIDTH == 36) begin : wide
            assign read_data = {high, low};
        end else begin : narrow
            assign read_data = high[WIDTH-1:0];
        end
    endgenerate
    DP16KD #(
        .DATA_WIDTH_A(WIDTH), .DATA_WIDTH_B(WIDTH),
        .REGMODE_A("OUTREG"), .REGMODE_B("OUTREG"),
        .WRITEMODE_A("NORMAL"), .WRITEMODE_B("NORMAL"),
        .RESETMODE("SYNC"), .ASYNC_RESET_RELEASE("SYNC"),
        .CSDECODE_A("0b000"), .CSDECODE_B("0b000"),
        .CLKAMUX("CLKA"), .CLKBMUX("CLKB"), .GSR("DISABLED")
    ) block (
        .CLKA(clock), .CEA(write_enable), .WEA(1'b1), .OCEA(1'b1), .RSTA(1'b0),
        .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0),
        .CLKB(clock), .CEB(1'b1), .WEB(1'b0), .OCEB(1'b1), .RSTB(1'b0),
        .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0),
        .ADA0(address_a[0]), .ADA1(address_a[1]), .ADA2(address_a[2]), .ADA3(address_a[3]), .ADA4(address_a[4]), .ADA5(address_a[5]),
        .ADA6(address_a[6]), .ADA7(address_a[7]), .ADA8(address_a[8]), .ADA9(address_a[9]), .ADA10(address_a[10]), .ADA11(address_a[11]),
        .ADA12(address_a[12]), .ADA13(address_a[13]),
        .ADB0(read_address[0]), .ADB1(read_address[1]), .ADB2(read_address[2]), .ADB3(read_address[3]), .ADB4(read_address[4]), .ADB5(read_address[5]),
        .ADB6(read_address[6]), .ADB7(read_address[7]), .ADB8(read_address[8]), .ADB9(read_address[9]), .ADB10(read_address[10]), .ADB11(read_address[11]),
        .ADB12(read_address[12]), .ADB13(read_address[13]),
        .DIA0(data[0]), .DIA1(data[1]), .DIA2(data[2]), .DIA3(data[3]), .DIA4(data[4]), .DIA5(data[5]),
        .DIA6(data[6]), .DIA7(data[7]), .DIA8(data[8]), .DIA9(data[9]), .DIA10(data[10]), .DIA11(data[11]),
        .DIA12(data[12]), .DIA13(data[13]), .DIA14(data[14]), .DIA15(data[15]), .DIA16(data[16]), .DIA17(data[17]),
        .DIB0(data[18]), .DIB1(data[19]), .DIB2(data[20]), .DIB3(data[21]), .DIB4(data[22]), .DIB5(data[23]),
        .DIB6(data[24]), .DIB7(data[25]), .DIB8(data[26]), .DIB9(data[27]), .DIB10(data[28]), .DIB11(data[29]),
        .DIB12(data[30]), .DIB13(data[31]), .DIB14(data[32]), .DIB15(data[33]), .DIB16(data[34]), .DIB17(data[35]),
        .DOA0(low[0]), .DOA1(low[1]), .DOA2(low[2]), .DOA3(low[3]), .DOA4(low[4]), .DOA5(low[5]),
        .DOA6(low[6]), .DOA7(low[7]), .DOA8(low[8]), .DOA9(low[9]), .DOA10(low[10]), .DOA11(low[11]),
        .DOA12(low[12]), .DOA13(low[13]), .DOA14(low[14]), .DOA15(low[15]), .DOA16(low[16]), .DOA17(low[17]),
        .DOB0(high[0]), .DOB1(high[1]), .DOB2(high[2]), .DOB3(high[3]), .DOB4(high[4]), .DOB5(high[5]),
        .DOB6(high[6]), .DOB7(high[7]), .DOB8(high[8]), .DOB9(high[9]), .DOB10(high[10]), .DOB11(high[11]),
        .DOB12(high[12]), .DOB13(high[13]), .DOB14(high[14]), .DOB15(high[15]), .DOB16(high[16]), .DOB17(high[17])
    );
endmodule
`endif
