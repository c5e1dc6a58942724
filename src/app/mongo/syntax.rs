//! The JavaScript that people type at a `mongo` prompt: tokens and syntax tree.
//!
//! Expressions, declarations, `if`, `for`, `while`, `try`, functions; what is beyond that is a syntax error that says where.

use std::rc::Rc;

/// A token with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    kind: Kind,
    line: usize,
    column: usize,
    /// Whether a line feed stands before it.
    fresh_line: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Name(String),
    Number(f64, bool),
    Text(String),
    Regex(String, String),
    Sign(&'static str),
    End,
}

/// An error in a script, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number; whether it was written as a whole one.
    Number(f64, bool),
    /// A text.
    Text(String),
    /// A regular expression with its flags.
    Regex(String, String),
    /// A name.
    Name(String),
    /// `[a, b]`.
    Array(Vec<Expr>),
    /// `{a: b}`.
    Object(Vec<(String, Expr)>),
    /// `a.b` or `a[b]`.
    Member(Box<Expr>, Box<Expr>),
    /// `f(a)`; `new F(a)` counts as a call.
    Call(Box<Expr>, Vec<Expr>),
    /// A prefix operator.
    Unary(&'static str, Box<Expr>),
    /// An operator between two.
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// `a ? b : c`.
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a = b` and its kin.
    Assign(&'static str, Box<Expr>, Box<Expr>),
    /// `a++` and `a--`.
    Step(Box<Expr>, f64),
    /// A function.
    Function(Rc<Function>),
}

/// A function.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// Names of its parameters.
    pub parameters: Vec<String>,
    /// Its body.
    pub body: Vec<Stmt>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// An expression, with its line and column.
    Expr(Expr, usize, usize),
    /// `var a = b`.
    Declare(Vec<(String, Option<Expr>)>),
    /// `if`.
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `while`, and `for (;;)` with its step.
    Loop(Option<Box<Stmt>>, Option<Expr>, Option<Expr>, Vec<Stmt>),
    /// `for (x of xs)`, or `in`.
    Each(String, bool, Expr, Vec<Stmt>),
    /// `return`.
    Return(Option<Expr>),
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// `throw`.
    Throw(Expr),
    /// `try` with the name that `catch` gives, its block, and `finally`.
    Try(Vec<Stmt>, String, Vec<Stmt>, Vec<Stmt>),
    /// `function f() {}`.
    Function(String, Rc<Function>),
}

const SIGNS: &[&str] = &[
    "===", "!==", "...", "=>", "==", "!=", "<=", ">=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "{", "}", "(", ")", "[", "]", ";",
    ",", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "=", ".", "&", "|", "^", "~",
];

fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut line, mut start, mut fresh_line) = (0, 1, 0, false);
    let mut found: Vec<Token> = Vec::new();
    while let Some(c) = chars.get(at).copied() {
        let column = at - start + 1;
        let fail = |message: &str| SyntaxError { message: message.to_owned(), line, column };
        if c == '\n' {
            (line, start, fresh_line) = (line + 1, at + 1, true);
            at += 1;
            continue;
        }
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        if c == '/' && chars.get(at + 1) == Some(&'/') {
            at += chars.iter().skip(at).take_while(|c| **c != '\n').count();
            continue;
        }
        if c == '/' && chars.get(at + 1) == Some(&'*') {
            let rest: String = chars.iter().skip(at).collect();
            let end = rest.find("*/").ok_or_else(|| fail("unterminated comment"))?;
            at += rest.get(..end + 2).map_or(2, |t| t.chars().count());
            continue;
        }
        let (kind, length) = if c == '"' || c == '\'' || c == '`' {
            quoted(&chars, at, c).ok_or_else(|| fail("\"\" literal not terminated before end of script"))?
        } else if c.is_ascii_digit() {
            number(&chars, at)
        } else if c.is_alphabetic() || matches!(c, '_' | '$') {
            let name: String = chars.iter().skip(at).take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '$')).collect();
            let length = name.chars().count();
            (Kind::Name(name), length)
        } else if c == '/' && !matches!(found.last().map(|t| &t.kind), Some(Kind::Name(_) | Kind::Number(..) | Kind::Sign(")" | "]"))) {
            regex(&chars, at).ok_or_else(|| fail("unterminated regular expression literal"))?
        } else {
            let sign = SIGNS.iter().find(|s| s.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c)));
            let sign = sign.ok_or_else(|| fail("illegal character"))?;
            (Kind::Sign(sign), sign.len())
        };
        found.push(Token { kind, line, column, fresh_line });
        fresh_line = false;
        at += length;
    }
    found.push(Token { kind: Kind::End, line, column: at - start + 1, fresh_line: true });
    Ok(found)
}

fn quoted(chars: &[char], at: usize, quote: char) -> Option<(Kind, usize)> {
    let (mut text, mut i) = (String::new(), at + 1);
    loop {
        match chars.get(i)? {
            c if *c == quote => return Some((Kind::Text(text), i + 1 - at)),
            '\\' => {
                i += 1;
                text.push(match chars.get(i)? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    c => *c,
                });
            }
            '\n' if quote != '`' => return None,
            c => text.push(*c),
        }
        i += 1;
    }
}

fn number(chars: &[char], at: usize) -> (Kind, usize) {
    let mut text = String::new();
    for c in chars.iter().skip(at) {
        let exponent = matches!(c, '+' | '-') && text.ends_with(['e', 'E']);
        if c.is_ascii_digit() || *c == '.' || matches!(c, 'e' | 'E') || exponent {
            text.push(*c);
        } else {
            break;
        }
    }
    let whole = text.chars().all(|c| c.is_ascii_digit());
    (Kind::Number(text.parse().unwrap_or(f64::NAN), whole), text.len())
}

fn regex(chars: &[char], at: usize) -> Option<(Kind, usize)> {
    let (mut text, mut i) = (String::new(), at + 1);
    loop {
        match chars.get(i)? {
            '/' => break,
            '\n' => return None,
            '\\' => {
                text.push('\\');
                i += 1;
                text.push(*chars.get(i)?);
            }
            c => text.push(*c),
        }
        i += 1;
    }
    let flags: String = chars.iter().skip(i + 1).take_while(|c| c.is_ascii_alphabetic()).collect();
    let length = i + 1 - at + flags.len();
    Some((Kind::Regex(text, flags), length))
}

/// Parses a script.
///
/// # Errors
/// Where its syntax is wrong.
pub fn parse(text: &str) -> Result<Vec<Stmt>, SyntaxError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let mut statements = Vec::new();
    while !parser.is_end() {
        if let Some(statement) = parser.statement()? {
            statements.push(statement);
        }
    }
    Ok(statements)
}

/// How deep expressions may be nested.
const DEPTH_MAX: usize = 200;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

impl Parser {
    fn token(&self) -> &Token {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or_else(|| unreachable!("there is always an end"))
    }

    fn is_end(&self) -> bool {
        self.token().kind == Kind::End
    }

    fn wrong<T>(&self) -> Parsed<T> {
        let what = match &self.token().kind {
            Kind::Name(_) => "identifier".to_owned(),
            Kind::Number(..) => "numeric literal".to_owned(),
            Kind::Text(_) => "string literal".to_owned(),
            Kind::Regex(..) => "regular expression literal".to_owned(),
            Kind::Sign(sign) => format!("'{sign}'"),
            Kind::End => "end of script".to_owned(),
        };
        Err(SyntaxError { message: format!("unexpected token: {what}"), line: self.token().line, column: self.token().column })
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.token().kind, Kind::Sign(s) if *s == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token().kind, Kind::Name(n) if n == word)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { self.wrong() }
    }

    fn name(&mut self) -> Parsed<String> {
        match self.token().kind.clone() {
            Kind::Name(name) => {
                self.at += 1;
                Ok(name)
            }
            _ => self.wrong(),
        }
    }

    fn block(&mut self) -> Parsed<Vec<Stmt>> {
        if !self.take("{") {
            return Ok(self.statement()?.into_iter().collect());
        }
        let mut statements = Vec::new();
        while !self.take("}") {
            if self.is_end() {
                return self.wrong();
            }
            statements.extend(self.statement()?);
        }
        Ok(statements)
    }

    /// The end of a statement: a semicolon, a line feed, a closing brace or the end.
    fn end_of_statement(&mut self) -> Parsed<()> {
        if self.take(";") || self.is("}") || self.is_end() || self.token().fresh_line { Ok(()) } else { self.wrong() }
    }

    fn statement(&mut self) -> Parsed<Option<Stmt>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.wrong();
        }
        let statement = self.statement_inside();
        self.depth -= 1;
        statement
    }

    fn statement_inside(&mut self) -> Parsed<Option<Stmt>> {
        if self.take(";") {
            return Ok(None);
        }
        let Kind::Name(word) = self.token().kind.clone() else { return self.expression_statement().map(Some) };
        match word.as_str() {
            "var" | "let" | "const" => {
                let declared = self.declaration()?;
                self.end_of_statement()?;
                Ok(Some(declared))
            }
            "if" => self.branch().map(Some),
            "for" => self.for_loop().map(Some),
            "while" => {
                self.at += 1;
                self.expect("(")?;
                let condition = self.expression()?;
                self.expect(")")?;
                Ok(Some(Stmt::Loop(None, Some(condition), None, self.block()?)))
            }
            "try" => self.attempt().map(Some),
            "function" => {
                self.at += 1;
                let name = self.name()?;
                Ok(Some(Stmt::Function(name, self.function()?)))
            }
            "return" | "throw" | "break" | "continue" => self.jump(&word).map(Some),
            _ => self.expression_statement().map(Some),
        }
    }

    fn expression_statement(&mut self) -> Parsed<Stmt> {
        let (line, column) = (self.token().line, self.token().column);
        let expression = self.expression()?;
        self.end_of_statement()?;
        Ok(Stmt::Expr(expression, line, column))
    }

    fn declaration(&mut self) -> Parsed<Stmt> {
        self.at += 1;
        let mut all = Vec::new();
        loop {
            let name = self.name()?;
            let value = if self.take("=") { Some(self.assignment()?) } else { None };
            all.push((name, value));
            if !self.take(",") {
                return Ok(Stmt::Declare(all));
            }
        }
    }

    fn branch(&mut self) -> Parsed<Stmt> {
        self.at += 1;
        self.expect("(")?;
        let condition = self.expression()?;
        self.expect(")")?;
        let then = self.block()?;
        let otherwise = if self.take_word("else") { self.block()? } else { Vec::new() };
        Ok(Stmt::If(condition, then, otherwise))
    }

    fn for_loop(&mut self) -> Parsed<Stmt> {
        self.at += 1;
        self.expect("(")?;
        let start = self.at;
        let declares = ["var", "let", "const"].iter().any(|w| self.is_word(w));
        self.at += usize::from(declares);
        if let Ok(name) = self.name()
            && (self.is_word("of") || self.is_word("in"))
        {
            let of = self.is_word("of");
            self.at += 1;
            let all = self.expression()?;
            self.expect(")")?;
            return Ok(Stmt::Each(name, of, all, self.block()?));
        }
        self.at = start;
        let first = if self.is(";") {
            None
        } else if declares {
            Some(Box::new(self.declaration()?))
        } else {
            Some(Box::new(Stmt::Expr(self.expression()?, 0, 0)))
        };
        self.expect(";")?;
        let condition = if self.is(";") { None } else { Some(self.expression()?) };
        self.expect(";")?;
        let step = if self.is(")") { None } else { Some(self.expression()?) };
        self.expect(")")?;
        Ok(Stmt::Loop(first, condition, step, self.block()?))
    }

    fn attempt(&mut self) -> Parsed<Stmt> {
        self.at += 1;
        let body = self.block()?;
        let (mut name, mut caught) = (String::new(), Vec::new());
        if self.take_word("catch") {
            if self.take("(") {
                name = self.name()?;
                self.expect(")")?;
            }
            caught = self.block()?;
        }
        let finally = if self.take_word("finally") { self.block()? } else { Vec::new() };
        Ok(Stmt::Try(body, name, caught, finally))
    }

    fn jump(&mut self, word: &str) -> Parsed<Stmt> {
        self.at += 1;
        let bare = self.is(";") || self.is("}") || self.is_end() || self.token().fresh_line;
        let value = if bare || matches!(word, "break" | "continue") { None } else { Some(self.expression()?) };
        self.end_of_statement()?;
        match (word, value) {
            ("break", _) => Ok(Stmt::Break),
            ("continue", _) => Ok(Stmt::Continue),
            ("throw", Some(value)) => Ok(Stmt::Throw(value)),
            ("throw", None) => self.wrong(),
            (_, value) => Ok(Stmt::Return(value)),
        }
    }

    fn function(&mut self) -> Parsed<Rc<Function>> {
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.take(")") {
            parameters.push(self.name()?);
            if !self.take(",") && !self.is(")") {
                return self.wrong();
            }
        }
        if !self.is("{") {
            return self.wrong();
        }
        Ok(Rc::new(Function { parameters, body: self.block()? }))
    }

    fn expression(&mut self) -> Parsed<Expr> {
        self.assignment()
    }

    fn assignment(&mut self) -> Parsed<Expr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.wrong();
        }
        let expression = self.assignment_inside();
        self.depth -= 1;
        expression
    }

    fn assignment_inside(&mut self) -> Parsed<Expr> {
        if let Some(arrow) = self.arrow()? {
            return Ok(arrow);
        }
        let left = self.choice()?;
        for sign in ["=", "+=", "-=", "*=", "/="] {
            if self.take(sign) {
                let right = self.assignment()?;
                return Ok(Expr::Assign(sign, Box::new(left), Box::new(right)));
            }
        }
        Ok(left)
    }

    /// `x => …` or `(x, y) => …`.
    fn arrow(&mut self) -> Parsed<Option<Expr>> {
        let start = self.at;
        let mut parameters = Vec::new();
        let complete = if self.take("(") {
            while let Ok(name) = self.name() {
                parameters.push(name);
                if !self.take(",") {
                    break;
                }
            }
            self.take(")")
        } else {
            self.name().map(|name| parameters.push(name)).is_ok()
        };
        if !(complete && self.take("=>")) {
            self.at = start;
            return Ok(None);
        }
        let body = if self.is("{") { self.block()? } else { vec![Stmt::Return(Some(self.assignment()?))] };
        Ok(Some(Expr::Function(Rc::new(Function { parameters, body }))))
    }

    fn choice(&mut self) -> Parsed<Expr> {
        let condition = self.binary(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let then = self.assignment()?;
        self.expect(":")?;
        let otherwise = self.assignment()?;
        Ok(Expr::Choice(Box::new(condition), Box::new(then), Box::new(otherwise)))
    }

    fn binary(&mut self, level: usize) -> Parsed<Expr> {
        const LEVELS: &[&[&str]] = &[&["||"], &["&&"], &["===", "!==", "==", "!="], &["<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(sign) = signs.iter().find(|s| self.is(s)) {
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = Expr::Binary(sign, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        for sign in ["-", "+", "!"] {
            if self.take(sign) {
                return Ok(Expr::Unary(sign, Box::new(self.unary()?)));
            }
        }
        if self.take_word("typeof") {
            return Ok(Expr::Unary("typeof", Box::new(self.unary()?)));
        }
        if self.take_word("new") {
            return self.unary();
        }
        let inner = self.postfix()?;
        for (sign, step) in [("++", 1.0), ("--", -1.0)] {
            if self.is(sign) && !self.token().fresh_line {
                self.at += 1;
                return Ok(Expr::Step(Box::new(inner), step));
            }
        }
        Ok(inner)
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let mut expression = self.primary()?;
        loop {
            if self.take(".") {
                let name = self.name()?;
                expression = Expr::Member(Box::new(expression), Box::new(Expr::Text(name)));
            } else if self.take("[") {
                let index = self.expression()?;
                self.expect("]")?;
                expression = Expr::Member(Box::new(expression), Box::new(index));
            } else if self.take("(") {
                let arguments = self.list(")")?;
                expression = Expr::Call(Box::new(expression), arguments);
            } else {
                return Ok(expression);
            }
        }
    }

    fn list(&mut self, close: &str) -> Parsed<Vec<Expr>> {
        let mut all = Vec::new();
        while !self.take(close) {
            all.push(self.assignment()?);
            if !self.take(",") && !self.is(close) {
                return self.wrong();
            }
        }
        Ok(all)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.token().kind.clone();
        self.at += 1;
        match token {
            Kind::Number(value, whole) => Ok(Expr::Number(value, whole)),
            Kind::Text(text) => Ok(Expr::Text(text)),
            Kind::Regex(text, flags) => Ok(Expr::Regex(text, flags)),
            Kind::Name(name) if name == "function" => {
                if !self.is("(") {
                    self.name()?;
                }
                Ok(Expr::Function(self.function()?))
            }
            Kind::Name(name) => Ok(Expr::Name(name)),
            Kind::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Kind::Sign("[") => Ok(Expr::Array(self.list("]")?)),
            Kind::Sign("{") => self.object(),
            _ => {
                self.at -= 1;
                self.wrong()
            }
        }
    }

    fn object(&mut self) -> Parsed<Expr> {
        let mut fields = Vec::new();
        while !self.take("}") {
            let key = match self.token().kind.clone() {
                Kind::Name(name) | Kind::Text(name) => name,
                Kind::Number(value, _) => value.to_string(),
                _ => return self.wrong(),
            };
            self.at += 1;
            let value = if self.take(":") { self.assignment()? } else { Expr::Name(key.clone()) };
            fields.push((key, value));
            if !self.take(",") && !self.is("}") {
                return self.wrong();
            }
        }
        Ok(Expr::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agents_type_parses() {
        for script in [
            "db.getUsers()",
            "db.createUser({user: 'admin', pwd: 'admin', roles:[{role:'userAdminAnyDatabase',db:'admin'}]});",
            "db.grantRolesToUser(\"admin\", [{role: \"readWrite\", db: \"geo-db\"}]); db.getUser(\"admin\")",
            "var u = db.getSiblingDB('admin').getUser('admin'); printjson(u.roles)",
            "db.getCollectionNames().forEach(function(c) { print(c + ': ' + db[c].count()); });",
            "db.adminCommand({listDatabases: 1}).databases.map(d => d.name)",
            "for (let i = 0; i < 3; i++) { print(i) }\nif (1 === 1) print('x'); else print('y')",
            "try { db.x.find() } catch (e) { print(e) }",
            "db.geo.find({hotelId: /^1/i}).limit(2).pretty()",
        ] {
            assert!(parse(script).is_ok(), "{script}: {:?}", parse(script));
        }
    }

    #[test]
    fn errors_have_a_place() {
        let check = |script: &str, message: &str, line, column| {
            let error = parse(script).expect_err("wrong");
            assert_eq!((error.message.as_str(), error.line, error.column), (message, line, column), "{script}");
        };
        check("show dbs", "unexpected token: identifier", 1, 6);
        check("db.x.find({", "unexpected token: end of script", 1, 12);
        check("db.getUser(admin])", "unexpected token: ']'", 1, 17);
        check("print('a", "\"\" literal not terminated before end of script", 1, 7);
    }
}
