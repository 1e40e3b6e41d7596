    // Properties of `fifo`, inside the module.
    reg begun = 1'b0;
    always @(posedge clock) begun <= 1'b1;
    always @* if (!begun) assume (reset);
    // One byte, any: the one put when put_at is `which`.
    (* anyconst *) wire [2:0] which;
    (* hierconn *) wire [7:0] \bytes.words[0] , \bytes.words[1] , \bytes.words[2] , \bytes.words[3] , \bytes.read_0 ;
    wire [7:0] word = which[1:0] == 2'd0 ? \bytes.words[0] : which[1:0] == 2'd1 ? \bytes.words[1] :
        which[1:0] == 2'd2 ? \bytes.words[2] : \bytes.words[3] ;
    reg [7:0] byte_put;
    reg stored = 1'b0, between = 1'b0, waiting = 1'b0;
    wire accepted = put && !overrun;
    wire taken = take_valid && take_ready;
    wire [2:0] inside = put_at - take_at;
    wire [2:0] ahead = which - take_at;
    // Of the bytes put in order, which one leaves next.
    reg [2:0] next_out = 3'd0, next_in = 3'd0;
    always @(posedge clock) if (reset) begin
        next_out <= 3'd0; next_in <= 3'd0; stored <= 1'b0; 
    end else begin
        if (taken) next_out <= next_out + 3'd1;
        if (accepted) next_in <= next_in + 3'd1;
        if (accepted && next_in == which) begin byte_put <= put_data; stored <= 1'b1; end
        else if (taken && next_out == which) stored <= 1'b0;
    end
    wire [2:0] held = next_in - next_out;
    always @* if (begun) begin
        // Invariants.
        assert (inside <= 3'd4);
        assert (next_in == put_at);
        assert (!(fetched && offered));
        assert (take_at == next_out + {2'd0, fetched || offered});
        assert (stored == ((which - next_out) < held));
        if (stored && ahead < inside) assert (word == byte_put);
        if (stored && next_out == which && fetched) assert (\bytes.read_0 == byte_put);
        if (stored && next_out == which && offered) assert (front == byte_put);
        // What is promised.
        assert (held <= 3'd5);
        if (take_valid) assert (held != 3'd0);
        if (take_valid && next_out == which) assert (stored && take_data == byte_put);
        if (put && held < 3'd4) assert (!overrun);
        if (put && held == 3'd5) assert (overrun);
    end
    reg was_offered = 1'b0;
    reg [7:0] was_data;
    always @(posedge clock) begin
        was_offered <= take_valid && !take_ready && !reset;
        was_data <= take_data;
    end
    always @* if (begun && was_offered) assert (take_valid && take_data == was_data);
    // A byte put does not stay in: three cycles later it is offered.
    reg [1:0] starved = 2'd0;
    always @(posedge clock) starved <= reset || take_valid || held == 3'd0 ? 2'd0 : starved + 2'd1;
    always @* if (begun) begin
        assert (starved <= 2'd2);
        if (held != 3'd0 && !take_valid) assert (starved == 2'd0 || fetched || starved == 2'd1);
    end
    always @* begin
        cover (begun && held == 3'd5 && put);
        cover (begun && taken && next_out == 3'd7);
    end
