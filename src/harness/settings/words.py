"""What a shell hands over, as Hydra reads it: paths and prompts are taken as they are, lists keep Hydra's form."""

import os
import re
from collections.abc import Callable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from src.harness.settings.errors import shown
from src.harness.settings.kinds import Kind

NOT_NAMES = (bool, int, float, dict, type(None))
SWEEPING = ("-m", "--multirun")
GATHERED = {"compare": "compared", "human_eval": "words"}  # command -> the setting that takes words which set nothing


def for_hydra(arguments: Sequence[str], kind_of: Callable[[str], Kind | None], words: str | None = None) -> list[str]:
    """The arguments of a command line, quoted where Hydra would read more into them than was typed.

    kind_of: what a setting may be; those that may be text are quoted. words: the setting, a list, that takes all words
    that set nothing. ValueError for what cannot be read as a setting.
    """
    for argument in arguments:
        if not argument.isprintable() and argument.encode(errors="replace") != argument.encode(errors="ignore"):
            raise ValueError(f"{argument!a} holds bytes that are no UTF-8: rename what it names")
    arguments = gathered(arguments, words) if words else list(arguments)
    sweeping = any(flag in arguments for flag in SWEEPING)
    typed = [quoted_setting(argument, kind_of, sweeping) for argument in arguments]
    for before, argument in zip(["", *typed], typed, strict=False):
        if (
            not before.startswith("-")
            and not argument.startswith("-")
            and not (_parses(argument) and not argument.lstrip("+~").startswith("="))
        ):
            raise ValueError(
                f"{shown(argument)} cannot be read as a setting: write name=value; in a list, put what holds spaces, "
                "commas, quotes or brackets in quotes, such as prompts=['a photo of S*, smiling','S* in the snow']"
            )
    return typed


def quoted_setting(argument: str, kind_of: Callable[[str], Kind | None], sweeping: bool = False) -> str:
    """`photo=me (1).png` -> `photo='me (1).png'`; what is in one of Hydra's forms already stays as it is.

    Text refers to another setting only where it begins with `${`: a price in a prompt is no reference.
    """
    name, sign, value = argument.partition("=")
    kind = kind_of(name) if sign else None
    if kind is None or not kind.text:
        return argument
    if os.path.exists(value):
        return f"{name}={literal(value)}"
    if _is_hydras(value, kind, sweeping):
        return argument
    return f"{name}={quoted(value) if value.startswith('${') else literal(value)}"


def _is_hydras(value: str, kind: Kind, sweeping: bool) -> bool:
    """Nothing, null, quoted text, a list where one may stand, or, in a sweep over several runs, several values."""
    if value in ("", "null") or (kind.listed and value.startswith("[") and value.endswith("]")):
        return True
    if value[0] == value[-1] and value[0] in "'\"" and len(value) > 1:
        return _parses(f"x={value}")
    return (
        sweeping and _parses(f"x={value}") and OverridesParser.create().parse_override(f"x={value}").is_sweep_override()
    )


def names_files(value: str) -> bool:
    """Whether a value can be the choice of a group: a name, a list of names, or several to sweep over."""
    if value == "":
        return False
    named = OverridesParser.create().parse_override(f"x={value}").value()
    return named != [] and not isinstance(named, NOT_NAMES)


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def quoted(text: str) -> str:
    """Text as Hydra's quoted string."""
    return QuotedString(text, Quote.single).with_quotes()


def literal(text: str) -> str:
    """Text as Hydra's quoted string in which nothing is an interpolation."""
    return quoted(re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", text))


def gathered(arguments: Sequence[str], setting: str) -> list[str]:
    """The arguments with all words that set nothing as one list: `a x=1 b` -> `x=1 setting=['a','b']`."""
    words = [
        word
        for before, word in zip(["", *arguments], arguments, strict=False)
        if not word.startswith("-") and not before.startswith("-") and _sets_nothing(word)
    ]
    rest = [argument for argument in arguments if argument not in words]
    return [*rest, f"{setting}=[{','.join(map(literal, words))}]"] if words else rest


def _sets_nothing(word: str) -> bool:
    """No `name=value`, or a path in which the sign happens to stand."""
    return os.path.exists(word) or ("=" not in word and not word.startswith(("+", "~")))
