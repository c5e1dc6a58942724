//! `-o custom-columns`: a table of JSONPath expressions.

use super::jsonpath::{JsonPath, relaxed};
use super::tabs::{TABLE, align};
use super::values::plain;
use super::{list_items, terminal};
use crate::object::Json;

/// Headers and expressions.
#[derive(Debug, Clone)]
pub struct Columns {
    columns: Vec<(String, String)>,
    headers: bool,
}

impl Columns {
    /// Reads `NAME:.metadata.name,IP:.status.podIP`.
    ///
    /// # Errors
    /// What is wrong with it, in kubectl's words.
    pub fn parse(spec: &str, headers: bool) -> Result<Columns, String> {
        if spec.is_empty() {
            return Err(NO_COLUMNS.to_owned());
        }
        let column = |part: &str| {
            let (header, path) = part
                .split_once(':')
                .ok_or_else(|| format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"))?;
            Ok((header.to_owned(), relaxed(path)?))
        };
        Ok(Columns { columns: spec.split(',').map(column).collect::<Result<_, String>>()?, headers })
    }

    /// Reads a file with a line of headers and a line of expressions.
    ///
    /// # Errors
    /// What is wrong with it, in kubectl's words.
    pub fn parse_file(text: &str) -> Result<Columns, String> {
        let missing = |what: &str| {
            format!(
                "invalid template, missing {what} line. Expected format is one line of space separated headers, one line of space separated column specs."
            )
        };
        let mut lines = text.lines();
        let headers: Vec<&str> = lines.next().ok_or_else(|| missing("header"))?.split_whitespace().collect();
        let specs: Vec<&str> = lines.next().ok_or_else(|| missing("spec"))?.split_whitespace().collect();
        if headers.len() != specs.len() {
            return Err(format!("number of headers ({}) and field specifications ({}) don't match", headers.len(), specs.len()));
        }
        let column = |(header, spec): (&str, &str)| Ok((header.to_owned(), relaxed(spec)?));
        Ok(Columns { columns: headers.into_iter().zip(specs).map(column).collect::<Result<_, String>>()?, headers: true })
    }

    /// Appends the table of an object or a list.
    ///
    /// # Errors
    /// What is wrong with an expression.
    pub fn print(&self, object: &Json, out: &mut String) -> Result<(), String> {
        let mut text = String::new();
        if self.headers {
            let headers: Vec<&str> = self.columns.iter().map(|(header, _)| header.as_str()).collect();
            text.push_str(&headers.join("\t"));
            text.push('\n');
        }
        let outcome = self.rows(object, &mut text);
        out.push_str(&align(&text, TABLE));
        outcome
    }

    fn rows(&self, object: &Json, text: &mut String) -> Result<(), String> {
        let paths = self.columns.iter().map(|(_, path)| JsonPath::parse(path)).collect::<Result<Vec<_>, _>>()?;
        let one = std::slice::from_ref(object);
        for item in list_items(object).unwrap_or(one) {
            let mut cells = Vec::with_capacity(paths.len());
            for path in &paths {
                let found = path.find(item)?;
                let mut values: Vec<String> = found.iter().flatten().map(|value| terminal(&plain(value))).collect();
                if found.first().is_none_or(Vec::is_empty) {
                    values.insert(0, "<none>".to_owned());
                }
                cells.push(values.join(","));
            }
            text.push_str(&cells.join("\t"));
            text.push('\n');
        }
        Ok(())
    }
}

/// The message for a format without columns.
pub const NO_COLUMNS: &str = "custom-columns format specified but no custom columns given";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_a_table() {
        let list = Json::parse(
            r#"{"kind":"List","apiVersion":"v1","items":[{"metadata":{"name":"a","labels":{"x":"1","y":"2"}},"l":[1,2]},{"metadata":{"name":"bbbbbbb"}}]}"#,
        )
        .expect("json");
        let check = |spec: &str, expect: &str| {
            let mut out = String::new();
            let result = Columns::parse(spec, true).and_then(|columns| columns.print(&list, &mut out));
            assert_eq!(result.map_or_else(|e| e, |()| out), expect);
        };
        check("NAME:.metadata.name,L:{.l[*]}", "NAME      L\na         1,2\nbbbbbbb   <none>\n");
        check("X:metadata.labels", "X\nmap[x:1 y:2]\n<none>\n");
        check("NAME", "unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>");
        check("", NO_COLUMNS);
    }
}
