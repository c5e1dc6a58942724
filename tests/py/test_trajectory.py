"""Trajectories: written while playing, loaded, cut, replayed."""

import subprocess
import sys

import pytest

import aiopslab


def play(problem_id, agent, seed=0):
    env = aiopslab.make(problem_id, allow_oracle=True)
    return aiopslab.rollout(env, aiopslab.agents.make(agent, env), seed=seed)


@pytest.mark.parametrize("agent", ["oracle", "random", "runbook"])
def test_replay_is_identical(problem_id, agent, tmp_path):
    trajectory = play(problem_id, agent, seed=4)
    path = trajectory.save(tmp_path / "t.jsonl")
    (loaded,) = aiopslab.load_trajectories(path)
    assert aiopslab.replay(loaded) == trajectory.text


def test_another_process_gives_the_same_bytes():
    code = (
        "import sys, aiopslab\n"
        "env = aiopslab.make('misconfig_app_hotel_res-mitigation-1')\n"
        "t = aiopslab.rollout(env, aiopslab.agents.make('runbook', env), seed=11)\n"
        "sys.stdout.write(t.text)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout for _ in range(2)]
    assert runs[0] == runs[1] == play("misconfig_app_hotel_res-mitigation-1", "runbook", seed=11).text


def test_a_cut_file_loads_up_to_the_cut(tmp_path):
    trajectory = play("misconfig_app_hotel_res-mitigation-1", "oracle")
    path = tmp_path / "cut.jsonl"
    path.write_text(trajectory.text[: len(trajectory.text) * 2 // 3])
    (cut,) = aiopslab.load_trajectories(path)
    assert cut.closing is None
    assert cut.steps == trajectory.steps[: len(cut.steps)]


def test_a_changed_recording_is_noticed():
    trajectory = play("misconfig_app_hotel_res-mitigation-1", "oracle")
    lines = trajectory.text.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if '"observation":"' in line)
    lines[at] = lines[at].replace('"observation":"', '"observation":"x', 1)
    with pytest.raises(aiopslab.TrajectoryError, match=f"differs from line {at + 1} on"):
        aiopslab.replay(aiopslab.Trajectory.parse("".join(lines)))


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "header"), ("{}\n", "header"), ('{"type":"header"}\nnonsense\n{}\n', "line 2")],
)
def test_malformed_files_say_where(text, words):
    with pytest.raises(aiopslab.TrajectoryError, match=words):
        aiopslab.Trajectory.parse(text)


def test_missing_file():
    with pytest.raises(aiopslab.TrajectoryError, match="no file"):
        list(aiopslab.load_trajectories("nowhere.jsonl"))
