"""Settings given as a mapping, from YAML or a caller, checked against a dataclass."""

from __future__ import annotations

import difflib
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import yaml

from ase_elf.errors import FormatError, InputError


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; :class:`FormatError` where there is none.

    Anchors and aliases are refused: a few lines of them name more values than any memory holds.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise ValueError(f"line {token.start_mark.line + 1} uses an alias; write it out")
        loaded = yaml.safe_load(text)
    # The parser raises more than its own errors: for a month 13, digits without end, deep nests.
    except (OSError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError,
            ValueError, yaml.YAMLError) as error:  # fmt: skip
        raise FormatError(f"cannot read {path}: {str(error)[:500]}.") from error
    if not isinstance(loaded, dict):
        raise FormatError(f"{path} holds no mapping of keys to values.")
    return loaded


_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")

_KINDS: dict[str, Any] = {"int": int, "str": str, "bool": bool, "float": (int, float), "dict": dict}


def checked(kind: type, loaded: object, where: str) -> dict[str, Any]:
    """``loaded`` if its keys, and the types of plain values, are those of the dataclass.

    A text that is a number where a float is wanted becomes one: YAML takes 1e-8, without a
    point, for text.
    """
    if not isinstance(loaded, dict):
        raise InputError(f"{where.rstrip('.')}: a mapping is needed, not {loaded!r:.200}.")
    known = {f.name: f for f in fields(kind)}
    loaded = dict(loaded)
    for key, value in loaded.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(f"unknown key {where}{str(key)[:200]}; {hint}known are {', '.join(known)}.")
        wanted = _KINDS.get(str(known[key].type).removesuffix(" | None").partition("[")[0])
        if wanted == _KINDS["float"] and isinstance(value, str) and _NUMBER.fullmatch(value):
            value = loaded[key] = float(value)
        optional = str(known[key].type).endswith("None") and value is None
        if wanted and not optional and (not isinstance(value, wanted) or _is_bool(value, wanted)):
            raise InputError(f"{where}{key} is {value!r:.200}; a value of type "
                             f"{known[key].type} is needed.")  # fmt: skip
    required = [
        name
        for name, f in known.items()
        if f.default is MISSING and f.default_factory is MISSING and name not in loaded
    ]
    if required:
        raise InputError(f"missing key {where}{required[0]}.")
    return loaded


def _is_bool(value: object, wanted: object) -> bool:
    """YAML's true is an int to Python, but not a number to anybody else."""
    return isinstance(value, bool) and wanted is not bool
