"""TRL's SFTTrainer, given prompts and completions as text."""

from __future__ import annotations

from datasets import Dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from benchmarks.contestants._trainer import adapted_model, same_training, timed
from benchmarks.job import Job, Outcome
from benchmarks.rows import Row

TUNED = {
    "gradient_checkpointing": False,
    "padding_free": True,  # its mask keeps rows apart without flash attention too
    "max_length": None,  # refused otherwise; no row is longer than the model's context
}


def run(job: Job, *, tuned: bool) -> Outcome:
    """Its own tokenisation, completion mask, collator and loss; tuned for speed or as it comes."""
    rows = job.rows()
    trainer = SFTTrainer(
        model=adapted_model(job),
        args=SFTConfig(**same_training(job), **(TUNED if tuned else {})),
        train_dataset=Dataset.from_list([_example(row) for row in rows]),
        processing_class=AutoTokenizer.from_pretrained(job.model),
    )
    prepared = trainer.train_dataset
    job.check_rows([(row["input_ids"], row["labels"]) for row in prepared], want=rows)
    return timed(trainer, rows, warmup=job.warmup)


def _example(row: Row) -> dict[str, str]:
    prompt, response = row.texts
    return {"prompt": prompt, "completion": f" {response}"}
