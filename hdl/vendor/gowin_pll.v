// Clock of the processor from that of the board: board_clock / INPUT_DIVIDER * FEEDBACK_DIVIDER, by way of an oscillator
// OUTPUT_DIVIDER times as fast (500 to 1250 MHz). `locked` once it is stable. INPUT_MHZ is board_clock's, a string.
//
// With the macro GOWIN_CELLS an rPLL; else both clocks are the same: a simulation's time is that of the processor.
module gowin_pll #(
    parameter INPUT_MHZ = "27", INPUT_DIVIDER = 1, FEEDBACK_DIVIDER = 1, OUTPUT_DIVIDER = 16
) (
    input  wire board_clock,
    output wire clock,
    output wire locked
);
`ifdef GOWIN_CELLS
    rPLL #(
        .DEVICE("GW2AR-18C"), .FCLKIN(INPUT_MHZ), .IDIV_SEL(INPUT_DIVIDER - 1), .FBDIV_SEL(FEEDBACK_DIVIDER - 1), .ODIV_SEL(OUTPUT_DIVIDER),
        .DYN_IDIV_SEL("false"), .DYN_FBDIV_SEL("false"), .DYN_ODIV_SEL("false"), .DYN_DA_EN("false"),
        .CLKFB_SEL("internal"), .CLKOUTD_SRC("CLKOUT"), .CLKOUTD3_SRC("CLKOUT"),
        .CLKOUT_BYPASS("false"), .CLKOUTP_BYPASS("false"), .CLKOUTD_BYPASS("false")
    ) cell_pll (
        .CLKIN(board_clock), .CLKFB(1'b0), .CLKOUT(clock), .LOCK(locked), .RESET(1'b0), .RESET_P(1'b0),
        .FBDSEL(6'b0), .IDSEL(6'b0), .ODSEL(6'b0), .PSDA(4'b0), .FDLY(4'b0), .DUTYDA(4'b0)
    );
`else
    assign clock = board_clock;
    assign locked = 1'b1;
    wire unused = &{1'b0, INPUT_MHZ[0], INPUT_DIVIDER[0], FEEDBACK_DIVIDER[0], OUTPUT_DIVIDER[0]};
`endif
endmodule
