//! The projects that most tests build.

/// base.bst ← liba.bst ← app.bst: headers and static libraries all the way up.
///
/// liba archives through recc, so that even this is an action; base archives where it is.
pub(crate) const CHAIN: &str = r"
== elements/base.bst
kind: manual
build-depends:
- (@): include/gcc.yml
sources:
- kind: local
  path: files/base
config:
  build-commands:
  - gcc -I. -c base.c -o base.o
  - ar rc libbase.a base.o
  install-commands:
  - install -D -m 644 base.h %{install-root}%{includedir}/base.h
  - install -D -m 644 libbase.a %{install-root}%{libdir}/libbase.a
== files/base/base.h
#define BASE 1
int base(void);
== files/base/base.c
#include <base.h>
int base(void) { return BASE; }
== elements/liba.bst
kind: manual
build-depends:
- (@): include/gcc.yml
depends:
- base.bst
sources:
- kind: local
  path: files/liba
config:
  build-commands:
  - gcc -I. -c one.c -o one.o
  - gcc -I. -c two.c -o two.o
  - |
    RECC_FORCE_REMOTE=1 RECC_DEPS_OVERRIDE=one.o,two.o RECC_OUTPUT_FILES_OVERRIDE=liba.a \
    recc /usr/bin/ar rc liba.a one.o two.o
  install-commands:
  - install -D -m 644 liba.h %{install-root}%{includedir}/liba.h
  - install -D -m 644 liba.a %{install-root}%{libdir}/liba.a
== files/liba/liba.h
int one(void);
int two(void);
== files/liba/one.c
#include <base.h>
#include <liba.h>
int one(void) { return BASE; }
== files/liba/two.c
#include <base.h>
#include <liba.h>
int two(void) { return 2 * base(); }
== elements/app.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- liba.bst
sources:
- kind: local
  path: files/app
config:
  build-commands:
  - gcc -c app.c -o app.o
  - gcc app.o -la -lbase -o app
  - ./app
  install-commands:
  - install -D app %{install-root}%{bindir}/app
== files/app/app.c
#include <base.h>
#include <liba.h>
int main(void) { return one() + two() + base() - 4 * BASE; }
";

/// values.bst ← codegen.bst ← user.bst ← program.bst: a header that is made by an action.
///
/// codegen fails at the end, after that action, of values that say BROKEN.
pub(crate) const GENERATED: &str = r"
== elements/values.bst
kind: import
sources:
- kind: local
  path: files/values
config:
  target: /usr/share/values
== files/values/values
# What the program is about.
VALUE 1
== elements/codegen.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- values.bst
sources:
- kind: local
  path: files/codegen
config:
  build-commands:
  - |
    RECC_FORCE_REMOTE=1 RECC_OUTPUT_FILES_OVERRIDE=gen.h \
    RECC_DEPS_OVERRIDE=generate,/usr/share/values/values \
    recc /usr/bin/sed -n -f generate /usr/share/values/values
  install-commands:
  - '! grep BROKEN /usr/share/values/values'
  - install -D -m 644 gen.h %{install-root}%{includedir}/gen.h
== files/codegen/generate
/^VALUE/ {
  s/^/#define /
  w gen.h
}
== elements/user.bst
kind: manual
build-depends:
- (@): include/gcc.yml
depends:
- codegen.bst
sources:
- kind: local
  path: files/user
config:
  build-commands:
  - gcc -c user.c -o user.o
  - gcc -c other.c -o other.o
  - ar rc libuser.a user.o other.o
  install-commands:
  - install -D -m 644 libuser.a %{install-root}%{libdir}/libuser.a
== files/user/user.c
#include <gen.h>
int user(void) { return VALUE; }
== files/user/other.c
int other(void) { return 0; }
== elements/program.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- user.bst
sources:
- kind: local
  path: files/program
config:
  build-commands:
  - gcc -c program.c -o program.o
  - gcc program.o -luser -o program
  - ./program
  install-commands:
  - install -D program %{install-root}%{bindir}/program
== files/program/program.c
#include <gen.h>
int user(void);
int other(void);
int main(void) { return user() + other() - VALUE; }
";

/// base.bst ← app.bst: headers in a directory of their version, whose name a file tells, as pkg-config
/// does. app compiles two files after a while of configuring.
pub(crate) const VERSIONED: &str = r#"
== elements/base.bst
kind: manual
build-depends:
- (@): include/gcc.yml
sources:
- kind: local
  path: files/base
variables:
  folder: "%{includedir}/base-1.9"
config:
  install-commands:
  - install -D -m 644 base.h "%{install-root}%{folder}/base.h"
  - install -D -m 644 detail.h "%{install-root}%{folder}/detail/detail.h"
  - echo "-I%{folder} -DBASE=\"%{folder}/\"" > flags
  - install -D -m 644 flags "%{install-root}%{datadir}/flags"
== files/base/base.h
#include <detail/detail.h>
== files/base/detail.h
#define DETAIL 1
== elements/app.bst
kind: manual
build-depends:
- (@): include/gcc.yml
- base.bst
sources:
- kind: local
  path: files/app
config:
  configure-commands:
  - sleep 4
  build-commands:
  - gcc $(cat %{datadir}/flags) -c one.c -o one.o
  - gcc $(cat %{datadir}/flags) -c two.c -o two.o
  install-commands:
  - install -D one.o %{install-root}/one.o
  - install -D two.o %{install-root}/two.o
== files/app/one.c
#include <base.h>
int one(void) { return DETAIL; }
== files/app/two.c
#include <detail/detail.h>
int two(void) { return 2 * DETAIL; }
"#;
