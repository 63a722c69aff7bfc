"""Scenario `l2p`: a pool of prompts, of which every row is given those that suit it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.errors import CompositionError, ConfigError
from lorafw.types import Capability
from lorafw_continual._sequence import TaskSequence
from lorafw_continual._wrapped_objective import require_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorafw.contracts import Company, Session, Task


class L2P(TaskSequence):
    """Learning to prompt (Wang et al. 2022, arXiv:2112.08654).

    A row's query q(x) is the mean of what the base makes of its prompt; the N prompts whose keys
    are nearest to it by the cosine stand before the row, in training and in answers (eq. 2 and 3).
    Minimised is eq. 5, L + λ Σ_{s chosen} γ(q(x), k_s) with γ = 1 - cos, where a row counts by its
    trained tokens, so that no split changes the sum. The paper's query is an image's class token;
    its optional penalty on prompts that are chosen often (eq. 4) is left out. TRACE's query is the
    mean of the input embeddings, answer included, its keys are means of the prompts, and N is 3. As
    a PEFT file has no choice by row, all prompts are exported; keys stay in `kept/l2p/keys`.
    """

    pool_size: int = Field(10, ge=1, description="M, the prompts in the pool.")
    prompt_length: int = Field(5, ge=1, description="L_p, the virtual tokens of a prompt.")
    top_n: int = Field(5, ge=1, description="N, the prompts that stand before a row.")
    key_lambda: float = Field(
        0.5, ge=0, description="λ, how much chosen keys are pulled towards the row's query."
    )

    @property
    def requires(self) -> frozenset[Capability]:
        """Prompts chosen by row, by the base's eyes, and keys that every rank holds whole."""
        needs = Capability.CHOSEN_PROMPTS, Capability.DISABLE, Capability.WHOLE_PARAMETERS
        return frozenset(needs)

    def check(self, company: Company) -> None:
        """Refuse a table of virtual tokens that is not the pool's, and rows with classes.

        Raises:
            ConfigError: more prompts are to be chosen than there are.
            CompositionError: there are not M · (L_p + 1) virtual tokens, or rows have classes.
        """
        super().check(company)
        require_tokens(company.objective, "l2p")
        if self.top_n > self.pool_size:
            fault = f"{self.top_n} of {self.pool_size} prompts cannot be chosen."
            raise ConfigError(fault, where="scenario.top_n", mend=f"At most {self.pool_size}.")
        wanted, found = self.pool_size * (self.prompt_length + 1), company.injector.virtual_tokens
        if wanted != found:
            fault = f"a pool like this, keys included, takes {wanted} virtual tokens, not {found}."
            mend = f"Set injector.method_options.num_virtual_tokens: {wanted}"
            raise CompositionError(fault, where="injector", mend=mend)

    def run(self, session: Session) -> None:
        """Fit all tasks in one pool."""
        from lorafw_continual._prompt_pool import TABLE, Pool
        from lorafw_continual._prompted import Prompted

        pool = Pool(self.pool_size, self.prompt_length, self.top_n)
        objective = Prompted.of(session.objective, session.model, pool, self.key_lambda)

        def score(stage: str, task: Task) -> Mapping[str, float]:
            return session.score(stage, task, steer=pool.steer(session, task))

        for task in self.each_task(session, score):
            session.fit(task.name, task=task, objective=objective)
            with session.model.showing(pool.prompts):
                session.save_adapter(f"adapters/{task.name}")
        session.once("l2p/keys", lambda: {"keys": pool.keys(session.values()[TABLE])})
        with session.model.showing(pool.prompts):
            session.export()
