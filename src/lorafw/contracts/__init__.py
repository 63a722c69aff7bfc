"""The contracts: what each kind of part promises, one file per kind."""

from lorafw.contracts.adapter_format import AdapterBase, AdapterFormat
from lorafw.contracts.component import Component, Options
from lorafw.contracts.dataset import DatasetAdapter
from lorafw.contracts.encoder import Encoder
from lorafw.contracts.engine import Engine, EngineJob, StepOutcome, TrainingState, World
from lorafw.contracts.exporter import Exporter, ExportRequest
from lorafw.contracts.injector import AdaptedModel, LoRAInjector
from lorafw.contracts.listener import Listener
from lorafw.contracts.metric import Classified, Metric, Outcome, Predicted, Weighed, Written
from lorafw.contracts.model import (
    Hidden,
    LayerForm,
    ModelBuilder,
    ModelBundle,
    ModelRequest,
    Outline,
)
from lorafw.contracts.objective import Objective
from lorafw.contracts.plan import TrainPlan
from lorafw.contracts.scenario import Company, Scenario, Session, Steer, Task, Tensors
from lorafw.contracts.trainer import FitResult, Guide, RunningTrainer, Trainer, TrainJob

__all__ = [
    "AdaptedModel",
    "AdapterBase",
    "AdapterFormat",
    "Classified",
    "Company",
    "Component",
    "DatasetAdapter",
    "Encoder",
    "Engine",
    "EngineJob",
    "ExportRequest",
    "Exporter",
    "FitResult",
    "Guide",
    "Hidden",
    "LayerForm",
    "Listener",
    "LoRAInjector",
    "Metric",
    "ModelBuilder",
    "ModelBundle",
    "ModelRequest",
    "Objective",
    "Options",
    "Outcome",
    "Outline",
    "Predicted",
    "RunningTrainer",
    "Scenario",
    "Session",
    "Steer",
    "StepOutcome",
    "Task",
    "Tensors",
    "TrainJob",
    "TrainPlan",
    "Trainer",
    "TrainingState",
    "Weighed",
    "World",
    "Written",
]
