//! Names of processes, by which one finds what another has left.

use std::fs;
use std::sync::OnceLock;

/// A name that no other process has or had: its id and when it started.
pub fn process_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let id = std::process::id();
        format!("{id}-{}", started(id).unwrap_or_default())
    })
}

/// Whether the process with a name still runs; what follows another hyphen is no part of it.
pub fn is_running(name: &str) -> bool {
    let mut parts = name.split('-');
    let (Some(id), Some(start)) = (parts.next(), parts.next()) else {
        return false;
    };
    id.parse().ok().and_then(started).as_deref() == Some(start)
}

/// When a process started, in clock ticks since the machine did; `None` if it does not run.
fn started(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_process() {
        let own = process_name();
        assert!(is_running(own));
        assert!(is_running(&format!("{own}-7")));
        let (id, start) = own.split_once('-').unwrap();
        assert!(!is_running(&format!("{id}-{start}0")));
        for other in ["", "1", "x-1", "-", &format!("{id}-"), id] {
            assert!(!is_running(other), "{other}");
        }
    }
}
