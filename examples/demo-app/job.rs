//! `job`: runs to completion, as a migration or a seed does.
//!
//! `--print TEXT` says it, `--write FILE` appends one line to the file (so that runs can be counted), `--show FILE` prints
//! it, `--sleep 2s` takes that long, `--exit N` is the exit code.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

use crate::args::{self, Args};
use crate::serve::version;

pub fn run(args: &Args) -> Result<ExitCode, String> {
    println!("job of version {} starts", version());
    if let Some(text) = args.text("--print") {
        println!("{text}");
    }
    if let Some(path) = args.text("--write") {
        append(path).map_err(|e| format!("{path}: {e}"))?;
    }
    if let Some(path) = args.text("--show") {
        print!("{}", std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?);
    }
    if let Some(text) = args.text("--sleep") {
        std::thread::sleep(args::duration(text)?);
    }
    let code = args.number("--exit", 0)?;
    println!("job of version {} ends with {code}", version());
    Ok(ExitCode::from(code))
}

fn append(path: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "version {}", version())
}
