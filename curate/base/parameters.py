"""Parameter types with bounds, such as Count, Share and Seed, shared by stages and manifests.

Bounds are wider than any use that is known, and narrow enough that no value makes memory, planning or arithmetic fail.
No number may be infinite or NaN: a threshold that is would turn its rule off without a word.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _number(value: Any) -> Any:
    """What is given for a number, if it is not `yes` or `on`, which YAML takes for true and Python for 1."""
    if isinstance(value, bool):
        raise ValueError(f"a number, not {str(value).lower()}; YAML reads yes, no, on and off as true and false")
    return value


NotTruth = BeforeValidator(_number)

MOST = 2**31 - 1
"""The largest length or count that a rule may ask for: what an int32 column holds."""

MOST_PERMUTATIONS = 1 << 14
"""Of a MinHash signature: 64 KB a document. RefinedWeb's, the largest published, has 9,000."""

Count = Annotated[int, Field(ge=0, le=MOST), NotTruth]
"""How many, or how long, 0 to 2,147,483,647."""

Positive = Annotated[int, Field(ge=1, le=MOST), NotTruth]
"""How many, at least one."""

Large = Annotated[int, Field(ge=1, le=10**15), NotTruth]
"""How many of what a whole corpus has, at least one, at most 10^15."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), NotTruth]
"""A share of a whole, 0 to 1."""

PositiveShare = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), NotTruth]
"""A share that is more than nothing."""

InnerShare = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), NotTruth]
"""A share that is neither nothing nor all."""

Ratio = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False), NotTruth]
"""One count per another, such as letters a word: 0 to 10^9."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1), NotTruth]
"""0 to 4,294,967,295: what the random generators of NumPy and fastText take."""

Ngram = Annotated[int, Field(ge=1, le=1000), NotTruth]
"""Words or characters in an n-gram."""

Permutations = Annotated[int, Field(ge=1, le=MOST_PERMUTATIONS), NotTruth]
"""Numbers in a MinHash signature, or bands and rows of it: 1 to 16,384."""

Newlines = Annotated[int, Field(ge=0, le=999), NotTruth]
"""Newlines in a row: as many as a regular expression of RE2 counts."""

Bins = Annotated[int, Field(ge=0, le=1 << 14), NotTruth]
"""Parts that a shuffle is cut into, each a job of its own; 0: chosen from the size of the input."""

Groups = Annotated[int, Field(ge=1, le=1 << 14), NotTruth]
"""Groups of documents, each a job of its own."""

Priority = Annotated[int, Field(ge=-(2**30), le=2**30), NotTruth]
"""The lowest comes first."""

Column = Annotated[str, Field(min_length=1)]
"""The name of a column."""
