"""What a metric promises: sums that add up over rows, and figures that follow from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lorafw.contracts import Classified, Metric, Outcome, Predicted, Weighed, Written
from lorafw.errors import DataError
from lorafw.testing.component import ComponentContract
from lorafw.testing.promise import NotPromised

_ANSWERS = (
    ("She has 5 + 3 = 8 apples.\n#### 8", "First 5, then 3 more: 8.\n#### 8"),
    ("B. Because the sky is blue, light is scattered. #### 12", "b) as blue light scatters. 12"),
    ("Die Gänse schwimmen heute über 3 Seen.", "Die Gans schwimmt heute über 3 Seen."),
    ("我爱北京天安门，2024年见。", "我爱上海天安门，2024年见。"),
    ("return [x for x in range(10)]", "return [y for y in range(9)]"),
)


class MetricContract(ComponentContract, kind="metric"):
    """Promises of a `Metric`; the fixture is called `metric`.

    A metric of outcomes of a kind of its own overrides `outcomes`.
    """

    def outcomes(self, metric: Metric) -> Sequence[Outcome]:
        """A few outcomes of the kind that the metric reads, none of them perfect."""
        if metric.reads is Predicted:
            return [Predicted(0.5 * at + 0.1, at) for at in range(1, 8)]
        if metric.reads is Weighed:
            sums = ((-1.0, -2.0, -3.5), (-4.0, -2.5, -2.0), (-1.5, -9.0, -1.0))
            return [Weighed(1, each, (1, 3, 2), (4, 9, 5)) for each in sums]
        if metric.reads is Classified:
            chances = ((0.7, 0.2, 0.1), (0.3, 0.6, 0.1), (0.1, 0.2, 0.7), (0.5, 0.3, 0.2))
            return [Classified(at % 3, each) for at, each in enumerate(chances)]
        return [Written(*pair, source=f"Tell me: {pair[0]} And more.") for pair in _ANSWERS]

    def test_it_says_which_way_its_figures_are_better(self, metric: Metric) -> None:
        figures = metric.summarise(_total(self._measured(metric, self.outcomes(metric))))
        assert figures, "there are no figures"
        unsaid = set(figures) - set(metric.better)
        assert not unsaid, f"`better` does not name {', '.join(sorted(unsaid))}"
        directions = set(metric.better.values())
        assert directions <= {"lower", "higher"}, f"neither lower nor higher: {directions}"

    def test_its_headline_is_one_of_its_figures(self, metric: Metric) -> None:
        known = ", ".join(metric.better)
        assert not metric.headline or metric.headline in metric.better, f"it is none of {known}"

    def test_every_row_is_measured_under_the_same_names(self, metric: Metric) -> None:
        names = {tuple(sums) for sums in self._measured(metric, self.outcomes(metric))}
        assert len(names) == 1, f"rows differ in what is measured: {sorted(names)}"

    def test_what_is_measured_is_finite_and_the_same_again(self, metric: Metric) -> None:
        once, again = (self._measured(metric, self.outcomes(metric)) for _ in range(2))
        assert once == again, "the second time other numbers are measured"
        wrong = [name for sums in once for name, n in sums.items() if not math.isfinite(n)]
        assert not wrong, f"not finite: {', '.join(wrong)}"

    def test_copies_of_all_rows_change_no_figure(self, metric: Metric) -> None:
        measured = self._measured(metric, self.outcomes(metric))
        once, thrice = metric.summarise(_total(measured)), metric.summarise(_total(measured * 3))
        for name, value in once.items():
            off = abs(thrice[name] - value)
            assert off <= 1e-9 * max(1.0, abs(value)), f"{name}: {value} becomes {thrice[name]}"

    def test_figures_of_any_few_rows_are_finite(self, metric: Metric) -> None:
        measured = self._measured(metric, self.outcomes(metric))
        for start in range(len(measured)):
            for name, value in metric.summarise(_total(measured[start : start + 2])).items():
                assert math.isfinite(value), f"{name} of rows {start + 1} and on is {value}"

    def test_an_empty_answer_counts_and_is_no_better_than_the_right_one(
        self, metric: Metric
    ) -> None:
        if metric.reads is not Written:
            raise NotPromised("does not read answers")
        rows = [row for row in self._taken(metric) if isinstance(row, Written)]
        empty = [Written(row.reference, "", row.source) for row in rows]
        right = [Written(row.reference, row.reference, row.source) for row in rows]
        silence, truth = (
            metric.summarise(_total(self._measured(metric, s))) for s in (empty, right)
        )
        for name, value in silence.items():
            sign = 1 if metric.better[name] == "higher" else -1
            assert sign * value < sign * truth[name], f"{name}: {value}, right {truth[name]}"

    def _taken(self, metric: Metric) -> Sequence[Outcome]:
        """The outcomes of rows that the metric can score."""
        return [outcome for outcome in self.outcomes(metric) if _scorable(metric, outcome)]

    def _measured(self, metric: Metric, outcomes: Sequence[Outcome]) -> list[Mapping[str, float]]:
        found = [metric.measure(outcome) for outcome in outcomes if _scorable(metric, outcome)]
        assert found, "none of the outcomes can be measured"
        return found


def _scorable(metric: Metric, outcome: Outcome) -> bool:
    """A row may be none for this metric, such as one without a number; it then says so."""
    try:
        metric.measure(outcome)
    except DataError:
        return False
    return True


def _total(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(sums[name] for sums in measured) for name in measured[0]}
