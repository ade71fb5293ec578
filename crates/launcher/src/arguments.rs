//! Understanding a compiler's command line: what it reads, what it writes, whether it may run
//! elsewhere at all.
//!
//! Invariant: a call whose effects are not fully understood is [`Call::Local`].

use std::path::Path;

/// What a command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Call {
    /// To be run here, for this reason.
    Local(&'static str),
    /// Sources to be compiled into objects.
    Compile(Compile),
    /// Objects to be linked.
    Link(Link),
}

/// A call with `-c`.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct Compile {
    /// The sources, as written.
    pub(crate) sources: Vec<String>,
    /// What is written, as the compiler names it.
    pub(crate) outputs: Vec<String>,
    /// Folders of headers. A compiler may complain of those that are not there.
    pub(crate) folders: Vec<String>,
    /// The arguments (without the compiler) that list all files read as make rules on stdout.
    pub(crate) scan: Vec<String>,
}

/// A call that links: no `-c` and at least one file, none of them a source.
#[derive(Debug, PartialEq, Default)]
pub(crate) struct Link {
    /// The arguments, without the compiler.
    pub(crate) arguments: Vec<String>,
}

/// Options that only change what a compiler prints, or that have it do something else than compile.
const LOCAL: &[&str] = &[
    "-E",
    "-S",
    "-M",
    "-MM",
    "-MG",
    "-###",
    "-fsyntax-only",
    "-aux-info",
    "-wrapper",
    "-MJ",
    "-specs",
    "--specs",
    "-emit-ast",
    "-emit-pch",
    "--analyze",
    "-cc1",
    "-cc1as",
    "--preprocess",
    "--assemble",
];
/// The same, by how they begin.
const LOCAL_PREFIXES: &[&str] = &[
    "-save-temps",
    "--save-temps",
    "-specs=",
    "--specs=",
    "-fprofile-use",
    "-fauto-profile",
    "-fprofile-instr-use",
    "-fprofile-sample-use",
    "-fplugin",
    "-fmodule",
    "-fdump-",
    "-fdeps-",
    "-fcallgraph-info",
    "-fopt-info-",
    "-fsave-optimization-record",
    "-ftime-trace",
    "-fdiagnostics-format=sarif-file",
    "-fdiagnostics-format=json-file",
    "-dumpbase",
    "-dumpdir",
    "-print-",
    "--print-",
    "-dump",
    "--help",
    "--version",
    "-fembed-bitcode=",
    "-Wa,-a",
    "-fsanitize-blacklist",
    "-fsanitize-ignorelist",
    "-fprofile-list",
    "-fxray-always-instrument",
    "-fxray-attr-list",
    "-objcmt",
    "-ccc-",
    "-foffload",
    "--cuda",
    "-fopenmp-targets",
];
/// Options that take their value from the next argument. With some, it may also be attached.
const VALUED: &[&str] = &[
    "-I",
    "-D",
    "-U",
    "-include",
    "-imacros",
    "-isystem",
    "-iquote",
    "-idirafter",
    "-iprefix",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-isysroot",
    "--sysroot",
    "-x",
    "-arch",
    "-target",
    "--param",
    "-Xclang",
    "-Xpreprocessor",
    "-Xassembler",
    "-Xlinker",
    "-L",
    "-l",
    "-T",
    "-u",
    "-z",
    "-e",
    "-A",
    "-G",
    "-B",
    "-mllvm",
    "-gcc-toolchain",
    "-F",
    "-framework",
    "-MF",
    "-MT",
    "-MQ",
    "-o",
    "-h",
    "-soname",
    "-stdlib++-isystem",
];
/// Options that name folders of headers.
const FOLDERS: &[&str] = &["-I", "-isystem", "-iquote", "-idirafter"];
/// Options about make rules, which the scan sets itself.
const MAKE_RULES: &[&str] = &["-MD", "-MMD", "-MP"];

/// Whether `program` is a compiler whose command lines are understood: gcc, g++, cc, c++, clang or
/// clang++, with a target before and a version behind it.
pub(crate) fn is_compiler(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    let unversioned = match name.rsplit_once('-') {
        Some((stem, version))
            if version.starts_with(|first: char| first.is_ascii_digit())
                && version.chars().all(|c| c.is_ascii_digit() || c == '.') =>
        {
            stem
        }
        _ => name,
    };
    const NAMES: &[&str] = &["gcc", "g++", "cc", "c++", "c99", "c89", "clang", "clang++"];
    match unversioned.rsplit_once('-') {
        None => NAMES.contains(&unversioned),
        Some((target, kind)) => {
            NAMES.contains(&kind) && (target.contains('-') || ["c99", "c89"].contains(&target))
        }
    }
}

/// Reads the command line `arguments`, the program's name first.
pub(crate) fn classify(arguments: &[String]) -> Call {
    let Some((program, rest)) = arguments.split_first() else {
        return Call::Local("there is no command");
    };
    if !is_compiler(program) {
        return Call::Local("it is not a compiler that is known");
    }
    let mut reading = Reading::default();
    if let Err(reason) = reading.read(rest) {
        return Call::Local(reason);
    }
    match reading.finish() {
        Call::Link(_) => Call::Link(Link {
            arguments: rest.to_vec(),
        }),
        call => call,
    }
}

/// What has been read of a command line so far.
#[derive(Default)]
struct Reading {
    compile_only: bool,
    files: Vec<String>,
    output: Option<String>,
    rules: Rules,
    coverage: bool,
    split_dwarf: bool,
    stack_usage: bool,
    folders: Vec<String>,
    link_only: Option<&'static str>,
    scan: Vec<String>,
}

/// Where make rules go that are written while compiling.
#[derive(Default)]
struct Rules {
    wanted: bool,
    file: Option<String>,
    /// From `-Wp,-MD,FILE`, which goes past the driver.
    others: Vec<String>,
}

impl Reading {
    fn read(&mut self, arguments: &[String]) -> Result<(), &'static str> {
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument.starts_with('@') {
                return Err("it has a response file");
            }
            if argument == "-" {
                return Err("it reads from its standard input");
            }
            if !argument.starts_with('-') {
                self.scan.push(argument.clone());
                self.files.push(argument.clone());
                continue;
            }
            if LOCAL.contains(&argument.as_str())
                || LOCAL_PREFIXES
                    .iter()
                    .any(|prefix| argument.starts_with(prefix))
            {
                return Err("it has an option whose effects can't be told");
            }
            if VALUED.contains(&argument.as_str()) {
                let value = arguments.next().ok_or("an option lacks its value")?;
                self.valued(argument, value)?;
            } else {
                self.single(argument)?;
            }
        }
        Ok(())
    }

    fn valued(&mut self, option: &str, value: &str) -> Result<(), &'static str> {
        match option {
            "-o" => {
                if self.output.replace(value.to_owned()).is_some() {
                    return Err("it has more than one -o");
                }
                return Ok(());
            }
            "-MF" => {
                self.rules.file = Some(value.to_owned());
                return Ok(());
            }
            "-MT" | "-MQ" => return Ok(()),
            "-x" if value.ends_with("-header") || value == "none" => {
                return Err("it makes a precompiled header");
            }
            "-Xclang" | "-Xassembler" => return Err("it has options for a part of the compiler"),
            "-Xpreprocessor" if value.starts_with("-M") => {
                return Err("it has options for a part of the compiler");
            }
            "-Xlinker" => return self.linker(value),
            _ if FOLDERS.contains(&option) => self.folders.push(value.to_owned()),
            "-B" | "--sysroot" | "-isysroot" | "-gcc-toolchain" => {
                self.link_only = Some("it links with a toolchain from elsewhere");
            }
            _ => {}
        }
        self.scan.extend([option.to_owned(), value.to_owned()]);
        Ok(())
    }

    fn single(&mut self, option: &str) -> Result<(), &'static str> {
        match option {
            "-c" => {
                self.compile_only = true;
                return Ok(());
            }
            "-MD" | "-MMD" => self.rules.wanted = true,
            "--coverage" | "-ftest-coverage" => self.coverage = true,
            "-gsplit-dwarf" => self.split_dwarf = true,
            "-fstack-usage" => self.stack_usage = true,
            "-march=native" | "-mtune=native" | "-mcpu=native" => {
                return Err("its result depends on this machine");
            }
            _ => {}
        }
        if MAKE_RULES.contains(&option) {
            return Ok(());
        }
        let attached = |short: &str| option.strip_prefix(short).filter(|rest| !rest.is_empty());
        if let Some(value) = attached("-MF") {
            self.rules.file = Some(value.to_owned());
            return Ok(());
        }
        if attached("-MT").or(attached("-MQ")).is_some() {
            return Ok(());
        }
        if option.starts_with("-M") {
            return Err("it has an option whose effects can't be told");
        }
        if let Some(value) = attached("-o").filter(|_| !option.starts_with("-objc")) {
            return self.valued("-o", value);
        }
        if let Some(rest) = option.strip_prefix("-Wp,") {
            return self.preprocessor(option, rest);
        }
        if let Some(rest) = option.strip_prefix("-Wl,") {
            return rest.split(',').try_for_each(|option| self.linker(option));
        }
        if option.starts_with("-Wa,") && option.contains('=') && option.contains("-M") {
            return Err("it has options for a part of the compiler");
        }
        if let Some(folder) = FOLDERS.iter().find_map(|option| attached(option)) {
            self.folders.push(folder.to_owned());
        }
        if attached("-B").is_some() || option.starts_with("--sysroot=") {
            self.link_only = Some("it links with a toolchain from elsewhere");
        }
        self.scan.push(option.to_owned());
        Ok(())
    }

    /// `-Wp,-MD,FILE` and its like.
    fn preprocessor(&mut self, option: &str, rest: &str) -> Result<(), &'static str> {
        let words: Vec<&str> = rest.split(',').collect();
        match words[..] {
            ["-MD" | "-MMD", file] => self.rules.others.push(file.to_owned()),
            _ if words.iter().any(|word| word.starts_with("-M")) => {
                return Err("it has options for a part of the compiler");
            }
            _ => self.scan.push(option.to_owned()),
        }
        Ok(())
    }

    /// One option for the linker, which whoever reads the linker's command line will meet.
    fn linker(&mut self, option: &str) -> Result<(), &'static str> {
        if option.starts_with('@') {
            return Err("it has a response file");
        }
        Ok(())
    }

    fn finish(self) -> Call {
        if !self.compile_only {
            return self.finish_link();
        }
        if self.files.is_empty() {
            return Call::Local("it has no source");
        }
        if self.files.iter().any(|file| !is_source(file)) {
            return Call::Local("it has a file that is no source");
        }
        if self.files.len() > 1 && self.output.is_some() {
            return Call::Local("it has several sources and one output");
        }
        let mut outputs = Vec::new();
        for source in &self.files {
            self.outputs_of(source, &mut outputs);
        }
        outputs.extend(self.rules.others.iter().cloned());
        outputs.sort();
        outputs.dedup();
        let mut scan = self.scan;
        scan.push("-M".to_owned());
        Call::Compile(Compile {
            sources: self.files,
            folders: self.folders,
            outputs,
            scan,
        })
    }

    fn outputs_of(&self, source: &str, outputs: &mut Vec<String>) {
        let object = match &self.output {
            Some(output) => output.clone(),
            None => {
                let name = source.rsplit('/').next().unwrap_or(source);
                with_extension(name, "o")
            }
        };
        if self.rules.wanted {
            let rules = self.rules.file.clone();
            outputs.push(rules.unwrap_or_else(|| with_extension(&object, "d")));
        }
        if self.coverage {
            outputs.push(with_extension(&object, "gcno"));
        }
        if self.split_dwarf {
            outputs.push(with_extension(&object, "dwo"));
        }
        if self.stack_usage {
            outputs.push(with_extension(&object, "su"));
        }
        outputs.push(object);
    }

    fn finish_link(self) -> Call {
        if let Some(reason) = self.link_only {
            return Call::Local(reason);
        }
        if self.files.is_empty() {
            return Call::Local("it neither compiles nor links");
        }
        if self.files.iter().any(|file| is_source(file)) {
            return Call::Local("it compiles and links at once");
        }
        if self.rules.wanted || !self.rules.others.is_empty() {
            return Call::Local("it links and writes make rules");
        }
        Call::Link(Link {
            arguments: Vec::new(),
        })
    }
}

/// Whether `file` is compiled to an object, by its name.
fn is_source(file: &str) -> bool {
    const EXTENSIONS: &[&str] = &[
        "c", "cc", "cp", "cxx", "cpp", "CPP", "c++", "C", "i", "ii", "s", "S", "sx", "m", "mm", "M",
    ];
    let extension = Path::new(file)
        .extension()
        .and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

/// `path` with what follows the last dot of its name replaced.
fn with_extension(path: &str, extension: &str) -> String {
    let (folder, name) = match path.rfind('/') {
        Some(slash) => path.split_at(slash + 1),
        None => ("", path),
    };
    let stem = name.rfind('.').map_or(name, |dot| &name[..dot]);
    format!("{folder}{stem}.{extension}")
}

#[cfg(test)]
mod tests;
