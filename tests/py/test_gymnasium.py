"""The Gymnasium contract, on every problem."""

import copy
import pickle

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import aiopslab

INFO_KEYS = {
    "problem_id",
    "task",
    "step",
    "sim_time_s",
    "valid_action",
    "success",
    "grade",
    "reward_components",
    "terminated_reason",
}
LOOK = 'exec_shell("kubectl get pods -n test-hotel-reservation")'


def test_check_env_finds_nothing(problem_id):
    env = gymnasium.make(f"aiopslab/{problem_id}-v0", disable_env_checker=True)
    check_env(env.unwrapped)  # warnings are errors (pyproject.toml)


@pytest.mark.parametrize("action_mode", ["text", "tool"])
def test_check_env_in_each_action_mode(action_mode):
    env = aiopslab.make("misconfig_app_hotel_res-mitigation-1", action_mode=action_mode, render_mode="ansi")
    check_env(env.unwrapped)


def test_info_has_the_same_keys_always(problem_id):
    env = aiopslab.make(problem_id, max_steps=3)
    _, info = env.reset(seed=1)
    assert set(info) == INFO_KEYS
    components = set(info["reward_components"])
    for action in (LOOK, "nonsense", LOOK):
        *_, truncated, info = env.step(action)
        assert set(info) == INFO_KEYS
        assert set(info["reward_components"]) == components
    assert truncated
    assert info["terminated_reason"] == "max_steps"


def test_answer_is_not_in_info_before_the_end(env):
    _, info = env.reset(seed=1)
    assert info["success"] is None
    assert info["grade"] is None


def test_submission_terminates_and_further_steps_are_refused(env):
    env.reset(seed=1)
    _, reward, terminated, truncated, info = env.step("submit()")
    assert (reward, terminated, truncated, info["success"]) == (0.0, True, False, False)
    assert info["grade"]["checks"]
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(LOOK)


def test_step_before_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded):
        aiopslab.make("misconfig_app_hotel_res-mitigation-1").step(LOOK)


def test_seeds_are_streams(env):
    first, second = env.reset(seed=5), env.reset()
    again, more = env.reset(seed=5), env.reset()
    assert first == again
    assert second == more
    env.reset(seed=5)
    one, *_ = env.step(LOOK)
    env.reset(seed=6)
    other, *_ = env.step(LOOK)
    assert one != other, "pods have names of their own in every episode"


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["deepcopy", "pickle"])
def test_copies_go_on_alike(env, clone):
    env.reset(seed=2)
    env.step(LOOK)
    twin = clone(env)
    assert twin.unwrapped.state_hash() == env.unwrapped.state_hash()
    assert twin.step(LOOK) == env.step(LOOK)
    assert twin.reset() == env.reset()


def test_copy_before_the_first_reset(env):
    twin = pickle.loads(pickle.dumps(env))
    assert twin.reset(seed=1) == env.reset(seed=1)


def test_fork_and_restore_give_the_same_bytes(env):
    core = env.unwrapped
    env.reset(seed=3)
    env.step(LOOK)
    twin, saved = core.fork(), core.snapshot()
    rest = ['exec_shell("kubectl get events -n test-hotel-reservation")', *core.oracle_actions()]
    for action in rest:
        env.step(action)
    for action in rest:
        twin.step(action)
    assert twin.trajectory.text == core.trajectory.text
    core.restore(saved)
    for action in rest:
        env.unwrapped.step(action)
    assert twin.trajectory.text == core.trajectory.text


def test_tool_mode_plays(env):
    made = aiopslab.make("misconfig_app_hotel_res-mitigation-1", action_mode="tool")
    made.reset(seed=3)
    call = {"name": "exec_shell", "arguments": {"command": "kubectl get pods -n test-hotel-reservation"}}
    assert call in made.action_space
    by_tool, *_ = made.step(call)
    env.reset(seed=3)
    by_text, *_ = env.step(LOOK)
    assert by_tool == by_text
    assert "geo-" in env.unwrapped.call_tool("exec_shell", {"command": "kubectl get pods -n test-hotel-reservation"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cluster": "moon"}, "built are: 'sim'"),
        ({"obs_mode": "vector"}, "built are: 'text'"),
        ({"action_mode": "discrete"}, "built are: 'text', 'tool'"),
        ({"reward": "rich"}, "built are: 'sparse', 'shaped'"),
        ({"render_mode": "rgb_array"}, "built are: 'ansi', 'human'"),
        ({"max_steps": 0}, "max_steps"),
        ({"step_seconds": -1.0}, "step_seconds"),
        ({"load_rps": float("nan")}, "load_rps"),
        ({"load_rps": {"rate_per_s": float("inf")}}, "load_rps is no mapping of numbers and texts"),
        ({"load_rps": {"rate": 5}}, "unknown field `rate`, expected one of `rate_per_s`"),
        ({"load_rps": {"steps": [{"at_s": 9, "rate_per_s": 1}, {"at_s": 3, "rate_per_s": 1}]}}, r"load_rps.steps\[1\].at_s is 3"),
        ({"load_rps": {"bursts": {"every_s": 9, "for_s": 1}}}, "rate_per_s or factor"),
        ({"observation_limit": 5}, "observation_limit is 5; it must be 1000 to 900000"),
        ({"log_trim": 101}, "log_trim is 101; it must be 0 to 100"),
    ],
)
def test_what_is_not_built_says_what_is(arguments, words):
    with pytest.raises(aiopslab.InvalidConfig, match=words):
        aiopslab.AIOpsEnv("misconfig_app_hotel_res-mitigation-1", **arguments)


def test_a_load_that_changes_is_recorded_and_played_again():
    load = {"steps": [{"at_s": 60, "rate_per_s": 30}], "bursts": {"every_s": 45, "for_s": 5, "factor": 4.0}}
    env = aiopslab.make("noop_detection_hotel_reservation-1", load_rps=load)
    env.reset(seed=3)
    first = [env.step('exec_shell("kubectl top pods -n test-hotel-reservation")')[0] for _ in range(4)]
    twin = aiopslab.make("noop_detection_hotel_reservation-1", load_rps=load)
    twin.reset(seed=3)
    twin.unwrapped.restore(env.unwrapped.snapshot())
    assert twin.unwrapped.trajectory.text == env.unwrapped.trajectory.text
    assert first[0].startswith("NAME ")


@pytest.mark.parametrize(("trim", "folds"), [("2", True), (" 2 ", True), ("0", False), ("-3", False), ("two", False), (None, False)])
def test_log_trim_comes_from_the_environment(monkeypatch, trim, folds):
    if trim is None:
        monkeypatch.delenv("LOG_TRIM", raising=False)
    else:
        monkeypatch.setenv("LOG_TRIM", trim)
    env = aiopslab.make("wrong_bin_usage-mitigation-1", strict=True)
    env.reset(seed=7)
    log, *_ = env.step('```\nget_logs("test-hotel-reservation", "frontend")\n```')
    assert (log.count("GetProfiles failed") <= 2) == folds


def test_unknown_id_names_the_nearest():
    with pytest.raises(aiopslab.ProblemNotFound, match="misconfig_app_hotel_res-mitigation-1"):
        aiopslab.make("misconfig_app_hotel-mitigation-1")


def test_unknown_reset_option_is_refused(env):
    with pytest.raises(aiopslab.InvalidConfig, match="speed"):
        env.reset(options={"speed": 3})


def test_render_modes(capsys):
    env = aiopslab.make("misconfig_app_hotel_res-mitigation-1", render_mode="ansi")
    env.reset(seed=0)
    env.step(LOOK)
    assert "geo-" in env.render()
    human = aiopslab.make("misconfig_app_hotel_res-mitigation-1", render_mode="human")
    human.reset(seed=0)
    assert human.render() is None
    assert "misconfig_app_hotel_res-mitigation-1" in capsys.readouterr().out
