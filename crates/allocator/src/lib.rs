//! The allocator of our programs: mimalloc, as trees, keys and messages are made of very many small objects.
//!
//! A program that uses this crate (`use headstart_allocator as _;`) has it.

use std::ffi::{c_int, c_long};

// The third version of mimalloc: the second gives hardly anything that another thread has freed to somebody else, and
// a daemon that is sent blobs of 256 MiB, as pieces that one thread takes and others write, had all of one in memory.

/// Whether what is reserved of the address space, 1 GiB at a time, is asked for at once: then the kernel takes pages
/// of 2 MiB for it, and a program that needs 10 MB has 20. The number is mimalloc's.
const ARENA_EAGER_COMMIT: c_int = 4;
/// After how many milliseconds what is free goes back to the kernel.
const PURGE_DELAY: c_int = 15;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Called by the loader before anything is allocated: the first allocation already reserves.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = set_up;

extern "C" fn set_up() {
    const NEVER: c_long = 0;
    // Its default is a second, which costs a command that loads a large project 5 % more memory and gains nothing.
    const SOON: c_long = 10;
    set(ARENA_EAGER_COMMIT, NEVER);
    set(PURGE_DELAY, SOON);
}

/// For servers, before they start threads: what is free is kept for a moment longer. What one request has had the next
/// needs again, and pages that have to be had from the kernel again cost as much as copying what is in them.
pub fn for_a_server() {
    const LATER: c_long = 200;
    set(PURGE_DELAY, LATER);
}

fn set(option: c_int, value: c_long) {
    // SAFETY: a number is written into a table that is there from the beginning, and no other thread is yet.
    unsafe { libmimalloc_sys::mi_option_set(option, value) }
}
