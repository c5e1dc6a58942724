//! The grammar of Go templates.

use super::lexer::{Kind, Token, lex};
use crate::object::Json;
use crate::tool::kubectl::failure::quote;

/// A place in the template and how messages call it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spot {
    /// Offset in the text.
    pub at: usize,
    /// The node's text.
    pub text: String,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Text as it is.
    Text(String),
    /// `{{pipeline}}`.
    Action(Pipe),
    /// `{{if}}` and `{{with}}` (`true`), with what to do else.
    If(bool, Pipe, Vec<Node>, Vec<Node>),
    /// `{{range}}`.
    Range(Pipe, Vec<Node>, Vec<Node>),
    /// `{{template "name" pipeline}}`.
    Template(Spot, String, Option<Pipe>),
    /// `{{break}}`.
    Break,
    /// `{{continue}}`.
    Continue,
}

/// Commands joined by `|`, perhaps assigned to variables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pipe {
    /// Variables that take the value.
    pub variables: Vec<String>,
    /// Whether the variables exist already (`=` rather than `:=`).
    pub assigns: bool,
    /// The commands.
    pub commands: Vec<Command>,
}

/// A function with arguments, or a single value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Command {
    /// Where it stands.
    pub spot: Spot,
    /// Its words.
    pub words: Vec<Operand>,
}

/// One word of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// `.a.b`
    Field(Spot, Vec<String>),
    /// `$x.a.b`
    Variable(Spot, String, Vec<String>),
    /// A function's name.
    Function(Spot, String),
    /// Text, number or truth value.
    Constant(Spot, Json),
    /// `(pipeline).a.b`
    Group(Spot, Pipe, Vec<String>),
}

impl Operand {
    /// Its text, for messages.
    fn shown(&self) -> String {
        match self {
            Operand::Dot => ".".to_owned(),
            Operand::Nil => "nil".to_owned(),
            Operand::Field(spot, _) | Operand::Variable(spot, ..) | Operand::Function(spot, _) | Operand::Constant(spot, _) => {
                spot.text.clone()
            }
            Operand::Group(spot, pipe, _) => {
                let inner: Vec<&str> = pipe.commands.iter().map(|command| command.spot.text.as_str()).collect();
                format!("({}){}", inner.join(" | "), spot.text.trim_start_matches('('))
            }
        }
    }
}

/// A parsed template with the templates that it defines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// The main template.
    pub root: Vec<Node>,
    /// `{{define "name"}}`.
    pub defined: Vec<(String, Vec<Node>)>,
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    line: usize,
    defined: Vec<(String, Vec<Node>)>,
    variables: Vec<String>,
    functions: &'static [&'static str],
    loops: usize,
}

/// How a list of nodes ended.
enum Ending {
    End,
    Else,
    Eof,
}

/// Parses a template that may call `functions`.
///
/// # Errors
/// What is wrong, in Go's words.
pub fn parse(text: &str, functions: &'static [&'static str]) -> Result<Parsed, String> {
    let tokens = lex(text);
    let mut parser = Parser {
        tokens: tokens.into_iter().peekable(),
        line: 1,
        defined: Vec::new(),
        variables: vec!["$".to_owned()],
        functions,
        loops: 0,
    };
    let outcome = parser.list(true);
    let wrong = |message: String, line: usize| format!("template: output:{line}: {message}");
    match outcome {
        Ok((root, Ending::Eof)) => Ok(Parsed { root, defined: parser.defined }),
        Ok((_, Ending::End)) => Err(wrong("unexpected {{end}}".to_owned(), parser.line)),
        Ok((_, Ending::Else)) => Err(wrong("unexpected {{else}}".to_owned(), parser.line)),
        Err(message) => Err(wrong(message, parser.line)),
    }
}

impl Parser {
    fn next(&mut self) -> Token {
        let token = self.tokens.next().unwrap_or_default();
        if token.kind != Kind::Eof || token.line > 0 {
            self.line = token.line.max(1);
        }
        token
    }

    fn peek(&mut self) -> Kind {
        self.tokens.peek().map_or(Kind::Eof, |token| token.kind)
    }

    fn skip_blanks(&mut self) {
        while self.peek() == Kind::Space {
            self.next();
        }
    }

    fn next_word(&mut self) -> Token {
        self.skip_blanks();
        self.next()
    }

    fn list(&mut self, top: bool) -> Result<(Vec<Node>, Ending), String> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next();
            match token.kind {
                Kind::Eof if top => return Ok((nodes, Ending::Eof)),
                Kind::Eof => return Err("unexpected EOF".to_owned()),
                Kind::Text => nodes.push(Node::Text(token.text)),
                Kind::Open => {
                    self.skip_blanks();
                    match self.peek() {
                        Kind::End => {
                            self.next();
                            self.close("end")?;
                            return Ok((nodes, Ending::End));
                        }
                        Kind::Else => {
                            self.next();
                            return Ok((nodes, Ending::Else));
                        }
                        _ => nodes.extend(self.action()?),
                    }
                }
                Kind::Error => return Err(token.text),
                _ => return Err(format!("unexpected {} in input", token.shown())),
            }
        }
    }

    fn close(&mut self, context: &str) -> Result<(), String> {
        let token = self.next_word();
        match token.kind {
            Kind::Close => Ok(()),
            Kind::Error => Err(token.text),
            _ => Err(format!("unexpected {} in {context}", token.shown())),
        }
    }

    fn action(&mut self) -> Result<Option<Node>, String> {
        let known = self.variables.len();
        let kind = self.peek();
        if !matches!(kind, Kind::If | Kind::With | Kind::Range | Kind::Define | Kind::Block | Kind::Template | Kind::Break | Kind::Continue)
        {
            return Ok(Some(Node::Action(self.pipe("command", Kind::Close)?)));
        }
        self.next();
        let node = match kind {
            Kind::If => Some(self.control("if")?),
            Kind::With => Some(self.control("with")?),
            Kind::Range => Some(self.control("range")?),
            Kind::Define => {
                let name = self.name("define clause")?;
                self.close("define clause")?;
                let (nodes, _) = self.list(false)?;
                self.defined.push((name, nodes));
                None
            }
            Kind::Block => {
                let at = self.tokens.peek().map_or(0, |token| token.at);
                let name = self.name("block clause")?;
                let pipe = self.pipe("block clause", Kind::Close)?;
                let (nodes, _) = self.list(false)?;
                self.defined.push((name.clone(), nodes));
                Some(Node::Template(Spot { at, text: format!("{{{{template {}}}}}", quote(&name)) }, name, Some(pipe)))
            }
            Kind::Template => {
                let at = self.tokens.peek().map_or(0, |token| token.at);
                let name = self.name("template clause")?;
                self.skip_blanks();
                let pipe = if self.peek() == Kind::Close { None } else { Some(self.pipe("template clause", Kind::Close)?) };
                if pipe.is_none() {
                    self.close("template clause")?;
                }
                Some(Node::Template(Spot { at, text: format!("{{{{template {}}}}}", quote(&name)) }, name, pipe))
            }
            word => {
                let text = if word == Kind::Break { "{{break}}" } else { "{{continue}}" };
                self.close(text)?;
                if self.loops == 0 {
                    return Err(format!("{text} outside {{{{range}}}}"));
                }
                Some(if word == Kind::Break { Node::Break } else { Node::Continue })
            }
        };
        self.variables.truncate(known);
        Ok(node)
    }

    fn name(&mut self, context: &str) -> Result<String, String> {
        let token = self.next_word();
        match token.constant() {
            Some(Json::Str(name)) => Ok(name.to_string()),
            _ => Err(format!("unexpected {} in {context}", token.shown())),
        }
    }

    /// `if`, `with` and `range` after their keyword.
    fn control(&mut self, context: &'static str) -> Result<Node, String> {
        let known = self.variables.len();
        let pipe = self.pipe(context, Kind::Close)?;
        self.loops += usize::from(context == "range");
        let (then, ending) = self.list(false)?;
        self.loops -= usize::from(context == "range");
        let mut otherwise = Vec::new();
        if matches!(ending, Ending::Else) {
            self.skip_blanks();
            let chained = match (context, self.peek()) {
                ("if", Kind::If) => Some("if"),
                ("with", Kind::With) => Some("with"),
                _ => None,
            };
            if let Some(context) = chained {
                self.next();
                otherwise.push(self.control(context)?);
            } else {
                self.close("else")?;
                let (nodes, ending) = self.list(false)?;
                if matches!(ending, Ending::Else) {
                    return Err("expected end; found {{else}}".to_owned());
                }
                otherwise = nodes;
            }
        }
        self.variables.truncate(known);
        Ok(match context {
            "range" => Node::Range(pipe, then, otherwise),
            context => Node::If(context == "with", pipe, then, otherwise),
        })
    }

    /// A pipeline up to the closing token.
    fn pipe(&mut self, context: &str, end: Kind) -> Result<Pipe, String> {
        let mut pipe = Pipe::default();
        self.declarations(&mut pipe, context)?;
        loop {
            self.skip_blanks();
            let kind = self.peek();
            if kind == end {
                self.next();
                if pipe.commands.is_empty() {
                    return Err(format!("missing value for {context}"));
                }
                return self.checked(pipe);
            }
            match kind {
                Kind::Bool
                | Kind::Char
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::Text2
                | Kind::Variable
                | Kind::LeftParen => {
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                Kind::Error => return Err(self.next().text),
                _ => {
                    let token = self.next();
                    return Err(format!("unexpected {} in {context}", token.shown()));
                }
            }
        }
    }

    fn checked(&self, pipe: Pipe) -> Result<Pipe, String> {
        let stale = pipe
            .commands
            .iter()
            .skip(1)
            .position(|command| matches!(command.words.first(), Some(Operand::Constant(..) | Operand::Dot | Operand::Nil)));
        match stale {
            Some(at) => Err(format!("non executable command in pipeline stage {}", at + 2)),
            None => Ok(pipe),
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), String> {
        loop {
            self.skip_blanks();
            if self.peek() != Kind::Variable {
                return Ok(());
            }
            let mut ahead = self.tokens.clone();
            ahead.next();
            while ahead.peek().is_some_and(|token| token.kind == Kind::Space) {
                ahead.next();
            }
            let kind = ahead.peek().map_or(Kind::Eof, |token| token.kind);
            let comma = ahead.peek().is_some_and(|token| token.text == ",");
            let variable = match kind {
                Kind::Declare | Kind::Assign => self.next(),
                Kind::Char if comma && context == "range" && pipe.variables.is_empty() => self.next(),
                _ => return Ok(()),
            };
            let separator = self.next_word();
            pipe.variables.push(variable.text);
            match separator.kind {
                Kind::Declare => {
                    self.variables.extend(pipe.variables.iter().cloned());
                    return Ok(());
                }
                Kind::Assign => {
                    pipe.assigns = true;
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    fn command(&mut self) -> Result<Command, String> {
        let mut command = Command::default();
        loop {
            self.skip_blanks();
            let at = self.tokens.peek().map_or(0, |token| token.at);
            if let Some(operand) = self.operand()? {
                if command.words.is_empty() {
                    command.spot.at = at;
                } else {
                    command.spot.text.push(' ');
                }
                command.spot.text.push_str(&operand.shown());
                command.words.push(operand);
            }
            match self.peek() {
                Kind::Space => continue,
                Kind::Pipe => {
                    self.next();
                    self.skip_blanks();
                    if matches!(self.peek(), Kind::Close | Kind::RightParen) {
                        return Err("missing value for command".to_owned());
                    }
                    break;
                }
                Kind::Close | Kind::RightParen => break,
                Kind::Error => return Err(self.next().text),
                _ => {
                    let token = self.next();
                    return Err(format!("unexpected {} in operand", token.shown()));
                }
            }
        }
        if command.words.is_empty() { Err("empty command".to_owned()) } else { Ok(command) }
    }

    fn operand(&mut self) -> Result<Option<Operand>, String> {
        let kind = self.peek();
        if matches!(kind, Kind::Pipe | Kind::Close | Kind::RightParen | Kind::Error | Kind::Eof) {
            return Ok(None);
        }
        let token = self.next();
        let mut spot = Spot { at: token.at, text: token.text.clone() };
        Ok(Some(match kind {
            Kind::Dot => Operand::Dot,
            Kind::Nil => Operand::Nil,
            Kind::Field | Kind::Variable => {
                let mut fields = if kind == Kind::Field { vec![token.text[1..].to_owned()] } else { Vec::new() };
                self.fields(&mut spot, &mut fields);
                if kind == Kind::Field {
                    Operand::Field(spot, fields)
                } else {
                    if !self.variables.contains(&token.text) {
                        return Err(format!("undefined variable {}", quote(&token.text)));
                    }
                    Operand::Variable(spot, token.text, fields)
                }
            }
            Kind::Identifier => {
                if !self.functions.contains(&token.text.as_str()) {
                    return Err(format!("function {} not defined", quote(&token.text)));
                }
                Operand::Function(spot, token.text)
            }
            Kind::LeftParen => {
                let pipe = self.pipe("parenthesized pipeline", Kind::RightParen)?;
                let mut fields = Vec::new();
                self.fields(&mut spot, &mut fields);
                Operand::Group(spot, pipe, fields)
            }
            _ => match token.constant() {
                Some(value) => Operand::Constant(spot, value),
                None => return Err(format!("unexpected {} in operand", token.shown())),
            },
        }))
    }

    /// `.a.b` right after an operand.
    fn fields(&mut self, spot: &mut Spot, fields: &mut Vec<String>) {
        let mut first = true;
        while self.peek() == Kind::Field {
            let token = self.next();
            if std::mem::take(&mut first) {
                spot.at = token.at;
            }
            fields.push(token.text[1..].to_owned());
            spot.text.push_str(&token.text);
        }
    }
}
