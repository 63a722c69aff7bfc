"""Scenario `single`: one stage of training, then the exports."""

from __future__ import annotations

from lorafw.contracts.scenario import Scenario, Session


class Single(Scenario):
    """Trains once on all rows, then exports."""

    def run(self, session: Session) -> None:
        """Fit, export."""
        session.fit("train")
        session.export()
