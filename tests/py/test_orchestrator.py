"""Code written against AIOpsLab's Orchestrator, run on this library's."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import aiopslab
from aiopslab.orchestrator import Orchestrator
from aiopslab.orchestrator.parser import ResponseParser
from aiopslab.session import SessionItem
from aiopslab.utils.status import InvalidActionError, ResponseParsingError, SubmissionStatus

MITIGATION = "misconfig_app_hotel_res-mitigation-1"
DETECTION = "misconfig_app_hotel_res-detection-1"
LOCALIZATION = "misconfig_app_hotel_res-localization-1"
ANALYSIS = "misconfig_app_hotel_res-analysis-1"
COMMON = {"steps", "in_tokens", "out_tokens"}
RESULTS = {
    "detection": {"Detection Accuracy", "TTD"} | COMMON,
    "localization": {"Localization Accuracy", "success", "is_subset", "TTL"} | COMMON,
    "analysis": {"system_level_correct", "fault_type_correct", "success", "TTA"} | COMMON,
    "mitigation": {"success", "TTM"} | COMMON,
}
TEN = [
    "misconfig_app_hotel_res-detection-1",
    "misconfig_app_hotel_res-localization-1",
    "misconfig_app_hotel_res-analysis-1",
    "misconfig_app_hotel_res-mitigation-1",
    "revoke_auth_mongodb-mitigation-1",
    "user_unregistered_mongodb-localization-2",
    "wrong_bin_usage-analysis-1",
    "redeploy_without_PV-mitigation-1",
    "network_loss_hotel_res-localization-1",
    "noop_detection_hotel_reservation-1",
]

# The listing of AIOpsLab's announcement, word for word. The model is not in it, nor how the agent words its prompt.
LISTING = """
from aiopslab import Orchestrator

class Agent:
    def __init__(self, prob, instructs, apis):
        self.prompt = self.set_prompt(prob, instructs, apis)
        self.llm = GPT4()

    async def get_action(self, state: str) -> str:
        return self.llm.generate(self.prompt + state)

#initialize the orchestrator
orch = Orchestrator()
pid = "misconfig_app_hotel_res-mitigation-1"
prob_desc, instructs, apis = orch.init_problem(pid)

#register and evaluate the agent
agent = Agent(prob_desc, instructs, apis)
orch.register_agent(agent, name="myAgent")
asyncio.run(orch.start_problem(max_steps=10))
"""


class ScriptedModel:
    """Stands for a language model: knows what to say beforehand."""

    def __init__(self, actions):
        self.actions = list(actions)
        self.prompts = []

    def run(self, messages):
        self.prompts.append(messages)
        return [f"Thought: I go on.\nAction:\n```\n{self.actions.pop(0)}\n```"]


class ReActAgent:
    """As agents are written for AIOpsLab: a context at first, then one text for each state."""

    def __init__(self, llm):
        self.history = []
        self.llm = llm

    def init_context(self, problem_desc, instructions, apis):
        def docs(wanted):
            return "\n\n".join(f"{name}\n{doc}" for name, doc in apis.items() if wanted(name))

        telemetry = docs(lambda name: "exec_shell" not in name and "submit" not in name)
        system = f"{problem_desc}\n{telemetry}\n{docs(lambda n: 'exec_shell' in n)}\n{docs(lambda n: 'submit' in n)}"
        self.history += [{"role": "system", "content": system}, {"role": "user", "content": instructions}]

    async def get_action(self, input):
        self.history.append({"role": "user", "content": input})
        response = self.llm.run(list(self.history))
        self.history.append({"role": "assistant", "content": response[0]})
        return response[0]


class Scripted:
    """Says texts in order, as they are."""

    def __init__(self, *texts):
        self.texts = list(texts)
        self.states = []

    async def get_action(self, state):
        self.states.append(state)
        return self.texts.pop(0)


def fenced(call):
    return f"```\n{call}\n```"


def play(tmp_path, problem_id, agent, max_steps=10, **options):
    orchestrator = Orchestrator(tmp_path, **options)
    orchestrator.register_agent(agent, name="test")
    orchestrator.init_problem(problem_id)
    return orchestrator, asyncio.run(orchestrator.start_problem(max_steps))


def oracle(problem_id, **options):
    """Calls that solve the problem, without fences."""
    env = aiopslab.make(problem_id, allow_oracle=True, **options)
    env.reset(seed=0)
    return [action.strip("`\n") for action in env.unwrapped.oracle_actions()]


def test_the_announcements_listing_runs_word_for_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class GPT4:
        def __init__(self):
            self.texts = [fenced(action) for action in oracle(MITIGATION)]

        def generate(self, prompt):
            assert "test-hotel-reservation" in prompt
            return self.texts.pop(0)

    names = {"GPT4": GPT4, "asyncio": asyncio}
    first, rest = LISTING.split("#initialize", 1)
    exec(first, names)
    names["Agent"].set_prompt = lambda self, prob, instructs, apis: "\n".join([prob, instructs, *apis.values()])
    exec("#initialize" + rest, names)
    (saved,) = (tmp_path / "data" / "results").glob("*.json")
    session = json.loads(saved.read_text())
    assert session["agent"] == "myAgent"
    assert session["results"]["success"] is True


@pytest.mark.parametrize("strict", [False, True], ids=["mended", "strict"])
@pytest.mark.parametrize("problem_id", TEN)
def test_a_react_agent_plays_ten_problems_unchanged(tmp_path, problem_id, strict):
    agent = ReActAgent(ScriptedModel(oracle(problem_id, strict=strict)))
    orchestrator = Orchestrator(results_dir=tmp_path, strict=strict)
    orchestrator.register_agent(agent, name="react")
    task, instructions, apis = orchestrator.init_problem(problem_id)
    agent.init_context(task, instructions, apis)
    outcome = asyncio.run(orchestrator.start_problem(max_steps=30))

    assert list(outcome) == ["history", "final_state", "results", "framework_overhead"]
    assert outcome["final_state"] == SubmissionStatus.VALID_SUBMISSION
    assert outcome["framework_overhead"] >= 0.0
    results = outcome["results"]
    assert set(results) == RESULTS[aiopslab.show_problem(problem_id).task]
    assert results.get("success", results.get("Detection Accuracy") == "Correct") is True
    assert results["steps"] == len(agent.llm.prompts)
    assert results["out_tokens"] > 0

    (saved,) = tmp_path.glob("*.json")
    session = json.loads(saved.read_text())
    assert saved.name == f"{session['session_id']}_{session['start_time']}.json"
    assert list(session) == ["agent", "session_id", "problem_id", "start_time", "end_time", "trace", "results"]
    assert (session["agent"], session["problem_id"], session["results"]) == ("react", problem_id, results)
    assert session["trace"] == [item.model_dump() for item in outcome["history"]]
    assert [turn["role"] for turn in session["trace"]] == ["assistant", "env"] * results["steps"]
    assert (session["trace"][-1]["content"] == "1") is strict


def test_what_init_problem_returns():
    task, instructions, apis = Orchestrator().init_problem(LOCALIZATION)
    for words in (
        "expert DevOps engineer",
        "Service Details:",
        "Service Name:",
        "Namespace: test-hotel-reservation",
        "Supported Operations:",
    ):
        assert words in task
    assert 'exec_shell("ls -l")' in instructions
    assert "submit([" in instructions
    assert list(apis) == ["exec_shell", "get_logs", "get_metrics", "get_traces", "read_metrics", "read_traces", "submit"]
    assert "faulty_components" in apis["submit"]


def test_the_states_that_an_agent_sees(tmp_path):
    agent = Scripted(fenced('exec_shell("echo hello")'), "what now?", fenced("fly()"), fenced("submit()"), fenced('submit("Yes")'))
    orchestrator, outcome = play(tmp_path, DETECTION, agent, strict=True)
    first, echoed, unread, unknown, lacking = agent.states
    assert first == "Please take the next action"
    assert echoed == "hello\n\nPlease take the next action"
    assert unread.startswith("Error parsing response: \nFormat validation failure.")
    assert unknown == "Invalid action: fly\nPlease take the next action"
    missing = "DetectionActions.submit() missing 1 required positional argument: 'has_anomaly'"
    assert lacking == f"{missing}\nPlease take the next action"
    assert outcome["results"]["Detection Accuracy"] == "Correct"
    assert outcome["history"][0] == SessionItem("assistant", fenced('exec_shell("echo hello")'))
    assert orchestrator.session.solution == "Yes"


def found(accuracy, success, is_subset):
    return {"Localization Accuracy": accuracy, "success": success, "is_subset": is_subset}


def told(level, kind):
    return {"system_level_correct": level, "fault_type_correct": kind, "success": level and kind}


@pytest.mark.parametrize(
    ("problem_id", "call", "mended", "strict"),
    [
        (DETECTION, 'submit("yes ")', {"Detection Accuracy": "Correct"}, ...),
        (DETECTION, 'submit("No")', {"Detection Accuracy": "Incorrect"}, ...),
        (DETECTION, "submit(5)", None, {"Detection Accuracy": "Invalid Format"}),
        (DETECTION, 'submit(has_anomaly="Yes")', {"Detection Accuracy": "Correct"}, {"Detection Accuracy": "Invalid Format"}),
        (LOCALIZATION, 'submit(["geo"])', found(100.0, True, True), ...),
        (LOCALIZATION, 'submit("geo")', found(100.0, True, True), ...),
        (LOCALIZATION, 'submit(["Geo"])', found(100.0, True, True), found(0.0, False, False)),
        (LOCALIZATION, 'submit(["geo", "rate"])', found(50.0, False, True), ...),
        (LOCALIZATION, 'submit(["geo", "geo"])', found(100.0, True, True), found(50.0, False, True)),
        (LOCALIZATION, 'submit(["rate"])', found(0.0, False, False), ...),
        (LOCALIZATION, "submit(5)", found(0.0, False, False), ...),
        (LOCALIZATION, "submit([['geo']])", found(0.0, False, False), ...),
        (ANALYSIS, 'submit({"system_level": "application", "fault_type": " Misconfiguration"})', told(True, True), ...),
        (ANALYSIS, 'submit({"system_level": "Application", "fault_type": "Code Defect"})', told(True, False), ...),
        (ANALYSIS, "submit(None)", told(False, False), ...),
        (ANALYSIS, 'submit({"system_level": None, "fault_type": ["x"]})', told(False, False), ...),
        (MITIGATION, "submit()", {"success": False}, ...),
    ],
)
def test_answers_and_their_results(tmp_path, problem_id, call, mended, strict):
    for is_strict, expected in ((False, mended), (True, mended if strict is ... else strict)):
        if expected is not None:
            _, outcome = play(tmp_path, problem_id, Scripted(fenced(call)), strict=is_strict)
            assert expected.items() <= outcome["results"].items(), is_strict
            assert outcome["final_state"] == SubmissionStatus.VALID_SUBMISSION


@pytest.mark.parametrize(
    ("problem_id", "expected"),
    [
        (DETECTION, {"Detection Accuracy": "Invalid Format"}),
        (LOCALIZATION, {"Localization Accuracy": 0.0, "success": False, "is_subset": False}),
        (ANALYSIS, {"system_level_correct": False, "fault_type_correct": False, "success": False}),
        (MITIGATION, {"success": False}),
    ],
)
def test_steps_that_are_used_up_without_a_submission(tmp_path, problem_id, expected):
    for strict in (False, True):
        look = fenced('exec_shell("echo a")')
        orchestrator, outcome = play(tmp_path, problem_id, Scripted(look, look), max_steps=2, strict=strict)
        assert outcome["final_state"] == "a\n"
        assert outcome["results"]["steps"] == 2
        assert set(outcome["results"]) == RESULTS[aiopslab.show_problem(problem_id).task]
        assert expected.items() <= outcome["results"].items()
        assert orchestrator.session.solution is None


def test_a_repair_without_submission_counts_in_strict_alone(tmp_path):
    repair = [fenced(action) for action in oracle(MITIGATION, strict=True)[:-1]]
    for strict in (True, False):
        _, outcome = play(tmp_path, MITIGATION, Scripted(*repair), max_steps=len(repair), strict=strict)
        assert outcome["results"]["success"] is strict


def test_a_call_that_does_not_fit_overwrites_the_solution_in_strict_alone(tmp_path):
    texts = [fenced('submit("Yes", "No")'), fenced('exec_shell("true")')]
    for strict, solution in ((True, ["Yes", "No"]), (False, None)):
        orchestrator, outcome = play(tmp_path, DETECTION, Scripted(*texts), max_steps=2, strict=strict)
        assert orchestrator.session.solution == solution
        assert outcome["results"]["Detection Accuracy"] == "Invalid Format"


def test_how_long_it_took(tmp_path):
    for strict in (False, True):
        look = fenced('exec_shell("sleep 5")')
        orchestrator, outcome = play(tmp_path, DETECTION, Scripted(look, fenced('submit("Yes")')), strict=strict)
        wall = orchestrator.session.get_duration()
        if strict:
            assert outcome["results"]["TTD"] == wall
        else:
            assert 25.0 <= outcome["results"]["TTD"] < 26.0, "two steps of ten virtual seconds, and a command that takes five"


def test_a_judge_and_a_token_counter(tmp_path):
    options = {"judge": lambda messages: "Fair. [[6]]", "token_counter": len}
    _, outcome = play(tmp_path, DETECTION, Scripted(fenced('submit("Yes")')), **options)
    assert outcome["results"]["reasoning_score"] == 6
    assert outcome["results"]["reasoning_judgement"] == "Fair. [[6]]"
    assert outcome["results"]["out_tokens"] == len(fenced('submit("Yes")'))


def test_an_agents_exception_ends_the_session_and_loses_nothing(tmp_path):
    class Broken(Scripted):
        async def get_action(self, state):
            if not self.texts:
                raise RuntimeError("the model is out of credit")
            return await super().get_action(state)

    with pytest.raises(RuntimeError, match="out of credit"):
        play(tmp_path, DETECTION, Broken(fenced('exec_shell("ls")')))
    (saved,) = tmp_path.glob("*.json")
    assert [turn["role"] for turn in json.loads(saved.read_text())["trace"]] == ["assistant", "env"]


def test_texts_that_are_none_and_agents_that_are_not_asynchronous(tmp_path):
    answers = [None, 5, "\ud800", fenced('submit("Yes")')]

    class Plain:
        def get_action(self, state):
            return answers.pop(0)

    _, outcome = play(tmp_path, DETECTION, Plain())
    assert outcome["results"]["steps"] == 4
    assert outcome["results"]["Detection Accuracy"] == "Correct"


def test_the_order_of_calls_is_told(tmp_path):
    orchestrator = Orchestrator(tmp_path)
    with pytest.raises(aiopslab.AiopsError, match="call init_problem first"):
        asyncio.run(orchestrator.start_problem(3))
    with pytest.raises(aiopslab.AiopsError, match="call init_problem first"):
        _ = orchestrator.trajectory
    orchestrator.init_problem(DETECTION)
    with pytest.raises(aiopslab.InvalidConfig, match="at most 10000"):
        asyncio.run(orchestrator.start_problem(10_001))
    with pytest.raises(aiopslab.AiopsError, match="call register_agent first"):
        asyncio.run(orchestrator.ask_agent("?"))
    orchestrator.register_agent(Scripted(fenced('submit("Yes")')))
    asyncio.run(orchestrator.start_problem(3))
    with pytest.raises(aiopslab.AiopsError, match="the session is over"):
        asyncio.run(orchestrator.start_problem(3))
    with pytest.raises(ValueError, match=r"^Problem ID x not found in registry\."):
        orchestrator.init_problem("x")


def test_the_halves_of_the_loop_by_hand(tmp_path):
    async def loop():
        orchestrator = Orchestrator(tmp_path)
        orchestrator.register_agent(Scripted(fenced('submit("Yes")')), name="hand")
        orchestrator.init_problem(DETECTION)
        return orchestrator, await orchestrator.ask_env(await orchestrator.ask_agent("go"))

    orchestrator, response = asyncio.run(loop())
    assert response is SubmissionStatus.VALID_SUBMISSION
    assert orchestrator.session.to_dict()["agent"] == "hand"
    assert orchestrator.trajectory.success is True


def test_many_orchestrators_at_once(tmp_path):
    """Each plays as if it were alone: on one event loop, and on threads with loops of their own."""
    ids = TEN[:6]
    scripts = {problem_id: [fenced(action) for action in oracle(problem_id)] for problem_id in ids}

    def begin(problem_id):
        orchestrator = Orchestrator(tmp_path)
        orchestrator.register_agent(Scripted(*scripts[problem_id]), name=problem_id)
        orchestrator.init_problem(problem_id)
        return orchestrator

    def alone(problem_id):
        orchestrator = begin(problem_id)
        asyncio.run(orchestrator.start_problem(30))
        return orchestrator.trajectory.text

    async def together():
        begun = [begin(problem_id) for problem_id in ids]
        await asyncio.gather(*(orchestrator.start_problem(30) for orchestrator in begun))
        return [orchestrator.trajectory.text for orchestrator in begun]

    expected = [alone(problem_id) for problem_id in ids]
    assert asyncio.run(together()) == expected
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(alone, ids)) == expected
    names = [json.loads(path.read_text())["agent"] for path in tmp_path.glob("*.json")]
    assert sorted(names) == sorted(ids * 3)


def test_the_same_trajectory_as_through_gymnasium(tmp_path):
    texts = [fenced(action) for action in oracle(MITIGATION)]
    orchestrator, _ = play(tmp_path, MITIGATION, Scripted(*texts))
    env = aiopslab.make(MITIGATION, max_steps=10_000)
    env.reset(seed=0)
    for text in texts:
        env.step(text)
    assert orchestrator.trajectory.text == env.unwrapped.trajectory.text
    assert aiopslab.replay(orchestrator.trajectory) == orchestrator.trajectory.text


def test_a_problem_by_its_methods():
    problem = Orchestrator().probs.get_problem_instance(LOCALIZATION)
    problem.inject_fault()
    assert problem.namespace == "test-hotel-reservation"
    assert problem.perform_action("exec_shell", "echo \"a\" 'b'") == "a b\n"
    assert problem.actions.exec_shell("echo c", timeout=5) == "c\n"
    assert "missing 1 required positional argument: 'service'" in problem.perform_action("get_logs", "test-hotel-reservation")
    assert "multiple values for argument 'namespace'" in problem.perform_action("get_logs", "a", "b", namespace="c")
    for name in ("fly", "__init__", "perform_action"):
        with pytest.raises(InvalidActionError, match=f"^Invalid action: {name}$"):
            problem.perform_action(name)
    assert problem.actions.submit(["geo"]) is SubmissionStatus.VALID_SUBMISSION
    results = problem.eval(["geo"], [SessionItem("assistant", "x")], 5.0)
    assert results["success"] is True
    assert results["steps"] == 1


def test_another_parser_and_another_problem_take_their_places(tmp_path):
    class Upper(ResponseParser):
        def parse(self, response):
            if not response.startswith("SUBMIT "):
                raise ResponseParsingError("say SUBMIT and a word")
            return {"api_name": "submit", "args": [response.split()[1]], "kwargs": {}, "context": []}

    orchestrator = Orchestrator(tmp_path)
    made = orchestrator.probs.get_problem(DETECTION)

    class Mine:
        """A problem with an evaluation of its own."""

        def __init__(self):
            self.inner = made()

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def eval(self, soln, trace, duration):
            return {"mine": soln, **self.inner.eval(soln, trace, duration)}

    orchestrator.parser = Upper()
    orchestrator.probs.PROBLEM_REGISTRY["mine-detection-1"] = Mine
    agent = Scripted("hello", "SUBMIT Yes")
    orchestrator.register_agent(agent)
    orchestrator.init_problem("mine-detection-1")
    results = asyncio.run(orchestrator.start_problem(5))["results"]
    assert agent.states[1] == "Error parsing response: say SUBMIT and a word\nPlease take the next action"
    assert (results["mine"], results["Detection Accuracy"]) == ("Yes", "Correct")


def test_importing_does_nothing(tmp_path):
    code = (
        "import sys, socket, pathlib\n"
        "def refuse(*a, **k): raise AssertionError('a socket')\n"
        "socket.socket.connect = refuse\n"
        "from aiopslab import Orchestrator\n"
        "import aiopslab.orchestrator.problems.registry, aiopslab.orchestrator.evaluators.qualitative, aiopslab.session\n"
        "Orchestrator()\n"
        "heavy = {'asyncio', 'tiktoken', 'wandb', 'yaml', 'kubernetes'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not list(pathlib.Path('.').iterdir())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env={"HOME": str(tmp_path)}, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_kind_cluster_that_a_variable_names(monkeypatch):
    monkeypatch.setenv("AIOPSLAB_CLUSTER", "two")
    assert Orchestrator(cluster="live").settings.cluster == aiopslab.LiveCluster(context="kind-two")
    assert Orchestrator().settings.cluster == "sim"
