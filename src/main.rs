//! The `esper` command: one file a verb, in `cli/`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
