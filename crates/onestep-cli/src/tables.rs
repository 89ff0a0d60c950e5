//! Tables for people: the model's layers, the confusion matrix, numbers with their thousands apart.

use onestep::prelude::{LayerInfo, Shape};

/// The side a column's cells stand at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// Columns with a heading each, wide enough for their cells, two spaces apart.
pub fn table(columns: &[(&str, Align)], rows: Vec<Vec<String>>) -> String {
    let heading = columns.iter().map(|(name, _)| name.to_string()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let width = |c: usize| lines.iter().filter_map(|line| line.get(c)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|c| width(c).unwrap_or(0)).collect();
    let render = |line: &Vec<String>| {
        let cells = line.iter().zip(columns).zip(&widths).map(|((cell, (_, align)), &width)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    lines.iter().map(render).collect::<Vec<_>>().join("\n")
}

/// The layers of a model with the shape of their output for one sample, their parameters and the sum.
pub fn model_summary(layers: &[LayerInfo], parameters: usize) -> String {
    let columns =
        [("layer", Align::Left), ("kind", Align::Left), ("output", Align::Left), ("parameters", Align::Right)];
    let row = |layer: &LayerInfo| {
        let sample = Shape::from(layer.output.get(1..).unwrap_or_default());
        vec![layer.path.clone(), layer.kind.clone(), sample.to_string(), thousands(layer.parameters)]
    };
    let total = vec!["total".to_string(), String::new(), String::new(), thousands(parameters)];
    table(&columns, layers.iter().map(row).chain([total]).collect())
}

/// Classes beyond which a matrix is too wide to read.
const MATRIX_CLASSES: usize = 20;

/// The confusion matrix, or for many classes the ten commonest mistakes.
pub fn confusion(matrix: &[Vec<u64>], classes: &[String]) -> String {
    let name = |class: usize| classes.get(class).cloned().unwrap_or_else(|| class.to_string());
    if matrix.len() > MATRIX_CLASSES {
        return mistakes(matrix, name);
    }
    let names: Vec<String> = (0..matrix.len()).map(name).collect();
    let mut columns = vec![("true", Align::Right)];
    columns.extend(names.iter().map(|name| (name.as_str(), Align::Right)));
    columns.push(("right", Align::Right));
    let row = |(class, counts): (usize, &Vec<u64>)| {
        let shown = |&count: &u64| if count == 0 { ".".to_string() } else { count.to_string() };
        let (right, all) = (counts.get(class).copied().unwrap_or(0), counts.iter().sum::<u64>());
        let share = if all == 0 { "-".to_string() } else { percent(right as f64 / all as f64) };
        std::iter::once(names[class].clone()).chain(counts.iter().map(shown)).chain([share]).collect()
    };
    let table = table(&columns, matrix.iter().enumerate().map(row).collect());
    format!("Confusion matrix (a row for each true class, a column for each predicted one)\n{table}")
}

fn mistakes(matrix: &[Vec<u64>], name: impl Fn(usize) -> String) -> String {
    let cells = matrix.iter().enumerate().flat_map(|(t, row)| row.iter().enumerate().map(move |(p, &n)| (n, t, p)));
    let mut wrong: Vec<_> = cells.filter(|&(n, t, p)| n > 0 && t != p).collect();
    wrong.sort_by_key(|&(n, t, p)| (std::cmp::Reverse(n), t, p));
    let rows = wrong.into_iter().take(10).map(|(n, t, p)| vec![name(t), name(p), n.to_string()]).collect();
    let columns = [("true", Align::Left), ("predicted", Align::Left), ("times", Align::Right)];
    format!("Commonest mistakes\n{}", table(&columns, rows))
}

/// A share as a percentage with two decimals.
pub fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

/// A count with its thousands apart: 1,234,567.
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in the unit that suits it.
pub fn bytes(n: usize) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| n >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", n as f64 / f64::from(1u32 << shift)),
        None => format!("{n} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let rows = vec![vec!["a".to_string(), "1".to_string()], vec!["long".to_string(), "100".to_string()]];
        assert_eq!(table(&[("x", Align::Left), ("n", Align::Right)], rows), "x       n\na       1\nlong  100");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([5, 2048, 3 << 20].map(bytes), ["5 B", "2.0 KiB", "3.0 MiB"]);
    }

    #[test]
    fn many_classes_become_a_list_of_mistakes() {
        let mut matrix = vec![vec![0; 30]; 30];
        matrix[3][4] = 7;
        matrix[5][5] = 9;
        let text = confusion(&matrix, &[]);
        assert!(text.lines().nth(2).is_some_and(|line| line.ends_with('7')), "{text}");
        assert_eq!(text.lines().count(), 3);
        assert!(confusion(&[vec![1, 0], vec![0, 0]], &["cat".to_string(), "dog".to_string()]).contains("100.00%"));
    }
}
