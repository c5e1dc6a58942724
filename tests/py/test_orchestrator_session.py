"""Sessions, their files, statuses, the registry, actions and evaluators, as AIOpsLab's users know them."""

import json

import pytest

import aiopslab
from aiopslab.orchestrator.actions import ACTIONS
from aiopslab.orchestrator.evaluators import quantitative as q
from aiopslab.orchestrator.evaluators.qualitative import LLMJudge
from aiopslab.orchestrator.problems.registry import ProblemRegistry
from aiopslab.orchestrator.tasks import EpisodeSettings, MitigationTask
from aiopslab.session import Session, SessionItem
from aiopslab.utils.actions import get_actions
from aiopslab.utils.status import InvalidActionError, ResponseParsingError, SessionPrint, SubmissionStatus


def test_items_come_as_items_dictionaries_and_lists():
    session = Session()
    session.add({"role": "assistant", "content": "a"})
    session.add([SessionItem("env", "b"), {"role": "env", "content": SubmissionStatus.VALID_SUBMISSION}])
    for nothing in (None, {}, []):
        session.add(nothing)
    assert [item.model_dump() for item in session.history] == [
        {"role": "assistant", "content": "a"},
        {"role": "env", "content": "b"},
        {"role": "env", "content": "1"},
    ]
    with pytest.raises(TypeError, match="not int"):
        session.add(5)
    with pytest.raises(ValueError, match="content is missing"):
        session.add({"role": "env"})
    session.clear()
    assert session.history == []


def test_a_session_is_saved_and_read(tmp_path):
    session = Session(results_dir=tmp_path / "deep" / "er")
    assert session.get_duration() == 0.0
    session.set_agent("me")
    session.pid = "p"
    session.set_solution("Yes")
    session.start()
    session.add({"role": "assistant", "content": "ü"})
    session.end()
    session.set_results({"TTD": session.get_duration()})
    path = session.to_json()
    assert path == tmp_path / "deep" / "er" / f"{session.session_id}_{session.start_time}.json"
    text = path.read_text(encoding="utf-8")
    assert text.startswith('{\n    "agent": "me",')
    data = json.loads(text)
    assert list(data) == ["agent", "session_id", "problem_id", "start_time", "end_time", "trace", "results"]
    assert data == session.to_dict()
    again = Session(results_dir=path.parent)
    again.from_json(path.name)
    assert again.to_dict() == session.to_dict()


def test_statuses_and_errors():
    assert [(status.name, status.value) for status in SubmissionStatus] == [("VALID_SUBMISSION", 1), ("INVALID_SUBMISSION", 2)]
    assert str(InvalidActionError("fly")) == "Invalid action: fly"
    assert str(ResponseParsingError("x")) == "Error parsing response: x"


def test_a_session_prints_only_when_asked(capsys):
    for enabled in (False, True):
        shown = SessionPrint(enabled)
        shown.agent("look")
        shown.service("seen")
        shown.service(SubmissionStatus.VALID_SUBMISSION)
        shown.result({"success": True})
        out = capsys.readouterr().out
        assert all((word in out) is enabled for word in ("look", "seen", "VALID_SUBMISSION", "success: True"))


def test_the_registry_has_the_catalogue():
    registry = ProblemRegistry()
    ids = registry.get_problem_ids()
    assert ids == list(registry.PROBLEM_REGISTRY) == [problem.id for problem in aiopslab.list_problems()]
    assert {problem.id for problem in aiopslab.list_problems(suite="hotel-38")} <= set(ids)
    assert registry.get_problem_ids("mitigation") == [problem_id for problem_id in ids if "mitigation" in problem_id]
    assert registry.get_problem_count("mitigation") == len(registry.get_problem_ids("mitigation")) > 5
    assert registry.get_problem_count("no such words") == 0
    assert registry.get_problem("x") is None
    made = registry.get_problem("misconfig_app_hotel_res-mitigation-1")()
    assert isinstance(made, MitigationTask)
    assert made.namespace == "test-hotel-reservation"
    assert all(registry.get_problem_deployment(problem_id) == "k8s" for problem_id in ids)


def test_every_id_makes_a_problem_of_its_task(problem_id):
    problem = ProblemRegistry().get_problem_instance(problem_id)
    assert problem.name == aiopslab.show_problem(problem_id).task


@pytest.mark.parametrize(
    ("problem_id", "words"),
    [
        ("misconfig_app_hotel_res-mitigation-2", "Near it are: misconfig_app_hotel_res-mitigation-1"),
        ("flower_node_stop-detection-9", "plays on Flower, which is not in the catalogue; there are problems on: hotel-reservation"),
        ("nothing at all", "get_problem_ids() lists all"),
    ],
)
def test_unknown_ids_name_what_there_is(problem_id, words):
    for error in (ValueError, aiopslab.ProblemNotFound):
        with pytest.raises(error) as failure:
            ProblemRegistry().get_problem_instance(problem_id)
        assert str(failure.value).startswith(f"Problem ID {problem_id} not found in registry.")
        assert words in str(failure.value)
    with pytest.raises(ValueError, match=rf"^Problem ID {problem_id} not found in registry\.$"):
        ProblemRegistry(EpisodeSettings(strict=True)).get_problem_instance(problem_id)


@pytest.mark.parametrize("task", ACTIONS)
def test_actions_of_a_task(task):
    actions = get_actions(task)
    assert list(actions) == ["exec_shell", "get_logs", "get_metrics", "get_traces", "read_metrics", "read_traces", "submit"]
    for name, doc in actions.items():
        assert getattr(ACTIONS[task], name).is_action
        assert doc == doc.strip()
        assert "Returns:" in doc
    assert list(get_actions(task, "read")) == ["get_logs", "get_metrics", "get_traces", "read_metrics", "read_traces"]
    assert get_actions(task, "write") == {}
    assert list(aiopslab.make(f"misconfig_app_hotel_res-{task}-1").unwrapped.tools[-1]["parameters"]["properties"]) == [
        name for name in ACTIONS[task].submit.__annotations__ if name != "return"
    ]


def test_actions_of_no_task():
    with pytest.raises(ValueError, match="there are: detection, localization, analysis, mitigation"):
        get_actions("cooking")


def test_counts():
    trace = [SessionItem("assistant", "submit()"), SessionItem("env", "kubectl get pods"), SessionItem("assistant", "")]
    assert q.num_steps_taken(trace) == 2
    assert q.out_tokens(trace) == 3
    assert q.in_tokens(trace) == 4
    assert q.in_tokens(trace, len) == 16
    assert q.count_tokens("") == 0
    assert q.count_tokens("<|endoftext|> \n\n é_漢字") > 0


@pytest.mark.parametrize(
    ("holds", "expected"),
    [
        (q.is_exact_match("geo", ["geo"]), True),
        (q.is_exact_match(["geo"], ["geo"]), True),
        (q.is_exact_match(["geo", "rate"], ["geo"]), False),
        (q.is_exact_match(5, 5), True),
        (q.is_exact_match_lower(" yes ", "Yes"), True),
        (q.is_exact_match_lower(["yes"], "Yes"), False),
        (q.is_in_range(9.5, 10, 1), True),
        (q.is_in_range(8, 10, 1), False),
        (q.is_subset(["geo"], ["rate", "geo"]), True),
        (q.is_subset([["geo"]], ["geo"]), False),
        (q.is_subset(["geo"], []), False),
    ],
)
def test_comparisons(holds, expected):
    assert holds is expected


@pytest.mark.parametrize(
    ("judgement", "score"), [("fine [[7]]", 7), ("[3]", 3), ("[[2]] no: [[9.5]]", 9.5), ("no score", -1), ("[[]]", -1)]
)
def test_a_judge_reads_each_trace_anew(judgement, score):
    seen = []

    def model(messages):
        seen.append(messages)
        return judgement

    for content in ("{braces} {trace}", "second"):
        assert LLMJudge([SessionItem("assistant", content)], model).reasoning_score() == (score, judgement)
    first, second = seen
    assert [message["role"] for message in first] == ["system", "user"]
    assert "{braces} {trace}" in first[1]["content"]
    assert "second" in second[1]["content"]
    assert "braces" not in second[1]["content"]
