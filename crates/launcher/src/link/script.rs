//! The files that a linker script leads to.

use crate::scan::Reason;

/// What `INPUT` and `GROUP` name in `text`, in order: files, and libraries as `-lNAME`.
pub(super) fn names(text: &str) -> Result<Vec<String>, Reason> {
    let mut names = Vec::new();
    let words = words(text)?;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "INCLUDE" | "SEARCH_DIR" | "STARTUP" => {
                return Err(format!("a linker script uses {word}"));
            }
            "INPUT" | "GROUP" => {
                let mut depth = 0;
                for word in words.by_ref() {
                    match word {
                        "(" => depth += 1,
                        ")" => depth -= 1,
                        "AS_NEEDED" | "," => {}
                        name => names.push(name.to_owned()),
                    }
                    if depth <= 0 {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// The words, without comments and quotes.
fn words(text: &str) -> Result<Vec<String>, Reason> {
    let mut words = Vec::new();
    let mut rest = text;
    let unfinished = || "a linker script does not end as it should".to_owned();
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").ok_or_else(unfinished)?.1;
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"').ok_or_else(unfinished)?;
            words.push(word.to_owned());
            rest = after;
        } else if "(),;{}".contains(first) {
            words.push(first.to_string());
            rest = &rest[1..];
        } else if first.is_whitespace() {
            rest = rest.trim_start();
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "(),;{}\"".contains(c));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            words.push(word.to_owned());
            rest = after;
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_libraries() {
        let check =
            |text: &str, expected: &[&str]| assert_eq!(names(text).unwrap(), expected, "{text}");
        check("", &[]);
        check(
            "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\n\
             GROUP ( /lib/libc.so.6 /usr/lib/libc_nonshared.a  AS_NEEDED ( /lib64/ld.so.2 ) )\n",
            &[
                "/lib/libc.so.6",
                "/usr/lib/libc_nonshared.a",
                "/lib64/ld.so.2",
            ],
        );
        check(
            "INPUT(libncurses.so.6 -ltinfo)",
            &["libncurses.so.6", "-ltinfo"],
        );
        check("INPUT(\"a b.o\",c.o) GROUP(d.o)", &["a b.o", "c.o", "d.o"]);
        check("VERS_1 { global: a; local: *; };", &[]);
    }

    #[test]
    fn scripts_that_lead_elsewhere_are_not_followed() {
        for text in [
            "INCLUDE other.ld",
            "SEARCH_DIR(/x)",
            "INPUT(\"a",
            "/* no end",
        ] {
            assert!(names(text).is_err(), "{text}");
        }
    }
}
