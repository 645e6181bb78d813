"""A configuration from its file, or every fault in it at once.

Promises a frozen, complete :class:`Config` or a :class:`FaultyConfigError` that names each fault with file, line, the
wrong value and what to write instead. Never shows a password, never follows a YAML trick, never guesses.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from agent.config.document import Document, parse, read_text
from agent.config.explain import explain
from agent.config.fault import Fault, FaultyConfigError
from agent.config.references import disagreements, empty_sections
from agent.config.schema import Config
from agent.installation import example

_MOST_FINDINGS: Final = 1000
_EMPTY: Final = f"copy an example such as {example('one-camera.yaml')} and change it"


def load_config(path: Path | str, *, on_empty: Callable[[Fault], object] | None = None) -> Config:
    """Read and validate a configuration file.

    Relative file names inside it are taken from the file's own folder.

    Args:
        path: The file.
        on_empty: As for :func:`parse_config`.

    Raises:
        FaultyConfigError: A :class:`~agent.errors.ConfigError` that lists all faults.
    """
    file = Path(path)
    return parse_config(read_text(file), str(file), folder=file.absolute().parent, on_empty=on_empty)


def parse_config(
    text: str, file: str, *, folder: Path | None = None, on_empty: Callable[[Fault], object] | None = None
) -> Config:
    """Validate a configuration given as text.

    Args:
        text: The YAML.
        file: How faults call it.
        folder: Where relative file names begin; ``None`` leaves them as they are written.
        on_empty: Told of each section with nothing below its key, which then counts as not written; ``None`` refuses
            those. A box that ran with one must start again: nobody is there to correct it.

    Raises:
        FaultyConfigError: A :class:`~agent.errors.ConfigError` that lists all faults.
    """
    document = parse(text, file)
    config, faults = _validate(document, folder)
    empty = list(empty_sections(document))
    if config is None or faults or (empty and on_empty is None):
        raise FaultyConfigError(file, [*faults, *empty])
    if on_empty is not None:
        for fault in empty:
            on_empty(fault)
    return config


def _validate(document: Document, folder: Path | None) -> tuple[Config | None, list[Fault]]:
    if not isinstance(document.value, dict):
        wrong = "the file is empty" if document.value is None else "the file is no mapping of keys to values"
        return None, [*document.faults, Fault(document.mark(()), (), wrong, _EMPTY)]
    between = disagreements(document)
    try:
        # JSON is the strict reading: a list is a tuple and a text a path, but "60" is no number.
        config = Config.model_validate_json(json.dumps(document.value), strict=True, context={"folder": folder})
    except ValidationError as error:
        findings = itertools.islice(error.errors(include_url=False, include_input=False), _MOST_FINDINGS)
        own = [fault for fault in explain(findings, document) if not _said_better(fault, between)]
        return None, [*document.faults, *own, *between]
    return config, [*document.faults, *explain((), document), *between]


def _said_better(fault: Fault, between: list[Fault]) -> bool:
    """Whether a fault of two parts that disagree is already told with the lines of both."""
    return any(other.path[: len(fault.path)] == fault.path for other in between)
