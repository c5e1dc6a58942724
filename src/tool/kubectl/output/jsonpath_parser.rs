//! The grammar of kubectl's JSONPath.

/// One step of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Steps that follow each other: one pair of braces.
    List(Vec<Node>),
    /// Text as it is.
    Text(String),
    /// `.name`.
    Field(String),
    /// `[1]`, `[1:3]`, `[*]`.
    Slice(Slice),
    /// `[?(left operator right)]`; the operator `exists` stands for a filter without one.
    Filter(Box<Node>, String, Box<Node>),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `.*`.
    Wildcard,
    /// `..`.
    Recursive,
    /// `[a,b]`.
    Union(Vec<Node>),
    /// `range`, `end` or a mistake.
    Identifier(String),
}

/// Bounds of `[start:end:step]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slice {
    /// First index.
    pub start: Option<i64>,
    /// Index after the last.
    pub end: Option<i64>,
    /// Whether the end follows from a single index.
    pub end_derived: bool,
    /// Distance between indices.
    pub step: Option<i64>,
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

/// Parses a template into its parts.
///
/// # Errors
/// What is wrong, in kubectl's words.
pub fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { text, at: 0 };
    let mut parts = Vec::new();
    while !parser.rest().is_empty() {
        let plain = parser.rest().find('{').unwrap_or(parser.rest().len());
        if plain > 0 {
            parts.push(Node::Text(parser.rest()[..plain].to_owned()));
        }
        parser.at += plain;
        if !parser.rest().is_empty() {
            parser.at += 1;
            parts.push(Node::List(parser.action()?));
        }
    }
    Ok(parts)
}

/// The steps of an expression given without braces.
fn steps(text: &str) -> Result<Node, String> {
    let braced = format!("{{{text}}}");
    Ok(parse(&braced)?.into_iter().next().unwrap_or(Node::List(Vec::new())))
}

fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn action(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with('}') {
                self.at += 1;
                return Ok(nodes);
            }
            if let Some(inner) = rest.strip_prefix("[?(") {
                nodes.push(self.filter(inner)?);
                continue;
            }
            if let Some(after) = rest.strip_prefix("..") {
                if nodes.last() == Some(&Node::Recursive) {
                    return Err("invalid multiple recursive descent".to_owned());
                }
                self.at += 2;
                nodes.push(Node::Recursive);
                if after.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
                    nodes.push(self.field());
                }
                continue;
            }
            match self.next() {
                None | Some('\n' | '\r') => return Err("unclosed action".to_owned()),
                Some(' ' | '@' | '$') => {}
                Some('[') => self.array(&mut nodes)?,
                Some(quote @ ('"' | '\'')) => nodes.push(Node::Text(self.quoted(quote)?)),
                Some('.') => nodes.push(self.field()),
                Some(c) if c == '+' || c == '-' || c.is_numeric() => {
                    self.at -= c.len_utf8();
                    nodes.push(self.number()?);
                }
                Some(c) if c == '_' || c.is_alphabetic() => {
                    self.at -= c.len_utf8();
                    nodes.push(self.identifier());
                }
                Some(c) => return Err(format!("unrecognized character in action: U+{:04X} '{c}'", c as u32)),
            }
        }
    }

    fn take_until_terminator(&mut self) -> &'t str {
        let start = self.at;
        while let Some(c) = self.next() {
            if c == '\\' {
                self.next();
            } else if is_terminator(c) {
                self.at -= c.len_utf8();
                break;
            }
        }
        &self.text[start..self.at]
    }

    fn field(&mut self) -> Node {
        match self.take_until_terminator() {
            "*" => Node::Wildcard,
            name => Node::Field(name.replace('\\', "")),
        }
    }

    fn identifier(&mut self) -> Node {
        let end = self.rest().find(is_terminator).unwrap_or(self.rest().len());
        let word = &self.rest()[..end];
        self.at += end;
        match word {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            word => Node::Identifier(word.to_owned()),
        }
    }

    fn number(&mut self) -> Result<Node, String> {
        let rest = self.rest();
        let digits = usize::from(rest.starts_with(['+', '-']));
        let end = rest[digits..].find(|c: char| c != '.' && !c.is_numeric()).map_or(rest.len(), |n| n + digits);
        let text = &rest[..end];
        self.at += end;
        if let Ok(n) = text.parse::<i64>() {
            return Ok(Node::Int(n));
        }
        text.parse::<f64>().map(Node::Float).map_err(|_| format!("cannot parse number {text}"))
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let start = self.at;
        loop {
            match self.next() {
                None | Some('\n') => return Err("unterminated quoted string".to_owned()),
                Some(c) if c == quote && !self.text[..self.at - 1].ends_with('\\') => break,
                Some(_) => {}
            }
        }
        let body = &self.text[start..self.at - 1];
        unescape(body, quote).ok_or_else(|| format!("unquote string {quote}{body}{quote} error invalid syntax"))
    }

    fn array(&mut self, nodes: &mut Vec<Node>) -> Result<(), String> {
        let rest = self.rest();
        let end = rest.find([']', '\n']).filter(|end| rest[*end..].starts_with(']')).ok_or("unterminated array")?;
        let text = &rest[..end];
        self.at += end + 1;
        if text.contains(',') {
            let parts = text.split(',').map(|part| steps(&format!("[{}]", part.trim_matches(' '))));
            nodes.push(Node::Union(parts.collect::<Result<_, _>>()?));
            return Ok(());
        }
        if let Some(key) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')).filter(|key| !key.contains('\'')) {
            if let Node::List(steps) = steps(&format!(".{key}"))? {
                nodes.extend(steps);
            }
            return Ok(());
        }
        nodes.push(Node::Slice(slice(if text == "*" { ":" } else { text })?));
        Ok(())
    }

    fn filter(&mut self, inner: &'t str) -> Result<Node, String> {
        let (mut begun, mut ended, mut pair) = (false, false, '"');
        let mut close = None;
        for (at, c) in inner.char_indices() {
            match c {
                '\n' => break,
                '"' | '\'' if !begun => (begun, pair) = (true, c),
                '"' | '\'' if c == pair && !inner[..at].ends_with('\\') => ended = true,
                ')' if begun == ended => {
                    close = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let close = close.ok_or("unterminated filter")?;
        if !inner[close + 1..].starts_with(']') {
            return Err("unclosed array expect ]".to_owned());
        }
        self.at += "[?(".len() + close + 2;
        let text = &inner[..close];
        let compares = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let Some(start) = text.find(compares).filter(|start| *start > 0) else {
            return Ok(Node::Filter(Box::new(steps(text)?), "exists".to_owned(), Box::new(Node::List(Vec::new()))));
        };
        let mut end = start + text[start..].find(|c| !compares(c)).unwrap_or(text.len() - start);
        if end == text.len() {
            end -= 1;
            if end == start {
                return Ok(Node::Filter(Box::new(steps(text)?), "exists".to_owned(), Box::new(Node::List(Vec::new()))));
            }
        }
        let (left, right) = (steps(&text[..start])?, steps(&text[end..])?);
        Ok(Node::Filter(Box::new(left), text[start..end].to_owned(), Box::new(right)))
    }
}

fn slice(text: &str) -> Result<Slice, String> {
    let invalid = || format!("invalid array index {text}");
    let parts: Vec<&str> = text.split(':').collect();
    let shaped = |part: &&str| part.strip_prefix('-').unwrap_or(part).bytes().all(|b| b.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(shaped) {
        return Err(invalid());
    }
    let number = |at: usize| match parts.get(at) {
        None | Some(&"") => Ok(None),
        Some(part) => part.parse::<i64>().map(Some).map_err(|_| format!("array index {part} is not a number")),
    };
    let (start, step) = (number(0)?, number(2)?);
    if parts.len() > 1 {
        return Ok(Slice { start, end: number(1)?, end_derived: false, step });
    }
    Ok(Slice { start, end: Some(start.unwrap_or(0) + 1), end_derived: true, step })
}

/// A quoted text's content with Go's escapes resolved.
pub fn unescape(body: &str, quote: char) -> Option<String> {
    let mut out = String::new();
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let code = |chars: &mut std::str::Chars<'_>, digits: usize| {
            let text: String = chars.by_ref().take(digits).collect();
            u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits).and_then(char::from_u32)
        };
        out.push(match chars.next()? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' => '\\',
            'x' => code(&mut chars, 2)?,
            'u' => code(&mut chars, 4)?,
            'U' => code(&mut chars, 8)?,
            first @ '0'..='7' => {
                let rest: String = chars.by_ref().take(2).collect();
                char::from_u32(u32::from_str_radix(&format!("{first}{rest}"), 8).ok()?)?
            }
            c if c == quote => c,
            _ => return None,
        });
    }
    Some(out)
}
