//! TOML, written as the `tomlkit` of Python writes it: plain values first, then tables, each with
//! an empty line before it. Sources that both programs stage must be the same bytes.

use toml::{Table, Value};

/// The text of a document.
pub(crate) fn to_text(document: &Table) -> String {
    let mut out = String::new();
    write_table(document, &mut Vec::new(), &mut out);
    out
}

fn is_table(value: &Value) -> bool {
    value.is_table() || is_array_of_tables(value)
}

fn is_array_of_tables(value: &Value) -> bool {
    let all_tables = |array: &Vec<Value>| !array.is_empty() && array.iter().all(Value::is_table);
    value.as_array().is_some_and(all_tables)
}

fn write_table(table: &Table, path: &mut Vec<String>, out: &mut String) {
    for (name, value) in table.iter().filter(|(_, value)| !is_table(value)) {
        out.push_str(&format!("{} = {}\n", key(name), inline(value)));
    }
    for (name, value) in table.iter().filter(|(_, value)| is_table(value)) {
        path.push(key(name));
        match value {
            Value::Table(table) => {
                // One that only has tables in it needs no header of its own.
                if table.is_empty() || !table.values().all(is_table) {
                    header(path, "[", "]", out);
                }
                write_table(table, path, out);
            }
            value => {
                let tables = value.as_array().into_iter().flatten();
                for table in tables.filter_map(Value::as_table) {
                    header(path, "[[", "]]", out);
                    write_table(table, path, out);
                }
            }
        }
        path.pop();
    }
}

fn header(path: &[String], before: &str, after: &str, out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&format!("{before}{}{after}\n", path.join(".")));
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => string(name),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let entries = table.iter();
            let entries = entries.map(|(name, value)| format!("{} = {}", key(name), inline(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Float(number) => format!("{number:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Datetime(time) => time.to_string(),
    }
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            char if char.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_last_and_have_a_line_before_them() {
        let document: Table = r#"
[package]
version.workspace = true
name = "a"
"quoted.key" = 'C:\x'
list = [1, "a", {x = 1.50}]
[[bin]]
name = "b"
[profile.release.package.x]
lto = true
[empty]
"#
        .parse()
        .unwrap();
        let expected = r#"[package]
name = "a"
"quoted.key" = "C:\\x"
list = [1, "a", {x = 1.5}]

[package.version]
workspace = true

[[bin]]
name = "b"

[profile.release.package.x]
lto = true

[empty]
"#;
        assert_eq!(to_text(&document), expected);
    }
}
