//! CSV files, and how pandas prints one: what `read_metrics` and `read_traces` show.

/// A cell of CSV.
pub(super) fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// The cells of CSV; lines without any are left out.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut inside = false;
    let mut rest = text.chars().filter(|c| *c != '\r').peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if inside && rest.peek() == Some(&'"') => {
                rest.next();
                cell.push('"');
            }
            '"' if inside || cell.is_empty() => inside = !inside,
            ',' if !inside => row.push(std::mem::take(&mut cell)),
            '\n' if !inside => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            _ => cell.push(c),
        }
    }
    row.push(cell);
    rows.push(row);
    rows.retain(|row| row.iter().any(|cell| !cell.is_empty()) || row.len() > 1);
    rows
}

/// CSV as pandas prints it without its index: columns to the right, names of columns of numbers set off by one more space.
pub(super) fn table(text: &str) -> Result<String, String> {
    let mut rows = parse(text);
    let header = rows.first().cloned().ok_or("No columns to parse from file")?;
    let width = header.len();
    for (at, row) in rows.iter_mut().enumerate() {
        if row.len() > width {
            let line = at + 1;
            return Err(format!("Error tokenizing data. C error: Expected {width} fields in line {line}, saw {}\n", row.len()));
        }
        row.resize(width, String::new());
        row.iter_mut().filter(|cell| cell.is_empty()).for_each(|cell| *cell = "NaN".to_owned());
    }
    if rows.len() == 1 {
        return Ok(format!("Empty DataFrame\nColumns: [{}]\nIndex: []", header.join(", ")));
    }
    let mut widths = Vec::with_capacity(width);
    for column in 0..width {
        decimals(&mut rows, column);
        let cells = || rows.iter().skip(1).filter_map(|row| row.get(column));
        let numbers = cells().all(|cell| cell.parse::<f64>().is_ok()) || cells().all(|cell| matches!(cell.as_str(), "True" | "False"));
        let name = header.get(column).map_or(0, |name| name.chars().count()) + usize::from(numbers);
        widths.push(cells().map(|cell| cell.chars().count()).max().unwrap_or(0).max(name));
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        cells.join(" ")
    };
    Ok(rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// Digits behind the point that pandas shows at most.
const DIGITS: usize = 6;

/// Writes a column of decimal numbers as pandas does: all with as many digits behind the point as one needs, and with exponents when
/// they would be too long.
fn decimals(rows: &mut [Vec<String>], column: usize) {
    let values: Option<Vec<f64>> = rows.iter().skip(1).map(|row| row.get(column)?.parse().ok()).collect();
    let Some(values) = values.filter(|_| rows.iter().skip(1).any(|row| row.get(column).is_some_and(|c| c.parse::<i64>().is_err()))) else {
        return;
    };
    let known = || values.iter().filter(|value| !value.is_nan());
    if known().next().is_none() {
        return;
    }
    let mut texts: Vec<String> = values.iter().map(|value| format!("{value:.DIGITS$}")).collect();
    let number = |text: &String| text != "NaN";
    while texts.iter().filter(|text| number(text)).all(|text| text.ends_with('0') && !text.ends_with(".0")) {
        for text in texts.iter_mut().filter(|text| number(text)) {
            text.pop();
        }
    }
    let long = texts.iter().any(|text| text.len() > DIGITS + 6) && known().any(|value| value.abs() > 1e6);
    let small = known().any(|value| *value != 0.0 && value.abs() < 1e-6);
    if long || small {
        texts = values.iter().map(|value| exponent(*value)).collect();
    }
    for (row, text) in rows.iter_mut().skip(1).zip(texts) {
        if let Some(cell) = row.get_mut(column) {
            *cell = text;
        }
    }
}

/// `1.234568e+09`
fn exponent(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let text = format!("{value:.DIGITS$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_look_like_those_of_pandas() {
        let check = |text: &str, expect: Result<&str, &str>| {
            assert_eq!(table(text), expect.map(str::to_owned).map_err(str::to_owned), "{text}");
        };
        check("", Err("No columns to parse from file"));
        check("a,b\n", Ok("Empty DataFrame\nColumns: [a, b]\nIndex: []"));
        check("a,b\n1,x\n22,\n", Ok(" a   b\n 1   x\n22 NaN"));
        check("a,bcd\n\"x, \"\"y\"\"\",True\n", Ok("     a  bcd\nx, \"y\" True"));
        check("a\n1\n2,3\n", Err("Error tokenizing data. C error: Expected 1 fields in line 3, saw 2\n"));
        check("a,v\n1,0.100\n2,12.250\n", Ok(" a     v\n 1  0.10\n 2 12.25"));
        check("v\n1.000\n2.000\n", Ok("  v\n1.0\n2.0"));
        check("v\n3\n\n\"\"\n", Ok(" v\n 3"));
        check("a,v\n1,3\n2,\n", Ok(" a   v\n 1 3.0\n 2 NaN"));
        check("v\n52428800.000\n", Ok("         v\n52428800.0"));
        check("v\n1234567890.500\n0.500\n", Ok("           v\n1234567890.5\n         0.5"));
        check("v\n12345678901.500\n0.500\n", Ok("           v\n1.234568e+10\n5.000000e-01"));
        check("v\n0.0000001\n", Ok("           v\n1.000000e-07"));
        check("v\nUnknown\n200\n", Ok("      v\nUnknown\n    200"));
        assert_eq!(quoted("x, \"y\""), "\"x, \"\"y\"\"\"");
    }
}
