"""`lorafw continual summarize` and `compare`: figures, intervals, and one clear error each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lorafw.cli.main import main
from lorafw_continual.finished_runs import read_runs
from lorafw_continual.summarize import compare, summarize

TASKS = ("maths", "news", "code")


def finished_run(
    folder: Path,
    *,
    seed: int = 0,
    scenario: str = "sequential",
    forgotten: float = 0.2,
    tasks: Sequence[str] = TASKS,
    stages: Sequence[str] | None = None,
    untrained: bool = True,
) -> Path:
    """Every task has 0.9 hits and a loss of 1 at its stage, and loses with every later one."""
    stages = tasks if stages is None else stages
    figures = {
        stage: {task: _figures(now - at, forgotten) for at, task in enumerate(tasks)}
        for now, stage in enumerate(stages)
    }
    if untrained:
        figures = {"before": {task: {"hits": 0.1, "loss": 3.0} for task in tasks}, **figures}
    scores = {
        "stages": list(figures),
        "tasks": list(tasks),
        "figures": figures,
        "judged_by": dict.fromkeys(tasks, "hits"),
        "better": dict.fromkeys(tasks, "higher"),
    }
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"scores": scores}), encoding="utf-8")
    config = f"scenario: {{use: {scenario}}}\nrun: {{seed: {seed}}}\n"
    (folder / "run.yaml").write_text(config, encoding="utf-8")
    return folder


def _figures(later: int, forgotten: float) -> dict[str, float]:
    """Of a task so many stages after its own; of one not trained yet, if negative."""
    if later < 0:
        return {"hits": 0.2, "loss": 2.5}
    return {"hits": 0.9 - forgotten * later, "loss": 1.0 + forgotten * later}


def called(*words: object) -> Result:
    return CliRunner().invoke(main, ["continual", *map(str, words)])


def told(*words: object, file: Path) -> Any:
    result = called(*words, "--json", file)
    assert result.exit_code == 0, result.output
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture
def seeds(tmp_path: Path) -> list[Path]:
    """Three seeds that forget 0.1, 0.2 and 0.3 with every stage."""
    return [
        finished_run(tmp_path / f"seq-{seed}", seed=seed, forgotten=(seed + 1) / 10)
        for seed in range(3)
    ]


def test_the_mean_matrix_and_its_measures(seeds: list[Path]) -> None:
    found = summarize(read_runs(seeds))
    assert list(found.rows) == ["before", *TASKS]
    means = {stage: [cell and cell.value for cell in row] for stage, row in found.rows.items()}
    assert means["before"] == pytest.approx([0.1] * 3)
    assert means["code"] == pytest.approx([0.9 - 2 * 0.2, 0.9 - 0.2, 0.9])
    values = {name: each.value for name, each in found.measures.items()}
    assert values["bwt"] == pytest.approx(-(2 * 0.2 + 0.2) / 2)
    assert values["forgetting"] == pytest.approx(0.3)
    assert values["fwt"] == pytest.approx(0.1)
    assert found.measures["bwt"].values == pytest.approx((-0.15, -0.3, -0.45))
    half = 4.302653 * 0.15 / 3**0.5  # Student's t with two degrees of freedom
    assert found.measures["bwt"].half == pytest.approx(half, rel=1e-5)


def test_a_loss_counts_as_its_negative_but_is_shown_as_it_is(seeds: list[Path]) -> None:
    found = summarize(read_runs(seeds[:1], "loss"))
    assert [cell and cell.value for cell in found.rows["code"]] == pytest.approx([1.2, 1.1, 1.0])
    assert found.measures["op"].value == pytest.approx(-1.1)
    assert found.measures["bwt"].value == pytest.approx(-0.15)
    assert found.judged_by == ["loss"] * 3


def test_runs_of_other_orders_are_put_together_by_place(seeds: list[Path], tmp_path: Path) -> None:
    turned = finished_run(tmp_path / "turned", forgotten=0.1, tasks=TASKS[::-1])
    found = summarize(read_runs([seeds[0], turned]))
    assert found.tasks == ("task 1", "task 2", "task 3")
    assert list(found.rows) == ["before", "stage 1", "stage 2", "stage 3"]
    last = found.rows["stage 3"]
    assert [cell and cell.half for cell in last] == pytest.approx([0.0] * 3)


def test_a_run_of_all_tasks_together_has_an_end_only(tmp_path: Path) -> None:
    runs = [
        finished_run(tmp_path / "one", stages=["joint"], untrained=False),
        finished_run(tmp_path / "two", stages=["joint"], tasks=TASKS[::-1]),
    ]
    found = summarize(read_runs(runs))
    assert list(found.measures) == ["op"]
    assert found.tasks == TASKS
    assert list(found.rows) == ["joint"]


def test_the_gain_is_over_training_each_task_alone(seeds: list[Path], tmp_path: Path) -> None:
    single = finished_run(
        tmp_path / "single", scenario="adapter-per-task", forgotten=0.0, tasks=TASKS[::-1]
    )
    record = json.loads((single / "run.json").read_text(encoding="utf-8"))
    record["scores"]["figures"]["news"]["news"]["hits"] = 0.7
    (single / "run.json").write_text(json.dumps(record), encoding="utf-8")
    found = told("summarize", *seeds, "--alone", single, file=tmp_path / "told.json")
    assert found["measures"]["gain"]["mean"] == pytest.approx(((0.9 - 0.7) + 0) / 2)
    fault = refused("summarize", seeds[0], "--alone", seeds[1])
    assert "does not train every task alone; scenario adapter-per-task does." in fault


def test_groups_are_compared_seed_by_seed(seeds: list[Path], tmp_path: Path) -> None:
    replay = [
        finished_run(tmp_path / f"rep-{seed}", seed=seed, forgotten=seed / 10, scenario="replay")
        for seed in (2, 0, 1)
    ]
    found = compare(read_runs(seeds), read_runs(replay))["forgetting"]
    assert found.first.values == pytest.approx((0.15, 0.3, 0.45))
    assert found.second.values == pytest.approx((0.0, 0.15, 0.3))
    assert found.difference.value == pytest.approx(0.15)
    assert found.test is not None
    assert found.test.p == 2 / 8


def test_general_data_is_shown_and_not_measured(seeds: list[Path], tmp_path: Path) -> None:
    runs = [
        finished_run(tmp_path / f"lima-{seed}", seed=seed, forgotten=(seed + 1) / 10, tasks=order)
        for seed, order in enumerate((TASKS, TASKS, TASKS[::-1]))
    ]
    for run in runs:
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        for row in record["scores"]["figures"].values():
            row["lima"] = {"loss": 4.0}
        record["scores"]["tasks"].append("lima")
        record["scores"]["judged_by"]["lima"] = "loss"
        record["scores"]["better"]["lima"] = "lower"
        (run / "run.json").write_text(json.dumps({**record, "general": "lima"}), encoding="utf-8")
    found, without = summarize(read_runs(runs)), summarize(read_runs(seeds))
    assert found.measures == without.measures
    assert found.tasks == ("task 1", "task 2", "task 3", "lima")
    assert found.judged_by == [*["hits"] * 3, "loss"]
    assert all(row[-1] and row[-1].value == 4.0 for row in found.rows.values())
    assert "General data, which no measure counts: lima." in called("summarize", *runs).output
    assert summarize(read_runs(runs, "loss")).judged_by == ["loss"] * 4
    beside = compare(read_runs(runs), read_runs(seeds))
    assert beside["bwt"].difference.value == 0
    assert summarize(read_runs([runs[0], seeds[1]])).tasks == TASKS, "one has no general data"


def without_figures(run: Path, task: str, *stages: str) -> Path:
    """The run as if a task had no held-out rows, and so, of those seen, some stages no scores."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    scores = record["scores"]
    for row in scores["figures"].values():
        del row[task]
    for stage in stages:
        scores["stages"].remove(stage)
        del scores["figures"][stage]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return run


def test_a_task_without_held_out_rows_is_named_and_not_measured(tmp_path: Path) -> None:
    run = without_figures(finished_run(tmp_path / "run"), "news")
    found = summarize(read_runs([run]))
    values = {name: each.value for name, each in found.measures.items()}
    assert values == pytest.approx(
        {
            "op": (0.5 + 0.9) / 2,
            "aaa": (0.9 + 0.7 + 0.7) / 3,
            "la": 0.9,
            "bwt": -0.4,
            "bwt_trace": -0.2,
            "forgetting": 0.4,
            "fwt": 0.1,
        }
    )
    assert (found.tasks, found.judged_by) == (("maths", "code"), ["hits"] * 2)
    assert list(found.rows) == ["before", *TASKS]
    assert all(len(row) == 2 for row in found.rows.values())
    assert "Without held-out rows, so that no measure counts them: news." in (
        called("summarize", run).output
    )
    assert told("summarize", run, file=tmp_path / "told.json")["unscored"] == ["news"]
    assert summarize(read_runs([run], "loss")).judged_by == ["loss"] * 2


def test_of_those_seen_the_first_may_have_no_held_out_rows(tmp_path: Path) -> None:
    run = without_figures(finished_run(tmp_path / "run", untrained=False), "maths", "maths")
    found = summarize(read_runs([run]))
    assert found.measures["bwt"].value == pytest.approx(-0.2)
    assert found.measures["la"].value == pytest.approx(0.9)
    assert list(found.rows) == list(TASKS)
    assert found.rows["maths"] == [None, None]


def test_runs_that_scored_other_tasks_are_refused(seeds: list[Path], tmp_path: Path) -> None:
    run = without_figures(finished_run(tmp_path / "run", seed=1), "news")
    fault = f"{run}: news has no figures, and in"
    assert f"{fault} {seeds[0]} it has." in refused("summarize", seeds[0], run)
    assert f"{fault} {seeds[1]} it has." in refused("compare", run, "--with", seeds[1])


def test_the_table_says_what_it_is_of(seeds: list[Path], tmp_path: Path) -> None:
    shown = called("summarize", *seeds).output
    for words in ("maths (hits)", "0.5000 ±", "forgetting", "over 3 runs", "forgetting  0.3000"):
        assert words in shown, shown
    assert "One run: no interval." in called("summarize", seeds[0]).output
    record = told("summarize", *seeds, file=tmp_path / "told.json")
    assert [run["seed"] for run in record["runs"]] == [0, 1, 2]
    assert record["matrix"]["code"][0]["mean"] == pytest.approx(0.5)
    assert record["measures"]["op"]["values"] == pytest.approx([0.8, 0.7, 0.6])


def test_with_takes_several_runs(seeds: list[Path], tmp_path: Path) -> None:
    others = [finished_run(tmp_path / f"rep-{seed}", seed=seed) for seed in range(3)]
    record = told("compare", *seeds, "--with", *others, file=tmp_path / "told.json")
    assert [run["folder"] for run in record["second"]] == [str(each) for each in others]
    assert record["measures"]["op"]["p"] == 1.0
    assert record["measures"]["op"]["test"] == "exact paired permutation test"
    shown = called("compare", *seeds, "--with", *others, "--figure", "loss").output
    assert "cannot show less than p = 0.25" in shown
    assert "sequential, first" in shown


def refused(*words: object) -> str:
    result = called(*words)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    lines = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    return lines[0]


def test_wrong_runs_are_refused_in_one_line(seeds: list[Path], tmp_path: Path) -> None:
    other = finished_run(tmp_path / "other", tasks=("maths", "art", "code"))
    joint = finished_run(tmp_path / "joint", stages=["joint"])
    assert "no such folder" in refused("summarize", tmp_path / "gone")
    assert "named twice" in refused("summarize", seeds[0], seeds[0])
    assert "its tasks are art, code, maths; those of" in refused("summarize", seeds[0], other)
    assert "has 1 stage, and" in refused("summarize", seeds[0], joint)
    fault = refused("summarize", seeds[0], "--figure", "rouge")
    assert "maths has no figure rouge. It has: hits, loss." in fault
    assert "there is no folder" in refused("summarize", seeds[0], "--json", "no/where.json")
    fault = refused("compare", *seeds[:2], "--with", other.with_name("seq-2"))
    assert "of which the other group has no run" in fault
    twin = finished_run(tmp_path / "twin", seed=0)
    assert "has seed 0, and so has" in refused("compare", seeds[0], twin, "--with", seeds[1])
    assert "Missing option '--with'" in refused("compare", seeds[0])


def test_a_folder_that_is_no_finished_run_over_tasks_is_refused(tmp_path: Path) -> None:
    begun = finished_run(tmp_path / "begun")
    (begun / "run.json").unlink()
    assert f"Finish it: lorafw run {begun / 'run.yaml'} --resume" in refused("summarize", begun)
    plain = finished_run(tmp_path / "plain")
    (plain / "run.json").write_text('{"steps": 3}', encoding="utf-8")
    assert "is no run over several tasks" in refused("summarize", plain)
    torn = finished_run(tmp_path / "torn")
    (torn / "run.json").write_text('{"scores": {"tasks": 3}}', encoding="utf-8")
    result = called("summarize", torn)
    assert result.exit_code == 1
    assert "its record is damaged" in result.output


def test_runs_judged_by_other_figures_are_refused(seeds: list[Path], tmp_path: Path) -> None:
    other = finished_run(tmp_path / "other")
    record = json.loads((other / "run.json").read_text(encoding="utf-8"))
    record["scores"]["judged_by"]["news"] = "loss"
    (other / "run.json").write_text(json.dumps(record), encoding="utf-8")
    fault = refused("summarize", seeds[0], other)
    assert "news is judged by loss, and in" in fault
    assert called("summarize", seeds[0], other, "--figure", "loss").exit_code == 0
