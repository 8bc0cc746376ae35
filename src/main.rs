//! `songhe`: the command line. Everything it does is in the library.

fn main() -> std::process::ExitCode {
    songhe::cli::main()
}
