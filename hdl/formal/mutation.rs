//! Mutations of emitted Verilog, for whoever claims to notice them: the co-simulation (`scripts/sabotage`) and the proofs
//! (`scripts/formal`).

/// Text of one line that becomes another.
pub(crate) struct Mutation {
    pub(crate) module: String,
    line: usize,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Mutation {
    /// The mutated text.
    pub(crate) fn apply(&self, verilog: &str) -> String {
        let lines: Vec<&str> = verilog
            .lines()
            .enumerate()
            .map(|(at, text)| {
                if at == self.line {
                    self.to.as_str()
                } else {
                    text
                }
            })
            .collect();
        lines.join("\n") + "\n"
    }
}

/// What is replaced by what.
const RULES: [(&str, &str); 9] = [
    (" + ", " - "),
    (" - ", " + "),
    (" & ", " | "),
    (" | ", " & "),
    (" ^ ", " & "),
    (" == ", " != "),
    (" < ", " <= "),
    (" = ~", " = "),
    (" ? ", " == 1'b0 ? "),
];

/// Every line of behaviour that a rule applies to, by module.
pub(crate) fn sites(verilog: &str) -> Vec<Mutation> {
    let mut found = Vec::new();
    let mut module = String::new();
    // Cells of the tools stand behind macros that the simulation does not define.
    let mut hidden = 0;
    for (line, text) in verilog.lines().enumerate() {
        if let Some(rest) = text.trim_start().strip_prefix("module ") {
            module = rest
                .split([' ', '(', '#'])
                .next()
                .unwrap_or_default()
                .to_owned();
        }
        match text.trim() {
            macro_text if macro_text.starts_with("`ifdef") => hidden = 1,
            "`else" | "`endif" => hidden = 0,
            _ => {}
        }
        let behaviour = text.contains("assign ") || text.contains("<= ");
        if hidden == 1 || !behaviour || text.trim_start().starts_with("//") {
            continue;
        }
        for (pattern, replacement) in RULES {
            if text.contains(pattern) {
                let to = text.replacen(pattern, replacement, 1);
                found.push(Mutation {
                    module: module.clone(),
                    line,
                    from: text.into(),
                    to,
                });
            }
        }
    }
    found
}

/// One mutation a module in turn, until there are enough; `below` draws a number below its argument.
pub(crate) fn choose(
    mut sites: Vec<Mutation>,
    count: usize,
    mut below: impl FnMut(usize) -> usize,
) -> Vec<Mutation> {
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count && !sites.is_empty() {
        let mut modules: Vec<String> = sites.iter().map(|site| site.module.clone()).collect();
        modules.sort();
        modules.dedup();
        for module in modules {
            let of_module: Vec<usize> = (0..sites.len())
                .filter(|&at| sites[at].module == module)
                .collect();
            let pick = of_module[below(of_module.len())];
            chosen.push(sites.swap_remove(pick));
            if chosen.len() == count {
                break;
            }
        }
    }
    chosen
}
