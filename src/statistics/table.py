"""A table as a value: numbers and words. How it is shown is the business of reports."""

from dataclasses import dataclass, field
from typing import Any

FAMILIES = {"after": "text after S*", "before": "text before S*", "all": "all prompts"}


@dataclass(frozen=True)
class Table:
    """Rows with the same columns (None is blank), and lines to be read with them."""

    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
