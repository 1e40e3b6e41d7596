//! A host of one's own: runs images on the board at a serial port.
//!
//! `cargo run --example infer -- PORT ARCHITECTURE.toml MODEL IMAGES`, e.g. with the port that `bitweft board serve --board
//! tiny --pty --fast-link` prints and `constraints/tiny.toml`.

use bitweft::{
    compiler::compile,
    driver::{Runner, Serial, Session},
    model::{
        data::{DataOptions, Dataset},
        load::{Model, load_model},
    },
};
use bitweft_isa::architecture::Architecture;
use ndarray::Axis;
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, architecture, model, images] = &arguments[..] else {
        return Err("usage: infer PORT ARCHITECTURE.toml MODEL IMAGES".into());
    };
    let architecture = Architecture::from_toml(&std::fs::read_to_string(architecture)?)?;
    let Model::Integer(network) = load_model(Path::new(model))? else {
        return Err("a float network: `bitweft quantize` makes an integer network of it".into());
    };
    let data = Dataset::load(Path::new(images), &DataOptions::default())?;
    let inputs = data.bytes_for(&network, 0..data.len())?;

    let program = compile(&network, &architecture)?.image;
    let mut session = Session::open(Serial::open(Path::new(port))?, &architecture)?;
    session.speed_up()?;
    let mut runner = Runner::new(&mut session, &program)?;
    runner.load(|done, total| eprint!("\rloading {done} of {total} bytes"))?;
    let inputs = inputs.axis_iter(Axis(0));
    for inference in runner.stream(inputs.map(|input| input.iter().copied().collect::<Vec<u8>>())) {
        let inference = inference?;
        println!("{:?}, {} cycles", inference.output, inference.cycles);
        println!("{:?} in all", inference.latency);
    }
    Ok(())
}
