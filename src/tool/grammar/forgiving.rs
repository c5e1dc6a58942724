//! Reads what an agent means.
//!
//! Looked for, in this order: the whole text as a JSON tool call; in each fence, a JSON tool call or a call; after `Action:`,
//! in `<tool_call>` tags or at the start of a line of bare text, a call of a known tool; a single call inside a sentence.
//! Arguments may use any quotes, keywords, JSON or Python literals. A command keeps its escapes as written (`\n` belongs to
//! `jsonpath` or `awk` far more often than it separates commands), except in a here-document written on one line.

use super::python::{self, Node};
use super::{Call, ParseError};
use crate::object::{Json, Map};

const ADVICE: &str = "Write one API call in a block of three ticks, for example\n```\nexec_shell(\"kubectl get pods -A\")\n```";

/// Names that JSON tool calls use for the tool and for its arguments.
const NAME_KEYS: &[&str] = &["name", "tool", "tool_name", "api", "action", "function"];
const ARGUMENT_KEYS: &[&str] = &["arguments", "args", "parameters", "params", "kwargs", "input", "action_input"];

/// Names after which a call counts even in the middle of prose.
const KNOWN: &[&str] = &[
    "exec_shell",
    "get_logs",
    "get_metrics",
    "read_metrics",
    "get_traces",
    "read_traces",
    "query_metrics",
    "search_logs",
    "search_traces",
    "get_events",
    "get_topology",
    "get_alerts",
    "submit",
];

fn error(message: impl std::fmt::Display) -> ParseError {
    ParseError(format!("Error parsing response: {message}\n{ADVICE}"))
}

/// Reads one action.
pub fn parse(text: &str) -> Result<Call, ParseError> {
    let text = text.trim().trim_start_matches('\u{feff}');
    if let Some(call) = json_call(text) {
        return Ok(call);
    }
    let mut first_error = None;
    let fences = fences(text);
    for body in &fences {
        match in_fence(body) {
            Some(Ok(call)) => return Ok(call),
            Some(Err(e)) => first_error = first_error.or(Some(e)),
            None => {}
        }
    }
    match in_prose(text) {
        Some(Ok(call)) => return Ok(call),
        Some(Err(e)) => first_error = first_error.or(Some(e)),
        None => {}
    }
    if let Some(e) = first_error {
        return Err(e);
    }
    Err(match fences.iter().map(|body| body.trim()).find(|body| !body.is_empty()) {
        Some(body) if !body.contains('\n') => error(format!("no API call found! To run a command, write exec_shell({body:?}).")),
        _ => error("no API call found!"),
    })
}

/// Bodies of the fences in order, language tags removed. An open fence ends with the text.
fn fences(text: &str) -> Vec<&str> {
    let mut bodies = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("```") {
        let after = rest[open + 3..].trim_start_matches('`');
        let (body, next) = match after.find("```") {
            Some(close) => (&after[..close], &after[close + 3..]),
            None => (after, ""),
        };
        bodies.push(without_tag(body));
        rest = next;
    }
    bodies
}

/// Removes a language tag: a word alone on the fence's first line, or `json` and the like before a call on one line.
fn without_tag(body: &str) -> &str {
    let (first, rest) = body.split_once('\n').unwrap_or((body, ""));
    let is_tag =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | '#'));
    if is_tag(first.trim()) && !rest.is_empty() {
        return rest;
    }
    match body.trim_start().split_once(char::is_whitespace) {
        Some(("python" | "py" | "bash" | "sh" | "shell" | "json" | "tool_code" | "action" | "text", rest)) => rest,
        _ => body,
    }
}

fn in_fence(body: &str) -> Option<Result<Call, ParseError>> {
    let body = body.trim();
    if let Some(call) = json_call(body) {
        return Some(Ok(call));
    }
    let mut starts = calls(body, true);
    if let Some(start) = starts.find(|start| start.leads_line) {
        return Some(read_call(&start));
    }
    if let Some(start) = calls(body, true).next() {
        return Some(read_call(&start));
    }
    // A tool that does not exist still is a call: the tool table says what there is.
    let leading = identifier(body);
    let after = body[leading.len()..].trim_start();
    (!leading.is_empty() && after.starts_with('(')).then(|| read_call(&Start { name: leading, arguments: &after[1..], leads_line: true }))
}

fn in_prose(text: &str) -> Option<Result<Call, ParseError>> {
    for tag in ["<tool_call>", "<function_call>", "<action>"] {
        if let Some((_, inner)) = text.split_once(tag) {
            let inner = inner.split("</").next().unwrap_or(inner).trim();
            if let Some(call) = json_call(inner) {
                return Some(Ok(call));
            }
        }
    }
    let after_marker = text.match_indices("Action:").last().map(|(at, marker)| &text[at + marker.len()..]);
    if let Some(after) = after_marker {
        if let Some(call) = embedded_json_call(after) {
            return Some(Ok(call));
        }
        if let Some(start) = calls(after, true).next() {
            return Some(read_call(&start));
        }
    }
    if let Some(start) = calls(text, true).find(|start| start.leads_line) {
        return Some(read_call(&start));
    }
    if let Some(call) = embedded_json_call(text) {
        return Some(Ok(call));
    }
    let all: Vec<Start<'_>> = calls(text, true).take(2).collect();
    match all.as_slice() {
        [] => None,
        [only] => Some(read_call(only)),
        _ => Some(Err(error("the text mentions several API calls; send the one to make."))),
    }
}

/// Where a call begins.
struct Start<'a> {
    name: &'a str,
    /// What follows the opening parenthesis.
    arguments: &'a str,
    /// Whether nothing but list markers and quotes stands before it on its line.
    leads_line: bool,
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

/// Calls of known tools in order of appearance.
fn calls(text: &str, known_only: bool) -> impl Iterator<Item = Start<'_>> {
    text.match_indices('(').filter_map(move |(open, _)| {
        let before = text[..open].trim_end_matches([' ', '\t']);
        let begin = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let name = &before[begin..];
        if name.is_empty() || (known_only && !KNOWN.contains(&name)) {
            return None;
        }
        let line = before[..begin].rsplit('\n').next().unwrap_or("");
        let leads_line = line.chars().all(|c| c.is_whitespace() || matches!(c, '`' | '*' | '-' | '>' | '$' | '#' | '.' | ')'));
        Some(Start { name, arguments: &text[open + 1..], leads_line })
    })
}

fn read_call(start: &Start<'_>) -> Result<Call, ParseError> {
    if start.name == "exec_shell" {
        return shell_call(start.arguments);
    }
    let straight;
    let parsed = match python::call(start.arguments) {
        Ok(parsed) => parsed,
        Err(first) => {
            straight = start.arguments.replace(['\u{201c}', '\u{201d}'], "\"").replace(['\u{2018}', '\u{2019}'], "'");
            python::call(&straight).map_err(|_| error(format!("cannot read the arguments of {}: {first}.", start.name)))?
        }
    };
    let mut call = Call { name: start.name.to_owned(), ..Call::default() };
    let unreadable = || error(format!("the arguments of {} must be plain values: texts, numbers, lists or dictionaries.", start.name));
    for node in &parsed.positional {
        call.args.push(plain(node).ok_or_else(unreadable)?);
    }
    for (key, node) in &parsed.keywords {
        call.kwargs.push((key.clone().ok_or_else(unreadable)?, plain(node).ok_or_else(unreadable)?));
    }
    Ok(call)
}

/// A value; a bare word is the text it spells, except JSON's `true`, `false` and `null`.
fn plain(node: &Node) -> Option<Json> {
    match node {
        Node::Name(name) => Some(match name.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            "null" | "none" => Json::Null,
            other => Json::from(other),
        }),
        Node::List(items) | Node::Tuple(items) => items.iter().map(plain).collect::<Option<Vec<_>>>().map(Json::from),
        Node::Dict(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                map.insert(python::key_text(&plain(key.as_ref()?)?), plain(value)?);
            }
            Some(Json::from(map))
        }
        Node::Constant(_) | Node::Other(_) => node.to_json(),
    }
}

/// `exec_shell`: a command and perhaps a time-out.
fn shell_call(text: &str) -> Result<Call, ParseError> {
    let mut call = Call { name: "exec_shell".to_owned(), ..Call::default() };
    let inner = text.trim_start();
    if inner.starts_with(')') {
        return Ok(call);
    }
    if let Some(timeout_first) = timeout_before(inner) {
        call.kwargs.push(("timeout".to_owned(), Json::Int(timeout_first.0)));
        let (command, _) = command(timeout_first.1)?;
        call.args.push(Json::from(command));
        return Ok(call);
    }
    let (command, timeout) = command(inner)?;
    call.args.push(Json::from(command));
    call.kwargs.extend(timeout.map(|seconds| ("timeout".to_owned(), Json::Int(seconds))));
    Ok(call)
}

/// `timeout=SECONDS,` before the command.
fn timeout_before(text: &str) -> Option<(i64, &str)> {
    let rest = text.strip_prefix("timeout")?.trim_start().strip_prefix('=')?.trim_start();
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let after = rest[digits..].trim_start().strip_prefix(',')?;
    Some((rest[..digits].parse().ok()?, after.trim_start()))
}

fn command(text: &str) -> Result<(String, Option<i64>), ParseError> {
    let mut text = text.trim_start();
    for keyword in ["command", "cmd"] {
        if let Some(rest) = text.strip_prefix(keyword).and_then(|rest| rest.trim_start().strip_prefix('=')) {
            text = rest.trim_start();
        }
    }
    let text = text.strip_prefix(['r', 'f', 'R', 'F']).filter(|rest| rest.starts_with(['"', '\''])).unwrap_or(text);
    let Some((quote, closing)) = opening_quote(text) else { return unquoted(text) };
    let body = &text[quote.len()..];
    let ends: Vec<(usize, Option<i64>)> = closings(body, closing).filter_map(|at| Some((at, tail(&body[at + closing.len()..])?))).collect();
    // The first quote after which the call is over on its line; an unescaped quote within the command is followed by more.
    let over = |at: &usize| call_ends_line(&body[at + closing.len()..]);
    let end = ends.iter().find(|(at, _)| over(at)).or_else(|| ends.first());
    match end {
        Some((at, timeout)) => Ok((unescape(&body[..*at]), *timeout)),
        None => Err(error("the quotes or the parenthesis of exec_shell(\"…\") are not closed.")),
    }
}

fn opening_quote(text: &str) -> Option<(&'static str, &'static str)> {
    const QUOTES: &[(&str, &str)] =
        &[("\"\"\"", "\"\"\""), ("'''", "'''"), ("\"", "\""), ("'", "'"), ("`", "`"), ("\u{201c}", "\u{201d}"), ("\u{2018}", "\u{2019}")];
    QUOTES.iter().find(|(open, _)| text.starts_with(open)).copied()
}

/// Places of the closing quote that no backslash escapes.
fn closings<'a>(body: &'a str, quote: &'a str) -> impl Iterator<Item = usize> + 'a {
    body.match_indices(quote).map(|(at, _)| at).filter(move |at| {
        let backslashes = body[..*at].len() - body[..*at].trim_end_matches('\\').len();
        backslashes.is_multiple_of(2)
    })
}

/// What may follow the command's quote: `)`, `, 60)`, `, timeout=60)`. Returns the time-out.
fn tail(after: &str) -> Option<Option<i64>> {
    let after = after.trim_start();
    if after.starts_with(')') {
        return Some(None);
    }
    let rest = after.strip_prefix(',')?.trim_start();
    if rest.starts_with(')') {
        return Some(None);
    }
    let rest = rest.strip_prefix("timeout").map_or(Some(rest), |named| named.trim_start().strip_prefix('=')).map(str::trim_start)?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let seconds = rest[..digits].parse::<f64>().ok()?;
    rest[digits..].trim_start().trim_start_matches(',').trim_start().starts_with(')').then_some(Some(seconds as i64))
}

fn call_ends_line(after: &str) -> bool {
    let Some((_, rest)) = after.split_once(')') else { return false };
    let line = rest.split('\n').next().unwrap_or("");
    line.chars().all(|c| c.is_whitespace() || matches!(c, '`' | '.' | ';' | ',' | '*' | '#'))
}

/// A command without quotes, up to the last parenthesis of its line.
fn unquoted(text: &str) -> Result<(String, Option<i64>), ParseError> {
    let line = text.split('\n').next().unwrap_or("");
    match line.rfind(')') {
        Some(end) if !line[..end].trim().is_empty() => Ok((line[..end].trim().to_owned(), None)),
        _ => Err(error("exec_shell takes a quoted command.")),
    }
}

fn unescape(text: &str) -> String {
    let heredoc = text.contains("<<") && !text.contains("<<<") && !text.contains('\n') && text.contains("\\n");
    let quotes = text.replace("\\\"", "\"").replace("\\'", "'");
    if heredoc { quotes.replace("\\n", "\n").replace("\\t", "\t") } else { quotes }
}

/// A JSON tool call that is the whole text.
fn json_call(text: &str) -> Option<Call> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    call_of(&Json::parse(text).ok()?)
}

/// The first JSON tool call inside other text.
fn embedded_json_call(text: &str) -> Option<Call> {
    text.match_indices('{').take(64).find_map(|(at, _)| {
        let value = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Json>().next()?.ok()?;
        call_of(&value)
    })
}

fn call_of(value: &Json) -> Option<Call> {
    if let Some(first) = value.items().first() {
        return call_of(first);
    }
    let calls = value.get("tool_calls");
    if !calls.items().is_empty() {
        return call_of(calls);
    }
    let named = NAME_KEYS.iter().map(|key| value.get(key)).find(|name| !name.is_null())?;
    if named.as_map().is_some() {
        return call_of(named);
    }
    let name = named.as_str()?.to_owned();
    let arguments = ARGUMENT_KEYS.iter().map(|key| value.get(key)).find(|arguments| !arguments.is_null());
    match arguments {
        None => Some(Call { name, ..Call::default() }),
        Some(Json::Obj(map)) => Some(Call::named(name, map)),
        Some(Json::Arr(items)) => Some(Call { name, args: items.to_vec(), kwargs: Vec::new() }),
        Some(Json::Str(text)) => Some(match Json::parse(text) {
            Ok(Json::Obj(map)) => Call::named(name, &map),
            _ => Call { name, args: vec![Json::Str(text.clone())], kwargs: Vec::new() },
        }),
        Some(other) => Some(Call { name, args: vec![other.clone()], kwargs: Vec::new() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array;

    fn shell(text: &str) -> String {
        let call = parse(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
        assert_eq!(call.name, "exec_shell", "{text}");
        let command = call.args.first().or(call.kwargs.iter().find(|(k, _)| k == "command").map(|(_, v)| v));
        command.expect("a command").text().to_owned()
    }

    #[test]
    fn reads_calls_in_any_wrapping() {
        for text in [
            "```\nexec_shell(\"ls\")\n```",
            "```bash\nexec_shell(\"ls\")\n```",
            "```python exec_shell(\"ls\")```",
            "Thought: look.\nAction: exec_shell(\"ls\")",
            "Thought: then submit() later\nAction:\n```\nexec_shell('ls')\n```\nand\n```\nsubmit()\n```",
            "exec_shell(\"ls\")",
            "I will look at it with exec_shell(\"ls\").",
            "First, `submit()` is too early.\nexec_shell('''ls''')",
            "```\n  exec_shell(command=\"ls\", timeout=60)\n  ```",
            "exec_shell(\"ls\", 60)",
            "exec_shell(timeout=60, command='ls')",
            "exec_shell(ls)",
            "exec_shell(\u{201c}ls\u{201d})",
            r#"{"name": "exec_shell", "arguments": {"command": "ls"}}"#,
            r#"```json
{"name": "exec_shell", "arguments": "{\"command\": \"ls\"}"}
```"#,
            r#"<tool_call>{"name": "exec_shell", "arguments": {"command": "ls"}}</tool_call>"#,
            r#"{"tool_calls": [{"function": {"name": "exec_shell", "arguments": {"command": "ls"}}}]}"#,
            "```\nexec_shell(\"ls\")",
        ] {
            assert_eq!(shell(text), "ls", "{text}");
        }
    }

    #[test]
    fn commands_keep_what_the_shell_needs() {
        assert_eq!(shell(r#"exec_shell("echo \"hi\"")"#), r#"echo "hi""#);
        assert_eq!(
            shell(r#"exec_shell("kubectl get po -o jsonpath="{.items[0]}" | cat")"#),
            r#"kubectl get po -o jsonpath="{.items[0]}" | cat"#
        );
        assert_eq!(shell("exec_shell(\"a &&\n b\")"), "a &&\n b");
        assert_eq!(shell(r#"exec_shell('jsonpath={"\n"}')"#), r#"jsonpath={"\n"}"#);
        assert_eq!(shell(r#"exec_shell("cat <<EOF\na\nEOF")"#), "cat <<EOF\na\nEOF");
        assert_eq!(shell(r#"exec_shell("awk '{print(\"x\")}' f")"#), r#"awk '{print("x")}' f"#);
        let call = parse(r#"exec_shell("sleep 5", timeout=90)"#).expect("a call");
        assert_eq!(call.kwargs, [("timeout".to_owned(), Json::Int(90))]);
    }

    #[test]
    fn reads_answers() {
        let args = |text: &str| parse(text).map(|c| (c.args, c.kwargs));
        assert_eq!(args("submit()"), Ok((vec![], vec![])));
        assert_eq!(args("submit(Yes)"), Ok((vec!["Yes".into()], vec![])));
        assert_eq!(args("submit(['a', 'b'])"), Ok((vec![array!["a", "b"]], vec![])));
        assert_eq!(args("submit(faulty_components=[“a”])"), Ok((vec![], vec![("faulty_components".to_owned(), array!["a"])])));
        assert_eq!(args("submit({\"x\": true, \"y\": null})").expect("read").0[0].get("x"), &Json::Bool(true));
    }

    #[test]
    fn says_what_to_write() {
        for (text, says) in [
            ("", "no API call found!"),
            ("I am thinking.", "no API call found!"),
            ("```bash\nkubectl get pods\n```", "write exec_shell(\"kubectl get pods\")"),
            ("either submit() or get_logs(\"a\", \"b\")", "several API calls"),
            ("exec_shell(\"ls", "not closed"),
            ("submit(f'x{y}')", "plain values"),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.0.contains(says) && refused.0.contains(ADVICE), "{text}: {refused}");
        }
        assert_eq!(parse("```\nfrobnicate(1)\n```").map(|c| c.name), Ok("frobnicate".to_owned()));
    }
}
