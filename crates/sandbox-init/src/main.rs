//! The program in its own right: built static and embedded into those that make sandboxes.

fn main() {
    std::process::exit(headstart_sandbox_init::main());
}
