//! Helper functions that printed kernels may call: a dialect keeps them in one file of its language, separated
//! by empty lines, and only those that a kernel needs are printed with it.

use super::dialect::Dialect;

/// What must stand before a text: the definitions and helper functions of its language that it uses.
pub(super) fn needed(dialect: &dyn Dialect, text: &str) -> Vec<String> {
    let mut all = dialect.definitions(text);
    all.extend(used(dialect.helpers(), text));
    all
}

/// Those of a file's definitions that a text uses, directly or through another, in the file's order.
fn used(file: &'static str, text: &str) -> Vec<String> {
    let all: Vec<&str> = file.split("\n\n").map(str::trim).filter(|d| !d.is_empty()).collect();
    let mut wanted = vec![false; all.len()];
    loop {
        let texts = || std::iter::once(text).chain(all.iter().zip(&wanted).filter(|(_, w)| **w).map(|(d, _)| *d));
        let found = (0..all.len()).find(|&i| !wanted[i] && texts().any(|t| mentions(t, name(all[i]))));
        match found {
            Some(i) => wanted[i] = true,
            None => break,
        }
    }
    all.iter().zip(wanted).filter(|(_, w)| *w).map(|(d, _)| format!("{d}\n")).collect()
}

/// What a definition defines: the word before the first of `(`, `{`, `:` in its first line of code.
fn name(definition: &str) -> &str {
    let code = definition.lines().find(|l| !l.starts_with("//") && !l.starts_with('#')).unwrap_or_default();
    let head = code.split(['(', '{', ':']).next().unwrap_or_default();
    head.split_whitespace().last().unwrap_or_default()
}

fn mentions(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(i, _)| !text[..i].ends_with(part) && !text[i + name.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_used_and_what_that_uses() {
        let file = "// One.\nfn one(x: f32) -> f32 {\n  return x;\n}\n\nvar<private> two: u32 = 2u;\n\n\
                    fn three(x: f32) -> f32 {\n  return one(x);\n}\n\nstruct Four {\n  float at[4];\n};";
        let names = |text| used(file, text).iter().map(|d| name(d).to_string()).collect::<Vec<_>>();
        assert_eq!(names("three(1.0)"), ["one", "three"]);
        assert_eq!(names("two + bone(1.0) + three_(2.0)"), ["two"]);
        assert_eq!(names("Four x;"), ["Four"]);
        assert_eq!(names(""), [""; 0]);
    }
}
