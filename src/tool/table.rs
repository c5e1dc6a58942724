//! The table of tools: name, parameters, doc and handler of each, once. Prompts, JSON schemas and the binding of a call's
//! arguments are projections of it.

use super::grammar::{Call, Dialect};
use super::{logs, metrics, shell_tool, traces};
use crate::cluster::{Cluster, Identity};
use crate::object::{Json, Map};
use crate::shell::Shell;
use crate::{array, object};

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A list of texts.
    TextList,
    /// A dictionary from text to text.
    TextMap,
}

impl ParameterKind {
    /// The type as a Python annotation spells it.
    pub fn annotation(self) -> &'static str {
        match self {
            ParameterKind::Text => "str",
            ParameterKind::Integer => "int",
            ParameterKind::TextList => "list[str]",
            ParameterKind::TextMap => "dict[str, str]",
        }
    }

    fn schema(self) -> Json {
        match self {
            ParameterKind::Text => object! { "type" => "string" },
            ParameterKind::Integer => object! { "type" => "integer" },
            ParameterKind::TextList => object! { "type" => "array", "items" => object! { "type" => "string" } },
            ParameterKind::TextMap => object! { "type" => "object", "additionalProperties" => object! { "type" => "string" } },
        }
    }
}

/// One parameter of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name.
    pub name: &'static str,
    /// What it takes.
    pub kind: ParameterKind,
    /// What it means, one sentence.
    pub doc: &'static str,
    /// What it is when left out; `None` for a required parameter.
    pub default: Option<i64>,
}

/// What a tool works with.
pub struct ToolContext<'a> {
    /// The cluster.
    pub cluster: &'a mut dyn Cluster,
    /// In whose name the agent acts.
    pub who: &'a Identity,
    /// The agent's shell: its files and what pins its randomness.
    pub shell: &'a mut Shell,
    /// Whose quirks to show.
    pub dialect: Dialect,
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// An observation.
    Observation(String),
    /// The agent submitted this answer, and the episode ends.
    Submission(Json),
}

/// Runs a tool with its bound arguments, in the order of its parameters.
pub type Handler = fn(&mut ToolContext<'_>, &[Json]) -> Reply;

/// A tool.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Name.
    pub name: &'static str,
    /// Class that owns it in AIOpsLab, as Python's messages name it.
    pub owner: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What it returns, one sentence.
    pub returns: &'static str,
    /// Parameters in order.
    pub parameters: Vec<Parameter>,
    /// What it does with them.
    pub handler: Handler,
}

fn text(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::Text, doc, default: None }
}

/// The tools that every task has, in the order in which prompts list them. `submit` comes from the task.
pub fn common() -> Vec<Tool> {
    let mut tools = vec![Tool {
        name: "get_logs",
        owner: "TaskActions",
        doc: "Reads the log of a service's first pod.",
        returns: "The log as text.",
        parameters: vec![text("namespace", "The namespace that the service runs in."), text("service", "The name of the service.")],
        handler: logs::get_logs,
    }];
    tools.extend(telemetry());
    tools.push(Tool {
        name: "exec_shell",
        owner: "TaskActions",
        doc: "Runs a command in a shell from which the cluster can be reached with kubectl.\n\
                  NOTE: this is neither a stateful nor an interactive session: the working directory and variables do not last, \
                  and commands such as \"kubectl edit\" cannot be used.",
        returns: "What the command printed.",
        parameters: vec![
            text("command", "The command to run."),
            Parameter {
                name: "timeout",
                kind: ParameterKind::Integer,
                doc: "After how many seconds a command that is still running is stopped.",
                default: Some(30),
            },
        ],
        handler: shell_tool::exec_shell,
    });
    tools
}

/// Metrics and traces: one tool writes files, another reads them.
fn telemetry() -> Vec<Tool> {
    let minutes = "How many minutes to look back from now.";
    let duration = Parameter { name: "duration", kind: ParameterKind::Integer, doc: minutes, default: Some(5) };
    vec![
        Tool {
            name: "get_metrics",
            owner: "TaskActions",
            doc: "Collects the metrics of a namespace's containers and applications and writes them to CSV files, one a metric.",
            returns: "Path of the directory that the metrics were written to, and the files in it.",
            parameters: vec![text("namespace", "The namespace that the application runs in."), duration.clone()],
            handler: metrics::get_metrics,
        },
        Tool {
            name: "read_metrics",
            owner: "TaskActions",
            doc: "Reads a metric from a CSV file.",
            returns: "The metric as text, or an error message.",
            parameters: vec![text("file_path", "Path of a file that get_metrics wrote.")],
            handler: metrics::read_metrics,
        },
        Tool {
            name: "get_traces",
            owner: "TaskActions",
            doc: "Collects the traces of the application in a namespace from Jaeger and writes them to a CSV file, one span a line.",
            returns: "Path of the file that the traces were written to.",
            parameters: vec![text("namespace", "The namespace that the application runs in."), duration],
            handler: traces::get_traces,
        },
        Tool {
            name: "read_traces",
            owner: "TaskActions",
            doc: "Reads traces from a CSV file.",
            returns: "The traces as text, or an error message.",
            parameters: vec![text("file_path", "Path of the file that get_traces wrote.")],
            handler: traces::read_traces,
        },
    ]
}

/// Makes a call with the tool of its name.
///
/// # Errors
/// The observation for a call that names no tool or does not fit its tool; nothing was run then.
pub fn run(tools: &[Tool], call: &Call, context: &mut ToolContext<'_>) -> Result<Reply, String> {
    let Some(tool) = tools.iter().find(|tool| tool.name == call.name) else {
        let known: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
        return Err(match context.dialect {
            Dialect::Strict => format!("Invalid action: {}", call.name),
            Dialect::Forgiving => format!("Invalid action: {}. The actions are: {}.", call.name, known.join(", ")),
        });
    };
    let arguments = tool.bind(call, context.dialect)?;
    let reply = (tool.handler)(context, &arguments);
    Ok(match (&reply, context.dialect) {
        (Reply::Submission(_), Dialect::Strict) => Reply::Submission(strict_solution(call)),
        _ => reply,
    })
}

/// The solution that AIOpsLab stores: the only argument by position, else the list of them; those by name are lost.
fn strict_solution(call: &Call) -> Json {
    match call.args.as_slice() {
        [only] => only.clone(),
        all => Json::from(all.to_vec()),
    }
}

impl Tool {
    /// The doc in the shape of a Python docstring: what it does, `Args:`, `Returns:`.
    pub fn docstring(&self) -> String {
        let mut text = self.doc.to_owned();
        if !self.parameters.is_empty() {
            text.push_str("\n\nArgs:");
            for p in &self.parameters {
                let default = p.default.map_or_else(String::new, |value| format!(" Defaults to {value}."));
                text.push_str(&format!("\n    {} ({}): {}{default}", p.name, p.kind.annotation(), p.doc));
            }
        }
        text.push_str(&format!("\n\nReturns:\n    {}", self.returns));
        text
    }

    /// `exec_shell(command: str, timeout: int = 30) -> str`
    pub fn signature(&self) -> String {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|p| {
                let default = p.default.map_or_else(String::new, |value| format!(" = {value}"));
                format!("{}: {}{default}", p.name, p.kind.annotation())
            })
            .collect();
        format!("{}({})", self.name, parameters.join(", "))
    }

    /// The tool as models are told of it: `{"name", "description", "parameters"}` with a flat JSON schema.
    pub fn schema(&self) -> Json {
        let mut properties = Map::new();
        for p in &self.parameters {
            let mut schema = p.kind.schema();
            schema.set("description", p.doc);
            if let Some(default) = p.default {
                schema.set("default", default);
            }
            properties.insert(p.name, schema);
        }
        let required: Json = self.parameters.iter().filter(|p| p.default.is_none()).map(|p| Json::from(p.name)).collect();
        object! {
            "name" => self.name,
            "description" => self.doc,
            "parameters" => object! {
                "type" => "object",
                "properties" => properties,
                "required" => required,
                "additionalProperties" => false,
            },
        }
    }

    /// Puts a call's arguments in the order of the parameters.
    ///
    /// # Errors
    /// Python's `TypeError` text for a call that does not fit, which is what AIOpsLab answers.
    pub fn bind(&self, call: &Call, dialect: Dialect) -> Result<Vec<Json>, String> {
        let who = format!("{}.{}()", self.owner, self.name);
        let mut bound: Vec<Option<Json>> = vec![None; self.parameters.len()];
        for (key, value) in &call.kwargs {
            let Some(at) = self.parameters.iter().position(|p| p.name == key) else {
                return Err(format!("{who} got an unexpected keyword argument '{key}'"));
            };
            let taken = at < call.args.len() || bound.get(at).is_some_and(Option::is_some);
            if taken {
                return Err(format!("{who} got multiple values for argument '{key}'"));
            }
            if let Some(slot) = bound.get_mut(at) {
                *slot = Some(value.clone());
            }
        }
        if call.args.len() > self.parameters.len() {
            return Err(format!("{who} {}", self.too_many(call.args.len())));
        }
        for (slot, value) in bound.iter_mut().zip(&call.args) {
            *slot = Some(value.clone());
        }
        let missing: Vec<&str> =
            self.parameters.iter().zip(&bound).filter(|(p, v)| p.default.is_none() && v.is_none()).map(|(p, _)| p.name).collect();
        if !missing.is_empty() {
            return Err(format!("{who} missing {}", missing_arguments(&missing)));
        }
        let values = self.parameters.iter().zip(bound);
        values.map(|(p, value)| p.accept(&who, value.unwrap_or_else(|| Json::from(p.default)), dialect)).collect()
    }

    fn too_many(&self, given: usize) -> String {
        let optional = self.parameters.iter().filter(|p| p.default.is_some()).count();
        let most = self.parameters.len();
        let takes = if optional > 0 { format!("from {} to {most}", most - optional) } else { most.to_string() };
        let arguments = if most == 1 && optional == 0 { "argument" } else { "arguments" };
        format!("takes {takes} positional {arguments} but {given} {} given", if given == 1 { "was" } else { "were" })
    }
}

fn missing_arguments(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let listed = match quoted.as_slice() {
        [only] => only.clone(),
        [first, second] => format!("{first} and {second}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
        [] => String::new(),
    };
    format!("{} required positional argument{}: {listed}", names.len(), if names.len() == 1 { "" } else { "s" })
}

impl Parameter {
    /// A value as the tool takes it. The forgiving dialect reads `"60"` as a number and one text as a list of one.
    fn accept(&self, who: &str, value: Json, dialect: Dialect) -> Result<Json, String> {
        if dialect == Dialect::Strict {
            return Ok(value);
        }
        let wrong =
            |value: &Json| Err(format!("{who}: argument '{}' must be {}, not {}", self.name, self.kind.annotation(), value.to_compact()));
        match (self.kind, value) {
            (ParameterKind::Integer, Json::Str(text)) => text.trim().parse::<i64>().map(Json::Int).or_else(|_| wrong(&Json::Str(text))),
            (ParameterKind::Integer, value) => {
                value.as_i64().or(value.as_f64().map(|x| x as i64)).map(Json::Int).map_or_else(|| wrong(&value), Ok)
            }
            (ParameterKind::Text, Json::Str(text)) => Ok(Json::Str(text)),
            (ParameterKind::Text, Json::Bool(yes)) => Ok(Json::from(if yes { "Yes" } else { "No" })),
            (ParameterKind::Text, Json::Arr(items)) if items.len() == 1 => {
                self.accept(who, items.first().cloned().unwrap_or_default(), dialect)
            }
            (ParameterKind::Text, value) => wrong(&value),
            (ParameterKind::TextList, Json::Str(text)) => Ok(array![text]),
            // Answers of any other shape are the grader's to call invalid.
            (ParameterKind::TextList | ParameterKind::TextMap, value) => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(tool: &str, call: &str, dialect: Dialect) -> Result<Vec<Json>, String> {
        let call = super::super::grammar::parse(&format!("```\n{call}\n```"), dialect).expect("a call");
        common().iter().find(|t| t.name == tool).expect("a tool").bind(&call, dialect)
    }

    #[test]
    fn binding_speaks_python() {
        let check = |call: &str, expected: Result<Vec<Json>, &str>| {
            assert_eq!(bind("get_logs", call, Dialect::Strict), expected.map_err(str::to_owned), "{call}");
        };
        check("get_logs('a', service='b')", Ok(vec!["a".into(), "b".into()]));
        check("get_logs('a')", Err("TaskActions.get_logs() missing 1 required positional argument: 'service'"));
        check("get_logs()", Err("TaskActions.get_logs() missing 2 required positional arguments: 'namespace' and 'service'"));
        check("get_logs(1, 2, 3)", Err("TaskActions.get_logs() takes 2 positional arguments but 3 were given"));
        check("get_logs('a', 'b', tail=3)", Err("TaskActions.get_logs() got an unexpected keyword argument 'tail'"));
        check("get_logs('a', namespace='b')", Err("TaskActions.get_logs() got multiple values for argument 'namespace'"));
    }

    #[test]
    fn the_forgiving_dialect_reads_numbers_in_quotes() {
        assert_eq!(bind("exec_shell", "exec_shell('ls', 5)", Dialect::Forgiving), Ok(vec!["ls".into(), 5.into()]));
        assert_eq!(bind("exec_shell", "exec_shell('ls')", Dialect::Forgiving), Ok(vec!["ls".into(), 30.into()]));
        assert_eq!(
            bind("exec_shell", r#"{"name":"exec_shell","arguments":{"command":"ls","timeout":"7"}}"#, Dialect::Forgiving),
            Ok(vec!["ls".into(), 7.into()])
        );
        assert!(bind("exec_shell", r#"{"name":"exec_shell","arguments":{"command":5}}"#, Dialect::Forgiving).is_err());
    }

    #[test]
    fn schemas_are_flat() {
        let shell = common().into_iter().find(|tool| tool.name == "exec_shell").expect("listed");
        let schema = shell.schema();
        assert_eq!(
            schema.get("parameters").to_compact(),
            r#"{"additionalProperties":false,"properties":{"command":{"description":"The command to run.","type":"string"},"timeout":{"default":30,"description":"After how many seconds a command that is still running is stopped.","type":"integer"}},"required":["command"],"type":"object"}"#
        );
        assert!(common()[0].docstring().contains("\n\nArgs:\n    namespace (str): "));
        assert_eq!(shell.signature(), "exec_shell(command: str, timeout: int = 30)");
    }
}
