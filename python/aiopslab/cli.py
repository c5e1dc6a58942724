"""The command line: list, show, run, score and replay problems, start and stop a local cluster.

Exit codes: 0 ok, 1 the agent failed the problem (with ``run --check``), a replay differs or ``doctor`` found something, 2 bad
usage or input, 3 the cluster is unavailable.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiopslab
from aiopslab import cluster, doctor, report, scores
from aiopslab.errors import AiopsError, ClusterUnavailable, TrajectoryError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except ClusterUnavailable as error:
        return _fail(error, 3)
    except AiopsError as error:
        return _fail(error, 2)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


def _fail(error: Exception, code: int) -> int:
    print(f"aiopslab: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aiopslab",
        description="Environments for agents that operate Kubernetes applications.",
        epilog="example: aiopslab run misconfig_app_hotel_res-mitigation-1 --agent runbook",
    )
    parser.add_argument("--version", action="version", version=f"aiopslab {aiopslab.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str, example: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        command.set_defaults(command=run)
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("--envs", metavar="DIR", help="a folder of your own apps, problems and suites")
        return command

    listing = add("list", _list, "List problems.", "aiopslab list --task mitigation")
    listing.add_argument("--task", choices=("detection", "localization", "analysis", "mitigation"))
    listing.add_argument("--app", help="only problems on this application")
    listing.add_argument("--suite", help="only problems of this suite")
    show = add("show", _show, "Show a problem and its first observation.", "aiopslab show noop_detection_hotel_reservation-1")
    show.add_argument("problem", metavar="ID")
    show.add_argument("--strict", action="store_true", help="AIOpsLab's own wording and names")
    run = add("run", _run, "Play an episode.", "aiopslab run misconfig_app_hotel_res-mitigation-1 --agent runbook --seed 3")
    run.add_argument("problem", metavar="ID")
    run.add_argument("--agent", default="runbook", choices=sorted(aiopslab.agents.AGENTS), help="who plays (default: runbook)")
    run.add_argument("--seed", type=int, default=0, help="seed of the episode (default: 0)")
    run.add_argument("--cluster", default="sim", choices=("sim", "live"), help="where it runs (default: sim)")
    _add_live(run)
    run.add_argument("--max-steps", type=int, default=30, help="steps until the episode is cut off (default: 30)")
    run.add_argument("--strict", action="store_true", help="AIOpsLab's own answer keys, grammar and names")
    run.add_argument("--output", metavar="FILE", help="where the trajectory goes (default: runs/ID/SEED-AGENT.jsonl)")
    run.add_argument("--check", action="store_true", help="exit with 1 when the problem was not solved")
    run.add_argument("--full", action="store_true", help="print observations whole")
    scoring = add("score", _score, "Score agents over problems and seeds.", "aiopslab score --suite hotel-38 --agents runbook,random")
    _add_scoring(scoring)
    check = add("doctor", _doctor, "Look at the environments on a live cluster.", "aiopslab doctor --repair")
    check.add_argument("--repair", action="store_true", help="put right what nobody holds")
    _add_live(check)
    replay = add("replay", _replay, "Play a recorded trajectory again and compare bytes.", "aiopslab replay runs/x/0-oracle.jsonl")
    replay.add_argument("file", metavar="FILE")
    local = add("cluster", cluster.run, "A real Kubernetes on this machine (Linux, root).", "aiopslab cluster up --nodes 3")
    cluster.add_arguments(local)
    return parser


def _add_scoring(command: argparse.ArgumentParser) -> None:
    command.add_argument("--suite", help="the problems of this suite")
    command.add_argument("--task", choices=("detection", "localization", "analysis", "mitigation"), help="only problems of this task")
    command.add_argument("--app", help="only problems on this application")
    command.add_argument("--agents", default="runbook,random", help="who plays, separated by commas (default: runbook,random)")
    command.add_argument("--seeds", type=int, default=100, help="how many seeds of each problem, from 0 on (default: 100)")
    command.add_argument("--max-steps", type=int, default=30, help="steps until an episode is cut off (default: 30)")
    command.add_argument("--jobs", type=int, default=1, help="processes to play in (default: 1)")
    command.add_argument("--by-problem", action="store_true", help="a line for each problem as well")


def _score(arguments: argparse.Namespace) -> int:
    problems = aiopslab.list_problems(arguments.task, arguments.app, arguments.suite, arguments.envs)
    agents = [name.strip() for name in arguments.agents.split(",")]
    progress = report.Progress(sys.stderr, len(problems) * len(agents))
    made = scores.score(
        [problem.id for problem in problems],
        agents,
        range(arguments.seeds),
        max_steps=arguments.max_steps,
        jobs=arguments.jobs,
        envs=arguments.envs,
        on_score=progress.score,
    )
    progress.end()
    if arguments.json:
        print(json.dumps([{**asdict(one), "share": one.share, "interval": one.interval} for one in made]))
    else:
        print(report.score_table(made, agents, by_problem=arguments.by_problem))
    return 0


def _add_live(command: argparse.ArgumentParser) -> None:
    command.add_argument("--kubeconfig", metavar="FILE", help="of the live cluster (default: where kubectl looks)")
    command.add_argument("--context", help="context of the kubeconfig")
    command.add_argument("--suffix", help="ends the names of the environment on a live cluster")
    command.add_argument("--cpu-scale", type=float, default=1.0, help="factor on CPU requests on a live cluster")
    command.add_argument("--delete", action="store_true", help="delete the environment on a live cluster at the end")


def _live(arguments: argparse.Namespace) -> aiopslab.LiveCluster:
    return aiopslab.LiveCluster(
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        suffix=arguments.suffix,
        cpu_scale=arguments.cpu_scale,
        on_close="delete" if arguments.delete else "keep",
    )


def _doctor(arguments: argparse.Namespace) -> int:
    found = doctor.examine(_live(arguments), repair=arguments.repair, envs=arguments.envs)
    print(json.dumps(found) if arguments.json else doctor.page(found))
    return 0 if doctor.is_well(found) else 1


def _list(arguments: argparse.Namespace) -> int:
    problems = aiopslab.list_problems(arguments.task, arguments.app, arguments.suite, arguments.envs)
    if arguments.json:
        print(json.dumps([asdict(problem) for problem in problems]))
    else:
        print(report.problem_table(problems))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    problem = aiopslab.show_problem(arguments.problem, arguments.envs)
    env = aiopslab.make(problem.id, envs=arguments.envs, strict=arguments.strict)
    observation, _ = env.reset(seed=0)
    if arguments.json:
        print(json.dumps({**asdict(problem), "observation": observation, "tools": env.unwrapped.tools}))  # type: ignore[attr-defined]
    else:
        print(report.problem_page(problem, observation))
    return 0


def _run(arguments: argparse.Namespace) -> int:
    env = aiopslab.make(
        arguments.problem,
        cluster=_live(arguments) if arguments.cluster == "live" else arguments.cluster,
        max_steps=arguments.max_steps,
        strict=arguments.strict,
        envs=arguments.envs,
        allow_oracle=arguments.agent == "oracle",
        agent=arguments.agent,
    )
    agent = aiopslab.agents.make(arguments.agent, env)
    shown = report.Transcript(sys.stdout, full=arguments.full)
    on_step = None
    if not arguments.json:
        shown.begin(aiopslab.show_problem(arguments.problem, arguments.envs), arguments.agent, arguments.seed)
        on_step = shown.step
    try:
        trajectory = aiopslab.rollout(env, agent, arguments.seed, on_step)
    finally:
        env.close()
    default = Path("runs") / arguments.problem / f"{arguments.seed}-{arguments.agent}.jsonl"
    path = trajectory.save(arguments.output or default)
    if arguments.json:
        print(json.dumps(_result(trajectory, path)))
    else:
        shown.end(trajectory, path)
    return 1 if arguments.check and not trajectory.success else 0


def _result(trajectory: aiopslab.Trajectory, path: Path) -> dict[str, Any]:
    return {
        "problem_id": trajectory.header["problem_id"],
        "seed": trajectory.header["seed"],
        "steps": len(trajectory.steps),
        "score": trajectory.score,
        "closing": trajectory.closing,
        "trajectory": str(path),
    }


def _replay(arguments: argparse.Namespace) -> int:
    count = 0
    for trajectory in aiopslab.load_trajectories(arguments.file):
        try:
            aiopslab.replay(trajectory, arguments.envs)
        except TrajectoryError as error:
            return _fail(error, 1)
        count += 1
    message = {"file": arguments.file, "trajectories": count, "identical": True}
    print(json.dumps(message) if arguments.json else f"{count} trajectory replayed, identical byte for byte")
    return 0
