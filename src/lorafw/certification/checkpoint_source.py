"""The model of a run as its checkpoint has it, without its rows and its trainer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lorafw.assembly.config import RunConfig, read_config
from lorafw.assembly.registry import Registry
from lorafw.certification.chosen_prompts import check_told
from lorafw.certification.live import Live
from lorafw.certification.recipes import recipe_of
from lorafw.contracts.exporter import ExportRequest
from lorafw.contracts.model import ModelRequest
from lorafw.data.rendering.context import within_context
from lorafw.errors import CheckpointError
from lorafw.inference.loading import part
from lorafw.training.checkpoints.files import Stored, read_files
from lorafw.training.checkpoints.places import newest_checkpoint, place_of, step_of
from lorafw.training.checkpoints.progress import Checkpoint
from lorafw.training.checkpoints.stages import finished_stages
from lorafw.training.optimizer_memory import VALUE
from lorafw.types import Task

if TYPE_CHECKING:
    from lorafw.contracts.dataset import DatasetAdapter
    from lorafw.contracts.encoder import Encoder
    from lorafw.contracts.injector import LoRAInjector
    from lorafw.contracts.model import ModelBuilder

CONFIG, _CHECKPOINTS = "run.yaml", "checkpoints"


def newest_of_a_run(folder: Path) -> Path | None:
    """Where the newest values of a run are; None if there are none, or this is no run.

    Of a run over several tasks those of the stage it was in, or that it finished last.
    """
    if not (folder / CONFIG).is_file():
        return None
    finished = finished_stages(folder)
    names = {stage.name for stage in finished}
    open_ones = (place for place in (folder / _CHECKPOINTS).glob("*") if place.name not in names)
    newest = [found for place in open_ones if (found := newest_checkpoint(place)) is not None]
    if not newest and finished:
        return finished[-1].place
    return max(newest, key=step_of, default=None)


def from_checkpoint(
    folder: Path, checkpoint: Path, *, base: str | Path | None, any_base: bool
) -> Live:
    """Build a run's model and load what a checkpoint holds of it.

    Args:
        folder: the run's.
        checkpoint: the newest of it; of a run that exports its best step, that one is taken.
        base: where the base is, if not where it was.
        any_base: take a base of another content than the checkpoint was trained on.

    Raises:
        LorafwError: the checkpoint is damaged, or a part of the run is gone.
    """
    config = read_config(Registry(), path=folder / CONFIG)
    stored = _chosen(checkpoint, best=config.plan.export_best)
    return from_stored(folder, stored, checkpoint, base=base, any_base=any_base)


def from_stored(
    folder: Path, stored: Stored, where: Path, *, base: str | Path | None, any_base: bool
) -> Live:
    """Build a run's model and load values that were stored of it.

    Args:
        folder: the run's.
        stored: the values, and what the method has to remember beyond them.
        where: they were read.
        base: where the base is, if not where it was.
        any_base: take a base of another content than the values were trained on.

    Raises:
        LorafwError: a part of the run is gone, or values do not tell what model they are of.
    """
    import torch

    check_told(folder, where)
    registry = Registry()
    config = read_config(registry, path=folder / CONFIG)
    builder = cast("ModelBuilder", _part(registry, config, "model", path=base))
    encoder = cast("Encoder", _part(registry, config, "encoder"))
    tokenizer = builder.tokenizer()
    builder.preflight()
    labels = _labels(registry, config, encoder)
    request = ModelRequest(encoder.task, torch.device("cpu"), config.run.seed, labels)
    bundle = builder.build(request, tokenizer)
    if not any_base:
        _check_base(stored, bundle.base, where)
    injector = cast("LoRAInjector", _part(registry, config, "injector"))
    model = injector.inject(bundle)
    model.reset(config.run.seed)
    model.load_state({name: tensors[VALUE] for name, tensors in stored.state.items()})
    model.load_training_state(stored.method)
    bundle.module.eval()
    encoder = within_context(encoder, tokenizer)
    names = {kind: getattr(config, kind).name for kind in ("model", "encoder", "injector")}
    recipe = recipe_of(bundle, builder, encoder, names=names, seed=config.run.seed)
    return Live(ExportRequest(model, builder, recipe, folder), encoder)


def _chosen(checkpoint: Path, *, best: bool) -> Stored:
    stored = read_files(checkpoint)
    if "step" not in stored.about["progress"]:
        return stored  # a finished stage, which left the best if that was asked for
    step = Checkpoint.from_mapping(stored.about["progress"]).best.step
    if not best or step is None or step == step_of(checkpoint):
        return stored
    return read_files(place_of(checkpoint.parent, step))


def _part(registry: Registry, config: RunConfig, kind: str, **changes: Any) -> object:
    choice = getattr(config, kind)
    given = {name: str(value) for name, value in changes.items() if value is not None}
    return part(registry, kind, {"use": choice.name, **choice.options, **given})


def _labels(registry: Registry, config: RunConfig, encoder: Encoder) -> tuple[str, ...]:
    """The names of the classes, which only the rows tell."""
    if encoder.task is not Task.CLASSIFICATION:
        return ()
    return cast("DatasetAdapter", _part(registry, config, "dataset")).labels


def _check_base(stored: Stored, base: str, where: Path) -> None:
    trained = stored.about.get("fingerprint", {}).get("base", base)
    if trained != base:
        fault = f"was trained on the base model {trained}, this one is {base}."
        raise CheckpointError(fault, where=str(where), mend="Say where that model is: --base")
