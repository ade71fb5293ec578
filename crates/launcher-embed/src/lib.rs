//! The launcher's program as bytes, for whoever puts it into sandboxes as `recc`.
//!
//! It is static: a sandbox may hold no library at all, or one of another kind. The build script
//! builds it, with a target folder and a profile of its own, whatever the build around it is.

/// The program: an ELF executable for this machine, without an interpreter.
pub static LAUNCHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::LAUNCHER;

    #[test]
    fn it_runs_and_needs_no_library() {
        // Run where nothing else is: a static program needs no more than itself.
        let folder = std::env::temp_dir().join(format!("launcher-embed-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let program = folder.join("recc");
        fs::write(&program, LAUNCHER).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let ran = Command::new(&program).arg("--version").env_clear().output();
        fs::remove_dir_all(&folder).unwrap();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{ran:?}");
        assert!(ran.stdout.starts_with(b"recc "), "{ran:?}");
        assert_eq!(
            segments_of_kind(INTERPRETER),
            0,
            "it asks for a dynamic loader"
        );
    }

    /// `PT_INTERP` of the ELF format.
    const INTERPRETER: u32 = 3;

    /// How many program headers of a 64-bit little-endian ELF file have the kind `kind`.
    fn segments_of_kind(kind: u32) -> usize {
        assert_eq!(&LAUNCHER[..6], b"\x7fELF\x02\x01");
        let at = u64::from_le_bytes(LAUNCHER[32..40].try_into().unwrap()) as usize;
        let size = u16::from_le_bytes(LAUNCHER[54..56].try_into().unwrap()) as usize;
        let count = u16::from_le_bytes(LAUNCHER[56..58].try_into().unwrap()) as usize;
        let headers = LAUNCHER[at..at + size * count].chunks(size);
        headers
            .filter(|header| header[..4] == kind.to_le_bytes())
            .count()
    }
}
