//! Reading the make rules that compilers write with `-M`.
//!
//! The quoting is that of GCC and clang: a backslash before a blank, `#` or `:` keeps it, backslashes
//! before such a one are doubled, `$` is doubled, and a backslash at a line's end continues it.

/// The prerequisites of all rules in `text`, in order, each once.
pub(crate) fn prerequisites(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for rule in split_rules(text) {
        let mut after_target = false;
        for word in rule {
            match word {
                Word::Colon => after_target = true,
                Word::Text(word) if after_target => {
                    if seen.insert(word.clone()) {
                        found.push(word);
                    }
                }
                Word::Text(_) => {}
            }
        }
    }
    found
}

#[derive(Debug, PartialEq)]
enum Word {
    Text(String),
    /// What ends the targets.
    Colon,
}

fn split_rules(text: &str) -> Vec<Vec<Word>> {
    let mut rules = vec![Vec::new()];
    let mut word = String::new();
    let end_word = |word: &mut String, rules: &mut Vec<Vec<Word>>, colon: bool| {
        let Some(rule) = rules.last_mut() else { return };
        if !word.is_empty() {
            rule.push(Word::Text(std::mem::take(word)));
        }
        if colon {
            rule.push(Word::Colon);
        }
    };
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let mut backslashes = 1;
                while characters.next_if_eq(&'\\').is_some() {
                    backslashes += 1;
                }
                if characters.peek() == Some(&'\r') {
                    characters.next();
                }
                let odd = backslashes % 2 == 1;
                match characters.peek() {
                    Some(' ' | '\t') => {
                        word.extend(std::iter::repeat_n('\\', backslashes / 2));
                        if odd {
                            word.extend(characters.next());
                        }
                    }
                    Some('\n') => {
                        characters.next();
                        word.extend(std::iter::repeat_n('\\', backslashes - 1));
                        end_word(&mut word, &mut rules, false);
                    }
                    Some('#' | ':') => {
                        word.extend(std::iter::repeat_n('\\', backslashes - 1));
                        word.extend(characters.next());
                    }
                    _ => word.extend(std::iter::repeat_n('\\', backslashes)),
                }
            }
            '$' => {
                let _ = characters.next_if_eq(&'$');
                word.push('$');
            }
            '\n' => {
                end_word(&mut word, &mut rules, false);
                rules.push(Vec::new());
            }
            ' ' | '\t' | '\r' => end_word(&mut word, &mut rules, false),
            ':' if matches!(characters.peek(), None | Some(' ' | '\t' | '\n' | '\r')) => {
                end_word(&mut word, &mut rules, true);
            }
            other => word.push(other),
        }
    }
    end_word(&mut word, &mut rules, false);
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(prerequisites(text), expected, "{text:?}");
    }

    #[test]
    fn rules_as_compilers_write_them() {
        check("", &[]);
        check("a.o: a.c", &["a.c"]);
        check(
            "a.o: a.c \\\n /usr/include/b.h \\\n b.h\n",
            &["a.c", "/usr/include/b.h", "b.h"],
        );
        check("a.o: a.c b.h\nb.o: b.c b.h\n", &["a.c", "b.h", "b.c"]);
        check("a.o x.d: a.c\n\nb.h:\n", &["a.c"]);
        check("a.o: a.c\\\r\n b.h\r\n", &["a.c", "b.h"]);
    }

    #[test]
    fn names_with_odd_characters() {
        check(r"a.o: a\ b.c", &["a b.c"]);
        check(r"a.o: a\\\ b.c", &[r"a\ b.c"]);
        check(r"a.o: a\b.c", &[r"a\b.c"]);
        check(r"a.o: a\#b.c $$HOME.h", &["a#b.c", "$HOME.h"]);
        check("a\\:b.o: c:d.c", &["c:d.c"]);
        check("a.o: å.c", &["å.c"]);
    }
}
