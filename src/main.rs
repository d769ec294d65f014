//! `evenkeel`: argv → command → exit code.

fn main() -> std::process::ExitCode {
    evenkeel::cli::main()
}
