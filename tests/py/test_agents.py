"""How the built-in agents fare, over seeds."""

import pytest

import aiopslab
from aiopslab.agents.tables import parse_table

SEEDS = range(100)
MITIGATION = [p.id for p in aiopslab.list_problems(task="mitigation")]
ANSWERS = [p.id for p in aiopslab.list_problems() if p.task != "mitigation"]


def solved(problem_id, agent, seeds=SEEDS):
    env = aiopslab.make(problem_id, allow_oracle=True)
    made = aiopslab.agents.make(agent, env)
    return sum(bool(aiopslab.rollout(env, made, seed=seed).success) for seed in seeds)


def test_oracle_solves_every_seed(problem_id):
    assert solved(problem_id, "oracle") == len(SEEDS)


@pytest.mark.parametrize("problem", MITIGATION)
def test_runbook_solves_95_of_100_seeds(problem):
    assert solved(problem, "runbook") >= 95


@pytest.mark.parametrize("problem", MITIGATION)
@pytest.mark.parametrize(
    "command",
    [
        "true",
        "kubectl delete all --all -n test-hotel-reservation",
        "kubectl scale deployment --all --replicas=0 -n test-hotel-reservation",
        "kubectl delete namespace test-hotel-reservation",
    ],
    ids=["nothing", "delete-all", "scale-to-zero", "delete-namespace"],
)
def test_doing_nothing_and_destroying_fail_on_every_seed(problem, command):
    env = aiopslab.make(problem)
    for seed in SEEDS:
        env.reset(seed=seed)
        env.step(f'exec_shell("{command}")')
        *_, info = env.step("submit()")
        assert info["success"] is False, seed


@pytest.mark.parametrize("problem", ANSWERS)
@pytest.mark.parametrize("answer", ["", "None", "42", '["", []]', '{"system_level": 3}', '"maybe"', '[["geo"]]'])
def test_malformed_answers_score_nothing(problem, answer):
    env = aiopslab.make(problem)
    for seed in range(10):
        env.reset(seed=seed)
        _, reward, terminated, _, info = env.step(f"submit({answer})")
        assert reward == 0.0
        assert info["success"] is not True
        assert terminated in (True, False)


def test_random_agent_ends_its_episodes(problem_id):
    env = aiopslab.make(problem_id)
    agent = aiopslab.agents.make("random", env)
    for seed in range(5):
        assert aiopslab.rollout(env, agent, seed=seed).closing is not None


def test_unknown_agent_names_those_there_are(env):
    with pytest.raises(aiopslab.InvalidConfig, match="runbook"):
        aiopslab.agents.make("wizard", env)


def test_tables_with_spaces_in_cells():
    rows = parse_table("NAME    READY   STATUS    RESTARTS      AGE\ngeo-x   1/1     Running   2 (10s ago)   60m\n")
    assert rows == [{"NAME": "geo-x", "READY": "1/1", "STATUS": "Running", "RESTARTS": "2 (10s ago)", "AGE": "60m"}]


def share_right(problems, answer, seeds=range(10)):
    """Share of episodes of the problems, equally many of each, on which a constant answer is right."""
    right = 0
    for problem in problems:
        env = aiopslab.make(problem)
        for seed in seeds:
            env.reset(seed=seed)
            *_, info = env.step(f"submit({answer})")
            right += bool(info["success"])
    return right / (len(problems) * len(seeds))


def test_constant_detections_are_at_chance_once_half_of_the_episodes_are_healthy():
    detection = [p.id for p in aiopslab.list_problems(task="detection")]
    healthy = [p for p in detection if p.startswith("noop")]
    faulty = [p for p in detection if p not in healthy]
    for answer, on_faulty in (('"Yes"', 1.0), ('"No"', 0.0)):
        assert share_right(faulty, answer) == on_faulty
        assert share_right(healthy, answer) == 1.0 - on_faulty


def test_constant_and_guessed_localizations_are_right_only_where_they_are_right():
    problems = [p.id for p in aiopslab.list_problems(task="localization")]
    answers = ['["geo"]', '["profile"]', '["recommendation"]', '["frontend"]', "[]"]
    shares = [share_right(problems, answer, seeds=range(3)) for answer in answers]
    assert sum(shares) <= 1.0
    everything = [d for d in ("consul", "frontend", "geo", "profile", "rate", "recommendation", "reservation", "search", "user")]
    assert share_right(problems, str(everything).replace("'", '"'), seeds=range(3)) == 0.0


def test_guessed_analyses_score_what_their_share_is():
    problems = [p.id for p in aiopslab.list_problems(task="analysis")]
    levels = ("Hardware", "Operating System", "Virtualization", "Application")
    kinds = ("Misconfiguration", "Code Defect", "Authentication Issue", "Network/Storage Issue", "Operation Error", "Dependency Problem")
    pairs = [f'{{"system_level": "{level}", "fault_type": "{kind}"}}' for level in levels for kind in kinds]
    mean = sum(share_right(problems, pair, seeds=range(1)) for pair in pairs) / len(pairs)
    assert mean <= 2 / len(pairs), "a uniform guess is right once in as many tries as there are pairs, alternatives aside"
