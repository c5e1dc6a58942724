//! Ten thousand agent texts: whatever is written, the grammar answers with a call or with what to write instead.

use aiopslab::object::Json;
use aiopslab::problem::Registry;
use aiopslab::rng::{Key, Stream};
use aiopslab::session::{Options, Session};
use aiopslab::task::{Expected, TASKS, grade_answer};
use aiopslab::tool::grammar::{Dialect, parse};
use aiopslab::tool::observation::{OBSERVATION_LIMIT, cut};
use aiopslab::tool::table;
use aiopslab::trajectory::Action;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

/// Pieces that agents' texts are made of, and pieces that break parsers.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "```",
        "```\n",
        "\n```",
        "```bash\n",
        "```json\n",
        "\n",
        " ",
        "Action:",
        "Thought: I should",
        "exec_shell(",
        "submit(",
        "get_logs(",
        "(",
        ")",
        "\"",
        "'",
        "\"\"\"",
        "`",
        ",",
        "=",
        "command=",
        "timeout=",
        "[",
        "]",
        "{",
        "}",
        ":",
        "\\",
        "\\\"",
        "\\n",
        "#",
        "*",
        "**",
        "-",
        "+",
        "not ",
        "lambda",
        " for ",
        " in ",
        " if ",
        "else",
        "f\"",
        "r'",
        "0x",
        "1e",
        "_",
        "None",
        "True",
        "kubectl get pods -n test",
        "kubectl logs -f x",
        "<tool_call>",
        "</tool_call>",
        "{\"name\": \"exec_shell\", \"arguments\": {\"command\": \"ls\"}}",
        "\u{201c}",
        "\u{201d}",
        "\u{feff}",
        "\u{0}",
        "\u{1f600}",
        "\r\n",
        "\t",
        "<<EOF\\n",
        "<|endoftext|>",
        "99999999999999999999",
        "..",
        "geo",
    ]);
    prop_oneof![8 => fixed.prop_map(str::to_owned), 1 => "[a-zA-Z0-9 ]{0,12}", 1 => any::<String>()]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat())
}

fn read(text: &str, dialect: Dialect) {
    match parse(text, dialect) {
        Err(error) => assert!(error.0.starts_with("Error parsing response: "), "{error}"),
        Ok(call) => {
            for task in TASKS {
                let mut tools = table::common();
                tools.push(task.submit_tool());
                let Some(tool) = tools.iter().find(|tool| tool.name == call.name) else { continue };
                match tool.bind(&call, dialect) {
                    Ok(arguments) => {
                        assert_eq!(arguments.len(), tool.parameters.len());
                        let answer = arguments.first().cloned().unwrap_or(Json::Null);
                        let grade = grade_answer(task, &Expected::default(), &answer, "test", dialect);
                        assert!((0.0..=1.0).contains(&grade.score) && (grade.score == 0.0 || grade.valid));
                    }
                    Err(message) => assert!(message.contains(tool.name), "{message}"),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_text_is_answered(text in text()) {
        read(&text, Dialect::Strict);
        read(&text, Dialect::Forgiving);
        prop_assert!(cut(&text, 40).len() <= text.len().max(40) + 200);
    }
}

#[test]
fn hostile_texts_are_answered_soon() {
    let long = 200_000;
    for text in [
        "(".repeat(long),
        "exec_shell(".repeat(long / 11),
        "```".repeat(long / 3),
        "```\n".repeat(long / 4),
        "\n```".repeat(long / 4),
        "submit([".repeat(long / 8),
        format!("exec_shell(\"{}", "\\".repeat(long)),
        format!("```\nsubmit({})\n```", "'' ".repeat(long / 3)),
        format!("```\nsubmit({})\n```", "-".repeat(long)),
        "{\"name\":".repeat(long / 8),
        "[".repeat(long),
        "Action:".repeat(long / 7),
        "```\nsubmit(\"a\n".repeat(long / 13),
        "x".repeat(10_000_000),
    ] {
        read(&text, Dialect::Strict);
        read(&text, Dialect::Forgiving);
        assert!(cut(&text, OBSERVATION_LIMIT).len() <= OBSERVATION_LIMIT + 200);
    }
}

/// Words of commands, right and wrong.
const WORDS: &[&str] = &[
    "kubectl",
    "get",
    "describe",
    "logs",
    "delete",
    "patch",
    "scale",
    "rollout",
    "undo",
    "status",
    "set",
    "image",
    "exec",
    "apply",
    "pods",
    "pod",
    "deployments",
    "deployment/geo",
    "svc",
    "events",
    "nodes",
    "geo",
    "frontend",
    "all",
    "-n",
    "test-hotel-reservation",
    "default",
    "-A",
    "-o",
    "yaml",
    "json",
    "wide",
    "name",
    "jsonpath={.items[*].metadata.name}",
    "custom-columns=A:.kind",
    "-l",
    "app=x",
    "--tail=5",
    "--since=1m",
    "-p",
    "'{\"spec\":{}}'",
    "--type=json",
    "'[{\"op\":\"add\"}]'",
    "--replicas=2",
    "--all",
    "-f",
    "-",
    "/nowhere",
    "--force",
    "--dry-run=server",
    "--sort-by=.metadata.name",
    "hotel-reserv-geo=x:y",
    "--",
    "ls",
    "curl",
    "-s",
    "-v",
    "-m",
    "1",
    "http://frontend:5000/hotels",
    "sleep",
    "0.5",
    "timeout",
    "echo",
    "|",
    ";",
    "&&",
    ">",
    "$(",
    ")",
    "`",
    "'",
    "\\\"",
    "*",
    "--help",
    "--nope",
    "-1",
    "99999999999999999999",
    "\u{1f600}",
];

fn command(stream: &mut Stream) -> String {
    let count = 1 + stream.below(8);
    let words: Vec<&str> = (0..count).map(|_| WORDS[stream.below(WORDS.len() as u64) as usize]).collect();
    let lead = if stream.chance(0.8) { "kubectl " } else { "" };
    format!("exec_shell(\"{lead}{}\")", words.join(" "))
}

#[test]
fn an_episode_survives_every_text() {
    let registry = Registry::embedded();
    let problem = registry.problem("misconfig_app_hotel_res-mitigation-1").expect("known");
    let options = Options { max_steps: 500, step_seconds: 0.1, ..Options::default() };
    let mut stream = Key::new(77).part("agent-texts").stream();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut session = Session::new(registry.clone(), problem.clone(), options);
    for at in 0..10_000 {
        if !session.in_progress() {
            session.reset(at).expect("begun");
        }
        let text = if stream.chance(0.8) { command(&mut stream) } else { text().new_tree(&mut runner).expect("a text").current() };
        let step = session.step(Action::Text(text)).expect("in progress");
        assert!(step.observation.len() <= OBSERVATION_LIMIT + 300 && (0.0..=1.0).contains(&step.reward));
    }
}
