//! The init process of sandboxes as a program of its own, for those that can't start themselves
//! again: tests.

fn main() {
    headstart_sandbox::init_if_requested();
}
