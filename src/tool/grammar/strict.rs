//! AIOpsLab's own parser, restated: what it accepts, what it makes of it, and the texts it answers with.
//!
//! Kept on purpose: one bare fence only; the name is whatever stands before the first parenthesis; `exec_shell` strips
//! every quote at both ends and undoes `\"` and `\'`; other calls are Python literals; messages repeat their prefix.

use super::python::{self, Node};
use super::{Call, ParseError};
use crate::object::Json;

const FORMAT_FAILURE: &str = "Error parsing response: \n\
Format validation failure. Only have one pair of three ticks in your block and check the ticks. \n\
Correct example 1:\n\
I should run:\n\
```\n\
exec_shell(\"ls\")\n\
```\n\
\n\
Correct example 2:\n\
Check k8s info \n\
```\n\
exec_shell(\"kubectl get services --all-namespaces\")\n\
```\n            ";

fn error(message: impl std::fmt::Display) -> ParseError {
    ParseError(format!("Error parsing response: {message}"))
}

/// Reads one action.
pub fn parse(text: &str) -> Result<Call, ParseError> {
    if fences(text) != 1 {
        return Err(ParseError(FORMAT_FAILURE.to_owned()));
    }
    let code = code_block(text);
    let name = code.split_once('(').map_or("", |(name, _)| name.trim()).to_owned();
    let (Some(open), Some(close)) = (code.find('('), code.rfind(')')) else { return Err(error("No API call found!")) };
    let inner = code.get(open + 1..close).unwrap_or("").trim();
    if inner.is_empty() {
        return Ok(Call { name, ..Call::default() });
    }
    if name == "exec_shell" {
        return Ok(Call { name, args: vec![Json::from(shell_argument(inner)?)], kwargs: Vec::new() });
    }
    let parsed = python::arguments(inner).map_err(|e| error(format!("Error parsing response: {e}")))?;
    let mut call = Call { name, ..Call::default() };
    for node in parsed.positional {
        call.args.push(top_level(node).map_err(|e| error(format!("Error parsing response: {e}")))?);
    }
    for (key, node) in parsed.keywords {
        let value = value(node).map_err(|e| error(format!("Error parsing response: {e}")))?;
        call.kwargs.push((key.unwrap_or_else(|| "None".to_owned()), value));
    }
    Ok(call)
}

/// How many blocks the pattern of three ticks, white space with a line feed, body, line feed, three ticks finds.
fn fences(text: &str) -> usize {
    let mut found = 0;
    let mut rest = text;
    while let Some(at) = rest.find("```") {
        let after = &rest[at + 3..];
        match block_end(after) {
            Some(end) => {
                found += 1;
                rest = &after[end..];
            }
            None => rest = rest.get(at + 1..).unwrap_or(""),
        }
    }
    found
}

/// Where a block ends whose opening ticks stand before `after`; `None` when there is no block here.
///
/// The white space takes as many line feeds as it can, then gives them back one by one until a closing fence follows.
fn block_end(after: &str) -> Option<usize> {
    let blank = after.len() - after.trim_start_matches(python_space).len();
    let mut feeds: Vec<usize> = after[..blank].match_indices('\n').map(|(at, _)| at + 1).collect();
    while let Some(body) = feeds.pop() {
        if let Some(close) = after[body..].find("\n```") {
            return Some(body + close + 4);
        }
    }
    None
}

/// White space as Python's `re` sees it in text.
fn python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The lines between the first two lines that contain three ticks.
fn code_block(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut ticks = lines.iter().enumerate().filter(|(_, line)| line.contains("```")).map(|(at, _)| at);
    match (ticks.next(), ticks.next()) {
        (Some(first), Some(second)) => lines[first + 1..second].join("\n"),
        _ => String::new(),
    }
}

fn shell_argument(inner: &str) -> Result<String, ParseError> {
    let stripped;
    let mut text = inner;
    if inner.starts_with("command=") {
        stripped = inner.replace("command=", "");
        text = stripped.trim();
    }
    let quoted = |quote: char| text.starts_with(quote) && text.ends_with(quote);
    let Some(quote) = ['"', '\''].into_iter().find(|q| quoted(*q)) else {
        return Err(error("Error when parsing response: commands must be quoted strings"));
    };
    Ok(text.trim_matches(quote).replace("\\\"", "\"").replace("\\'", "'"))
}

/// A positional argument: here alone a tuple counts as a list.
fn top_level(node: Node) -> Result<Json, String> {
    match node {
        Node::Tuple(items) => items.into_iter().map(value).collect::<Result<Vec<_>, _>>().map(Json::from),
        other => value(other),
    }
}

fn value(node: Node) -> Result<Json, String> {
    let unsupported = |class: &str| Err(format!("Unsupported AST node type: <class '{class}'>"));
    match node {
        Node::Constant(json) => Ok(json),
        Node::List(items) => items.into_iter().map(value).collect::<Result<Vec<_>, _>>().map(Json::from),
        Node::Tuple(_) => unsupported("ast.Tuple"),
        Node::Dict(entries) => {
            let mut map = crate::object::Map::new();
            for (key, entry) in entries {
                let Some(key) = key else { return unsupported("NoneType") };
                let key = value(key)?;
                if let Some(class) = unhashable(&key) {
                    return Err(format!("unhashable type: '{class}'"));
                }
                map.insert(python::key_text(&key), value(entry)?);
            }
            Ok(Json::from(map))
        }
        Node::Name(_) => unsupported("ast.Name"),
        Node::Other(class) => unsupported(&format!("ast.{class}")),
    }
}

fn unhashable(key: &Json) -> Option<&'static str> {
    match key {
        Json::Arr(_) => Some("list"),
        Json::Obj(_) => Some("dict"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{array, object};

    fn fenced(code: &str) -> Result<Call, ParseError> {
        parse(&format!("Action:\n```\n{code}\n```"))
    }

    fn call(name: &str, args: Vec<Json>, kwargs: Vec<(&str, Json)>) -> Result<Call, ParseError> {
        Ok(Call { name: name.into(), args, kwargs: kwargs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect() })
    }

    #[test]
    fn exactly_one_bare_fence() {
        for text in [
            "exec_shell(\"ls\")",
            "```exec_shell(\"ls\")```",
            "```bash\nexec_shell(\"ls\")\n```",
            "```python\nsubmit()\n```",
            "```\nexec_shell(\"ls\")\n```\nthen\n```\nsubmit()\n```",
            "```\nexec_shell(\"ls\")\n   ```",
            "```\n```",
            "",
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.0.starts_with("Error parsing response: \nFormat validation failure."), "{text}");
        }
        assert_eq!(parse("Action:```\nsubmit()\n```"), call("submit", vec![], vec![]));
        assert_eq!(parse("think\n```  \n\n  submit()\n```\nafter"), call("submit", vec![], vec![]));
    }

    #[test]
    fn the_name_is_what_stands_before_the_first_parenthesis() {
        assert_eq!(fenced("I call submit()"), call("I call submit", vec![], vec![]));
        assert_eq!(fenced("submit"), Err(ParseError("Error parsing response: No API call found!".into())));
        assert_eq!(fenced("submit)("), call("submit)", vec![], vec![]));
        assert_eq!(fenced("submit("), Err(ParseError("Error parsing response: No API call found!".into())));
    }

    #[test]
    fn exec_shell_strips_every_quote_at_both_ends() {
        let shell = |text: &str| fenced(text).map(|c| c.args[0].text().to_owned());
        assert_eq!(shell(r#"exec_shell("ls")"#), Ok("ls".into()));
        assert_eq!(shell(r#"exec_shell(command="ls -l")"#), Ok("ls -l".into()));
        assert_eq!(shell(r#"exec_shell('echo "a"')"#), Ok("echo \"a\"".into()));
        assert_eq!(shell(r#"exec_shell("echo \"hi\"")"#), Ok(r#"echo "hi\"#.into()));
        assert_eq!(shell(r#"exec_shell("a","b")"#), Ok(r#"a","b"#.into()));
        assert_eq!(shell("exec_shell(\"a\nb\\n\")"), Ok("a\nb\\n".into()));
        let unquoted = Err(ParseError("Error parsing response: Error when parsing response: commands must be quoted strings".into()));
        assert_eq!(shell("exec_shell(ls)"), unquoted);
        assert_eq!(shell(r#"exec_shell("ls", timeout=5)"#), unquoted);
        assert_eq!(shell(r#"exec_shell("ls')"#), unquoted);
        assert_eq!(fenced("exec_shell()"), call("exec_shell", vec![], vec![]));
    }

    #[test]
    fn other_calls_are_python_literals() {
        assert_eq!(fenced(r#"submit("Yes")"#), call("submit", vec!["Yes".into()], vec![]));
        assert_eq!(fenced(r#"submit(has_anomaly="Yes")"#), call("submit", vec![], vec![("has_anomaly", "Yes".into())]));
        assert_eq!(fenced(r#"submit(["a", 'b'])"#), call("submit", vec![array!["a", "b"]], vec![]));
        assert_eq!(fenced(r#"submit(("a", "b"))"#), call("submit", vec![array!["a", "b"]], vec![]));
        assert_eq!(fenced(r#"submit({"x": True, "y": None})"#), call("submit", vec![object! {"x" => true, "y" => Json::Null}], vec![]));
        assert_eq!(fenced("get_metrics(\"ns\", 5)"), call("get_metrics", vec!["ns".into(), 5.into()], vec![]));
        assert_eq!(fenced("submit(\n  'a'\n  'b',\n)"), call("submit", vec!["ab".into()], vec![]));
    }

    #[test]
    fn everything_else_is_an_unsupported_node() {
        let refused = |text: &str, class: &str| {
            let message = format!("Error parsing response: Error parsing response: Unsupported AST node type: <class 'ast.{class}'>");
            assert_eq!(fenced(text), Err(ParseError(message)), "{text}");
        };
        refused("submit(-1)", "UnaryOp");
        refused("submit(yes)", "Name");
        refused("submit([('a', 'b')])", "Tuple");
        refused("submit(x=('a',))", "Tuple");
        refused("submit(f'a{b}')", "JoinedStr");
        refused("submit(list())", "Call");
        refused("submit({'a'})", "Set");
        refused("submit('a' + 'b')", "BinOp");
        refused("submit(a.b)", "Attribute");
        refused("submit(*a)", "Starred");
        refused("submit(**a)", "Name");
        let syntax = fenced("submit('a' 5)").expect_err("no comma");
        assert!(syntax.0.contains("(<unknown>, line 1)"), "{syntax}");
    }
}
