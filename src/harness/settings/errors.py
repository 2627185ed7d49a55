"""What went wrong, in one sentence."""

from typing import Any

from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

FAULTS = (ValueError, OSError, OmegaConfBaseException, InstantiationException)  # what ends a command in one sentence
LONGEST_WORD, LONGEST = 1_000, 20_000  # letters of a message: a prompt of 200 kB is not told in full
QUOTED = 80  # letters of a value that a message quotes


def cause_of(error: BaseException) -> BaseException:
    """What went wrong inside the thing that Hydra was building, if it is an error that a user can mend."""
    while isinstance(error, InstantiationException) and isinstance(
        error.__cause__, ValueError | OSError | HydraException
    ):
        error = error.__cause__
    return error


def one_line(error: BaseException) -> str:
    """What an error says, long words and endless lists shortened; of the system's own errors, about which path."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{shown(error.filename)}: {error.strerror}; give another path"
    words = " ".join(word if len(word) <= LONGEST_WORD else f"{word[:40]}..." for word in str(error).split())
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


def shown(value: Any) -> str:
    """A value as a message quotes it."""
    text = "null" if value is None else " ".join(str(value).split())
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."
