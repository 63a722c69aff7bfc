"""What an adapted model promises to those who take its adapter over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.testing.adapting import Adapting, logits, off_by, rows

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts import LoRAInjector


class AdapterExchange(Adapting):
    """Promises about the exported state, which may have another spec than the live adapter."""

    def test_an_injector_of_its_kind_takes_the_state(self, injector: LoRAInjector) -> None:
        model = self.trained(injector)
        state = model.state()
        heir = injector.for_spec(state.spec).inject(self.bundle())
        heir.load_state(state.tensors)
        off = off_by(heir.bundle, model.bundle)
        assert off <= 1e-5, f"the output is off by {off:.1e}"

    def test_every_other_injector_takes_the_state(self, injector: LoRAInjector) -> None:
        from lorafw.testing.exchange import other_injectors

        model = self.trained(injector)
        state = model.state()
        for name, heir in other_injectors(injector, state.spec):
            other = heir.inject(self.bundle())
            other.load_state(state.tensors)
            off = off_by(other.bundle, model.bundle)
            assert off <= 1e-5, f"under '{name}' the output is off by {off:.1e}"

    def test_plain_peft_loads_the_written_adapter(
        self, injector: LoRAInjector, tmp_path: Path
    ) -> None:
        from lorafw.testing.exchange import load_with_peft, peft_logits
        from lorafw.testing.values import distance

        model, base = self.trained(injector), self.bundle()
        loaded = load_with_peft(base, model, tmp_path)
        off = distance(peft_logits(loaded, base, rows()), logits(model.bundle))
        assert off <= 1e-5, f"under PEFT the output is off by {off:.1e}"
