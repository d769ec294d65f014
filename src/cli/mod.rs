//! The command line: one file per subcommand. It parses, asks, prints and gives an exit code; it decides nothing about
//! containers.
