//! Go templates (`-o go-template`): actions, pipelines, variables, control structures and the built-in functions.
//!
//! Not here: methods (JSON has none), `call`, complex numbers.

mod functions;
mod lexer;
mod parser;
mod printf;

use super::values::plain;
use crate::object::{Json, Map};
use crate::tool::kubectl::failure::quote;
use parser::{Command, Node, Operand, Parsed, Pipe, Spot};

const DEPTH_MAX: usize = 100;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    parsed: Parsed,
    text: String,
    /// Whether a missing field is `<no value>`, rather than an error.
    pub allow_missing: bool,
}

/// A value, or what Go calls an invalid one; and whether it stands in an interface.
#[derive(Debug, Clone, Default)]
pub(crate) struct Value {
    json: Option<Json>,
    boxed: bool,
}

impl Value {
    fn of(json: Json) -> Value {
        Value { json: Some(json), boxed: false }
    }

    fn in_interface(json: Json) -> Value {
        Value { json: Some(json), boxed: true }
    }

    fn truth(&self) -> bool {
        match &self.json {
            None | Some(Json::Null) => false,
            Some(Json::Bool(b)) => *b,
            Some(Json::Int(n)) => *n != 0,
            Some(Json::Float(x)) => *x != 0.0,
            Some(other) => !other.is_empty(),
        }
    }

    fn type_name(&self) -> &'static str {
        match &self.json {
            Some(_) if self.boxed => "interface {}",
            Some(json) => super::values::type_name(json),
            None => "<nil>",
        }
    }
}

/// Why a template stopped.
enum Stop {
    Break,
    Continue,
    Error(String),
}

struct State<'t> {
    template: &'t Template,
    variables: Vec<(String, Value)>,
    depth: usize,
    spot: Spot,
    name: String,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// What is wrong, in Go's words.
    pub fn parse(text: &str) -> Result<Template, String> {
        Ok(Template { parsed: parser::parse(text, functions::NAMES)?, text: text.to_owned(), allow_missing: true })
    }

    /// Appends what the template makes of `data`; on an error, what was made before it.
    ///
    /// # Errors
    /// Go's message.
    pub fn print(&self, data: &Json, out: &mut String) -> Result<(), String> {
        let root = Value::of(data.clone());
        let mut state = State {
            template: self,
            variables: vec![("$".to_owned(), root.clone())],
            depth: 0,
            spot: Spot::default(),
            name: "output".to_owned(),
        };
        match state.walk(&root, &self.parsed.root, out) {
            Err(Stop::Error(message)) => Err(message),
            _ => Ok(()),
        }
    }
}

impl State<'_> {
    fn fail(&self, message: impl std::fmt::Display) -> Stop {
        let before = &self.template.text[..self.spot.at.min(self.template.text.len())];
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        Stop::Error(format!("template: output:{line}:{column}: executing {} at <{}>: {message}", quote(&self.name), self.spot.text))
    }

    fn at(&mut self, spot: &Spot) {
        self.spot = spot.clone();
    }

    fn walk(&mut self, dot: &Value, nodes: &[Node], out: &mut String) -> Result<(), Stop> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Action(pipe) => {
                    let value = self.pipeline(dot, pipe)?;
                    if pipe.variables.is_empty() {
                        out.push_str(&printed(&value));
                    }
                }
                Node::If(with, pipe, then, otherwise) => {
                    let mark = self.variables.len();
                    let value = self.pipeline(dot, pipe)?;
                    let inner = if *with { &value } else { dot };
                    if value.truth() {
                        self.walk(inner, then, out)?
                    } else {
                        self.walk(dot, otherwise, out)?
                    }
                    self.variables.truncate(mark);
                }
                Node::Range(pipe, body, otherwise) => self.range(dot, pipe, (body, otherwise), out)?,
                Node::Template(spot, name, pipe) => self.call_template(dot, spot, name, pipe.as_ref(), out)?,
                Node::Break => return Err(Stop::Break),
                Node::Continue => return Err(Stop::Continue),
            }
        }
        Ok(())
    }

    fn range(&mut self, dot: &Value, pipe: &Pipe, parts: (&[Node], &[Node]), out: &mut String) -> Result<(), Stop> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, pipe)?;
        let items: Vec<(Value, Value)> = match &value.json {
            Some(Json::Arr(items)) => {
                items.iter().enumerate().map(|(at, item)| (Value::of(Json::from(at)), Value::in_interface(item.clone()))).collect()
            }
            Some(Json::Obj(map)) => map.iter().map(|(key, item)| (Value::of(Json::from(key)), Value::in_interface(item.clone()))).collect(),
            Some(Json::Int(n)) if pipe.variables.len() < 2 => (0..*n).map(|i| (Value::default(), Value::of(Json::Int(i)))).collect(),
            Some(Json::Int(n)) => return Err(self.fail(format_args!("can't use {n} to iterate over more than one variable"))),
            None => Vec::new(),
            Some(other) => return Err(self.fail(format_args!("range can't iterate over {}", plain(other)))),
        };
        let (body, otherwise) = parts;
        if items.is_empty() {
            self.walk(dot, otherwise, out)?;
        }
        let inner = self.variables.len();
        for (key, item) in items {
            self.bind(pipe, key, &item, mark);
            let ended = self.walk(&item, body, out);
            self.variables.truncate(inner);
            match ended {
                Err(Stop::Break) => break,
                Ok(()) | Err(Stop::Continue) => {}
                Err(error) => return Err(error),
            }
        }
        self.variables.truncate(mark);
        Ok(())
    }

    /// Gives a loop's variables the key and the item of one round.
    fn bind(&mut self, pipe: &Pipe, key: Value, item: &Value, mark: usize) {
        let values = if pipe.variables.len() > 1 { vec![key, item.clone()] } else { vec![item.clone()] };
        for (at, (name, value)) in pipe.variables.iter().zip(values).enumerate() {
            let slot = if pipe.assigns {
                self.variables.iter_mut().rev().find(|(known, _)| known == name)
            } else {
                self.variables.get_mut(mark + at)
            };
            if let Some((_, slot)) = slot {
                *slot = value;
            }
        }
    }

    fn call_template(&mut self, dot: &Value, spot: &Spot, name: &str, pipe: Option<&Pipe>, out: &mut String) -> Result<(), Stop> {
        self.at(spot);
        let defined = self.template.parsed.defined.iter().rev().find(|(known, _)| known == name);
        let Some((_, nodes)) = defined else {
            return Err(self.fail(format_args!("template {} not defined", quote(name))));
        };
        if self.depth >= DEPTH_MAX {
            return Err(self.fail(format_args!("exceeded maximum template depth ({DEPTH_MAX})")));
        }
        let value = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::default(),
        };
        let mut inner = State {
            template: self.template,
            variables: vec![("$".to_owned(), value.clone())],
            depth: self.depth + 1,
            spot: Spot::default(),
            name: name.to_owned(),
        };
        inner.walk(&value, nodes, out)
    }

    fn pipeline(&mut self, dot: &Value, pipe: &Pipe) -> Result<Value, Stop> {
        let mut value: Option<Value> = None;
        for command in &pipe.commands {
            let mut result = self.command(dot, command, value)?;
            result.boxed = false;
            value = Some(result);
        }
        let value = value.unwrap_or_default();
        for name in &pipe.variables {
            if pipe.assigns {
                if let Some((_, slot)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                    *slot = value.clone();
                }
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &Command, last: Option<Value>) -> Result<Value, Stop> {
        let Some((first, rest)) = command.words.split_first() else { return Ok(Value::default()) };
        if let Operand::Function(_, name) = first {
            return self.function(dot, (&command.spot, name), rest, last);
        }
        let has_arguments = !rest.is_empty() || last.is_some();
        if let (Operand::Field(spot, fields) | Operand::Variable(spot, _, fields) | Operand::Group(spot, _, fields), true) =
            (first, has_arguments)
        {
            if let Some(field) = fields.last() {
                self.at(spot);
                return Err(self.fail(format_args!("{field} is not a method but has arguments")));
            }
            return Err(self.fail(format_args!("can't give argument to non-function {}", spot.text)));
        }
        match first {
            Operand::Nil => Err(self.fail("nil is not a command")),
            Operand::Constant(spot, _) if has_arguments => {
                Err(self.fail(format_args!("can't give argument to non-function {}", spot.text)))
            }
            Operand::Dot if has_arguments => Err(self.fail("can't give argument to non-function .")),
            operand => self.operand(dot, operand),
        }
    }

    fn operand(&mut self, dot: &Value, operand: &Operand) -> Result<Value, Stop> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(Value::of(Json::Null)),
            Operand::Constant(_, value) => Ok(Value::of(value.clone())),
            Operand::Field(spot, fields) => {
                self.at(spot);
                self.fields(dot.clone(), fields)
            }
            Operand::Variable(spot, name, fields) => {
                self.at(spot);
                let value = self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                self.fields(value.unwrap_or_default(), fields)
            }
            Operand::Group(spot, pipe, fields) => {
                let value = self.pipeline(dot, pipe)?;
                self.at(spot);
                self.fields(value, fields)
            }
            Operand::Function(spot, name) => self.function(dot, (spot, name), &[], None),
        }
    }

    fn fields(&mut self, mut value: Value, fields: &[String]) -> Result<Value, Stop> {
        for field in fields {
            value = match &value.json {
                None if self.template.allow_missing => Value::default(),
                None => return Err(self.fail(format_args!("nil data; no entry for key {}", quote(field)))),
                Some(Json::Null) => return Err(self.fail(format_args!("nil pointer evaluating interface {{}}.{field}"))),
                Some(Json::Obj(map)) => self.entry(map, field)?,
                Some(_) => return Err(self.fail(format_args!("can't evaluate field {field} in type {}", value.type_name()))),
            };
        }
        Ok(value)
    }

    fn entry(&self, map: &Map, field: &str) -> Result<Value, Stop> {
        match map.get(field) {
            Some(value) => Ok(Value::in_interface(value.clone())),
            None if self.template.allow_missing => Ok(Value::default()),
            None => Err(self.fail(format_args!("map has no entry for key {}", quote(field)))),
        }
    }

    fn function(&mut self, dot: &Value, function: (&Spot, &str), operands: &[Operand], last: Option<Value>) -> Result<Value, Stop> {
        let (spot, name) = function;
        let mut args = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            let value = self.operand(dot, operand)?;
            // `and` and `or` stop at the first value that decides.
            if matches!((name, value.truth()), ("and", false) | ("or", true)) {
                return Ok(value);
            }
            args.push(value);
        }
        args.extend(last);
        self.at(spot);
        let args: Vec<Option<Json>> = args.into_iter().map(|value| value.json).collect();
        match functions::call(name, &args) {
            Ok(json) => Ok(Value { json, boxed: true }),
            Err(functions::Fault::Arity(message)) => Err(self.fail(message)),
            Err(functions::Fault::Call(message)) => Err(self.fail(format_args!("error calling {name}: {message}"))),
        }
    }
}

fn printed(value: &Value) -> String {
    match &value.json {
        None | Some(Json::Null) => "<no value>".to_owned(),
        Some(json) => plain(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str =
        r#"{"kind":"List","nil":null,"items":[{"name":"a","n":3,"labels":{"x":"1","y":"2"}},{"name":"b","n":5}],"secret":"aGk="}"#;

    fn check(template: &str, expect: &str) {
        let mut out = String::new();
        let result = Template::parse(template).and_then(|t| t.print(&Json::parse(DATA).expect("json"), &mut out));
        assert_eq!(result.map_or_else(|error| format!("error: {error}"), |()| out), expect, "{template}");
    }

    #[test]
    fn runs_actions() {
        check("{{.kind}} {{ .absent }} {{.nil}}", "List <no value> <no value>");
        check("{{range .items}}{{.name}}={{.n}}{{\"\\n\"}}{{end}}", "a=3\nb=5\n");
        check("{{range $i, $e := .items}}{{$i}}:{{$e.name}} {{end}}", "0:a 1:b ");
        check("{{range $k, $v := (index .items 0).labels}}{{$k}}={{$v}};{{end}}", "x=1;y=2;");
        check("{{with .absent}}x{{else}}none{{end}}", "none");
        check("{{if eq .kind \"List\"}}yes{{else if .nil}}nil{{else}}no{{end}}", "yes");
        check("{{if and .kind (gt (len .items) 1)}}many{{end}}", "many");
        check("{{$n := len .items}}{{$n = 7}}{{$n}}", "7");
        check("{{printf \"%s-%d\" .kind (len .items)}} {{.secret | base64decode}}", "List-2 hi");
        check("a {{- /* gone */ -}} b {{- .kind -}} c", "abListc");
        check("{{(index .items 1).name}} {{index .items 0 \"labels\" \"y\"}}", "b 2");
        check("{{range .items}}{{if eq .name \"b\"}}{{break}}{{end}}{{.name}}{{end}}", "a");
        check("{{define \"x\"}}<{{.}}>{{end}}{{template \"x\" .kind}}", "<List>");
        check("{{.items}}", "[map[labels:map[x:1 y:2] n:3 name:a] map[n:5 name:b]]");
        check("{{not true}} {{or .nil \"d\"}} {{print 1 2 \"x\"}} {{println \"y\"}}", "false d 1 2x y\n");
        check("{{range .absent}}x{{else}}empty{{end}}", "empty");
        check("{{exists . \"kind\"}} {{exists . \"nope\"}}", "true false");
    }

    #[test]
    fn complains_as_go_does() {
        check("{{.kind", "error: template: output:1: unclosed action");
        check("{{.kind.x}}", "error: template: output:1:7: executing \"output\" at <.kind.x>: can't evaluate field x in type interface {}");
        check("{{nope}}", "error: template: output:1: function \"nope\" not defined");
        check("{{range .items}}", "error: template: output:1: unexpected EOF");
        check("{{end}}", "error: template: output:1: unexpected {{end}}");
        check("{{$x}}", "error: template: output:1: undefined variable \"$x\"");
        check("{{}}", "error: template: output:1: missing value for command");
        check("{{range .kind}}{{end}}", "error: template: output:1:8: executing \"output\" at <.kind>: range can't iterate over List");
        check(
            "{{index .items 9}}",
            "error: template: output:1:2: executing \"output\" at <index .items 9>: error calling index: reflect: slice index out of range",
        );
    }
}
