"""Writes a model with its description inside, and only one that the agent's own reader then accepts."""

from __future__ import annotations

from pathlib import Path

from agent.errors import ModelError
from agent.vision.description import METADATA_KEY, ModelDescription
from agent.vision.model_file import judge
from agent.vision.onnx_outline import with_metadata


def write_described(data: bytes, description: ModelDescription, output: Path) -> ModelDescription:
    """Put a description into a model's bytes and write them in one step.

    Args:
        data: The model.
        description: What it shall say about itself.
        output: Where it goes; an existing file is replaced only when the new one is whole.

    Returns:
        What the written file says, with its own hash.

    Raises:
        ModelError: The result would be refused, or can't be written.
    """
    described = with_metadata(data, METADATA_KEY, description.to_metadata())
    judged = judge(described, output)
    partial = output.with_name(f"{output.name}.part")
    try:
        partial.write_bytes(described)
        partial.replace(output)
    except OSError as error:
        raise ModelError(
            f"{output} can't be written: {error.strerror}; choose a folder with room that is yours"
        ) from error
    return judged.description
