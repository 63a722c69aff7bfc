"""transformers' Trainer with PEFT, batches padded or laid end to end."""

from __future__ import annotations

from datasets import Dataset
from transformers import (
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorWithFlattening,
    Trainer,
    TrainingArguments,
)

from benchmarks.contestants._trainer import adapted_model, same_training, timed
from benchmarks.job import Job, Outcome


def run(job: Job, *, padded: bool) -> Outcome:
    """One batch per step; the Trainer divides its loss by the trained tokens of the batch."""
    rows = job.rows(by_length=padded)
    dataset = Dataset.from_list([{"input_ids": row.ids, "labels": row.labels} for row in rows])
    job.check_rows([(row["input_ids"], row["labels"]) for row in dataset], want=rows)
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    trainer = Trainer(
        model=adapted_model(job),
        args=TrainingArguments(**same_training(job)),
        train_dataset=dataset,
        data_collator=DataCollatorForSeq2Seq(tokenizer) if padded else DataCollatorWithFlattening(),
        processing_class=tokenizer,
    )
    return timed(trainer, rows, warmup=job.warmup)
