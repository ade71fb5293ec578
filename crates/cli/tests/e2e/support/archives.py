"""Makes archives of all kinds in a folder, with what is easily got wrong in them."""

import io, os, stat, sys, tarfile, zipfile

os.chdir(sys.argv[1])


def member(tar, name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content))


for name, mode in [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.xz", "w:xz"), ("a.tar.bz2", "w:bz2")]:
    with tarfile.open(name, mode) as tar:
        # Before the directory in the order of names, and not in it.
        member(tar, "AAA", b"outside")
        member(tar, "./pkg-1/tool", b"#!/bin/sh\n", mode=0o755)
        member(tar, "./pkg-1/sub/file", b"content")
        member(tar, "./pkg-1/link", type=tarfile.SYMTYPE, linkname="sub/file")
        member(tar, "./pkg-1/absolute", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        member(tar, "./pkg-1/hard", type=tarfile.LNKTYPE, linkname="./pkg-1/sub/file")
        member(tar, "./pkg-1/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
        member(tar, "./pkg-1/empty", type=tarfile.DIRTYPE, mode=0o755)
        member(tar, "./pkg-2/other", b"other")

with zipfile.ZipFile("a.zip", "w") as archive:
    for name, content, compression, mode in [
        ("AAA", "outside", zipfile.ZIP_STORED, 0o644),
        ("pkg-1/tool", "#!/bin/sh\n", zipfile.ZIP_DEFLATED, 0o755),
        ("pkg-1/sub/../file", "up", zipfile.ZIP_DEFLATED, 0o644),
        ("pkg-1//../../../up", "further up", zipfile.ZIP_BZIP2, 0o644),
        ("pkg-1/é/ü", "umlauts", zipfile.ZIP_DEFLATED, 0o644),
        ("pkg-1/empty/", "", zipfile.ZIP_STORED, 0o755),
        ("pkg-1/link", "/etc/passwd", zipfile.ZIP_STORED, stat.S_IFLNK | 0o777),
        ("pkg-2/other", "other", zipfile.ZIP_DEFLATED, 0o644),
    ]:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content, compression)

with tarfile.open("demo-1.0.tar.gz", "w:gz") as tar:
    member(tar, "demo-1.0/setup.py", b"setup\n", mode=0o755)
    member(tar, "demo-1.0/demo/__init__.py", b"\n")
with zipfile.ZipFile("demo-2.0.zip", "w") as archive:
    archive.writestr("demo-2.0/setup.py", "setup\n")

for name, version in [("one", "1.0.0"), ("two", "0.2.0")]:
    folder = f"crates/{name}"
    os.makedirs(folder)
    with tarfile.open(f"{folder}/{name}-{version}.crate", "w:gz") as tar:
        toml = f'[package]\nname = "{name}"\nversion = "{version}"\n'.encode()
        member(tar, f"{name}-{version}/Cargo.toml", toml)
        member(tar, f"{name}-{version}/src/lib.rs", b"pub fn f() {}\n")
