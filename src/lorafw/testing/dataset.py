"""What a dataset promises."""

from __future__ import annotations

from lorafw.contracts import DatasetAdapter
from lorafw.testing.component import ComponentContract, options_of
from lorafw.testing.promise import NotPromised, refused
from lorafw.types import LabeledExample, Split


class DatasetContract(ComponentContract, kind="dataset"):
    """Promises of a `DatasetAdapter`; the fixture is called `dataset`."""

    def test_every_row_is_of_the_kind_it_produces(self, dataset: DatasetAdapter) -> None:
        rows = [row for split in Split for row in dataset.load(split)]
        assert rows, "there is not one row to look at"
        kinds = {type(row).__name__ for row in rows if not isinstance(row, dataset.produces)}
        assert not kinds, f"produces {dataset.produces.__name__}, but there are {sorted(kinds)}"

    def test_loading_twice_gives_the_same_rows_in_the_same_order(
        self, dataset: DatasetAdapter
    ) -> None:
        for split in Split:
            first, second = list(dataset.load(split)), list(dataset.load(split))
            assert first == second, f"the rows of split '{split}' differ from load to load"

    def test_no_held_out_row_is_trained_on(self, dataset: DatasetAdapter) -> None:
        trained = {repr(row) for row in dataset.load(Split.TRAIN)}
        shared = [row for row in dataset.load(Split.EVAL) if repr(row) in trained]
        assert not shared, f"{len(shared)} rows are in both splits, first {shared[:1]}"

    def test_labels_name_the_class_of_every_row(self, dataset: DatasetAdapter) -> None:
        rows = [row for split in Split for row in dataset.load(split)]
        numbers = {row.label for row in rows if isinstance(row, LabeledExample)}
        names = dataset.labels
        assert bool(names) == bool(numbers), f"labels is {names}, and rows count {numbers}"
        assert len(set(names)) == len(names), f"labels names a class twice: {names}"
        beyond = sorted(number for number in numbers if not 0 <= number < len(names))
        assert not beyond, f"labels names {len(names)} classes, but rows count {beyond}"

    def test_a_whole_source_has_no_faults(self, dataset: DatasetAdapter) -> None:
        found = [str(fault) for fault in dataset.faults()]
        assert not found, f"load reads every row, but faults finds {found[:3]}"

    def test_its_origins_are_files(self, dataset: DatasetAdapter) -> None:
        missing = [str(path) for path in dataset.origins() if not path.is_file()]
        assert not missing, f"no file: {', '.join(missing)}"

    def test_a_missing_file_is_named(self, dataset: DatasetAdapter) -> None:
        if getattr(dataset, "path", None) is None:
            raise NotPromised("it has no option 'path'")
        missing = "no-such-folder/no-such-file.jsonl"
        with refused(naming=missing):
            elsewhere = type(dataset).from_mapping(options_of(dataset, path=missing), where="x")
            elsewhere.preflight()
            elsewhere.load(Split.TRAIN)
