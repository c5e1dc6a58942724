//! What an agent is told before its first step: instructions and the docs of its tools, in AIOpsLab's sections.

use super::table::Tool;

/// How to answer: the format of a turn and examples of `submit`.
pub fn instructions(submit_examples: &[&str]) -> String {
    let mut text = String::from(
        "You act through an API, one call a turn. Write the call in a block of three ticks:\n\
         ```\n<API_NAME>(<API_PARAM1>, <API_PARAM2> ...)\n```\n\n\
         For example, to list files in the current directory:\n\
         ```\nexec_shell(\"ls -l\")\n```\n\n\
         Once you know the solution, submit it:\n",
    );
    for example in submit_examples {
        text.push_str(&format!("```\n{example}\n```\n"));
    }
    text.push_str("\nMake exactly one API call in each turn, and write nothing after it. The result comes back with the next turn.");
    text
}

/// The docs of the tools: telemetry, the shell, and `submit`, each in its section.
pub fn api_docs(tools: &[Tool]) -> String {
    let section = |chosen: &dyn Fn(&Tool) -> bool| {
        let docs: Vec<String> = tools.iter().filter(|t| chosen(t)).map(entry).collect();
        docs.join("\n\n")
    };
    let telemetry = section(&|t| t.name != "exec_shell" && t.name != "submit");
    let shell = section(&|t| t.name == "exec_shell");
    let submit = section(&|t| t.name == "submit");
    format!(
        "You are provided with the following APIs to look at the service:\n\n{telemetry}\n\n\
         You are also provided with an API to a terminal from which the service can be reached:\n\n{shell}\n\n\
         Finally, you submit your solution for this task with the following API:\n\n{submit}"
    )
}

fn entry(tool: &Tool) -> String {
    let doc: Vec<String> =
        tool.docstring().lines().map(|line| if line.is_empty() { String::new() } else { format!("    {line}") }).collect();
    format!("{}\n{}", tool.signature(), doc.join("\n"))
}
