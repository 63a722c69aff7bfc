from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from lorafw.types import Layout
from lorafw.verification.cases import Part, cuts

LAYOUTS = (Layout.SEGMENTS, Layout.PADDED)


def parts(count: int) -> list[Part]:
    return [Part(f"injector {number}", "any", {}) for number in range(count)]


@given(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3))
def test_every_two_choices_meet(injectors: int, layouts: int, budgets: int) -> None:
    axes = (parts(injectors), LAYOUTS[:layouts], list(range(1, budgets + 1)))
    found = [(part.label, layout, budget) for part, layout, budget in cuts(*axes)]
    names = ([part.label for part in axes[0]], *axes[1:])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        seen = {(cut[one], cut[other]) for cut in found}
        assert seen == set(product(names[one], names[other]))


def test_no_more_than_needed() -> None:
    assert len(cuts(parts(2), LAYOUTS, [512, 1])) == 4
    assert len(cuts(parts(1), LAYOUTS[:1], [512])) == 1


def test_the_configs_own_choices_come_first() -> None:
    part, layout, budget = cuts(parts(2), LAYOUTS, [512, 1])[0]
    assert (part.label, layout, budget) == ("injector 0", Layout.SEGMENTS, 512)
