"""How a model's own words become the classes that are counted.

Each model names its outputs in its own way; this maps those names onto :class:`agent.values.RoadUser`. A name that
means nothing on a road is ignored, never guessed at and never turned into ``other``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agent.errors import ModelError
from agent.values import CLASS_NAMES, RoadUser

# The 80 classes of COCO 2017 in the order of every detector trained on it (https://cocodataset.org).
_COCO_NAMES: Final = (
    "person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|stop sign|parking meter|"
    "bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|handbag|tie|suitcase|frisbee|"
    "skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|tennis racket|bottle|wine glass|"
    "cup|fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake|chair|couch|"
    "potted plant|bed|dining table|toilet|tv|laptop|mouse|remote|keyboard|cell phone|microwave|oven|toaster|sink|"
    "refrigerator|book|clock|vase|scissors|teddy bear|hair drier|toothbrush"
)
COCO: Final[tuple[str, ...]] = tuple(_COCO_NAMES.split("|"))
NAMED_LISTS: Final[Mapping[str, tuple[str, ...]]] = {"coco": COCO}

# Other people's words for our classes: vans and pickups are cars, tankers and containers are trucks.
_SYNONYMS: Final[Mapping[str, RoadUser]] = {
    "pedestrian": RoadUser.PERSON,
    "people": RoadUser.PERSON,
    "bike": RoadUser.BICYCLE,
    "cycle": RoadUser.BICYCLE,
    "motorbike": RoadUser.MOTORCYCLE,
    "scooter": RoadUser.MOTORCYCLE,
    "van": RoadUser.CAR,
    "pickup": RoadUser.CAR,
    "taxi": RoadUser.CAR,
    "minibus": RoadUser.BUS,
    "lorry": RoadUser.TRUCK,
    "tanker": RoadUser.TRUCK,
    "container": RoadUser.TRUCK,
    "fire engine": RoadUser.TRUCK,
}
_WORDS: Final[Mapping[str, RoadUser]] = {user.label: user for user in RoadUser} | dict(_SYNONYMS)


def known_class(label: str) -> RoadUser | None:
    """The class a label means, or ``None`` for one that is not counted; case, ``_`` and ``-`` don't matter."""
    return _WORDS.get(label.strip().lower().replace("_", " ").replace("-", " "))


def map_labels(labels: Sequence[str], mapping: Mapping[str, str], where: str) -> tuple[RoadUser | None, ...]:
    """Give every label its class.

    Args:
        labels: The model's labels, in the order of its outputs.
        mapping: Label to class name, for labels whose meaning their name does not tell; it wins over the name.
        where: The file or section, for the message.

    Returns:
        One entry per label; ``None`` for a label that is ignored.

    Raises:
        ModelError: A mapping names a label the model lacks or a class that does not exist, or no label is known.
    """
    for label, name in mapping.items():
        if label not in labels:
            raise ModelError(f"{where}: classes maps the label {label!r}, which the model does not have; remove it")
        if name not in CLASS_NAMES:
            raise ModelError(
                f"{where}: classes maps {label!r} to {name!r}, which is no class; write one of {', '.join(CLASS_NAMES)}"
            )
    classes = tuple(RoadUser[mapping[label].upper()] if label in mapping else known_class(label) for label in labels)
    if not any(user is not None for user in classes):
        shown = ", ".join(labels[:8])
        raise ModelError(
            f"{where}: none of the model's labels ({shown}) is a class that is counted; "
            f"give it labels that are ({', '.join(CLASS_NAMES)}), or map its own onto these with classes"
        )
    return classes
