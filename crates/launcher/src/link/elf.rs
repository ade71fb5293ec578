//! As much of the ELF format as tells which shared objects a shared object needs.

/// What the dynamic section says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Dynamic {
    /// Names of shared objects.
    pub(super) needed: Vec<String>,
    /// Where to look for them: folders, separated by colons.
    pub(super) run_path: Vec<String>,
}

const SHARED: u64 = 3;
const LOADED: u64 = 1;
const DYNAMIC: u64 = 2;
const TAG_NEEDED: u64 = 1;
const TAG_STRINGS: u64 = 5;
const TAG_RPATH: u64 = 15;
const TAG_RUNPATH: u64 = 29;

/// Whether a file that starts with `bytes` (at least 20) is a shared object.
pub(super) fn is_shared(bytes: &[u8]) -> bool {
    Reader::new(bytes).and_then(|reader| reader.number(16, 2)) == Some(SHARED)
}

/// Reads the dynamic section of the file `bytes`.
pub(super) fn dynamic(bytes: &[u8]) -> Result<Dynamic, &'static str> {
    read(bytes).ok_or("it is not a shared object of a form that is known")
}

/// Reads numbers of the file's own width and order; every position is checked.
struct Reader<'a> {
    bytes: &'a [u8],
    wide: bool,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let wide = match bytes.get(4)? {
            1 => false,
            2 => true,
            _ => return None,
        };
        Some(Self {
            bytes,
            wide,
            big_endian: *bytes.get(5)? == 2,
        })
    }

    fn number(&self, at: u64, length: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.big_endian {
            bytes.iter().fold(0, add)
        } else {
            bytes.iter().rev().fold(0, add)
        })
    }

    /// A number as wide as an address: at `narrow` in 32-bit files, at `wide` in 64-bit ones.
    fn address(&self, base: u64, narrow: u64, wide: u64) -> Option<u64> {
        let (offset, length) = if self.wide { (wide, 8) } else { (narrow, 4) };
        self.number(base.checked_add(offset)?, length)
    }

    fn text(&self, at: u64) -> Option<String> {
        let rest = self.bytes.get(usize::try_from(at).ok()?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        String::from_utf8(rest[..end].to_vec()).ok()
    }
}

fn read(bytes: &[u8]) -> Option<Dynamic> {
    let reader = Reader::new(bytes)?;
    let table = reader.address(0, 28, 32)?;
    let (size_at, count_at) = if reader.wide { (54, 56) } else { (42, 44) };
    let (size, count) = (reader.number(size_at, 2)?, reader.number(count_at, 2)?);
    let mut loaded = Vec::new();
    let mut section = None;
    for index in 0..count {
        let header = table.checked_add(index * size)?;
        let offset = reader.address(header, 4, 8)?;
        let length = reader.address(header, 16, 32)?;
        match reader.number(header, 4)? {
            LOADED => loaded.push((reader.address(header, 8, 16)?, length, offset)),
            DYNAMIC => section = Some((offset, length)),
            _ => {}
        }
    }
    let Some((start, length)) = section else {
        return Some(Dynamic::default());
    };
    let entry = if reader.wide { 16 } else { 8 };
    let mut strings = None;
    let mut names = Vec::new();
    for index in 0..length / entry {
        let at = start.checked_add(index * entry)?;
        let value = reader.address(at, 4, 8)?;
        match reader.address(at, 0, 0)? {
            0 => break,
            TAG_STRINGS => strings = Some(value),
            tag @ (TAG_NEEDED | TAG_RPATH | TAG_RUNPATH) => names.push((tag, value)),
            _ => {}
        }
    }
    if names.is_empty() {
        return Some(Dynamic::default());
    }
    let strings = strings?;
    let strings = loaded.iter().find_map(|(address, length, offset)| {
        let inside = strings.checked_sub(*address)?;
        (inside < *length)
            .then(|| offset.checked_add(inside))
            .flatten()
    })?;
    let mut dynamic = Dynamic::default();
    for (tag, name) in names {
        let name = reader.text(strings.checked_add(name)?)?;
        if tag == TAG_NEEDED {
            dynamic.needed.push(name);
        } else {
            dynamic.run_path.push(name);
        }
    }
    Some(dynamic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_program_needs_the_c_library() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let dynamic = dynamic(&bytes).unwrap();
        assert!(
            dynamic.needed.iter().any(|name| name == "libc.so.6"),
            "{dynamic:?}"
        );
    }

    #[test]
    fn damaged_files_are_refused_or_read_but_never_crash() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for length in [0, 4, 5, 6, 20, 63, 64, 100, 500] {
            assert!(dynamic(&bytes[..length]).is_err(), "{length}");
        }
        let mut damaged = bytes[..4096].to_vec();
        for at in 4..1024 {
            for value in [0, 0x7f, 0xff] {
                let kept = std::mem::replace(&mut damaged[at], value);
                let _ = dynamic(&damaged);
                damaged[at] = kept;
            }
        }
    }
}
