//! Conditions: the part of Jinja2's expressions that projects use.
//!
//! Comparisons (`==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`, chained as in Python), `not`,
//! `and`, `or`, parentheses, string and number literals, `true`, `false`, `none`, lists and tuples,
//! and names of options. Anything else is an error that says so.

use std::fmt;
use std::sync::Arc;

/// A value in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Str(Arc<str>),
    List(Vec<Value>),
}

impl Value {
    fn truth(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Str(value) => !value.is_empty(),
            Self::List(value) => !value.is_empty(),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a number",
            Self::Str(_) => "a string",
            Self::List(_) => "a list",
        }
    }

    /// As Python compares: a boolean is the number 0 or 1.
    fn number(&self) -> Option<i64> {
        match self {
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| left.equals(right))
            }
            _ => match (self.number(), other.number()) {
                (Some(left), Some(right)) => left == right,
                _ => self == other,
            },
        }
    }
}

/// Nested parentheses, lists and `not`s.
const MAX_DEPTH: usize = 50;

/// Whether the expression is true; `lookup` gives the options.
pub(crate) fn evaluate(
    expression: &str,
    lookup: &dyn Fn(&str) -> Option<Value>,
) -> Result<bool, String> {
    let mut parser = Parser {
        rest: expression,
        depth: 0,
        lookup,
    };
    let value = parser.or(true)?;
    match parser.peek()? {
        Token::End => Ok(value.truth()),
        token => Err(format!("expected its end, found {token}")),
    }
}

#[derive(Clone, PartialEq)]
enum Token<'a> {
    End,
    Name(&'a str),
    Literal(Value),
    Sign(&'static str),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("its end"),
            Self::Name(name) => write!(f, "'{name}'"),
            Self::Literal(value) => f.write_str(value.type_name()),
            Self::Sign(sign) => write!(f, "'{sign}'"),
        }
    }
}

/// Parses and evaluates in one go. What `and` and `or` don't need is parsed but not evaluated
/// (`live` is false), so that its undefined names are no errors, as in Jinja2.
struct Parser<'a> {
    rest: &'a str,
    depth: usize,
    lookup: &'a dyn Fn(&str) -> Option<Value>,
}

impl<'a> Parser<'a> {
    fn or(&mut self, live: bool) -> Result<Value, String> {
        let mut value = self.and(live)?;
        while self.take_name("or")? {
            let decided = value.truth();
            let right = self.and(live && !decided)?;
            if !decided {
                value = right;
            }
        }
        Ok(value)
    }

    fn and(&mut self, live: bool) -> Result<Value, String> {
        let mut value = self.not(live)?;
        while self.take_name("and")? {
            let decided = !value.truth();
            let right = self.not(live && !decided)?;
            if !decided {
                value = right;
            }
        }
        Ok(value)
    }

    fn not(&mut self, live: bool) -> Result<Value, String> {
        let mut negations = 0;
        while self.take_name("not")? {
            negations += 1;
        }
        let value = self.comparison(live)?;
        Ok(match negations {
            0 => value,
            _ => Value::Bool(value.truth() == (negations % 2 == 0)),
        })
    }

    fn comparison(&mut self, live: bool) -> Result<Value, String> {
        let mut left = self.operand(live)?;
        let mut result = None;
        while let Some(operator) = self.operator()? {
            let live = live && result != Some(false);
            let right = self.operand(live)?;
            if live {
                result = Some(compare(&left, operator, &right)?);
            }
            left = right;
        }
        Ok(result.map_or(left, Value::Bool))
    }

    fn operator(&mut self) -> Result<Option<&'static str>, String> {
        let before = self.rest;
        match self.next()? {
            Token::Sign(sign @ ("==" | "!=" | "<" | "<=" | ">" | ">=")) => return Ok(Some(sign)),
            Token::Name("in") => return Ok(Some("in")),
            Token::Name("not") if self.take_name("in")? => return Ok(Some("not in")),
            _ => {}
        }
        self.rest = before;
        Ok(None)
    }

    fn operand(&mut self, live: bool) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} levels deep"));
        }
        let value = match self.next()? {
            Token::Literal(value) => value,
            Token::Name("true" | "True") => Value::Bool(true),
            Token::Name("false" | "False") => Value::Bool(false),
            Token::Name("none" | "None") => Value::None,
            Token::Name(name)
                if !matches!(name, "in" | "is" | "not" | "and" | "or" | "if" | "else") =>
            {
                match (self.lookup)(name) {
                    Some(value) => value,
                    None if live => return Err(format!("there is no option '{name}'")),
                    None => Value::None,
                }
            }
            Token::Sign("[") => Value::List(self.items("]", live)?.0),
            Token::Sign("(") => match self.items(")", live)? {
                (items, false) if items.len() == 1 => {
                    items.into_iter().next().unwrap_or(Value::None)
                }
                (items, _) => Value::List(items),
            },
            token => return Err(format!("expected a value, found {token}")),
        };
        self.depth -= 1;
        match self.peek()? {
            Token::Sign(sign @ ("." | "[" | "(" | "|")) => {
                Err(format!("'{sign}' after a value is not supported"))
            }
            Token::Name("is") => Err("tests with 'is' are not supported".to_owned()),
            _ => Ok(value),
        }
    }

    /// The values up to a closing sign, and whether there was a comma behind the last.
    fn items(&mut self, close: &'static str, live: bool) -> Result<(Vec<Value>, bool), String> {
        let mut items = Vec::new();
        let mut comma = items.is_empty() && close == ")";
        loop {
            if self.take_sign(close)? {
                return Ok((items, comma));
            }
            items.push(self.or(live)?);
            comma = self.take_sign(",")?;
            if !comma && self.peek()? != Token::Sign(close) {
                return Err(format!("expected ',' or '{close}', found {}", self.peek()?));
            }
        }
    }

    fn take_name(&mut self, name: &str) -> Result<bool, String> {
        self.take(&|token| matches!(token, Token::Name(found) if *found == name))
    }

    fn take_sign(&mut self, sign: &str) -> Result<bool, String> {
        self.take(&|token| matches!(token, Token::Sign(found) if *found == sign))
    }

    fn take(&mut self, wanted: &dyn Fn(&Token<'_>) -> bool) -> Result<bool, String> {
        let before = self.rest;
        let taken = wanted(&self.next()?);
        if !taken {
            self.rest = before;
        }
        Ok(taken)
    }

    fn peek(&mut self) -> Result<Token<'a>, String> {
        let before = self.rest;
        let token = self.next();
        self.rest = before;
        token
    }

    fn next(&mut self) -> Result<Token<'a>, String> {
        const SIGNS: [&str; 14] = [
            "==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", ".", "|", "%}",
        ];
        let text = self.rest.trim_start();
        let Some(first) = text.chars().next() else {
            self.rest = text;
            return Ok(Token::End);
        };
        if let Some(sign) = SIGNS.into_iter().find(|sign| text.starts_with(sign)) {
            self.rest = &text[sign.len()..];
            return Ok(Token::Sign(sign));
        }
        match first {
            '"' | '\'' => self.string(text, first),
            '0'..='9' => {
                let (digits, rest) = split(text, |char| char.is_ascii_digit());
                self.rest = rest;
                digits
                    .parse()
                    .map(|number| Token::Literal(Value::Int(number)))
                    .map_err(|_| format!("the number '{digits}' is too large"))
            }
            _ if first.is_alphabetic() || first == '_' => {
                let (name, rest) = split(text, |char| char.is_alphanumeric() || char == '_');
                self.rest = rest;
                Ok(Token::Name(name))
            }
            _ => Err(format!("'{first}' is not supported")),
        }
    }

    fn string(&mut self, text: &'a str, quote: char) -> Result<Token<'a>, String> {
        let body = &text[1..];
        let end = body.find(quote).ok_or("a string does not end")?;
        if body[..end].contains('\\') {
            return Err("a backslash in a string is not supported".to_owned());
        }
        self.rest = &body[end + 1..];
        Ok(Token::Literal(Value::Str(body[..end].into())))
    }
}

fn split(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|char| !keep(char)).unwrap_or(text.len()))
}

fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, String> {
    let ordering = || match (left, right) {
        (Value::Str(left), Value::Str(right)) => Some(left.cmp(right)),
        _ => Some(left.number()?.cmp(&right.number()?)),
    };
    let contains = || match (left, right) {
        (_, Value::List(items)) => Some(items.iter().any(|item| item.equals(left))),
        (Value::Str(part), Value::Str(whole)) => Some(whole.contains(&**part)),
        _ => None,
    };
    let result = match operator {
        "==" => Some(left.equals(right)),
        "!=" => Some(!left.equals(right)),
        "<" => ordering().map(|ordering| ordering.is_lt()),
        "<=" => ordering().map(|ordering| ordering.is_le()),
        ">" => ordering().map(|ordering| ordering.is_gt()),
        ">=" => ordering().map(|ordering| ordering.is_ge()),
        "in" => contains(),
        _ => contains().map(|contains| !contains),
    };
    result.ok_or_else(|| {
        let (left, right) = (left.type_name(), right.type_name());
        format!("'{operator}' can't be used with {left} and {right}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, expected: Result<bool, &str>) {
        let lookup = |name: &str| {
            Some(match name {
                "arch" => Value::Str("x86_64".into()),
                "debug" => Value::Bool(false),
                "flags" => Value::List(vec![Value::Str("a".into()), Value::Str("b".into())]),
                _ => return None,
            })
        };
        let result = evaluate(expression, &lookup);
        assert_eq!(
            result.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|text| *text),
            "{expression}"
        );
    }

    #[test]
    fn true_and_false() {
        for expression in [
            r#"arch == "x86_64" and not debug"#,
            "arch in ['x86_64', 'aarch64']",
            "arch in ('x86_64',) or nothing",
            "'a' in flags and not 'c' in flags and 'c' not in flags",
            "not (debug or arch != 'x86_64')",
            "(arch == arch)",
            "not not true and '86' in arch",
            "debug == false and debug != True and 1 < 2 <= 2",
            "flags",
            "('a', 'b') == flags",
        ] {
            check(expression, Ok(true));
        }
        for expression in [
            "debug",
            "debug and nothing",
            "''",
            "arch in []",
            "arch in ()",
            "none",
            "1 > 2 < nothing",
        ] {
            check(expression, Ok(false));
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        check("nothing", Err("there is no option 'nothing'"));
        check("arch ==", Err("expected a value, found its end"));
        check("arch x", Err("expected its end, found 'x'"));
        check("(arch", Err("expected ',' or ')', found its end"));
        check("arch|upper", Err("'|' after a value is not supported"));
        check("debug is true", Err("tests with 'is' are not supported"));
        check("'a", Err("a string does not end"));
        check(
            "debug in arch",
            Err("'in' can't be used with a boolean and a string"),
        );
        check("a + b", Err("there is no option 'a'"));
        check("arch + arch", Err("'+' is not supported"));
        check(
            &"(".repeat(60),
            Err("it is nested more than 50 levels deep"),
        );
        check(
            "99999999999999999999",
            Err("the number '99999999999999999999' is too large"),
        );
        check("", Err("expected a value, found its end"));
    }

    proptest::proptest! {
        // What fails is told by the test itself; nothing is written beside the sources.
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_text_is_an_answer(text in "[a-z()\\[\\]=!<>,'\" 0-9|.%é]{0,40}") {
            let _ = evaluate(&text, &|_| Some(Value::Bool(true)));
        }
    }
}
