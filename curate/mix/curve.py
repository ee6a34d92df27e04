"""The curve of a mixture: how often documents are used, by the percentile of their quality."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, Field

from curate.base.parameters import Column, NotTruth

Times = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False), NotTruth]
"""How often a document is used, on average."""

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), NotTruth]


def exact(number: float) -> Fraction:
    """The fraction that a person wrote: 6/10 of 0.6."""
    return Fraction(str(number))


class Curve(BaseModel, extra="forbid"):
    """How often documents are used, by the percentile of their quality: straight lines between points, or a power."""

    column: Column = Field("quality_bucket", description="column that the stage `bucket` adds")
    drop: Annotated[float, Field(ge=0, lt=100, allow_inf_nan=False), NotTruth] = Field(
        0, description="percentage of documents to drop: those with the lowest values"
    )
    points: list[tuple[Percent, Times]] = Field(
        [], description="[percentile, repeats], with straight lines between; two at one percentile make a step"
    )
    power: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False), NotTruth] | None = Field(
        None, description="repeats rise from 0 at `drop` to `most`, as this power of the percentile"
    )
    most: Times | None = Field(None, description="with `power`: repeats of the documents with the highest values")

    def mistakes(self) -> Iterator[tuple[tuple, str, str]]:
        """What types cannot tell: (place, what, fix) of each mistake."""
        if bool(self.points) == (self.power is not None) or (self.power is None) != (self.most is None):
            yield (), "a curve has either `points` or `power` and `most`", "write `{drop: 40, power: 2, most: 7}`"
        if any(one > other for (one, _), (other, _) in pairwise(self.points)):
            yield ("points",), "the percentiles of `points` do not ascend", "sort them"

    def by_bucket(self, edges: list[Fraction]) -> dict[str, float]:
        """{bucket, from 1: its repeats}: the mean of the curve over the percentiles of the bucket, to 6 digits.

        edges  ascending percentiles from 0 to 100: bucket i is from edges[i - 1] to edges[i]
        """
        area = self._below_points if self.points else self._below_power
        means = [(area(stop) - area(first)) / float(stop - first) for first, stop in pairwise(edges)]
        return {str(number): round(float(mean), 6) for number, mean in enumerate(means, 1)}

    def _below_power(self, percentile: Fraction) -> float:
        """The area below the curve, up to a percentile."""
        wide, power, most = 100 - self.drop, self.power or 0, self.most or 0
        return most * wide / (power + 1) * (max(float(percentile) - self.drop, 0) / wide) ** (power + 1)

    def _below_points(self, percentile: Fraction) -> float:
        points = [(exact(place), exact(times)) for place, times in self.points]
        points = [(Fraction(0), points[0][1]), *points, (Fraction(100), points[-1][1])]
        total, low = Fraction(0), exact(self.drop)
        for (first, left), (last, right) in pairwise(points):
            begin, end = max(first, min(low, last)), min(last, max(percentile, first))
            if end > begin:
                slope = (right - left) / (last - first)
                total += (end - begin) * (left + slope * ((begin + end) / 2 - first))
        return float(total)
