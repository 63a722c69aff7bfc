"""The text of a model card, as the Hugging Face hub shows it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.builtin._run_facts import RunFacts, facts_of
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lorafw.contracts.exporter import ExportRequest

_LIBRARIES = {"adapter": "peft", "chatglm-adapter": "peft", "merged": "transformers"}
_PIPELINES = {Task.CAUSAL_LM: "text-generation", Task.CLASSIFICATION: "text-classification"}
_VERSIONS = ("lorafw", "peft", "transformers", "torch")
_FIGURES = ("loss", "perplexity", "accuracy", "f1", "mcc")


@dataclass(frozen=True, slots=True)
class Card:
    """A model card in the making.

    Attributes:
        request: what is exported.
        run: what is known of its training.
        what: which export the card lies beside, by its exporter's name.
        repo: where it will be found; empty if that is not known.
        license: of the model; None if nobody says.
        language: codes of the languages it is for.
    """

    request: ExportRequest
    run: RunFacts
    what: str = "adapter"
    repo: str = ""
    license: str | None = None
    language: Sequence[str] = ()

    @classmethod
    def beside(cls, folder: Path, request: ExportRequest, **said: Any) -> Card:
        """The card of an export in a run's folder."""
        return cls(request, facts_of(folder), **said)

    def text(self) -> str:
        """The card: metadata in YAML, and Markdown."""
        parts = [f"---\n{self._metadata()}\n---", f"# {self._name()}", self._opening()]
        parts += [self._usage(), "## Training", _table(self._training(), ("", ""))]
        if self.run.before or self.run.after:
            head = ("held out", "before", "after")
            parts += ["## Evaluation", _table(self._evaluation(), head)]
        parts += ["## Versions", _table(_versions(), ("", ""))]
        return "\n\n".join(parts) + "\n"

    def _metadata(self) -> str:
        from huggingface_hub import ModelCardData

        data = ModelCardData(
            base_model=self._base_on_hub(),
            datasets=self._dataset_on_hub(),
            language=list(self.language) or None,
            library_name=_LIBRARIES.get(self.what),
            license=self.license,
            pipeline_tag=_PIPELINES[self.request.model.bundle.task],
            tags=["lorafw", self.request.model.spec.method.lower()],
        )
        return str(data.to_yaml()).strip()

    def _name(self) -> str:
        return self.repo.rpartition("/")[2] or str(self.run.option("run", "name") or self.what)

    def _base(self) -> str:
        """The base's name; not where it lies on this machine."""
        path = str(self.request.recipe.get("model", {}).get("path", ""))
        return self._base_on_hub() or Path(path.replace(":", "/")).name or "its base model"

    def _base_on_hub(self) -> str | None:
        return _on_hub(self.request.recipe.get("model", {}).get("path"))

    def _dataset_on_hub(self) -> list[str] | None:
        path = self.run.option("dataset", "path")
        found = _on_hub(path) if self.run.option("dataset", "use") == "hf" else None
        return [found] if found else None

    def _opening(self) -> str:
        method = _method(self.request.model.spec.method)
        kind = "The whole model" if self.what == "merged" else "The export"
        what = (
            "An adapter" if self.what.endswith("adapter") else f"{kind} with an adapter folded in"
        )
        return (
            f"{what} ({method}) of `{self._base()}`, trained with "
            "[lorafw](https://pypi.org/project/lorafw/)."
        )

    def _usage(self) -> str:
        place, base = self.repo or "path/of/this/folder", self._base_on_hub() or "path/of/the/base"
        told = "" if self._base_on_hub() else f', base="{base}"'
        kind = _CLASSES[self.request.model.bundle.task]
        form = _PLAIN.get(_LIBRARIES.get(self.what, ""), "")
        plain = form.format(place=place, base=base, kind=kind)
        if not plain:
            return "Prompts have to be rendered as in training: see the files beside this card."
        loaded = f'lorafw.load("{place}"{told if self.what.endswith("adapter") else ""})'
        return (
            f"## How to use\n\nWith lorafw, which renders prompts as in training:\n\n"
            f"```python\nimport lorafw\n\nmodel = {loaded}\n"
            f"print(model.{_ASKED[self.request.model.bundle.task]})\n```\n\n"
            f"Without it:\n\n```python\n{plain}\n```"
        )

    def _training(self) -> Iterator[tuple[str, str]]:
        spec, run = self.request.model.spec, self.run
        yield "method", _method(spec.method) + (" with DoRA" if spec.use_dora else "")
        yield "rank, alpha", f"{spec.rank}, {spec.alpha:g}" + (" (rsLoRA)" * spec.use_rslora)
        yield "adapted modules", ", ".join(f"`{name}`" for name in _kinds(spec.targets))
        yield "template", f"`{self.request.recipe.get('encoder', {}).get('use', 'unknown')}`"
        facts: Mapping[str, Any] = {
            "data": _named(run.option("dataset", "path")),
            "rows": run.rows or None,
            "steps": run.steps or None,
            "tokens": run.tokens or None,
            "global batch size": run.option("plan", "global_batch_size"),
            "learning rate": run.option("plan", "learning_rate"),
            "seed": self.request.recipe.get("seed"),
        }
        for name, value in facts.items():
            if value not in (None, ""):
                yield name, f"{value:,}" if isinstance(value, int) else str(value)

    def _evaluation(self) -> Iterator[tuple[str, str, str]]:
        for name in _FIGURES:
            pair = (self.run.before.get(name), self.run.after.get(name))
            if any(value is not None for value in pair):
                before, after = ("" if value is None else f"{value:.4g}" for value in pair)
                yield name, before, after


_ASKED = {Task.CAUSAL_LM: 'generate("…")', Task.CLASSIFICATION: 'classify(["…"])'}
_CLASSES = {
    Task.CAUSAL_LM: "AutoModelForCausalLM",
    Task.CLASSIFICATION: "AutoModelForSequenceClassification",
}
_PLAIN = {
    "peft": "from peft import PeftModel\nfrom transformers import {kind}\n\n"
    'model = {kind}.from_pretrained("{base}")\n'
    'model = PeftModel.from_pretrained(model, "{place}")',
    "transformers": "from transformers import {kind}, AutoTokenizer\n\n"
    'tokenizer = AutoTokenizer.from_pretrained("{place}")\n'
    'model = {kind}.from_pretrained("{place}")',
}


def _method(name: str) -> str:
    """A method as its papers write it, where PEFT shouts."""
    return {"LORA": "LoRA"}.get(name, name)


def _on_hub(path: object) -> str | None:
    """A path that is a name on the hub."""
    text = str(path or "")
    plain = text.count("/") == 1 and ":" not in text and not text.startswith((".", "/", "~"))
    return text if plain and not Path(text).exists() else None


def _named(path: object) -> str:
    return _on_hub(path) or Path(str(path or "")).name


def _kinds(targets: Sequence[str]) -> list[str]:
    """The last parts of modules' names, each once."""
    return list(dict.fromkeys(target.rpartition(".")[2] for target in targets))


def _versions() -> Iterator[tuple[str, str]]:
    for name in _VERSIONS:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _table(rows: Iterator[tuple[str, ...]], head: tuple[str, ...]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
