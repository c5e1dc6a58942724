//! Runs a parsed script: values, scopes, operators, calls.
//!
//! Scopes are dynamic: a function sees the names of its caller, which callbacks cannot tell from closures.
//!
//! Not modelled: prototypes and `this`, getters, generators, promises.

use super::methods;
use super::server::Server;
use super::show;
use super::syntax::{Expr, Function, Stmt};
use crate::object::Json;
use arcstr::ArcStr;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `undefined`.
    Undefined,
    /// Anything that JSON can hold.
    Json(Json),
    /// A database.
    Database(ArcStr),
    /// A collection.
    Collection(ArcStr, ArcStr),
    /// A cursor: documents that were found, and how it prints them.
    Cursor(Rc<Vec<Json>>, bool),
    /// A function of the script.
    Function(Rc<Function>),
    /// A method of a value, not called yet.
    Method(Box<Value>, String),
    /// A function or object of the shell itself.
    Builtin(String),
    /// What prints as this text (`WriteResult({ … })`), with the fields behind it.
    Shown(String, Json),
}

impl Value {
    /// The JSON in it; `null` when it is none.
    pub fn json(&self) -> Json {
        match self {
            Value::Json(json) | Value::Shown(_, json) => json.clone(),
            Value::Cursor(documents, _) => documents.iter().cloned().collect(),
            Value::Database(name) => Json::from(name),
            Value::Collection(database, name) => Json::from(format!("{database}.{name}")),
            _ => Json::Null,
        }
    }

    fn is_true(&self) -> bool {
        match self {
            Value::Undefined => false,
            Value::Json(Json::Null) => false,
            Value::Json(Json::Bool(b)) => *b,
            Value::Json(Json::Str(text)) => !text.is_empty(),
            Value::Json(json) => json.as_f64().is_none_or(|x| x != 0.0),
            _ => true,
        }
    }

    /// As `+` and `print` turn it into a text.
    pub fn text(&self) -> String {
        match self {
            Value::Undefined => "undefined".to_owned(),
            Value::Json(Json::Str(text)) => text.to_string(),
            Value::Json(Json::Float(x)) => show::number(*x),
            Value::Json(Json::Arr(items)) => items.iter().map(|i| Value::Json(i.clone()).text()).collect::<Vec<_>>().join(","),
            Value::Json(map @ Json::Obj(_)) => match show::one_line(map) {
                special if special.ends_with(')') => special,
                _ => "[object Object]".to_owned(),
            },
            Value::Json(json) => json.to_compact(),
            Value::Database(name) => name.to_string(),
            Value::Collection(database, name) => format!("{database}.{name}"),
            Value::Cursor(..) => "DBQuery".to_owned(),
            Value::Function(_) | Value::Method(..) | Value::Builtin(_) => "[function]".to_owned(),
            Value::Shown(text, _) => text.clone(),
        }
    }

    /// As the shell shows the result of a statement; `None` when it shows nothing.
    pub fn shown(&self) -> Option<String> {
        match self {
            Value::Undefined => None,
            Value::Json(Json::Str(text)) => Some(text.to_string()),
            Value::Json(Json::Float(x)) => Some(show::number(*x)),
            Value::Json(json) => Some(show::tojson(json)),
            Value::Cursor(documents, pretty) => {
                let one = |d: &Json| if *pretty { show::tojson(d) } else { show::one_line(d) };
                let mut lines: Vec<_> = documents.iter().take(20).map(one).collect();
                if documents.len() > 20 {
                    lines.push("Type \"it\" for more".to_owned());
                }
                (!lines.is_empty()).then(|| lines.join("\n"))
            }
            other => Some(other.text()),
        }
    }
}

impl<T: Into<Json>> From<T> for Value {
    fn from(value: T) -> Self {
        Value::Json(value.into())
    }
}

/// An exception: what was thrown, and the frames that the shell prints under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Thrown {
    /// What was thrown.
    pub value: Value,
    /// `Error: …`.
    pub text: String,
    /// Frames of the shell's own functions, innermost first.
    pub frames: Vec<String>,
}

impl Thrown {
    /// An `Error` with a message, thrown by a function of the shell.
    pub fn error(message: impl Into<String>, frames: &[&str]) -> Self {
        let message = message.into();
        let value = Value::Json(crate::object! { "message" => &message });
        Thrown { value, text: format!("Error: {message}"), frames: frames.iter().map(|f| (*f).to_owned()).collect() }
    }

    fn kind(kind: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Thrown { value: Value::Json(crate::object! { "message" => &message }), text: format!("{kind}: {message}"), frames: Vec::new() }
    }
}

/// How a statement ended.
enum Flow {
    Next(Value),
    Return(Value),
    Break,
    Continue,
}

/// Statements and calls that a script may make.
const STEPS_MAX: u64 = 200_000;

/// How deep calls may be nested.
const CALLS_MAX: usize = 100;

/// A shell: its connection, its variables and what it printed.
pub struct Shell<'a> {
    /// The connection; `None` for a shell without one.
    pub connection: Option<&'a mut dyn Server>,
    /// The database that `db` stands for.
    pub database: ArcStr,
    /// What was printed.
    pub out: String,
    /// Set by `quit()`.
    pub quit: Option<i32>,
    /// Time that `sleep()` took, in milliseconds.
    pub slept_ms: u64,
    scopes: Vec<BTreeMap<String, Value>>,
    steps: u64,
}

type Evaluated = Result<Value, Thrown>;

impl<'a> Shell<'a> {
    /// A shell on a connection.
    pub fn new(connection: Option<&'a mut dyn Server>, database: &str) -> Self {
        Shell {
            connection,
            database: database.into(),
            out: String::new(),
            quit: None,
            slept_ms: 0,
            scopes: vec![BTreeMap::new()],
            steps: 0,
        }
    }

    /// Runs a whole script; the value of its last statement.
    ///
    /// # Errors
    /// What it threw and did not catch.
    pub fn run(&mut self, script: &[Stmt]) -> Evaluated {
        match self.block(script)? {
            Flow::Next(value) | Flow::Return(value) => Ok(value),
            Flow::Break | Flow::Continue => Ok(Value::Undefined),
        }
    }

    /// Prints a line.
    pub fn print(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn step(&mut self) -> Result<(), Thrown> {
        self.steps += 1;
        if self.steps > STEPS_MAX { Err(Thrown::kind("InternalError", "too much recursion")) } else { Ok(()) }
    }

    fn block(&mut self, statements: &[Stmt]) -> Result<Flow, Thrown> {
        let mut last = Value::Undefined;
        for statement in statements {
            if self.quit.is_some() {
                break;
            }
            match self.statement(statement)? {
                Flow::Next(value) => last = value,
                other => return Ok(other),
            }
        }
        Ok(Flow::Next(last))
    }

    fn statement(&mut self, statement: &Stmt) -> Result<Flow, Thrown> {
        self.step()?;
        match statement {
            Stmt::Expr(expression, ..) => self.value(expression).map(Flow::Next),
            Stmt::Declare(all) => {
                for (name, expression) in all {
                    let value = expression.as_ref().map_or(Ok(Value::Undefined), |e| self.value(e))?;
                    self.declare(name, value);
                }
                Ok(Flow::Next(Value::Undefined))
            }
            Stmt::Function(name, function) => {
                self.declare(name, Value::Function(function.clone()));
                Ok(Flow::Next(Value::Undefined))
            }
            Stmt::If(condition, then, otherwise) => {
                let branch = if self.value(condition)?.is_true() { then } else { otherwise };
                self.block(branch)
            }
            Stmt::Loop(first, condition, step, body) => self.repeat(first.as_deref(), condition.as_ref(), step.as_ref(), body),
            Stmt::Each(name, of, all, body) => self.each(name, *of, all, body),
            Stmt::Return(value) => Ok(Flow::Return(value.as_ref().map_or(Ok(Value::Undefined), |e| self.value(e))?)),
            Stmt::Break => Ok(Flow::Break),
            Stmt::Continue => Ok(Flow::Continue),
            Stmt::Throw(expression) => {
                let value = self.value(expression)?;
                let message = value.json().get("message").as_str().map_or_else(|| value.text(), |m| format!("Error: {m}"));
                Err(Thrown { value, text: message, frames: Vec::new() })
            }
            Stmt::Try(body, name, caught, finally) => self.attempt(body, name, caught, finally),
        }
    }

    fn repeat(&mut self, first: Option<&Stmt>, condition: Option<&Expr>, step: Option<&Expr>, body: &[Stmt]) -> Result<Flow, Thrown> {
        if let Some(first) = first {
            self.statement(first)?;
        }
        while condition.map_or(Ok(true), |c| self.value(c).map(|v| v.is_true()))? {
            self.step()?;
            match self.block(body)? {
                Flow::Break => break,
                Flow::Return(value) => return Ok(Flow::Return(value)),
                Flow::Next(_) | Flow::Continue => {}
            }
            if let Some(step) = step {
                self.value(step)?;
            }
        }
        Ok(Flow::Next(Value::Undefined))
    }

    fn each(&mut self, name: &str, of: bool, all: &Expr, body: &[Stmt]) -> Result<Flow, Thrown> {
        let json = self.value(all)?.json();
        let values: Vec<Json> = match (&json, of) {
            (Json::Arr(items), true) => items.to_vec(),
            (Json::Arr(items), false) => (0..items.len()).map(|i| Json::from(i.to_string())).collect(),
            _ => json.entries().map(|(k, _)| Json::from(k)).collect(),
        };
        for value in values {
            self.step()?;
            self.declare(name, Value::Json(value));
            match self.block(body)? {
                Flow::Break => break,
                Flow::Return(value) => return Ok(Flow::Return(value)),
                Flow::Next(_) | Flow::Continue => {}
            }
        }
        Ok(Flow::Next(Value::Undefined))
    }

    fn attempt(&mut self, body: &[Stmt], name: &str, caught: &[Stmt], finally: &[Stmt]) -> Result<Flow, Thrown> {
        let outcome = match self.block(body) {
            Err(thrown) if self.steps <= STEPS_MAX => {
                let mut value = thrown.value.json();
                value.set("$error", thrown.text.as_str());
                self.declare(name, Value::Shown(thrown.text, value));
                self.block(caught)
            }
            outcome => outcome,
        };
        self.block(finally)?;
        outcome
    }

    fn declare(&mut self, name: &str, value: Value) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), value);
        }
    }

    fn assign(&mut self, name: &str, value: Value) {
        if name == "db" {
            if let Value::Database(database) = &value {
                self.database = database.clone();
            }
            return;
        }
        match self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(name)) {
            Some(slot) => *slot = value,
            None => {
                if let Some(global) = self.scopes.first_mut() {
                    global.insert(name.to_owned(), value);
                }
            }
        }
    }

    fn name(&self, name: &str) -> Evaluated {
        if let Some(value) = self.scopes.iter().rev().find_map(|scope| scope.get(name)) {
            return Ok(value.clone());
        }
        match name {
            "db" => Ok(Value::Database(self.database.clone())),
            "undefined" => Ok(Value::Undefined),
            "null" => Ok(Value::Json(Json::Null)),
            "true" | "false" => Ok((name == "true").into()),
            _ if methods::is_builtin(name) => Ok(Value::Builtin(name.to_owned())),
            _ => Err(Thrown::kind("ReferenceError", format!("{name} is not defined"))),
        }
    }

    /// Evaluates an expression.
    ///
    /// # Errors
    /// What it threw.
    pub fn value(&mut self, expression: &Expr) -> Evaluated {
        self.step()?;
        match expression {
            Expr::Number(value, whole) => Ok(if *whole && *value < 9e15 { (*value as i64).into() } else { (*value).into() }),
            Expr::Text(text) => Ok(text.as_str().into()),
            Expr::Regex(pattern, flags) => Ok(crate::object! { "$regex" => pattern, "$options" => flags }.into()),
            Expr::Name(name) => self.name(name),
            Expr::Array(items) => {
                let values = items.iter().map(|i| self.value(i).map(|v| v.json())).collect::<Result<Json, _>>()?;
                Ok(Value::Json(values))
            }
            Expr::Object(fields) => {
                let mut map = crate::object! {};
                for (key, field) in fields {
                    map.set(key, self.value(field)?.json());
                }
                Ok(Value::Json(map))
            }
            Expr::Member(target, key) => self.member(target, key),
            Expr::Call(target, arguments) => self.call_expression(target, arguments),
            Expr::Unary(sign, inner) => self.unary(sign, inner),
            Expr::Binary(sign, left, right) => self.binary(sign, left, right),
            Expr::Choice(condition, then, otherwise) => {
                let branch = if self.value(condition)?.is_true() { then } else { otherwise };
                self.value(branch)
            }
            Expr::Assign(sign, target, value) => self.assignment(sign, target, value),
            Expr::Step(target, by) => {
                let old = self.value(target)?;
                let next = number(old.json().as_f64().unwrap_or(f64::NAN) + by);
                self.store(target, next)?;
                Ok(old)
            }
            Expr::Function(function) => Ok(Value::Function(function.clone())),
        }
    }

    fn member(&mut self, target: &Expr, key: &Expr) -> Evaluated {
        let target = self.value(target)?;
        let key = self.value(key)?;
        methods::member(&target, &key.text()).ok_or_else(|| {
            let kind = if target == Value::Undefined { "undefined" } else { "null" };
            Thrown::kind("TypeError", format!("{kind} has no properties"))
        })
    }

    fn call_expression(&mut self, target: &Expr, arguments: &[Expr]) -> Evaluated {
        let function = self.value(target)?;
        let arguments = arguments.iter().map(|a| self.value(a)).collect::<Result<Vec<_>, _>>()?;
        match function {
            Value::Function(function) => self.call(&function, arguments),
            Value::Method(receiver, name) => methods::method(self, &receiver, &name, &arguments),
            Value::Builtin(name) => methods::builtin(self, &name, &arguments),
            Value::Collection(database, path) => {
                // `db.getUser()` reads as a collection called getUser, until it is called.
                let (parent, name) = path.rsplit_once('.').map_or((None, path.as_str()), |(p, n)| (Some(p), n));
                let receiver = match parent {
                    None => Value::Database(database),
                    Some(parent) => Value::Collection(database, parent.into()),
                };
                methods::method(self, &receiver, name, &arguments)
            }
            _ => Err(Thrown::kind("TypeError", format!("{} is not a function", source(target)))),
        }
    }

    /// Calls a function of the script.
    ///
    /// # Errors
    /// What it threw.
    pub fn call(&mut self, function: &Function, arguments: Vec<Value>) -> Evaluated {
        if self.scopes.len() > CALLS_MAX {
            return Err(Thrown::kind("InternalError", "too much recursion"));
        }
        let mut arguments = arguments.into_iter();
        let scope = function.parameters.iter().map(|name| (name.clone(), arguments.next().unwrap_or(Value::Undefined))).collect();
        self.scopes.push(scope);
        let outcome = self.block(&function.body);
        self.scopes.pop();
        match outcome? {
            Flow::Return(value) => Ok(value),
            _ => Ok(Value::Undefined),
        }
    }

    fn assignment(&mut self, sign: &str, target: &Expr, value: &Expr) -> Evaluated {
        let mut result = self.value(value)?;
        if let Some(operator) = sign.strip_suffix('=').filter(|s| !s.is_empty()) {
            let old = self.value(target)?;
            result = arithmetic(operator, &old, &result);
        }
        self.store(target, result.clone())?;
        Ok(result)
    }

    fn store(&mut self, target: &Expr, value: Value) -> Result<(), Thrown> {
        match target {
            Expr::Name(name) => {
                self.assign(name, value);
                Ok(())
            }
            Expr::Member(owner, key) => {
                let key = self.value(key)?.text();
                let mut json = self.value(owner)?.json();
                match key.parse::<usize>() {
                    Ok(index) if !json.items().is_empty() => {
                        if let Some(slot) = json.items_mut().get_mut(index) {
                            *slot = value.json();
                        }
                    }
                    _ => json.set(&key, value.json()),
                }
                self.store(owner, Value::Json(json))
            }
            _ => Err(Thrown::kind("SyntaxError", "invalid assignment left-hand side")),
        }
    }

    fn unary(&mut self, sign: &str, inner: &Expr) -> Evaluated {
        if sign == "typeof" {
            let value = self.value(inner).unwrap_or(Value::Undefined);
            let kind = match &value {
                Value::Undefined => "undefined",
                Value::Json(Json::Str(_)) => "string",
                Value::Json(Json::Bool(_)) => "boolean",
                Value::Json(Json::Int(_) | Json::Float(_)) => "number",
                Value::Function(_) | Value::Builtin(_) | Value::Method(..) => "function",
                _ => "object",
            };
            return Ok(kind.into());
        }
        let value = self.value(inner)?;
        Ok(match sign {
            "!" => (!value.is_true()).into(),
            "-" => number(-value.json().as_f64().unwrap_or(f64::NAN)),
            _ => number(value.json().as_f64().or_else(|| value.text().parse().ok()).unwrap_or(f64::NAN)),
        })
    }

    fn binary(&mut self, sign: &str, left: &Expr, right: &Expr) -> Evaluated {
        let left = self.value(left)?;
        match sign {
            "&&" => return if left.is_true() { self.value(right) } else { Ok(left) },
            "||" => return if left.is_true() { Ok(left) } else { self.value(right) },
            _ => {}
        }
        let right = self.value(right)?;
        let order = super::query::compare(&left.json(), &right.json());
        let null = |v: &Value| matches!(v, Value::Undefined | Value::Json(Json::Null));
        let same = left == right || order == Some(std::cmp::Ordering::Equal);
        Ok(match sign {
            "===" => same.into(),
            "!==" => (!same).into(),
            "==" => (same || (null(&left) && null(&right))).into(),
            "!=" => (!(same || (null(&left) && null(&right)))).into(),
            "<" => order.is_some_and(std::cmp::Ordering::is_lt).into(),
            ">" => order.is_some_and(std::cmp::Ordering::is_gt).into(),
            "<=" => order.is_some_and(std::cmp::Ordering::is_le).into(),
            ">=" => order.is_some_and(std::cmp::Ordering::is_ge).into(),
            _ => arithmetic(sign, &left, &right),
        })
    }
}

/// A number as a value: whole where it is whole.
fn number(x: f64) -> Value {
    if x == libm::trunc(x) && libm::fabs(x) < 9e15 { (x as i64).into() } else { x.into() }
}

fn arithmetic(sign: &str, left: &Value, right: &Value) -> Value {
    let numbers = left.json().as_f64().zip(right.json().as_f64());
    match (sign, numbers) {
        ("+", Some((a, b))) => number(a + b),
        ("+", None) => format!("{}{}", left.text(), right.text()).into(),
        ("-", Some((a, b))) => number(a - b),
        ("*", Some((a, b))) => number(a * b),
        ("/", Some((a, b))) => number(a / b),
        ("%", Some((a, b))) => number(libm::fmod(a, b)),
        _ => f64::NAN.into(),
    }
}

/// An expression as its source, for errors.
fn source(expression: &Expr) -> String {
    match expression {
        Expr::Name(name) => name.clone(),
        Expr::Member(owner, key) => match &**key {
            Expr::Text(name) => format!("{}.{name}", source(owner)),
            _ => format!("{}[...]", source(owner)),
        },
        Expr::Call(target, _) => format!("{}(...)", source(target)),
        _ => "(intermediate value)".to_owned(),
    }
}
