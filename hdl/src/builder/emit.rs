//! From modules to Verilog text, through rust-hdl.

use super::Module;
use rust_hdl::prelude::{Block, ModuleDefines, check_connected};
use std::collections::BTreeMap;

/// A file holds a whole design, so its name cannot be that of every module in it.
const HEAD: &str = "/* verilator lint_off DECLFILENAME */\n";

/// Why a design has no Verilog.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EmitError {
    /// A wire, register or output has no driver.
    #[error("nothing drives {0}")]
    Undriven(String),
    /// Two modules that differ have the same name.
    #[error("two different modules are named {0}")]
    NameClash(String),
}

impl Module {
    /// The module and everything below it, each module once, children before parents, in the order of
    /// their first instances.
    ///
    /// # Errors
    /// A net without a driver; different modules of the same name.
    pub fn verilog(&self) -> Result<String, EmitError> {
        let mut design = Design::default();
        design.add(self)?;
        let vendor = design.vendor.values().copied().collect::<Vec<_>>();
        Ok([HEAD, &vendor.join("\n"), &design.modules.join("")].concat())
    }

    fn own_verilog(&self) -> Result<String, EmitError> {
        let contents = self.contents.borrow();
        // rust-hdl's check prints what it finds; look first.
        if let Some(open) = contents.signals.iter().find(|signal| !signal.driven) {
            return Err(EmitError::Undriven(format!("{}.{}", self.name, open.name)));
        }
        let whole = |_| EmitError::Undriven(self.name.to_string());
        check_connected(self).map_err(whole)?;
        let mut defines = ModuleDefines::default();
        self.accept(&self.name, &mut defines);
        let text = defines.defines();
        let head = format!("module {}(", self.name);
        let attributes: String = contents
            .attributes
            .iter()
            .map(|attribute| format!("(* {attribute} *) "))
            .collect();
        Ok(text
            .replacen(&head, &format!("{attributes}{head}"), 1)
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect())
    }
}

#[derive(Default)]
struct Design {
    modules: Vec<String>,
    known: BTreeMap<String, String>,
    vendor: BTreeMap<&'static str, &'static str>,
}

impl Design {
    fn add(&mut self, module: &Module) -> Result<(), EmitError> {
        let text = module.own_verilog()?;
        if let Some(known) = self.known.get(module.name()) {
            return if *known == text {
                Ok(())
            } else {
                Err(EmitError::NameClash(module.name().into()))
            };
        }
        self.known.insert(module.name().into(), text.clone());
        let contents = module.contents.borrow();
        self.vendor.extend(contents.vendor.iter().copied());
        for child in &contents.children {
            self.add(child)?;
        }
        self.modules.push(text);
        Ok(())
    }
}
