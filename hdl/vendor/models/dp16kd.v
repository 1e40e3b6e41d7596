// DP16KD as far as ecp5_block_memory and yosys's inference use it, after Lattice's memory usage guide (FPGA-TN-02204): one clock,
// port A writes, port B reads, with or without output registers. Addresses count bits; in the modes of 18 and 36 bits the low ones
// enable bytes. What it holds at power-up is the simulator's choice, whatever INITVAL says: the processor must not care.
/* verilator lint_off DECLFILENAME */
/* verilator lint_off UNUSEDSIGNAL */
module DP16KD #(
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL",
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED",
    parameter
    INITVAL_00 = 320'd0, INITVAL_01 = 320'd0, INITVAL_02 = 320'd0, INITVAL_03 = 320'd0, INITVAL_04 = 320'd0, INITVAL_05
    = 320'd0, INITVAL_06 = 320'd0, INITVAL_07 = 320'd0, INITVAL_08 = 320'd0, INITVAL_09 = 320'd0, INITVAL_0A = 320'd0,
    INITVAL_0B = 320'd0, INITVAL_0C = 320'd0, INITVAL_0D = 320'd0, INITVAL_0E = 320'd0, INITVAL_0F = 320'd0, INITVAL_10
    = 320'd0, INITVAL_11 = 320'd0, INITVAL_12 = 320'd0, INITVAL_13 = 320'd0, INITVAL_14 = 320'd0, INITVAL_15 = 320'd0,
    INITVAL_16 = 320'd0, INITVAL_17 = 320'd0, INITVAL_18 = 320'd0, INITVAL_19 = 320'd0, INITVAL_1A = 320'd0, INITVAL_1B
    = 320'd0, INITVAL_1C = 320'd0, INITVAL_1D = 320'd0, INITVAL_1E = 320'd0, INITVAL_1F = 320'd0, INITVAL_20 = 320'd0,
    INITVAL_21 = 320'd0, INITVAL_22 = 320'd0, INITVAL_23 = 320'd0, INITVAL_24 = 320'd0, INITVAL_25 = 320'd0, INITVAL_26
    = 320'd0, INITVAL_27 = 320'd0, INITVAL_28 = 320'd0, INITVAL_29 = 320'd0, INITVAL_2A = 320'd0, INITVAL_2B = 320'd0,
    INITVAL_2C = 320'd0, INITVAL_2D = 320'd0, INITVAL_2E = 320'd0, INITVAL_2F = 320'd0, INITVAL_30 = 320'd0, INITVAL_31
    = 320'd0, INITVAL_32 = 320'd0, INITVAL_33 = 320'd0, INITVAL_34 = 320'd0, INITVAL_35 = 320'd0, INITVAL_36 = 320'd0,
    INITVAL_37 = 320'd0, INITVAL_38 = 320'd0, INITVAL_39 = 320'd0, INITVAL_3A = 320'd0, INITVAL_3B = 320'd0, INITVAL_3C
    = 320'd0, INITVAL_3D = 320'd0, INITVAL_3E = 320'd0, INITVAL_3F = 320'd0
) (
    input CLKA, CEA, WEA, OCEA, RSTA, CSA0, CSA1, CSA2, CLKB,
    input CEB, WEB, OCEB, RSTB, CSB0, CSB1, CSB2, ADA0, ADA1,
    input ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10,
    input ADA11, ADA12, ADA13, ADB0, ADB1, ADB2, ADB3, ADB4, ADB5,
    input ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13, DIA0,
    input DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9,
    input DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16, DIA17, DIB0,
    input DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9,
    input DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8,
    output DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15, DOA16, DOA17,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8,
    output DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15, DOB16, DOB17
    );
    wire [13:0] write_at = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] read_at = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [35:0] data = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    // Bytes of nine bits; narrow modes use eight of them, except nine.
    reg [8:0] bytes [0:2047];
    reg [35:0] fetched, held;
    integer i;
    always @(posedge CLKA) begin
        if (CEA && WEA) begin
            case (DATA_WIDTH_A)
                36: for (i = 0; i < 4; i = i + 1) if (write_at[i]) bytes[{write_at[13:5], i[1:0]}] <= data[9*i +: 9];
                18: for (i = 0; i < 2; i = i + 1) if (write_at[i]) bytes[{write_at[13:4], i[0]}] <= data[9*i +: 9];
                9: bytes[write_at[13:3]] <= data[8:0];
                4: bytes[write_at[13:3]][4*write_at[2] +: 4] <= data[3:0];
                2: bytes[write_at[13:3]][2*write_at[2:1] +: 2] <= data[1:0];
                default: bytes[write_at[13:3]][write_at[2:0] +: 1] <= data[0:0];
            endcase
        end
    end
    always @(posedge CLKB) begin
        if (CEB) case (DATA_WIDTH_B)
            36: fetched <= {bytes[{read_at[13:5], 2'd3}], bytes[{read_at[13:5], 2'd2}],
                            bytes[{read_at[13:5], 2'd1}], bytes[{read_at[13:5], 2'd0}]};
            18: fetched[35:18] <= {bytes[{read_at[13:4], 1'b1}], bytes[{read_at[13:4], 1'b0}]};
            9: fetched[26:18] <= bytes[read_at[13:3]];
            4: fetched[21:18] <= bytes[read_at[13:3]][4*read_at[2] +: 4];
            2: fetched[19:18] <= bytes[read_at[13:3]][2*read_at[2:1] +: 2];
            default: fetched[18] <= bytes[read_at[13:3]][read_at[2:0]];
        endcase
        if (OCEA) held[17:0] <= fetched[17:0];
        if (OCEB) held[35:18] <= fetched[35:18];
    end
    wire [35:0] out = {REGMODE_B == "OUTREG" ? held[35:18] : fetched[35:18], REGMODE_A == "OUTREG" ? held[17:0] : fetched[17:0]};
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0, DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = out;
endmodule
