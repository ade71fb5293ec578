//! The programs of sandboxes as bytes, for whoever puts them there.
//!
//! They are static: a sandbox may hold no library at all, or one of another kind. The build script
//! builds them, with a target folder and a profile of their own, whatever the build around it is.

/// The launcher, which is called `recc` in sandboxes: an ELF executable for this machine, without an
/// interpreter.
pub static LAUNCHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/headstart-launcher"));

/// What makes sandboxes from inside, an executable of the same kind.
pub static SANDBOX_INIT: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/headstart-sandbox-init"));

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Output};

    use super::{LAUNCHER, SANDBOX_INIT};

    #[test]
    fn they_run_and_need_no_library() {
        let recc = run(LAUNCHER, "--version");
        assert!(recc.status.success(), "{recc:?}");
        assert!(recc.stdout.starts_with(b"recc "), "{recc:?}");
        let init = run(SANDBOX_INIT, "--version");
        assert_eq!(init.status.code(), Some(2), "it has no such role: {init:?}");
        for program in [LAUNCHER, SANDBOX_INIT] {
            let loaders = segments_of_kind(program, INTERPRETER);
            assert_eq!(loaders, 0, "it asks for a dynamic loader");
        }
    }

    /// Runs a program where nothing else is: if it is static it needs no more than itself.
    fn run(program: &[u8], argument: &str) -> Output {
        let name = format!("embed-{}-{}", std::process::id(), program.len());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let path = folder.join("program");
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let ran = Command::new(&path).arg(argument).env_clear().output();
        fs::remove_dir_all(&folder).unwrap();
        ran.unwrap()
    }

    /// `PT_INTERP` of the ELF format.
    const INTERPRETER: u32 = 3;

    /// How many program headers of a 64-bit little-endian ELF file have the kind `kind`.
    fn segments_of_kind(program: &[u8], kind: u32) -> usize {
        assert_eq!(&program[..6], b"\x7fELF\x02\x01");
        let at = u64::from_le_bytes(program[32..40].try_into().unwrap()) as usize;
        let size = u16::from_le_bytes(program[54..56].try_into().unwrap()) as usize;
        let count = u16::from_le_bytes(program[56..58].try_into().unwrap()) as usize;
        let headers = program[at..at + size * count].chunks(size);
        headers
            .filter(|header| header[..4] == kind.to_le_bytes())
            .count()
    }
}
