"""The section `tasks`: however it is written, one form; every fault has its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorafw.assembly.compose import Parts, compose, compose_data
from lorafw.assembly.config import RunConfig, read_config, resolved, write_resolved
from lorafw.assembly.registry import Registry
from lorafw.errors import LorafwError

WHOLE = """\
run: {name: night}
dataset: {use: toy, rows: prompt, path: root}
model: {use: toy, path: models/base}
injector: toy
trainer: toy
objective: toy
scenario: toy
exporters: [toy]
plan:
  epochs: 2
tasks:
  - first
  - name: second
    epochs: 5
    metrics: [exact-match, {use: bleu, tokenize: zh}]
  - name: third
    dataset: {use: toy, path: elsewhere}
    template: prompt
    metric: rouge
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole config in the current folder, beside the folders that it names."""
    monkeypatch.chdir(tmp_path)
    for folder in ("root/first", "root/second", "elsewhere"):
        Path(folder).mkdir(parents=True)
    path = Path("lorafw.yaml")
    path.write_text(WHOLE)
    return path


def read(registry: Registry, *overrides: str, text: str = WHOLE) -> RunConfig:
    Path("lorafw.yaml").write_text(text)
    return read_config(registry, path=Path("lorafw.yaml"), overrides=overrides)


def composed(registry: Registry, *overrides: str, text: str = WHOLE) -> Parts:
    return compose(read(registry, *overrides, text=text), registry)


def fault(registry: Registry, *overrides: str, text: str = WHOLE) -> str:
    with pytest.raises(LorafwError) as caught:
        composed(registry, *overrides, text=text)
    assert caught.value.exit_code == 2 or "there is no such file" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rows(config: RunConfig) -> list[tuple[str, str, int]]:
    return [(t.name, str(t.dataset.options["path"]), t.epochs) for t in config.tasks]


@pytest.mark.usefixtures("file")
class TestOneForm:
    def test_what_a_task_does_not_say_it_takes_from_the_run(self, registry: Registry) -> None:
        config = read(registry)
        assert rows(config) == [
            ("first", "root/first", 2),
            ("second", "root/second", 5),
            ("third", "elsewhere", 2),
        ]
        assert [task.dataset.options.get("rows") for task in config.tasks] == ["prompt"] * 2 + [
            None
        ]
        assert [task.encoder and task.encoder.name for task in config.tasks] == [
            None,
            None,
            "prompt",
        ]
        judges = [[metric.name for metric in task.metrics] for task in config.tasks]
        assert judges == [[], ["exact-match", "bleu"], ["rouge"]]

    def test_names_with_commas_between(self, registry: Registry) -> None:
        text = WHOLE[: WHOLE.index("tasks:")]
        assert rows(read(registry, "tasks=second, first", text=text)) == [
            ("second", "root/second", 2),
            ("first", "root/first", 2),
        ]

    def test_a_name_that_was_listed_keeps_its_options(self, registry: Registry) -> None:
        config = read(registry, "tasks=third,second")
        assert rows(config) == [("third", "elsewhere", 2), ("second", "root/second", 5)]
        assert [metric.name for metric in config.tasks[0].metrics] == ["rouge"]

    def test_epochs_of_each(self, registry: Registry) -> None:
        for given_ in ("plan.epochs=7,1,3", "plan.epochs=[7, 1, 3]"):
            config = read(registry, given_)
            assert [task.epochs for task in config.tasks] == [7, 5, 3]
            assert config.plan.epochs == 7

    def test_options_are_set_by_a_tasks_name(self, registry: Registry) -> None:
        config = read(
            registry,
            "tasks.second.epochs=9",
            "tasks.second.max_new_tokens=8",
            "tasks.third.template=chat",
            "tasks.first.encoder.max_length=64",
            "tasks.second.metrics.bleu.tokenize=13a",
            "tasks.first.dataset.rows=chat",
        )
        first, second, third = config.tasks
        assert (second.epochs, third.encoder and third.encoder.name) == (9, "chat")
        assert (second.max_new_tokens, third.max_new_tokens) == (8, 256)
        assert (first.encoder and dict(first.encoder.options)) == {"max_length": 64}
        assert second.metrics[1].options == {"tokenize": "13a"}
        assert first.dataset.options == {"rows": "chat", "path": "root/first"}

    def test_a_dataset_of_the_run_is_not_needed_if_each_has_its_own(
        self, registry: Registry
    ) -> None:
        text = WHOLE.replace("dataset: {use: toy, rows: prompt, path: root}\n", "")
        own = "tasks=[{name: a, dataset: toy}, {name: b, dataset: {use: toy, rows: chat}}]"
        assert [task.dataset.name for task in read(registry, own, text=text).tasks] == ["toy"] * 2
        assert "which dataset to use" in fault(registry, text=text)

    def test_what_is_not_used_is_told(self, registry: Registry) -> None:
        own = "tasks=[{name: a, dataset: toy, epochs: 1}]"
        assert read(registry).notices == ()
        assert read(registry, own, "plan.epochs=3").notices == (
            "dataset: not used, every task has its own.",
            "plan.epochs: not used, every task has its own.",
        )

    def test_the_mix_of_all_stands_for_the_dataset(self, registry: Registry) -> None:
        config = read(registry)
        assert (config.dataset.name, config.dataset.key) == ("lorafw/mix", "tasks")
        assert [part["path"] for part in config.dataset.options["parts"]] == [
            "root/first",
            "root/second",
            "elsewhere",
        ]

    def test_a_config_without_tasks_is_what_it_was(self, registry: Registry) -> None:
        config = read(registry, text=WHOLE[: WHOLE.index("tasks:")])
        assert (config.tasks, config.dataset.name, config.dataset.key) == ((), "toy", "dataset")


@pytest.mark.usefixtures("file")
class TestParts:
    def test_every_part_is_built(self, registry: Registry) -> None:
        parts = composed(registry)
        first, second, third = parts.tasks
        assert first.encoder is parts.encoder
        assert type(third.encoder).__name__ == "Prompt"
        assert list(second.metrics) == ["exact-match", "bleu"]
        assert second.metrics["bleu"].model_dump()["tokenize"] == "zh"
        assert (first.epochs, second.epochs, third.key) == (2, 5, "tasks.2")

    def test_an_encoder_without_a_name_is_the_runs_with_other_options(
        self, registry: Registry
    ) -> None:
        parts = composed(registry, "encoder.max_length=99", "tasks.first.encoder.truncate=right")
        first = parts.tasks[0].encoder
        assert type(first) is type(parts.encoder)
        assert (first.max_length, first.truncate, parts.encoder.truncate) == (99, "right", "left")

    def test_the_saved_config_gives_the_same_run(self, registry: Registry, file: Path) -> None:
        config = read(registry, "plan.epochs=3,1,4")
        parts = compose(config, registry)
        values = resolved(config, parts)
        assert "dataset" not in values
        write_resolved(values, file)
        again = read_config(registry, path=file)
        assert compose(again, registry) == parts
        assert again.notices == ()

    def test_data_alone_can_be_composed(self, registry: Registry) -> None:
        assert [task.name for task in compose_data(read(registry), registry).tasks] == [
            "first",
            "second",
            "third",
        ]


PLACES = [
    ((), "- first", "- firsd", "root/firsd: there is no such file."),
    ((), "{use: toy, path: else", "{use: trace, path: n", "tasks.2.dataset.path: nwhere is not a"),
    ((), "{use: toy, rows: prompt", "{use: trace", "lorafw.yaml:12: tasks.0: root/first has no tr"),
    ((), "path: elsewhere", "pth: x", "lorafw.yaml:17: tasks.2.dataset.pth: unknown option."),
    ((), "epochs: 5", "epoch: 5", "tasks.1.epoch: unknown option. Did you mean 'epochs'?"),
    ((), "epochs: 5", "epochs: 0", "tasks.1.epochs: should be a whole number, at least 1, not 0."),
    ((), "name: second", "name: first", "lorafw.yaml:13: tasks.1: 'first' is the name of tasks.0"),
    ((), "name: second", "name: First", "'First' is the name of tasks.0 already."),
    ((), "name: second", "name: übung", "a name that a folder can have, not 'übung': letters"),
    (
        (),
        "name: second",
        "name: a/b",
        "should be a name that a folder can have, not 'a/b': letters",
    ),
    ((), "name: second", "title: second", "tasks.1.title: unknown option."),
    ((), "    metric: rouge", "    encoder: chat", "template and encoder mean the same;"),
    ((), "metric: rouge", "metric: rogue", "no metric is called 'rogue'. Did you mean 'rouge'?"),
    ((), "[exact-match, {", "[bleu, {", "lorafw.yaml:15: tasks.1.metrics.1: metric 'bleu' is"),
    ((), "template: prompt", "template: text-pair", "encoder 'text-pair' of task 'third' is for"),
    ((), "{use: toy, path: elsewhere}", "{use: toy, rows: chat}", "of task 'third' produces Chat"),
    ((), "path: root}", "}", "'first' has no dataset of its own, and the run's has no single path"),
    (("tasks.second.max_new_tokens=0",), "", "", "should be a whole number, at least 1, not 0."),
    ((), "epochs: 2", "epochs: [1, 2]", "lorafw.yaml:10: plan.epochs: is for 2 tasks, and the run"),
    (("plan.epochs=1,2",), "", "", "-o plan.epochs: is for 2 tasks, and the run has 3."),
    (("plan.epochs=1,x,3",), "", "", "should hold whole numbers, at least 1, not 'x'."),
    (("plan.epochs=1,0,3",), "", "", "should hold whole numbers, at least 1, not 0."),
    (("tasks=5",), "", "", "-o tasks: should be a list of tasks"),
    (("tasks=[]",), "", "", "-o tasks: should be a list of tasks"),
    (("tasks=a,,b",), "", "", "-o tasks.1.name: should be a name that a folder can have, not '':"),
    (("tasks=[3]",), "", "", "-o tasks.0: should be a name, or a mapping with `name`, not 3."),
    (("tasks=[{epochs: 3}]",), "", "", "-o tasks.0: has no name. Add: name: NAME"),
    (("tasks.fourth.epochs=3",), "", "", "there is no such item; the list has: first, second"),
    (("scenario=single",), "", "", "scenario 'single' takes no tasks, and the run has some. Ch"),
    (("tasks.0.name=???",), "", "", "tasks.0.name is left for you to set."),
]


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(("overrides", "before", "after", "message"), PLACES)
def test_a_fault_is_told_with_its_place(
    registry: Registry, overrides: tuple[str, ...], before: str, after: str, message: str
) -> None:
    assert before in WHOLE
    text = WHOLE.replace(before, after, 1) if before else WHOLE
    assert message in fault(registry, *overrides, text=text)


@pytest.mark.usefixtures("file")
def test_epochs_of_tasks_need_tasks(registry: Registry) -> None:
    text = WHOLE[: WHOLE.index("tasks:")]
    message = fault(registry, "plan.epochs=1,2", text=text)
    assert message.startswith("-o plan.epochs: is for 2 tasks, and the run has none.")


def test_plain_values_are_read_as_a_file_is(registry: Registry) -> None:
    values: dict[str, Any] = {
        **dict.fromkeys(("dataset", "injector", "trainer", "objective"), "toy"),
        "dataset": {"use": "toy", "path": Path("somewhere")},
        "model": {"use": "toy", "path": "base"},
        "tasks": ["a", {"name": "b", "epochs": 2}],
        "plan": {"epochs": [1, 4]},
    }
    assert rows(RunConfig.from_mapping(values, registry)) == [
        ("a", "somewhere/a", 1),
        ("b", "somewhere/b", 2),
    ]
    assert values["tasks"] == ["a", {"name": "b", "epochs": 2}]


@given(st.lists(st.integers(1, 99), min_size=1, max_size=6))
def test_any_epochs_come_back(each: list[int]) -> None:
    from lorafw.assembly.task_epochs import split_epochs

    listed: list[Any] = [each]
    if len(each) > 1:
        listed.append(", ".join(map(str, each)))
    for given_ in listed:
        plan, found = split_epochs({"epochs": given_, "eps": 1}, len(each))
        assert found == tuple(each)
        assert plan == {"epochs": max(each), "eps": 1}
