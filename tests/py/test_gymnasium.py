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
    ],
)
def test_what_is_not_built_says_what_is(arguments, words):
    with pytest.raises(aiopslab.InvalidConfig, match=words):
        aiopslab.AIOpsEnv("misconfig_app_hotel_res-mitigation-1", **arguments)


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
