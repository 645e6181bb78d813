"""Every number the tracker works with, its unit, and why it has that value.

Lengths are in *box sizes*: the root of a box's area. So one set of numbers fits a bus near the camera and a
pedestrian at the far end. Times are seconds of capture time, never frames, so that a slower camera needs no other set.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """What can be set on a tracker. The defaults suit street cameras at 5 to 30 detections a second.

    Attributes:
        high_score: Detections from this score on are matched first, and may begin a track anywhere.
        low_score: Detections from here to ``high_score`` only continue a track that is already known: a score falls
            when a thing is partly hidden, and that is when a track needs help (Zhang et al. 2022, ByteTrack).
        birth_score: An unmatched detection begins a track only from this score on; below ``high_score`` only where
            no stronger detection covers it. Small models see a far pedestrian at 0.3 for seconds on end.
        confirm_hits: Detections a track needs before it gets an id and is shown. False detections rarely come three
            times in one place.
        confirm_evidence: Sum of the scores a track needs for the same, so that weak detections must come more often.
        tentative_s: An unconfirmed track unseen for longer, in seconds, and for more than one frame, is forgotten.
        coast_s: A confirmed track unseen for longer, in seconds, ends: two seconds behind a bus and some more.
        steady_s: While unseen, a track keeps its velocity for this many seconds, ...
        damping_s: ... then loses it with this time constant. So it runs at most velocity x (steady + damping) far.
        fading_s: Low scores continue only tracks that were seen within this many seconds.
        place_noise: Standard deviation of a detected centre and size, in box sizes. Chosen on
            simulated streets: less splits tracks whose boxes are cut, more lets neighbours swap.
        place_floor_px: The same never gets below this many pixels: a detector's grid is no finer.
        low_noise: Factor on the noise of a low-score detection, which is often partly hidden.
        acceleration: Spectral density of white acceleration noise, box sizes / s^1.5. Street users change
            speed by about half of their size a second; more lets people who pass each other swap numbers.
        growth: The same for the box's width and height: perspective changes them slowly.
        first_speed: Standard deviation of a new track's unknown velocity, box sizes / s. A car at 90 km/h seen from
            the side makes ten of its sizes a second; at 10 detections/s that is inside the gate of a new track.
        first_growth: The same for width and height: a thing at 10 m/s seen from 14 m grows by 0.7 of its size a second.
        new_object_cost: Price of leaving a track without a detection: the negative logarithm of how densely new
            objects appear, per squared box size. Higher makes wider gates.
        size_noise: Standard deviation of the logarithm of width and of height between frames, for matching only.
        size_cost_cap: The most that a change of size may cost: something half hidden is still the same thing.
        min_overlap: Intersection over union from which a pair may match however surprising the motion is. Less lets
            somebody who is hidden for a moment take over the box of a neighbour.
        class_slip_cost: Cost of a match between classes that detectors confuse: car, bus and truck; two-wheelers.
        class_leap_cost: Cost of a match between classes that are rarely confused: a rider's machine was missed and
            the rider is a person for a frame. Persons and cars never match.
        duplicate_overlap: Of two detections of like classes that overlap more, the lower score is a duplicate.
        cover: Share of the smaller of two boxes, from which a weak detection is taken for another reading of the
            stronger one. It begins no track and continues none: a hidden track rather coasts.
        shadow_overlap: An unconfirmed track that overlaps an observed one of like class more is its double and dies.
        max_tracks: Upper bound of tracks held. When it is reached, the tracks unseen for longest end to make room
            for what is seen now; then births are refused, lowest scores first.
        max_detections: Of more detections in a frame, only this many with the highest scores are looked at.
    """

    high_score: float = 0.4
    low_score: float = 0.1
    birth_score: float = 0.2
    confirm_hits: int = 3
    confirm_evidence: float = 1.0
    tentative_s: float = 0.35
    coast_s: float = 3.0
    steady_s: float = 1.0
    damping_s: float = 1.0
    fading_s: float = 0.6
    place_noise: float = 0.06
    place_floor_px: float = 1.0
    low_noise: float = 2.0
    acceleration: float = 0.5
    growth: float = 0.2
    first_speed: float = 5.0
    first_growth: float = 0.7
    new_object_cost: float = 3.0
    size_noise: float = 0.3
    size_cost_cap: float = 3.0
    min_overlap: float = 0.5
    class_slip_cost: float = 0.3
    class_leap_cost: float = 3.0
    duplicate_overlap: float = 0.8
    cover: float = 0.6
    shadow_overlap: float = 0.8
    max_tracks: int = 2000
    max_detections: int = 2000
