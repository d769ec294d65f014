//! The demo and test application: a small HTTP server with switches for everything that goes wrong in real ones.
//!
//! One static binary, std only, so that it builds in seconds (`rustc` alone will do) and is a whole image by itself.
//! It is no part of Evenkeel: it must not use the library, and the library knows nothing of it.
//!
//! - `demo-app` serves (see [`serve`]); `demo-app check` is its health check from inside the image;
//! - `demo-app job …` runs to completion (see [`job`]);
//! - `demo-app get URL` and `demo-app load URL …` are clients for demos and tests (see [`load`]);
//! - `demo-app measure COMMAND…` tells what a command costs (see [`measure`]).

#![allow(clippy::disallowed_methods, reason = "a program of its own, with threads, for real time only")]

mod args;
mod grpc;
mod http;
mod job;
mod load;
mod measure;
mod serve;
mod termination;

use std::process::ExitCode;

use args::Args;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_else(|| "serve".to_string());
    let args = Args::new(words);
    let outcome = match command.as_str() {
        "serve" => serve::run(),
        "check" => check(),
        "job" => job::run(&args),
        "get" => get(&args),
        "load" => load::run(&args),
        "measure" => measure::run(&args),
        other => Err(format!("no such command: {other} (serve, check, job, get, load, measure)")),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("demo-app: {message}");
        ExitCode::FAILURE
    })
}

/// Health from inside the container: success when `/healthz` answers 200.
fn check() -> Result<ExitCode, String> {
    let url = format!("http://127.0.0.1:{}/healthz", serve::port()?);
    let answer = http::get(&url).map_err(|e| format!("{url}: {e}"))?;
    print!("{}", answer.body);
    Ok(exit_for(answer.status))
}

/// `get URL`: prints the body; success when the status is 200.
fn get(args: &Args) -> Result<ExitCode, String> {
    let url = args.first().ok_or("get needs a URL")?;
    let answer = http::get(url).map_err(|e| format!("{url}: {e}"))?;
    print!("{}", answer.body);
    if answer.status != 200 {
        eprintln!("{url}: status {}", answer.status);
    }
    Ok(exit_for(answer.status))
}

fn exit_for(status: u16) -> ExitCode {
    if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
