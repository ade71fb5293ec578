//! Command lines, and what is made of them.

use super::*;

fn read(line: &str) -> Call {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    classify(&arguments)
}

fn check_compile(line: &str, sources: &str, outputs: &str, scan: &str) {
    let Call::Compile(compile) = read(line) else {
        panic!("{line}: {:?}", read(line));
    };
    assert_eq!(compile.sources.join(" "), sources, "{line}");
    assert_eq!(compile.outputs.join(" "), outputs, "{line}");
    assert_eq!(compile.scan.join(" "), scan, "{line}");
}

#[test]
fn compilers_are_known_by_name() {
    for name in [
        "gcc",
        "/usr/bin/gcc",
        "g++",
        "cc",
        "c++",
        "clang",
        "clang++",
        "gcc-12",
        "clang++-17.0",
        "x86_64-linux-gnu-gcc",
        "x86_64-linux-gnu-gcc-12",
        "arm-none-eabi-g++",
        "c99-gcc",
        "c99",
    ] {
        assert!(is_compiler(name), "{name}");
    }
    for name in [
        "ld",
        "ar",
        "gcc-ar",
        "nvcc",
        "cpp",
        "ccache",
        "clang-tidy",
        "gcc-",
        "rustc",
        "",
    ] {
        assert!(!is_compiler(name), "{name}");
    }
}

#[test]
fn calls_that_compile() {
    check_compile("gcc -c a.c", "a.c", "a.o", "a.c -M");
    check_compile("gcc -c src/a.b.c", "src/a.b.c", "a.b.o", "src/a.b.c -M");
    check_compile("gcc -c a.c b.c", "a.c b.c", "a.o b.o", "a.c b.c -M");
    check_compile(
        "gcc -DA -I inc -c a.c -o .libs/a.o",
        "a.c",
        ".libs/a.o",
        "-DA -I inc a.c -M",
    );
    check_compile("g++ -oa.o -c a.cc", "a.cc", "a.o", "a.cc -M");
    check_compile(
        "cc -MD -MT CMakeFiles/x.dir/a.c.o -MF CMakeFiles/x.dir/a.c.o.d -o CMakeFiles/x.dir/a.c.o -c /s/a.c",
        "/s/a.c",
        "CMakeFiles/x.dir/a.c.o CMakeFiles/x.dir/a.c.o.d",
        "/s/a.c -M",
    );
    check_compile(
        "gcc -MMD -MP -c a.c -o o/a.o",
        "a.c",
        "o/a.d o/a.o",
        "a.c -M",
    );
    check_compile("gcc -Wp,-MMD,.a.d -c a.c", "a.c", ".a.d a.o", "a.c -M");
    check_compile(
        "gcc --coverage -c a.c -o o/a.o",
        "a.c",
        "o/a.gcno o/a.o",
        "--coverage a.c -M",
    );
    check_compile(
        "gcc -gsplit-dwarf -fstack-usage -c a.c",
        "a.c",
        "a.dwo a.o a.su",
        "-gsplit-dwarf -fstack-usage a.c -M",
    );
    check_compile("gcc -Wl,-O1 -flto -c a.c", "a.c", "a.o", "-flto a.c -M");
    check_compile(
        "gcc -include config.h -c a.c",
        "a.c",
        "a.o",
        "-include config.h a.c -M",
    );
}

#[test]
fn calls_that_must_run_here() {
    for line in [
        "ld -o a a.o",
        "gcc -E a.c",
        "gcc -S a.c",
        "gcc -M a.c",
        "gcc -MM -c a.c",
        "gcc --version",
        "gcc -v",
        "gcc -c",
        "gcc -c -",
        "gcc -xc -c -",
        "gcc @args -c a.c",
        "gcc -save-temps=obj -c a.c",
        "gcc -c a.h",
        "gcc -c a.c b.c -o a.o",
        "gcc -x c-header -c a.c",
        "gcc -specs=x -c a.c",
        "gcc -fprofile-use -c a.c",
        "gcc -march=native -c a.c",
        "gcc a.c -o a",
        "gcc -c a.c -o",
        "gcc -fplugin=x.so -c a.c",
        "clang -Xclang -load -c a.c",
        "gcc -dumpversion",
        "gcc -print-file-name=libc.so",
        "gcc -c a.o",
    ] {
        assert!(
            matches!(read(line), Call::Local(_)),
            "{line}: {:?}",
            read(line)
        );
    }
}

#[test]
fn calls_that_link() {
    for line in [
        "gcc a.o b.o -o x",
        "gcc -shared -Wl,-soname,libx.so.1 -o libx.so.1 a.o -lm",
        "g++ -flto=auto a.o",
        "gcc -pthread a.o libb.a -L. -lc -Xlinker -z -Xlinker now -o x",
        "cc -Wl,--version-script=x.map a.o",
    ] {
        assert!(
            matches!(read(line), Call::Link(_)),
            "{line}: {:?}",
            read(line)
        );
    }
    for line in [
        "gcc a.o @x",
        "gcc a.o -Wl,@x",
        "gcc a.c b.o",
        "gcc --sysroot=/x a.o",
        "gcc -MD a.o",
    ] {
        assert!(
            matches!(read(line), Call::Local(_)),
            "{line}: {:?}",
            read(line)
        );
    }
}
