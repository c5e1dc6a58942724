//! Python's argument lists as far as a tool call needs them: literals with their values, everything else by node class.
//!
//! A small precedence parser over Python's expression grammar. It evaluates constants, lists, tuples and dictionaries and names
//! the class of any other expression (`UnaryOp`, `Call`, `JoinedStr` …), which is what AIOpsLab's messages quote.
//! Nesting is bounded. Messages for syntax errors are Python's for the common ones, else `invalid syntax`.

use crate::object::{Json, Map};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A number, text, `True`, `False`, `None`, `...`.
    Constant(Json),
    /// `[a, b]`
    List(Vec<Node>),
    /// `(a, b)`
    Tuple(Vec<Node>),
    /// `{a: b}`; the key is `None` for `**a`.
    Dict(Vec<(Option<Node>, Node)>),
    /// A bare name.
    Name(String),
    /// Anything else, by its class in Python's `ast`.
    Other(&'static str),
}

/// The arguments of a call.
#[derive(Debug, Default, PartialEq)]
pub struct Arguments {
    /// By position.
    pub positional: Vec<Node>,
    /// By name; the name is `None` for `**a`.
    pub keywords: Vec<(Option<String>, Node)>,
}

/// Deepest nesting that is read.
const DEPTH_LIMIT: usize = 64;

/// Reads what stands between the parentheses of a call.
///
/// # Errors
/// Python's message for the syntax error.
pub fn arguments(text: &str) -> Result<Arguments, String> {
    balance(&format!("({text})"))?;
    let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0 };
    let arguments = parser.call_arguments(None)?;
    if parser.at < parser.chars.len() { Err(parser.invalid()) } else { Ok(arguments) }
}

/// That parentheses match, which Python's tokenizer finds out before anything else is said about an expression.
fn balance(text: &str) -> Result<(), String> {
    let syntax = |message: String, line: usize| Err(format!("{message} (<unknown>, line {line})"));
    let mut open: Vec<(char, usize)> = Vec::new();
    let (mut line, mut chars) = (1, text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '\'' => match skip_string(c, &mut chars) {
                Some(lines) => line += lines,
                // What is wrong with the text itself is the parser's to say.
                None => return Ok(()),
            },
            '(' | '[' | '{' => open.push((c, line)),
            ')' | ']' | '}' => match open.pop() {
                None => return syntax(format!("unmatched '{c}'"), line),
                Some((opened, _)) if matches!((opened, c), ('(', ')') | ('[', ']') | ('{', '}')) => {}
                Some((opened, at)) => {
                    let place = if at == line { String::new() } else { format!(" on line {at}") };
                    return syntax(format!("closing parenthesis '{c}' does not match opening parenthesis '{opened}'{place}"), line);
                }
            },
            _ => {}
        }
    }
    match open.pop() {
        Some((opened, at)) => syntax(format!("'{opened}' was never closed"), at),
        None => Ok(()),
    }
}

/// Skips a text after its opening quote; how many lines it spans, `None` when it does not end.
fn skip_string(quote: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut long = false;
    if chars.next_if_eq(&quote).is_some() {
        if chars.next_if_eq(&quote).is_none() {
            return Some(0);
        }
        long = true;
    }
    let (mut lines, mut quotes) = (0, 0);
    while let Some(c) = chars.next() {
        quotes = if c == quote { quotes + 1 } else { 0 };
        match c {
            '\\' => lines += usize::from(chars.next() == Some('\n')),
            '\n' if !long => return None,
            '\n' => lines += 1,
            _ if quotes == if long { 3 } else { 1 } => return Some(lines),
            _ => {}
        }
    }
    None
}

/// As [`arguments`], up to the closing parenthesis; what follows it is not read.
///
/// # Errors
/// Python's message for the syntax error.
pub fn call(text: &str) -> Result<Arguments, String> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0 };
    let arguments = parser.call_arguments(Some(')'))?;
    parser.close('(', ')')?;
    Ok(arguments)
}

/// The text of a dictionary key, for a map whose keys are texts.
pub fn key_text(key: &Json) -> String {
    match key {
        Json::Str(text) => text.to_string(),
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        other => other.to_compact(),
    }
}

impl Node {
    /// The value, when the expression is built of constants only; tuples count as lists.
    pub fn to_json(&self) -> Option<Json> {
        match self {
            Node::Constant(json) => Some(json.clone()),
            Node::List(items) | Node::Tuple(items) => items.iter().map(Node::to_json).collect::<Option<Vec<_>>>().map(Json::from),
            Node::Dict(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    map.insert(key_text(&key.as_ref()?.to_json()?), value.to_json()?);
                }
                Some(Json::from(map))
            }
            Node::Name(_) | Node::Other(_) => None,
        }
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

/// Binary operators, longest first, with the class of node they make.
const OPERATORS: &[(&str, &str)] = &[
    ("not in", "Compare"),
    ("is", "Compare"),
    ("in", "Compare"),
    ("and", "BoolOp"),
    ("or", "BoolOp"),
    ("**", "BinOp"),
    ("//", "BinOp"),
    ("<<", "BinOp"),
    (">>", "BinOp"),
    ("==", "Compare"),
    ("!=", "Compare"),
    ("<=", "Compare"),
    (">=", "Compare"),
    ("<", "Compare"),
    (">", "Compare"),
    ("+", "BinOp"),
    ("-", "BinOp"),
    ("*", "BinOp"),
    ("/", "BinOp"),
    ("%", "BinOp"),
    ("@", "BinOp"),
    ("&", "BinOp"),
    ("|", "BinOp"),
    ("^", "BinOp"),
];

impl Parser {
    fn line(&self) -> usize {
        1 + self.chars.iter().take(self.at).filter(|c| **c == '\n').count()
    }

    fn syntax(&self, message: &str) -> String {
        format!("{message} (<unknown>, line {})", self.line())
    }

    fn invalid(&self) -> String {
        let text_follows = self.peek().is_some_and(|c| c.is_alphanumeric() || matches!(c, '"' | '\'' | '_'));
        self.syntax(if text_follows { "invalid syntax. Perhaps you forgot a comma?" } else { "invalid syntax" })
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                '#' => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1
                    }
                }
                '\\' if self.chars.get(self.at + 1) == Some(&'\n') => self.at += 2,
                c if c.is_whitespace() => self.at += 1,
                _ => break,
            }
        }
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_blank();
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c))
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.skip_blank();
        let ends = !self.chars.get(self.at + word.chars().count()).is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let found = ends && self.starts_with(word);
        if found {
            self.at += word.chars().count();
        }
        found
    }

    fn name(&mut self) -> Option<String> {
        self.skip_blank();
        let start = self.at;
        if !self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') {
            return None;
        }
        while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.at += 1;
        }
        Some(self.chars[start..self.at].iter().collect())
    }

    fn call_arguments(&mut self, end: Option<char>) -> Result<Arguments, String> {
        let mut found = Arguments::default();
        loop {
            self.skip_blank();
            if self.peek().is_none() || self.peek() == end {
                return Ok(found);
            }
            if self.starts_with("**") {
                self.at += 2;
                found.keywords.push((None, self.expression()?));
            } else if self.peek() == Some('*') {
                self.at += 1;
                self.expression()?;
                found.positional.push(Node::Other("Starred"));
            } else if let Some(key) = self.keyword() {
                if found.keywords.iter().any(|(known, _)| known.as_ref() == Some(&key)) {
                    return Err(self.syntax(&format!("keyword argument repeated: {key}")));
                }
                let value = self.expression()?;
                found.keywords.push((Some(key), value));
            } else {
                let value = self.expression()?;
                if let Some((key, _)) = found.keywords.last() {
                    let unpacking = if key.is_none() { " unpacking" } else { "" };
                    return Err(self.syntax(&format!("positional argument follows keyword argument{unpacking}")));
                }
                let generator = self.eat_comprehension()?;
                found.positional.push(if generator { Node::Other("GeneratorExp") } else { value });
            }
            if !self.eat(',') {
                return Ok(found);
            }
        }
    }

    /// `name=`, if that is what follows.
    fn keyword(&mut self) -> Option<String> {
        let start = self.at;
        let name = self.name();
        self.skip_blank();
        if let Some(name) = name
            && self.peek() == Some('=')
            && self.chars.get(self.at + 1) != Some(&'=')
        {
            self.at += 1;
            return Some(name);
        }
        self.at = start;
        None
    }

    fn expression(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(self.syntax("too many nested parentheses"));
        }
        let node = self.ternary();
        self.depth -= 1;
        node
    }

    fn ternary(&mut self) -> Result<Node, String> {
        if self.eat_word("lambda") {
            while self.peek().is_some_and(|c| c != ':') {
                self.at += 1;
            }
            self.eat(':');
            self.expression()?;
            return Ok(Node::Other("Lambda"));
        }
        let mut node = self.unary()?;
        // The weakest operator names the node; `and`/`or` bind weaker than comparisons, these weaker than arithmetic.
        let mut weakest = 0;
        while let Some(class) = self.operator() {
            self.unary()?;
            let rank = match class {
                "BoolOp" => 3,
                "Compare" => 2,
                _ => 1,
            };
            if rank >= weakest {
                weakest = rank;
                node = Node::Other(class);
            }
        }
        if self.eat_word("if") {
            self.expression()?;
            if !self.eat_word("else") {
                return Err(self.syntax("expected 'else' after 'if' expression"));
            }
            self.expression()?;
            return Ok(Node::Other("IfExp"));
        }
        self.skip_blank();
        if self.starts_with(":=") {
            self.at += 2;
            self.expression()?;
            return Ok(Node::Other("NamedExpr"));
        }
        Ok(node)
    }

    fn operator(&mut self) -> Option<&'static str> {
        self.skip_blank();
        for (text, class) in OPERATORS {
            if text.starts_with(char::is_alphabetic) {
                if self.eat_word(text) {
                    self.eat_word("not");
                    return Some(class);
                }
            } else if self.starts_with(text) {
                self.at += text.len();
                return Some(class);
            }
        }
        None
    }

    fn unary(&mut self) -> Result<Node, String> {
        self.skip_blank();
        let mut signs = 0;
        loop {
            if self.peek().is_some_and(|c| matches!(c, '-' | '+' | '~')) {
                self.at += 1;
            } else if !self.eat_word("not") {
                break;
            }
            signs += 1;
            self.skip_blank();
        }
        let awaited = self.eat_word("await");
        let node = self.postfix()?;
        Ok(match (signs > 0, awaited) {
            (true, _) => Node::Other("UnaryOp"),
            (false, true) => Node::Other("Await"),
            (false, false) => node,
        })
    }

    fn postfix(&mut self) -> Result<Node, String> {
        let mut node = self.atom()?;
        loop {
            self.skip_blank();
            match self.peek() {
                Some('(') => {
                    self.at += 1;
                    self.nested(|parser| parser.call_arguments(Some(')')).map(|_| ()))?;
                    self.close('(', ')')?;
                    node = Node::Other("Call");
                }
                Some('[') => {
                    self.at += 1;
                    self.nested(|parser| parser.subscript())?;
                    self.close('[', ']')?;
                    node = Node::Other("Subscript");
                }
                Some('.') => {
                    self.at += 1;
                    if self.name().is_none() {
                        return Err(self.syntax("invalid syntax"));
                    }
                    node = Node::Other("Attribute");
                }
                _ => return Ok(node),
            }
        }
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(self.syntax("too many nested parentheses"));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn subscript(&mut self) -> Result<(), String> {
        loop {
            self.skip_blank();
            match self.peek() {
                None | Some(']') => return Ok(()),
                Some(':' | ',') => self.at += 1,
                _ => {
                    self.expression()?;
                }
            }
        }
    }

    fn close(&mut self, open: char, close: char) -> Result<(), String> {
        if self.eat(close) {
            return Ok(());
        }
        Err(if self.peek().is_none() { self.syntax(&format!("'{open}' was never closed")) } else { self.invalid() })
    }

    fn atom(&mut self) -> Result<Node, String> {
        self.skip_blank();
        match self.peek() {
            None => Err(self.syntax("invalid syntax")),
            Some('(') => self.parenthesis(),
            Some('[') => self.list(),
            Some('{') => self.braces(),
            Some(c) if c.is_ascii_digit() => self.number(),
            Some('.') if self.chars.get(self.at + 1).is_some_and(char::is_ascii_digit) => self.number(),
            Some('.') if self.starts_with("...") => {
                self.at += 3;
                Ok(Node::Constant(Json::from("...")))
            }
            Some('"' | '\'') => self.strings(),
            Some(_) => self.word(),
        }
    }

    fn word(&mut self) -> Result<Node, String> {
        let start = self.at;
        let Some(name) = self.name() else { return Err(self.syntax("invalid syntax")) };
        if self.peek().is_some_and(|c| matches!(c, '"' | '\'')) && is_prefix(&name) {
            self.at = start;
            return self.strings();
        }
        Ok(match name.as_str() {
            "True" => Node::Constant(Json::Bool(true)),
            "False" => Node::Constant(Json::Bool(false)),
            "None" => Node::Constant(Json::Null),
            _ => Node::Name(name),
        })
    }

    fn parenthesis(&mut self) -> Result<Node, String> {
        self.at += 1;
        if self.eat(')') {
            return Ok(Node::Tuple(Vec::new()));
        }
        let first = self.expression()?;
        if self.eat_comprehension()? {
            self.close('(', ')')?;
            return Ok(Node::Other("GeneratorExp"));
        }
        let mut items = vec![first];
        let mut commas = 0;
        while self.eat(',') {
            commas += 1;
            self.skip_blank();
            if self.peek() == Some(')') {
                break;
            }
            items.push(self.expression()?);
        }
        self.close('(', ')')?;
        Ok(if commas == 0 { items.remove(0) } else { Node::Tuple(items) })
    }

    fn list(&mut self) -> Result<Node, String> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip_blank();
            match self.peek() {
                Some(']') => break,
                Some('*') => {
                    self.at += 1;
                    self.expression()?;
                    items.push(Node::Other("Starred"));
                }
                _ => items.push(self.expression()?),
            }
            if self.eat_comprehension()? {
                self.close('[', ']')?;
                return Ok(Node::Other("ListComp"));
            }
            if !self.eat(',') {
                break;
            }
        }
        self.close('[', ']')?;
        Ok(Node::List(items))
    }

    fn braces(&mut self) -> Result<Node, String> {
        self.at += 1;
        let (mut entries, mut set) = (Vec::new(), false);
        loop {
            self.skip_blank();
            if self.peek() == Some('}') {
                break;
            }
            if self.starts_with("**") {
                self.at += 2;
                entries.push((None, self.expression()?));
            } else {
                let key = self.expression()?;
                if self.eat(':') {
                    entries.push((Some(key), self.expression()?));
                } else {
                    set = true;
                }
            }
            if self.eat_comprehension()? {
                self.close('{', '}')?;
                return Ok(Node::Other(if set { "SetComp" } else { "DictComp" }));
            }
            if !self.eat(',') {
                break;
            }
        }
        self.close('{', '}')?;
        Ok(if set { Node::Other("Set") } else { Node::Dict(entries) })
    }

    /// Skips `for … in …` clauses of a comprehension.
    fn eat_comprehension(&mut self) -> Result<bool, String> {
        let start = self.at;
        let asynchronous = self.eat_word("async");
        if !self.eat_word("for") {
            if asynchronous {
                self.at = start;
            }
            return Ok(false);
        }
        loop {
            self.skip_blank();
            match self.peek() {
                None | Some(')' | ']' | '}') => return Ok(true),
                Some(',') => self.at += 1,
                _ => {
                    if !["for", "in", "if", "async"].iter().any(|word| self.eat_word(word)) {
                        self.expression()?;
                    }
                }
            }
        }
    }

    fn number(&mut self) -> Result<Node, String> {
        let start = self.at;
        while let Some(c) = self.peek() {
            let exponent_sign = matches!(c, '+' | '-')
                && self.at > start
                && matches!(self.chars[self.at - 1], 'e' | 'E')
                && !self.chars[start..self.at].iter().collect::<String>().to_lowercase().starts_with("0x");
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent_sign {
                self.at += 1;
            } else {
                break;
            }
        }
        let text: String = self.chars[start..self.at].iter().filter(|c| **c != '_').collect::<String>().to_lowercase();
        let radix = |prefix: &str, base: u32| text.strip_prefix(prefix).map(|digits| i64::from_str_radix(digits, base).ok());
        if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2)) {
            return value.map(|n| Node::Constant(Json::Int(n))).ok_or_else(|| self.syntax("invalid decimal literal"));
        }
        if text.len() > 1 && text.starts_with('0') && text.chars().all(|c| c.is_ascii_digit()) && text.chars().any(|c| c != '0') {
            let message = "leading zeros in decimal integer literals are not permitted; use an 0o prefix for octal integers";
            return Err(self.syntax(message));
        }
        if let Ok(n) = text.parse::<i64>() {
            return Ok(Node::Constant(Json::Int(n)));
        }
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() && text.starts_with(|c: char| c.is_ascii_digit() || c == '.') => Ok(Node::Constant(Json::Float(x))),
            _ => Err(self.syntax("invalid decimal literal")),
        }
    }

    /// One text or several next to each other, which are one.
    fn strings(&mut self) -> Result<Node, String> {
        let (mut whole, mut formatted) = (String::new(), false);
        loop {
            self.skip_blank();
            let start = self.at;
            let prefix = self.name().unwrap_or_default();
            if !self.peek().is_some_and(|c| matches!(c, '"' | '\'')) || !is_prefix(&prefix) {
                self.at = start;
                break;
            }
            formatted |= prefix.contains(['f', 'F', 't', 'T']);
            whole.push_str(&self.string(prefix.contains(['r', 'R']))?);
        }
        Ok(if formatted { Node::Other("JoinedStr") } else { Node::Constant(Json::from(whole)) })
    }

    fn string(&mut self, raw: bool) -> Result<String, String> {
        let quote = self.peek().unwrap_or('"');
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let long = self.starts_with(&triple);
        self.at += if long { 3 } else { 1 };
        let start = self.at;
        let mut text = String::new();
        loop {
            match self.peek() {
                Some(c) if c == quote && (!long || self.starts_with(&triple)) => {
                    self.at += if long { 3 } else { 1 };
                    return Ok(text);
                }
                Some('\\') => self.escape(raw, &mut text),
                None if long => {
                    return Err(self.syntax(&format!("unterminated triple-quoted string literal (detected at line {})", self.line())));
                }
                None | Some('\n') if !long => {
                    self.at = start;
                    return Err(self.syntax(&format!("unterminated string literal (detected at line {})", self.line())));
                }
                None => return Err(self.invalid()),
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, raw: bool, text: &mut String) {
        self.at += 1;
        let Some(c) = self.peek() else {
            text.push('\\');
            return;
        };
        self.at += 1;
        if raw {
            text.push('\\');
            text.push(c);
            return;
        }
        match c {
            '\n' => {}
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'a' => text.push('\u{7}'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'v' => text.push('\u{b}'),
            '\\' | '\'' | '"' => text.push(c),
            'x' => self.code_point(2, 16, 'x', text),
            'u' => self.code_point(4, 16, 'u', text),
            'U' => self.code_point(8, 16, 'U', text),
            '0'..='7' => {
                self.at -= 1;
                self.code_point(3, 8, '0', text);
            }
            other => {
                text.push('\\');
                text.push(other);
            }
        }
    }

    /// A character by its number: up to `digits` digits; a malformed one stays as written.
    fn code_point(&mut self, digits: usize, base: u32, letter: char, text: &mut String) {
        let number: String = self.chars.iter().skip(self.at).take(digits).take_while(|c| c.is_digit(base)).collect();
        let whole = base == 8 || number.len() == digits;
        match u32::from_str_radix(&number, base).ok().and_then(char::from_u32) {
            Some(c) if whole => text.push(c),
            _ => {
                text.push('\\');
                if base != 8 {
                    text.push(letter);
                }
                text.push_str(&number);
            }
        }
        self.at += number.len();
    }
}

fn is_prefix(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "" | "r" | "u" | "b" | "f" | "t" | "rb" | "br" | "fr" | "rf" | "tr" | "rt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array;

    fn values(text: &str) -> Vec<Json> {
        let arguments = arguments(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        arguments.positional.iter().map(|n| n.to_json().unwrap_or_else(|| panic!("{text}: {n:?}"))).collect()
    }

    #[test]
    fn literals_have_their_values() {
        assert_eq!(
            values(r#"1, 0x1f, 1_000, 1.5e-3, .5, True, None"#),
            [1.into(), 31.into(), 1000.into(), 0.0015.into(), 0.5.into(), true.into(), Json::Null]
        );
        assert_eq!(values(r#"'a\n\x41\u00e9\q', r'\n', """x"y""" 'z'"#), ["a\nAé\\q".into(), "\\n".into(), Json::from("x\"yz")]);
        assert_eq!(values("[1, [2,], ()], # end\n"), [array![1, array![2], array![]]]);
    }

    #[test]
    fn classes_and_errors_are_pythons() {
        let class = |text: &str| match arguments(text).expect(text).positional.remove(0) {
            Node::Other(class) => class,
            other => panic!("{other:?}"),
        };
        for (text, expected) in [
            ("a + b", "BinOp"),
            ("a and b == c", "BoolOp"),
            ("a < b + c", "Compare"),
            ("not a", "UnaryOp"),
            ("a if b else c", "IfExp"),
            ("[x for x in y]", "ListComp"),
            ("{x: y for x in z}", "DictComp"),
            ("x for x in y", "GeneratorExp"),
            ("a[0:1]", "Subscript"),
            ("lambda x: x", "Lambda"),
            ("f'{a}' 'b'", "JoinedStr"),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
        for (text, expected) in [
            ("[1", "closing parenthesis ')' does not match opening parenthesis '[' (<unknown>, line 1)"),
            ("'a", "unterminated string literal (detected at line 1) (<unknown>, line 1)"),
            ("a=1, 2", "positional argument follows keyword argument (<unknown>, line 1)"),
            ("a=1, a=2", "keyword argument repeated: a (<unknown>, line 1)"),
            ("'a' 'b' c", "invalid syntax. Perhaps you forgot a comma? (<unknown>, line 1)"),
            ("01", "leading zeros in decimal integer literals are not permitted; use an 0o prefix for octal integers (<unknown>, line 1)"),
        ] {
            assert_eq!(arguments(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(arguments(&"[".repeat(10_000)).is_err());
        assert!(arguments(&"(".repeat(10_000)).is_err());
        assert!(arguments(&"f(".repeat(10_000)).is_err());
        assert!(arguments(&"-".repeat(10_000)).is_err());
    }
}
