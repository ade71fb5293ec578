//! Passwords for servers, from the user's `.netrc`.

use std::env;
use std::fs;
use std::path::PathBuf;

/// The password that the user has for a host: its own, or that for all hosts without one.
pub(crate) fn password(host: &str) -> Option<String> {
    let path = match env::var_os("NETRC") {
        Some(path) => path.into(),
        None => PathBuf::from(env::var_os("HOME")?).join(".netrc"),
    };
    password_in(&fs::read_to_string(path).ok()?, host)
}

fn password_in(text: &str, host: &str) -> Option<String> {
    let mut default = None;
    // Whether what is read is of the host, or of all others.
    let (mut is_host, mut is_default) = (false, false);
    for line in without_macros(text) {
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "machine" => {
                    is_host = words.next() == Some(host);
                    is_default = false;
                }
                "default" => (is_host, is_default) = (false, true),
                "password" => {
                    let password = words.next().map(|word| word.trim_matches('"').to_owned());
                    if is_host {
                        return password;
                    }
                    if is_default {
                        default = password;
                    }
                }
                _ if word.starts_with('#') => break,
                _ => {}
            }
        }
    }
    default
}

/// The lines that belong to no macro: such a one ends with an empty line.
fn without_macros(text: &str) -> impl Iterator<Item = &str> {
    let mut in_macro = false;
    text.lines().filter(move |line| {
        let line = line.trim();
        in_macro = match in_macro {
            true => !line.is_empty(),
            false => line.starts_with("macdef "),
        };
        !in_macro
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_a_password_of_its_own() {
        let text = "# mine\nmachine a login me password one\nmacdef all\nmachine m password no\n\n\
                    machine b\n  password \"two\" login x\ndefault password any";
        for (host, password) in [("a", "one"), ("b", "two"), ("m", "any"), ("", "any")] {
            assert_eq!(password_in(text, host).as_deref(), Some(password));
        }
        assert_eq!(password_in("machine a password", "a"), None);
        assert_eq!(password_in("machine b password x", "a"), None);
    }
}
