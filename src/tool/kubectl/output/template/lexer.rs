//! The words of Go templates.

use super::super::jsonpath_parser::unescape;
use crate::object::Json;
use crate::tool::kubectl::failure::quote;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are those of Go's lexer")]
pub enum Kind {
    #[default]
    Eof,
    Error,
    Text,
    Open,
    Close,
    Space,
    Bool,
    Char,
    Declare,
    Assign,
    Dot,
    Field,
    Identifier,
    LeftParen,
    RightParen,
    Nil,
    Number,
    Pipe,
    /// A quoted text.
    Text2,
    Variable,
    If,
    Else,
    End,
    Range,
    With,
    Define,
    Template,
    Block,
    Break,
    Continue,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its text; the message of an error.
    pub text: String,
    /// Its offset.
    pub at: usize,
    /// Its line.
    pub line: usize,
}

impl Token {
    /// As messages show it.
    pub fn shown(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::If
            | Kind::Else
            | Kind::End
            | Kind::Range
            | Kind::With
            | Kind::Define
            | Kind::Template
            | Kind::Block
            | Kind::Break
            | Kind::Continue => {
                format!("<{}>", self.text)
            }
            _ if self.text.len() > 10 => {
                let mut cut = 10;
                while !self.text.is_char_boundary(cut) {
                    cut -= 1;
                }
                format!("{}...", quote(&self.text[..cut]))
            }
            _ => quote(&self.text),
        }
    }

    /// The value of a constant.
    pub fn constant(&self) -> Option<Json> {
        match self.kind {
            Kind::Bool => Some(Json::Bool(self.text == "true")),
            Kind::Text2 if self.text.starts_with('`') => Some(Json::from(self.text.trim_matches('`'))),
            Kind::Text2 => unquote(&self.text).map(Json::from),
            Kind::Char if self.text.starts_with('\'') => {
                let inner = self.text.strip_prefix('\'')?.strip_suffix('\'')?;
                unquote(&format!("\"{inner}\"")).and_then(|t| t.chars().next()).map(|c| Json::Int(i64::from(c as u32)))
            }
            Kind::Number => number(&self.text),
            _ => None,
        }
    }
}

fn number(text: &str) -> Option<Json> {
    let clean = text.replace('_', "");
    let (sign, digits) = match clean.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, clean.strip_prefix('+').unwrap_or(&clean)),
    };
    let radix = |prefix: &str, radix: u32| digits.strip_prefix(prefix).and_then(|rest| i64::from_str_radix(rest, radix).ok());
    let whole =
        radix("0x", 16).or_else(|| radix("0X", 16)).or_else(|| radix("0b", 2)).or_else(|| radix("0o", 8)).or_else(|| digits.parse().ok());
    whole.map(|n: i64| Json::Int(sign * n)).or_else(|| clean.parse::<f64>().ok().map(Json::Float))
}

/// The content of a text in double quotes.
fn unquote(text: &str) -> Option<String> {
    unescape(text.strip_prefix('"')?.strip_suffix('"')?, '"')
}

/// All tokens of a template; the last one is an error or the end.
pub fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new(), depth: 0 };
    lexer.run();
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    depth: usize,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let text = self.rest()[..length].to_owned();
        let line = self.line;
        self.line += text.matches('\n').count();
        self.tokens.push(Token { kind, text, at: self.at, line });
        self.at += length;
    }

    fn fail(&mut self, message: String) {
        self.tokens.push(Token { kind: Kind::Error, text: message, at: self.at, line: self.line });
    }

    fn skip(&mut self, length: usize) {
        self.line += self.rest()[..length].matches('\n').count();
        self.at += length;
    }

    fn run(&mut self) {
        loop {
            let Some(open) = self.rest().find("{{") else {
                if !self.rest().is_empty() {
                    self.push(Kind::Text, self.rest().len());
                }
                return self.tokens.push(Token { kind: Kind::Eof, text: String::new(), at: self.at, line: self.line });
            };
            let trims = self.rest()[open + 2..].starts_with('-') && self.rest()[open + 3..].starts_with(SPACES);
            let kept = if trims { self.rest()[..open].trim_end_matches(SPACES).len() } else { open };
            if kept > 0 {
                self.push(Kind::Text, kept);
            }
            self.skip(open - kept);
            let lead = if trims { 4 } else { 2 };
            if self.rest()[lead..].starts_with("/*") {
                if !self.comment(lead) {
                    return;
                }
                continue;
            }
            self.push(Kind::Open, 2);
            self.skip(lead - 2);
            if !self.inside() {
                return;
            }
        }
    }

    fn comment(&mut self, lead: usize) -> bool {
        let Some(end) = self.rest()[lead..].find("*/") else {
            self.fail("unclosed comment".to_owned());
            return false;
        };
        self.skip(lead + end + 2);
        let rest = self.rest();
        if rest.starts_with(" -}}") {
            self.skip(4);
            let blanks = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
            self.skip(blanks);
        } else if rest.starts_with("}}") {
            self.skip(2);
        } else {
            self.fail("comment ends before closing delimiter".to_owned());
            return false;
        }
        true
    }

    /// The tokens of an action; `false` after an error.
    fn inside(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(SPACES);
            let blanks = rest.len() - trimmed.len();
            if blanks > 0 && trimmed.starts_with("-}}") {
                self.skip(blanks + 1);
                if !self.close() {
                    return false;
                }
                let after = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
                self.skip(after);
                return true;
            }
            if rest.starts_with("}}") {
                return self.close();
            }
            if blanks > 0 {
                self.push(Kind::Space, blanks);
                continue;
            }
            let before = self.tokens.len();
            self.word();
            if self.tokens.len() == before || self.tokens.last().is_some_and(|token| token.kind == Kind::Error) {
                return false;
            }
        }
    }

    fn close(&mut self) -> bool {
        if self.depth > 0 {
            self.fail("unclosed left paren".to_owned());
            return false;
        }
        self.push(Kind::Close, 2);
        true
    }

    fn word(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return self.fail("unclosed action".to_owned());
        };
        let alphanumeric = |c: char| c == '_' || c.is_alphanumeric();
        let length = |from: usize| rest[from..].find(|c: char| !alphanumeric(c)).map_or(rest.len(), |n| from + n);
        match first {
            '=' => self.push(Kind::Assign, 1),
            ':' if rest.starts_with(":=") => self.push(Kind::Declare, 2),
            ':' => self.fail("expected :=".to_owned()),
            '|' => self.push(Kind::Pipe, 1),
            ',' => self.push(Kind::Char, 1),
            '"' => self.quoted(),
            '`' => match rest[1..].find('`') {
                Some(end) => self.push(Kind::Text2, end + 2),
                None => self.fail("unterminated raw quoted string".to_owned()),
            },
            '\'' => match rest[1..].find('\'') {
                Some(end) => self.push(Kind::Char, end + 2),
                None => self.fail("unterminated character constant".to_owned()),
            },
            '$' => self.push(Kind::Variable, length(1)),
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let end = length(1);
                self.push(if end == 1 { Kind::Dot } else { Kind::Field }, end);
            }
            '+' | '-' | '.' | '0'..='9' => {
                let end = rest[1..].find(|c: char| !(alphanumeric(c) || c == '.')).map_or(rest.len(), |n| n + 1);
                self.push(Kind::Number, end);
                if self.tokens.last().is_some_and(|token| token.constant().is_none()) {
                    let text = self.tokens.pop().map(|token| token.text).unwrap_or_default();
                    self.fail(format!("bad number syntax: {}", quote(&text)));
                }
            }
            '(' => {
                self.depth += 1;
                self.push(Kind::LeftParen, 1);
            }
            ')' if self.depth == 0 => self.fail("unexpected right paren".to_owned()),
            ')' => {
                self.depth -= 1;
                self.push(Kind::RightParen, 1);
            }
            c if alphanumeric(c) => {
                let end = length(0);
                self.push(keyword(&rest[..end]), end);
            }
            c => self.fail(format!("unrecognized character in action: U+{:04X} '{c}'", c as u32)),
        }
    }

    fn quoted(&mut self) {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                '"' if !escaped => return self.push(Kind::Text2, at + 1),
                _ => escaped = c == '\\' && !escaped,
            }
        }
        self.fail("unterminated quoted string".to_owned());
    }
}

fn keyword(word: &str) -> Kind {
    match word {
        "true" | "false" => Kind::Bool,
        "nil" => Kind::Nil,
        "if" => Kind::If,
        "else" => Kind::Else,
        "end" => Kind::End,
        "range" => Kind::Range,
        "with" => Kind::With,
        "define" => Kind::Define,
        "template" => Kind::Template,
        "block" => Kind::Block,
        "break" => Kind::Break,
        "continue" => Kind::Continue,
        _ => Kind::Identifier,
    }
}
