// Clock of the processor from that of the board: board_clock / INPUT_DIVIDER * FEEDBACK_DIVIDER, by way of an oscillator
// OUTPUT_DIVIDER times as fast (400 to 800 MHz). `locked` once it is stable.
//
// With the macro ECP5_CELLS an EHXPLLL; else both clocks are the same: a simulation's time is that of the processor.
module ecp5_pll #(parameter INPUT_DIVIDER = 1, FEEDBACK_DIVIDER = 1, OUTPUT_DIVIDER = 16) (
    input  wire board_clock,
    output wire clock,
    output wire locked
);
`ifdef ECP5_CELLS
    (* ICP_CURRENT = "12", LPF_RESISTOR = "8", MFG_ENABLE_FILTEROPAMP = "1", MFG_GMCREF_SEL = "2" *)
    EHXPLLL #(
        .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"),
        .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"), .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
        .CLKI_DIV(INPUT_DIVIDER), .CLKFB_DIV(FEEDBACK_DIVIDER), .FEEDBK_PATH("CLKOP"),
        .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV(OUTPUT_DIVIDER), .CLKOP_CPHASE(OUTPUT_DIVIDER / 2 - 1), .CLKOP_FPHASE(0)
    ) cell_pll (
        .CLKI(board_clock), .CLKFB(clock), .CLKOP(clock), .LOCK(locked),
        .RST(1'b0), .STDBY(1'b0), .ENCLKOP(1'b0), .PLLWAKESYNC(1'b0),
        .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1)
    );
`else
    assign clock = board_clock;
    assign locked = 1'b1;
    wire unused = &{1'b0, INPUT_DIVIDER[0], FEEDBACK_DIVIDER[0], OUTPUT_DIVIDER[0]};
`endif
endmodule
