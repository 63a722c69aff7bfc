"""Quadratic penalties around values that were good, added up in the room of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Quadratic:
    """Σ_i weight_i (θ_i - centre_i)² + rest.

    A sum of such is one again: its weight is the sum of weights, its centre their weighted mean.
    So a penalty for every task so far needs no more memory than one, and no precision is lost to
    differences of large numbers.

    Attributes:
        weight: not negative, by parameter name.
        centre: of the same names and shapes.
        rest: what the sum is at its centre.
    """

    weight: Mapping[str, Tensor]
    centre: Mapping[str, Tensor]
    rest: float = 0.0

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        """The sum at given values, a scalar with a graph."""
        off = {name: values[name] - centre for name, centre in self.centre.items()}
        terms = [(weight * off[name] ** 2).sum() for name, weight in self.weight.items()]
        return torch.stack(terms).sum() + self.rest

    def to(self, like: Mapping[str, Tensor]) -> Quadratic:
        """The same on the devices of parameters, which it must be on to be called with them."""
        weight = {name: each.to(like[name].device) for name, each in self.weight.items()}
        centre = {name: each.to(like[name].device) for name, each in self.centre.items()}
        return Quadratic(weight, centre, self.rest)

    def plus(self, other: Quadratic) -> Quadratic:
        """The sum of both."""
        weight, centre, rest = {}, {}, self.rest + other.rest
        for name, mine in self.weight.items():
            both = mine + other.weight[name]
            share = torch.where(both > 0, other.weight[name] / both, torch.ones_like(both))
            apart = other.centre[name] - self.centre[name]
            weight[name], centre[name] = both, self.centre[name] + share * apart
            rest += float((mine * share * apart**2).sum(dtype=torch.float64))
        return Quadratic(weight, centre, rest)

    def moved(self, decay: float, other: Quadratic) -> Quadratic:
        """This one, faded and around the other's centre, and the other."""
        weight = {name: decay * self.weight[name] + each for name, each in other.weight.items()}
        return Quadratic(weight, other.centre)
