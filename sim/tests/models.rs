//! Designs built and run with the installed tools.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use bitweft_sim::tools::ToolFolder;
use bitweft_sim::{Build, Direction, Model, Profile, SimError, Toolchain, Waiver, lint, lint_with};

const COUNTER: &str = "module counter (
    input clock,
    input reset,
    input signed [4:0] narrow,
    input [99:0] addend,
    output reg [99:0] total,
    output signed [15:0] extended,
    output [63:0] low
);
    always @(posedge clock) total <= reset ? 100'd0 : total + addend;
    assign extended = {{11{narrow[4]}}, narrow};
    assign low = total[63:0];
endmodule
";

fn counter(profile: Profile) -> Model {
    Build::from_text("counter", COUNTER, profile)
        .build()
        .unwrap()
        .instantiate(7)
        .unwrap()
}

fn file(name: &str, text: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), text.to_owned())]
}

/// The installed tools with an empty cache of models. The folder lives as long as the first value.
fn empty_cache() -> (tempfile::TempDir, ToolFolder) {
    let installed = ToolFolder::locate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(installed.root().file_name().unwrap());
    std::os::unix::fs::symlink(installed.root(), link).unwrap();
    let tools = ToolFolder::locate_in(folder.path()).unwrap();
    (folder, tools)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn a_counter_with_wide_ports_counts_in_every_profile() {
    for profile in [
        Profile::Fast,
        Profile::Check,
        Profile::Trace,
        Profile::Coverage,
    ] {
        let mut model = counter(profile);
        let [reset, addend, total, low] =
            ["reset", "addend", "total", "low"].map(|name| model.signal(name).unwrap());
        assert_eq!((addend.bits(), addend.words()), (100, 4));
        model.set(reset, 1);
        model.tick(1).unwrap();
        model.set(reset, 0);
        // Bits above the width are dropped: the top word becomes 0xf.
        model.set_words(addend, &[1, 0x8000_0000, 2, 0xffff_ffff]);
        model.tick(3).unwrap();
        assert_eq!(model.words(total), [3, 0x8000_0000, 7, 0xd], "{profile:?}");
        assert_eq!(model.get(low), 0x8000_0000_0000_0003);
        assert_eq!(model.get_words(low), [3, 0x8000_0000]);
        // Words that are not given are zero.
        model.set_words(addend, &[1]);
        model.tick(1).unwrap();
        assert_eq!(model.words(total), [4, 0x8000_0000, 7, 0xd]);
        assert_eq!(model.cycles(), 5);
        assert!(!model.finished());
    }
}

#[test]
fn signed_ports_take_and_give_negative_numbers() {
    let mut model = counter(Profile::Check);
    let (narrow, extended) = (
        model.signal("narrow").unwrap(),
        model.signal("extended").unwrap(),
    );
    for value in -16i64..16 {
        model.set(narrow, value.cast_unsigned());
        model.eval().unwrap();
        assert_eq!(model.get_signed(extended), value);
        assert_eq!(model.get(extended), u64::from(value as u16));
    }
}

#[test]
fn the_port_table_is_the_module_header() {
    let model = counter(Profile::Check);
    let mut ports: Vec<_> = model
        .ports()
        .iter()
        .map(|port| (port.name.as_str(), port.bits, port.direction))
        .collect();
    ports.sort_unstable_by_key(|port| port.0);
    assert_eq!(
        ports,
        [
            ("addend", 100, Direction::Input),
            ("clock", 1, Direction::Input),
            ("extended", 16, Direction::Output),
            ("low", 64, Direction::Output),
            ("narrow", 5, Direction::Input),
            ("reset", 1, Direction::Input),
            ("total", 100, Direction::Output),
        ]
    );
    let error = model.signal("totl").unwrap_err();
    assert!(error.to_string().contains("total"), "{error}");
}

#[test]
fn registers_start_with_bits_of_the_seed_in_check_and_zero_in_fast() {
    let start = |profile, seed| {
        let library = Build::from_text("counter", COUNTER, profile)
            .build()
            .unwrap();
        let mut model = library.instantiate(seed).unwrap();
        model.eval().unwrap();
        model.get_words(model.signal("total").unwrap())
    };
    assert_eq!(start(Profile::Fast, 1), [0; 4]);
    assert_eq!(
        start(Profile::Check, 1),
        start(Profile::Check, 1),
        "a seed reproduces its bits"
    );
    let seeds = [0, 1, 2, u64::MAX, 1 << 40];
    let mut starts = seeds.map(|seed| start(Profile::Check, seed)).to_vec();
    starts.sort();
    starts.dedup();
    assert_eq!(starts.len(), seeds.len(), "seeds differ: {starts:x?}");
    assert_eq!(
        start(Profile::Trace, 2),
        start(Profile::Check, 2),
        "a failing seed can be traced"
    );
}

#[test]
fn lint_passes_clean_verilog_and_fails_on_a_width_mismatch() {
    let clean = "module narrow (input [7:0] a, output [7:0] b);\n    assign b = a;\nendmodule\n";
    lint("narrow", &file("narrow.v", clean)).unwrap();
    let wrong = clean.replace("output [7:0]", "output [6:0]");
    let error = lint("narrow", &file("narrow.v", &wrong)).unwrap_err();
    assert!(matches!(error, SimError::Lint { .. }));
    assert!(error.to_string().contains("WIDTHTRUNC"), "{error}");
    // Verilator's default warnings stop a build too.
    let error = Build::from_text("narrow", wrong, Profile::Check)
        .build()
        .unwrap_err();
    assert!(matches!(error, SimError::Verilator { .. }), "{error}");
}

#[test]
fn a_waiver_silences_its_rule_and_needs_a_reason() {
    let unused = "module part (input [7:0] a, output b);\n    assign b = a[0];\nendmodule\n";
    let verilog = file("part.v", unused);
    let error = lint("part", &verilog).unwrap_err();
    assert!(error.to_string().contains("UNUSEDSIGNAL"), "{error}");
    let waiver = Waiver::new("UNUSEDSIGNAL", "part.v", "callers pass whole bytes");
    lint_with("part", &verilog, &[waiver]).unwrap();
    let elsewhere = Waiver::new("UNUSEDSIGNAL", "other.v", "callers pass whole bytes");
    assert!(matches!(
        lint_with("part", &verilog, &[elsewhere]),
        Err(SimError::Lint { .. })
    ));
    let silent = Waiver::new("UNUSEDSIGNAL", "part.v", " ");
    assert!(matches!(
        lint_with("part", &verilog, &[silent]),
        Err(SimError::WaiverWithoutReason { .. })
    ));
}

#[test]
fn a_changed_design_is_never_taken_from_the_cache() {
    let built = |text: &str, arguments: &[&str]| {
        let mut build = Build::from_text("constant", text, Profile::Check);
        for argument in arguments {
            build = build.argument(*argument);
        }
        let library = build.build().unwrap();
        let mut model = library.instantiate(1).unwrap();
        model.eval().unwrap();
        (
            model.get(model.signal("value").unwrap()),
            library.path().to_path_buf(),
        )
    };
    let text = |number: u32| {
        format!(
            "module constant #(parameter VALUE = {number}) (output [31:0] value);
    assign value = VALUE;
endmodule
"
        )
    };
    let (first, first_path) = built(&text(1), &[]);
    let (second, second_path) = built(&text(2), &[]);
    let (third, third_path) = built(&text(1), &["-GVALUE=3"]);
    let (again, again_path) = built(&text(1), &[]);
    assert_eq!([first, second, third, again], [1, 2, 3, 1]);
    assert_eq!(first_path, again_path);
    assert!(first_path != second_path && first_path != third_path && second_path != third_path);
}

#[test]
fn builds_at_once_make_one_model_and_a_killed_build_leaves_none() {
    let (folder, tools) = empty_cache();
    let toolchain = Toolchain::new(tools, Path::new("g++")).unwrap();
    let build = Build::from_text("counter", COUNTER, Profile::Check);
    let totals: Vec<u64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let library = build.build_with(&toolchain).unwrap();
                    let mut model = library.instantiate(1).unwrap();
                    model.set(model.signal("reset").unwrap(), 1);
                    model.tick(2).unwrap();
                    model.set(model.signal("reset").unwrap(), 0);
                    model.set_words(model.signal("addend").unwrap(), &[5]);
                    model.tick(4).unwrap();
                    model.get(model.signal("low").unwrap())
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!(totals, [20; 4]);
    assert_eq!(files_in(&folder.path().join("sim/models")).len(), 1);
    assert_eq!(
        files_in(&folder.path().join("sim/work")),
        [] as [PathBuf; 0]
    );

    let path = build.build_with(&toolchain).unwrap().path().to_path_buf();
    // As if the build had been killed while it linked: a temporary file, a work folder, no model.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path.with_extension("so.1.new"), "half").unwrap();
    let work = folder
        .path()
        .join("sim/work")
        .join(path.file_stem().unwrap());
    std::fs::create_dir_all(&work).unwrap();
    std::fs::write(work.join("Vmodel__999.cpp"), "not C++").unwrap();
    let mut model = build
        .build_with(&toolchain)
        .unwrap()
        .instantiate(1)
        .unwrap();
    model.tick(1).unwrap();
    assert!(!work.exists());
}

const CHECKED: &str = "module checked (input clock, input [7:0] value);
    always @(posedge clock) begin
        if (value == 8'd9) $display(\"nine at last\");
        value_below_ten: assert (value < 8'd10);
        if (value == 8'd5) $finish;
    end
endmodule
";

#[test]
fn a_failed_assertion_is_an_error_that_tells_where_and_stays() {
    let library = Build::from_text("checked", CHECKED, Profile::Check)
        .build()
        .unwrap();
    let mut model = library.instantiate(1).unwrap();
    let value = model.signal("value").unwrap();
    model.set(value, 9);
    model.tick(3).unwrap();
    assert_eq!(model.take_output(), "nine at last\n".repeat(3));
    model.set(value, 10);
    let error = model.tick(100).unwrap_err();
    let SimError::Stopped { cycle, text } = &error else {
        panic!("{error}")
    };
    assert!((3..=4).contains(cycle), "{cycle}");
    assert!(
        text.contains("value_below_ten") && text.contains("checked.v:4"),
        "{text}"
    );
    model.set(value, 1);
    assert!(
        matches!(model.tick(1), Err(SimError::Stopped { .. })),
        "a stopped design stays so"
    );
    // Other models of the same library are not affected.
    let mut other = library.instantiate(1).unwrap();
    other.set(value, 1);
    other.tick(10).unwrap();
    // $finish is no error, and ends time.
    other.set(value, 5);
    other.tick(10).unwrap();
    assert!(other.finished());
    assert_eq!(other.cycles(), 11);
}

#[test]
fn a_combinational_loop_that_never_settles_is_an_error() {
    let ring = "module ring (input start, output out);
    wire a /* verilator split_var */;
    assign a = start ? ~a : 1'b0;
    assign out = a;
endmodule
";
    let build = Build::from_text("ring", ring, Profile::Check).argument("-Wno-fatal");
    let mut model = build.build().unwrap().instantiate(1).unwrap();
    model.set(model.signal("start").unwrap(), 1);
    let error = model.eval().unwrap_err();
    assert!(error.to_string().contains("converge"), "{error}");
}

#[test]
fn a_waveform_holds_the_window_and_only_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = counter(Profile::Trace);
    let addend = model.signal("addend").unwrap();
    let mut sizes = Vec::new();
    for (index, cycles) in [10u64, 2000].into_iter().enumerate() {
        model.tick(50).unwrap();
        let path = folder.path().join(format!("window{index}.fst"));
        model.trace_open(&path).unwrap();
        for cycle in 0..cycles {
            model.set_words(
                addend,
                &[cycle as u32, 0x9e37_79b9u32.wrapping_mul(cycle as u32)],
            );
            model.tick(1).unwrap();
        }
        model.trace_close().unwrap();
        sizes.push(std::fs::metadata(&path).unwrap().len());
    }
    assert!(sizes[0] > 300 && sizes[1] > 5 * sizes[0], "{sizes:?}");
    let before = sizes[1];
    model.tick(100).unwrap();
    assert_eq!(
        std::fs::metadata(folder.path().join("window1.fst"))
            .unwrap()
            .len(),
        before
    );
    let nowhere = folder.path().join("no/such/folder.fst");
    assert!(matches!(
        model.trace_open(nowhere),
        Err(SimError::Write { .. })
    ));
    let error = counter(Profile::Check).trace_open("x.fst").unwrap_err();
    assert!(error.to_string().contains("Profile::Trace"), "{error}");
}

#[test]
fn coverage_tells_the_lines_that_ran() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coverage.dat");
    let mut model = counter(Profile::Coverage);
    model.tick(5).unwrap();
    model.coverage_write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("counter.v"), "{text}");
    assert!(matches!(
        counter(Profile::Check).coverage_write(&path),
        Err(SimError::Unavailable { .. })
    ));
}

#[test]
fn waiting_is_bounded() {
    let mut model = counter(Profile::Check);
    let low = model.signal("low").unwrap();
    model.set(model.signal("reset").unwrap(), 1);
    model.tick(1).unwrap();
    model.set(model.signal("reset").unwrap(), 0);
    model.set_words(model.signal("addend").unwrap(), &[1]);
    assert_eq!(model.tick_until(low, 10, 10).unwrap(), 10);
    assert_eq!(model.tick_until(low, 10, 0).unwrap(), 0);
    let error = model.tick_until(low, 5, 7).unwrap_err();
    assert!(
        matches!(&error, SimError::Timeout { cycles_max: 7, .. }),
        "{error}"
    );
    assert_eq!(model.cycles(), 18);
}

#[test]
fn models_of_one_library_are_independent_and_may_change_threads() {
    let library = Build::from_text("counter", COUNTER, Profile::Check)
        .build()
        .unwrap();
    let workers: Vec<_> = (1..=4u32)
        .map(|step| {
            let mut model = library.instantiate(step.into()).unwrap();
            std::thread::spawn(move || {
                let (reset, addend) = (
                    model.signal("reset").unwrap(),
                    model.signal("addend").unwrap(),
                );
                model.set(reset, 1);
                model.tick(1).unwrap();
                model.set(reset, 0);
                model.set_words(addend, &[step]);
                for _ in 0..1000 {
                    model.tick(1).unwrap();
                }
                (step, model)
            })
        })
        .collect();
    for worker in workers {
        let (step, model) = worker.join().unwrap();
        assert_eq!(
            model.get(model.signal("low").unwrap()),
            u64::from(step) * 1000
        );
    }
}

#[test]
fn a_missing_compiler_is_named_with_what_to_do() {
    let tools = ToolFolder::locate().unwrap();
    let error = Toolchain::new(tools, Path::new("/nonexistent")).unwrap_err();
    assert!(matches!(error, SimError::Compiler { .. }));
    // The same through CXX, in a process of its own.
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", "child_reports_its_compiler", "--nocapture"])
        .env("CXX", "/nonexistent")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("cannot run the C++ compiler /nonexistent"),
        "{text}"
    );
    assert!(text.contains("set CXX"), "{text}");
}

/// The child of the test above: prints why the toolchain cannot be located, if it cannot.
#[test]
fn child_reports_its_compiler() {
    if let Err(error) = Toolchain::locate() {
        println!("{error}");
        assert!(std::env::var_os("CXX").is_some(), "{error}");
    }
}

#[test]
fn a_design_without_the_clock_says_so() {
    let text = "module wire_only (input a, output b);\n    assign b = a;\nendmodule\n";
    let build = Build::from_text("wire_only", text, Profile::Check);
    let mut model = build.build().unwrap().instantiate(1).unwrap();
    assert!(matches!(model.tick(1), Err(SimError::NoClock { .. })));
    let (a, b) = (model.signal("a").unwrap(), model.signal("b").unwrap());
    for value in [1, 0, 1] {
        model.set(a, value);
        model.eval().unwrap();
        assert_eq!(model.get(b), value);
    }
}

#[test]
fn file_names_that_leave_the_folder_are_refused() {
    for name in ["../up.v", "a/b.v", "-Wno-fatal.v", "", ".v", "x y.v"] {
        let build = Build::new("top", file(name, "module top; endmodule\n"), Profile::Check);
        assert!(
            matches!(build.build(), Err(SimError::FileName { .. })),
            "{name}"
        );
    }
    let twice = [file("a.v", ""), file("a.v", "")].concat();
    assert!(matches!(
        lint("top", &twice),
        Err(SimError::FileName { .. })
    ));
}
