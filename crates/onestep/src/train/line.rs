//! The line of a TOML document that an error is about.
//!
//! Tagged tables lose their places while they are read, so the place is found by trying: a key is to blame if the
//! error goes away or changes without it, an item of a list if the list fails alike up to it.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

enum Step {
    Key(String),
    Item(usize),
}

/// The line, from 1, of the innermost key or item that makes `parse` fail with `message`; `None` if it is the
/// document as a whole.
pub(super) fn blame(text: &str, message: &str, parse: impl Fn(Table) -> Result<(), String>) -> Option<usize> {
    let document: Table = text.parse().ok()?;
    let fails_alike = |table: Table| parse(table).is_err_and(|other| other == message);
    // A missing key lies in a table; no value that is there is to blame.
    let missing = message.contains("missing field");
    let mut path: Vec<Step> = Vec::new();
    loop {
        let without = |step: &Step| {
            let mut document = Value::Table(document.clone());
            match (follow(&mut document, &path), step) {
                (Some(Value::Table(table)), Step::Key(key)) => drop(table.remove(key)),
                (Some(Value::Array(items)), Step::Item(i)) => items.truncate(*i),
                _ => {}
            }
            match document {
                Value::Table(table) => table,
                _ => Table::new(),
            }
        };
        let mut whole = Value::Table(document.clone());
        let next = match follow(&mut whole, &path)? {
            Value::Table(table) => {
                let may_hold = |value: &Value| !missing || matches!(value, Value::Table(_) | Value::Array(_));
                let mut keys: Vec<_> = table.iter().filter(|(_, v)| may_hold(v)).map(|(key, _)| key.clone()).collect();
                // Without its tag a table fails otherwise, whatever is wrong in it: the tag is tried last.
                keys.sort_by_key(|key| matches!(key.as_str(), "type" | "kind"));
                keys.into_iter().map(Step::Key).find(|step| !fails_alike(without(step)))
            }
            Value::Array(items) => {
                (1..=items.len()).find(|&n| fails_alike(without(&Step::Item(n)))).map(|n| Step::Item(n - 1))
            }
            _ => None,
        };
        match next {
            Some(step) => path.push(step),
            None => return Some(line(text, offset(text, &path)?)),
        }
    }
}

/// The line, from 1, of the key that these keys lead to, or of the last of them that is there.
pub(super) fn line_of(text: &str, keys: &[&str]) -> Option<usize> {
    let path: Vec<Step> = keys.iter().map(|key| Step::Key(key.to_string())).collect();
    (1..=path.len()).rev().find_map(|n| offset(text, &path[..n])).map(|offset| line(text, offset))
}

/// The line, from 1, of a byte.
pub(super) fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

fn follow<'v>(document: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(document, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Item(i) => value.get_mut(*i),
    })
}

/// Where the last step of a path begins: a key itself, an item's value.
fn offset(text: &str, path: &[Step]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut at = Spanned::new(document.span(), DeValue::Table(document.into_inner()));
    let mut start = None;
    for step in path {
        at = match (at.into_inner(), step) {
            (DeValue::Table(table), Step::Key(key)) => {
                let (key, value) = table.into_iter().find(|(k, _)| k.get_ref() == key)?;
                start = Some(key.span().start);
                value
            }
            (DeValue::Array(items), Step::Item(i)) => {
                let item = items.into_iter().nth(*i)?;
                start = Some(item.span().start);
                item
            }
            _ => return None,
        };
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n\n[b]\nc = [\n  { d = 1 },\n  { d = 2,\n    e = 3 },\n]\n";

    /// Fails with the first number that equals `bad`.
    fn check(bad: i64) -> Option<usize> {
        fn find(value: &Value, bad: i64) -> bool {
            match value {
                Value::Integer(n) => *n == bad,
                Value::Array(items) => items.iter().any(|item| find(item, bad)),
                Value::Table(table) => table.values().any(|value| find(value, bad)),
                _ => false,
            }
        }
        let parse = |table: Table| if find(&Value::Table(table), bad) { Err("bad".to_string()) } else { Ok(()) };
        blame(TEXT, "bad", parse)
    }

    #[test]
    fn finds_the_innermost_place() {
        assert_eq!([1, 2, 3].map(check), [None, Some(6), Some(7)], "1 is there twice: no single place");
        assert_eq!(blame(TEXT, "bad", |_| Err("bad".to_string())), None);
        assert_eq!(["a", "c", "x"].map(|key| line_of(TEXT, &["b", key])), [Some(3), Some(4), Some(3)]);
    }
}
