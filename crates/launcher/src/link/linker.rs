//! The linker's own command line, as a compiler shows it, and what it means.

use crate::scan::Reason;

/// Something that the linker reads.
#[derive(Debug, PartialEq)]
pub(super) enum Input {
    /// An object, archive, shared object or script of such.
    File(String),
    Library(Library),
    /// A linker script that an option names.
    Read(String),
    /// Another file that an option names.
    Noted(String),
}

/// What `-l` names.
#[derive(Debug, PartialEq)]
pub(super) struct Library {
    /// The name without `-l`; after a colon it is a file's whole name.
    pub(super) name: String,
    /// Whether only an archive will do.
    pub(super) statically: bool,
}

/// A linker's call, understood.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Invocation {
    pub(super) inputs: Vec<Input>,
    /// Where libraries are looked for, in order.
    pub(super) folders: Vec<String>,
    /// Where what shared objects need is looked for: `-rpath-link` and `-rpath`.
    pub(super) run_folders: Vec<String>,
    pub(super) outputs: Vec<String>,
}

const LINKERS: &[&str] = &[
    "collect2", "ld", "ld.bfd", "ld.gold", "ld.lld", "ld.mold", "lld", "mold", "gold",
];

/// The linker's command line in what a compiler prints under `-###`: the only command there.
pub(super) fn command_line(text: &str) -> Result<Vec<String>, Reason> {
    let mut found = None;
    for line in text.lines().filter(|line| line.starts_with(' ')) {
        let words = split(line)?;
        let program = words.first().map(String::as_str).unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or(program);
        let is_linker = LINKERS.iter().any(|linker| {
            name == *linker
                || name
                    .strip_suffix(linker)
                    .is_some_and(|target| target.ends_with('-'))
        });
        if name == "(in-process)" || program.starts_with('(') {
            continue;
        }
        if !is_linker || found.is_some() {
            return Err(format!("it takes more than one step: {name}"));
        }
        found = Some(words);
    }
    found.ok_or_else(|| "the compiler does not show how it links".to_owned())
}

/// Words as a shell splits them, with double quotes and backslashes.
fn split(line: &str) -> Result<Vec<String>, Reason> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' => {
                let next = characters.next().ok_or("a command ends in a backslash")?;
                word.get_or_insert_default().push(next);
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    if quoted {
        return Err("a command lacks a closing quote".to_owned());
    }
    Ok(words)
}

/// Options with a value that is no file. With two dashes as well; the value may follow a `=`.
const VALUED: &[&str] = &[
    "m",
    "dynamic-linker",
    "I",
    "soname",
    "h",
    "z",
    "e",
    "entry",
    "u",
    "undefined",
    "y",
    "a",
    "b",
    "G",
    "init",
    "fini",
    "Y",
    "defsym",
    "wrap",
    "Ttext",
    "Tdata",
    "Tbss",
    "Ttext-segment",
    "hash-style",
    "build-id",
    "plugin",
    "plugin-opt",
    "sort-section",
    "unresolved-symbols",
    "exclude-libs",
    "image-base",
    "format",
    "oformat",
    "compress-debug-sections",
    "section-start",
    "max-page-size",
    "threads",
    "thread-count",
    "icf",
    "require-defined",
    "package-metadata",
    "default-symver",
    "orphan-handling",
    "pack-dyn-relocs",
    "trace-symbol",
    "audit",
    "depaudit",
    "filter",
    "auxiliary",
    "f",
    "F",
    "export-dynamic-symbol",
    "thinlto-jobs",
    "lto-O",
    "sysv-hash",
    "error-limit",
    "color-diagnostics",
];
/// Options without a value, or with one that is attached.
const FLAGS: &[&str] = &[
    "eh-frame-hdr",
    "no-eh-frame-hdr",
    "as-needed",
    "no-as-needed",
    "pie",
    "no-pie",
    "shared",
    "r",
    "relocatable",
    "export-dynamic",
    "no-export-dynamic",
    "E",
    "gc-sections",
    "no-gc-sections",
    "no-undefined",
    "allow-shlib-undefined",
    "no-allow-shlib-undefined",
    "start-group",
    "end-group",
    "(",
    ")",
    "whole-archive",
    "no-whole-archive",
    "s",
    "S",
    "strip-all",
    "strip-debug",
    "x",
    "X",
    "discard-all",
    "discard-locals",
    "fatal-warnings",
    "no-fatal-warnings",
    "warn-common",
    "build-id",
    "hash-style",
    "Bsymbolic",
    "Bsymbolic-functions",
    "no-dynamic-linker",
    "relax",
    "no-relax",
    "enable-new-dtags",
    "disable-new-dtags",
    "no-copy-dt-needed-entries",
    "copy-dt-needed-entries",
    "nostdlib",
    "EL",
    "EB",
    "demangle",
    "no-demangle",
    "warn-unresolved-symbols",
    "no-warn-mismatch",
    "no-warn-rwx-segments",
    "warn-shared-textrel",
    "N",
    "n",
    "q",
    "emit-relocs",
    "allow-multiple-definition",
    "noinhibit-exec",
    "no-ld-generated-unwind-info",
    "d",
    "dc",
    "dp",
    "warn-once",
    "no-keep-memory",
    "reduce-memory-overheads",
    "no-undefined-version",
    "undefined-version",
    "cref",
    "pic-executable",
    "no-ctors-in-init-array",
    "omagic",
    "nmagic",
    "no-omagic",
    "sort-common",
    "secure-plt",
    "bss-plt",
    "no-toc-optimize",
    "fix-cortex-a53-835769",
    "fix-cortex-a53-843419",
    "no-add-needed",
    "add-needed",
    "no-warn-execstack",
    "warn-execstack",
    "color-diagnostics",
    "gdb-index",
    "no-gdb-index",
    "no-rosegment",
    "rosegment",
    "O",
    "no-print-gc-sections",
];

/// An option split into its name, without dashes, and its attached value.
fn parts(option: &str) -> (&str, Option<&str>) {
    let name = option
        .strip_prefix("--")
        .or(option.strip_prefix('-'))
        .unwrap_or(option);
    match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    }
}

impl Invocation {
    /// Understands `words`, the linker's name first.
    pub(super) fn read(words: &[String]) -> Result<Self, Reason> {
        let mut invocation = Self::default();
        let mut statically = false;
        let mut saved = Vec::new();
        let mut words = words.iter().skip(1).map(String::as_str);
        while let Some(word) = words.next() {
            if word.starts_with('@') {
                return Err("the linker has a response file".to_owned());
            }
            if !word.starts_with('-') {
                invocation.inputs.push(Input::File(word.to_owned()));
                continue;
            }
            let (name, attached) = parts(word);
            match name {
                "Bstatic" | "static" | "dn" | "non_shared" => statically = true,
                "Bdynamic" | "dy" | "call_shared" => statically = false,
                "push-state" => saved.push(statically),
                "pop-state" => statically = saved.pop().unwrap_or(false),
                "static-pie" | "no-static" => {}
                _ if FLAGS.contains(&name) && !(VALUED.contains(&name) && attached.is_some()) => {}
                _ if VALUED.contains(&name) => {
                    if attached.is_none() && words.next().is_none() {
                        return Err(format!("the linker's {word} lacks its value"));
                    }
                }
                _ => {
                    let mut value = || {
                        let value = attached.or_else(|| words.next());
                        value
                            .map(str::to_owned)
                            .ok_or_else(|| format!("the linker's {word} lacks its value"))
                    };
                    if !invocation.file_option(name, &mut value)? {
                        invocation.short_option(word, statically)?;
                    }
                }
            }
        }
        Ok(invocation)
    }

    /// Options that name files or folders; says whether `name` is one.
    fn file_option(
        &mut self,
        name: &str,
        value: &mut dyn FnMut() -> Result<String, Reason>,
    ) -> Result<bool, Reason> {
        match name {
            "o" | "output" | "Map" | "out-implib" | "dependency-file" => {
                let file = value()?;
                self.outputs.push(file);
            }
            "L" | "library-path" => self.folders.push(value()?),
            "rpath" | "rpath-link" => {
                let folders = value()?;
                let folders = folders.split(':').filter(|folder| !folder.contains('$'));
                self.run_folders.extend(folders.map(str::to_owned));
            }
            "T" | "script" | "default-script" | "dT" => self.inputs.push(Input::Read(value()?)),
            "version-script"
            | "dynamic-list"
            | "retain-symbols-file"
            | "export-dynamic-symbol-list"
            | "version-exports-section"
            | "symbol-ordering-file" => self.inputs.push(Input::Noted(value()?)),
            "l" | "library" | "just-symbols" | "R" => return Ok(false),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Options of one letter with their value attached.
    fn short_option(&mut self, word: &str, statically: bool) -> Result<(), Reason> {
        let unknown = || format!("the linker's {word} is not understood");
        let letter = word
            .strip_prefix('-')
            .and_then(|rest| rest.chars().next())
            .ok_or_else(unknown)?;
        let value = word[1 + letter.len_utf8()..].to_owned();
        if value.is_empty() {
            return Err(unknown());
        }
        match letter {
            'l' => self.inputs.push(Input::Library(Library {
                name: value,
                statically,
            })),
            'L' => self.folders.push(value),
            'O' | 'z' | 'm' | 'e' | 'u' | 'h' | 'y' => {}
            'T' if !value.starts_with("text") && !value.starts_with("data") => {
                self.inputs.push(Input::Read(value));
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, inputs: &str, folders: &str, outputs: &str) {
        let invocation =
            Invocation::read(&split(line).unwrap()).unwrap_or_else(|e| panic!("{line}: {e}"));
        let shown = invocation.inputs.iter().map(|input| match input {
            Input::File(name) => name.clone(),
            Input::Library(library) if library.statically => format!("static:{}", library.name),
            Input::Library(library) => format!("lib:{}", library.name),
            Input::Read(name) => format!("script:{name}"),
            Input::Noted(name) => format!("also:{name}"),
        });
        assert_eq!(shown.collect::<Vec<_>>().join(" "), inputs, "{line}");
        assert_eq!(invocation.folders.join(" "), folders, "{line}");
        assert_eq!(invocation.outputs.join(" "), outputs, "{line}");
    }

    #[test]
    fn calls_of_linkers() {
        check(
            "/x/collect2 -plugin /x/p.so \"-plugin-opt=-pass-through=-lgcc\" --build-id --eh-frame-hdr -m elf_x86_64 \
             \"--hash-style=gnu\" --as-needed -dynamic-linker /lib64/ld.so -pie -o x /u/Scrt1.o -L/u -L . h.o -lm \
             --push-state --as-needed -lgcc_s --pop-state -lc /u/crtn.o",
            "/u/Scrt1.o h.o lib:m lib:gcc_s lib:c /u/crtn.o",
            "/u .",
            "x",
        );
        check(
            "ld -static -z relro -o x a.o --start-group -lgcc -lc --end-group",
            "a.o static:gcc static:c",
            "",
            "x",
        );
        check(
            "ld -shared -soname libx.so.1 -o libx.so.1 a.o -Bstatic -la -Bdynamic -lb -l:c.so.2 -rpath /r -O1",
            "a.o static:a lib:b lib::c.so.2",
            "",
            "libx.so.1",
        );
        check(
            "ld --version-script=x.map --version-script y.map -T s.ld -Map=x.txt -o x a.o",
            "also:x.map also:y.map script:s.ld a.o",
            "",
            "x.txt x",
        );
        check("ld -o \"a b\" c\\ d.o", "c d.o", "", "a b");
    }

    #[test]
    fn what_is_not_understood_is_said_to_be() {
        for line in [
            "ld @x",
            "ld --strange",
            "ld -o",
            "ld -R x",
            "ld --just-symbols=x",
            "ld -c",
        ] {
            assert!(Invocation::read(&split(line).unwrap()).is_err(), "{line}");
        }
        assert!(split("ld \"x").is_err());
        assert!(command_line("Using built-in specs.\n").is_err());
        assert!(command_line(" /x/cc1 a.c\n /x/collect2 -o x\n").is_err());
        let found = command_line("Using built-in specs.\nCOLLECT_GCC=gcc\n /x/collect2 -o x\n");
        assert_eq!(found.unwrap(), ["/x/collect2", "-o", "x"]);
    }
}
