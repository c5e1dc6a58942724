"""How the built-in agents fare, over seeds."""

import pytest

import aiopslab
from aiopslab.agents import traffic
from aiopslab.agents.tables import parse_table

# Attacks on every mitigation, and answers in every dress, over more seeds: tests/it/attack_matrix.rs and answers.rs.
SEEDS = range(100)
MITIGATION = [p.id for p in aiopslab.list_problems(task="mitigation")]
ANSWERS = [p.id for p in aiopslab.list_problems() if p.task != "mitigation"]


def solved(problem_id, agent, seeds=SEEDS):
    env = aiopslab.make(problem_id, allow_oracle=True)
    made = aiopslab.agents.make(agent, env)
    return sum(bool(aiopslab.rollout(env, made, seed=seed).success) for seed in seeds)


def test_oracle_solves_every_seed(problem_id):
    seeds = range(100, 125)
    assert solved(problem_id, "oracle", seeds) == len(seeds)


@pytest.mark.parametrize("problem", MITIGATION)
def test_runbook_solves_95_of_100_seeds(problem):
    assert solved(problem, "runbook") >= 95


@pytest.mark.parametrize("problem", ANSWERS)
def test_runbook_answers_right(problem):
    assert solved(problem, "runbook", range(20)) >= 19


@pytest.mark.parametrize("problem", ANSWERS)
@pytest.mark.parametrize("answer", ["", "None", "42", '["", []]', '{"system_level": 3}', '"maybe"', '[["geo"]]'])
def test_malformed_answers_score_nothing(problem, answer):
    if answer == "None" and problem.startswith("noop_analysis"):
        return  # there it is the answer
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
    played = [aiopslab.rollout(env, agent, seed=seed) for seed in range(5)]
    assert all(one.closing is not None for one in played)
    assert len({str([step["action"] for step in one.steps[2:]]) for one in played}) > 1, "each seed is another draw"
    again = aiopslab.rollout(env, aiopslab.agents.make("random", env), seed=3)
    assert [step["action"] for step in again.steps] == [step["action"] for step in played[3].steps]


def test_unknown_agent_names_those_there_are(env):
    with pytest.raises(aiopslab.InvalidConfig, match="runbook"):
        aiopslab.agents.make("wizard", env)


def test_tables_with_spaces_in_cells():
    rows = parse_table("NAME    READY   STATUS    RESTARTS      AGE\ngeo-x   1/1     Running   2 (10s ago)   60m\n")
    assert rows == [{"NAME": "geo-x", "READY": "1/1", "STATUS": "Running", "RESTARTS": "2 (10s ago)", "AGE": "60m"}]


def test_what_is_slow_within_a_call_is_not_its_server():
    slow = [
        "a,1,ROOT,frontend,HTTP GET /hotels,0,9000000,False,200",
        "a,2,1,frontend,/search.Search/Nearby,0,8900000,False,-",
        "a,3,2,search,/search.Search/Nearby,0,8800000,False,-",
        "a,4,3,search,/geo.Geo/Nearby,0,8700000,False,-",
    ]
    assert traffic.deepest_call("\n".join(slow)) is None, "one is none"
    assert traffic.deepest_call("\n".join(slow + [line.replace("a,", "b,", 1) for line in slow])) == "/geo.Geo/Nearby"
    assert traffic.server_of("a,4,3,search,/geo.Geo/Nearby,0,9,False,-", "/geo.Geo/Nearby") is None
    assert traffic.deepest_call("rubbish, with, commas\n\n") is None


def test_scores():
    made = aiopslab.score(["misconfig_app_hotel_res-detection-1", "scale_pod_zero_hotel_res-mitigation-1"], ["oracle", "random"], range(3))
    assert [(one.agent, one.episodes) for one in made] == [("oracle", 3), ("random", 3)] * 2
    assert [one.solved for one in made if one.agent == "oracle"] == [3, 3]
    low, high = made[0].interval
    assert (round(low, 3), high) == (0.439, 1.0)
    with pytest.raises(aiopslab.InvalidConfig, match="random"):
        aiopslab.score(["misconfig_app_hotel_res-detection-1"], ["human"], range(1))
