"""Takes one model slot of one box from release to release, step by durable step.

Each step ends with one write of the slot's file, so that after a power cut the next start goes on from there. Promises
that the model that counts is never touched before the new one is judged, and that the way back needs no network.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent.errors import KentonganError, ModelError
from agent.update.choice import Offered, Present, choose
from agent.update.eyes import Eyes, Subject
from agent.update.golden import GoldenFrame, read_golden
from agent.update.looks import LiveLooks
from agent.update.offer import ModelOffer, Outcomes, Tally, read_custom
from agent.update.plan import Parts, SlotPlan
from agent.update.refusal import Kind, UpdateError
from agent.update.shadow import Shadow
from agent.update.slot import STARTS, Candidate, Held, Slot
from agent.update.status import UpdateStatus
from agent.update.stepper import Stepper
from agent.update.trial import Terms
from agent.values import Detections, Image
from agent.vision.description import ModelDescription
from agent.vision.model_file import ModelFile, read_model

_log = logging.getLogger(__name__)

_STEADY_S: Final = 60.0  # a start that lasts so long was no crash


class SlotUpdater(Stepper):
    """The updater of one slot. Its steps belong to one thread; :meth:`saw`, :meth:`failed` and :meth:`status` to any.

    Args:
        plan: The slot.
        parts: What it works with.

    Attributes:
        plan: The slot; its budget changes when a camera's rate does.
    """

    def __init__(self, plan: SlotPlan, parts: Parts) -> None:
        file = parts.folder / "slots" / f"{plan.name}.json"
        store, what = parts.folder / "models" / plan.name, f"model of {plan.name}"
        super().__init__(plan.name, file, store, parts.clock, parts.disk, what=what)
        self.plan = plan
        self._parts = parts
        self._looks = LiveLooks()
        self._eyes: Eyes | None = None
        self._shadow: Shadow | None = None
        self._present: Present | None = None
        self._owes_swap = False  # what is in charge by the disk is not yet what counts
        self._began_s = parts.clock.now().mono_s
        self._steps = {
            "downloading": self._download,
            "verifying": self._verify,
            "trial": self._try,
            "shadow": self._look_along,
            "committed": self._watch,
        }

    # What the pipeline calls

    def at_start(self) -> ModelFile:
        """The model to start with; goes back by itself from one that keeps the agent from staying up.

        Raises:
            ModelError: Not even the installed model can be read.
        """
        self._began_s = self._clock.now().mono_s
        if self._slot.watching and self._slot.starts >= STARTS:
            self._go_back("crash_loop", f"the agent did not stay up with it, {self._slot.starts + 1} times")
        elif self._slot.watching:
            with self._noting_the_disk():
                self._save(replace(self._slot, starts=self._slot.starts + 1))
        return self._load_in_charge()

    def broken_at_start(self, why: str) -> ModelFile:
        """The model that :meth:`at_start` gave does not run here: the one before it.

        Raises:
            ModelError: It was the installed one, or not even that can be read.
        """
        if self._slot.in_charge is None:
            raise ModelError(why)
        self._go_back("load_failed", why)
        return self._load_in_charge()

    def ended_well(self) -> None:
        """The agent is told to stop: the start that ends now was no crash."""
        if self._slot.watching and self._slot.starts:
            with self._noting_the_disk():
                self._save(replace(self._slot, starts=0))

    def saw(self, image: Image, found: Detections, took_s: float, *, rested: bool = True) -> None:
        """Told of every look of the model in charge, right after it; quick, and safe from any thread."""
        self._looks.saw(image, found, took_s, self._clock.now().mono_s, rested=rested)

    def failed(self, why: str) -> None:
        """Told when the model in charge fails while it runs."""
        self._looks.failed(why, self._clock.now().mono_s)

    def status(self) -> UpdateStatus:
        """Where the slot stands."""
        slot, shadow = self._slot, self._shadow
        if slot.state == "shadow" and shadow is not None:
            slot = replace(slot, shadow=shadow.report(self._clock.now().mono_s))
        return slot.status(self.plan.name)

    @property
    def busy(self) -> bool:
        """Whether :meth:`step` has something to do now."""
        return self._slot.under_way or self.urgent

    @property
    def urgent(self) -> bool:
        """Whether a new model is under watch, or still counts though it was taken back."""
        return self._slot.watching or self._owes_swap

    def close(self) -> None:
        """Let the candidate go."""
        self._looks.keep_live(None)
        if self._eyes is not None:
            self._eyes.close()
        self._eyes, self._shadow = None, None

    # What the update service calls

    def consider(self) -> None:
        """Look at what a freshly refreshed repository has for this slot."""
        try:
            offers, tallies = self._offers(), self._tallies()
            slot = self._slot.checked(self._utc_s())
            choice = choose(offers, slot, self._describe_present(), self._parts.box, tallies)
        except UpdateError as error:
            self.tell(error)
            return
        self._missed = choice.take is not None and self.busy
        with self._noting_the_disk():
            if choice.retract is not None:
                self._retract(choice.retract)
            elif choice.drop is not None:
                self._refuse("withdrawn", _withdrawn(choice.drop))
            elif choice.take is not None and not self.busy:
                self._slot = slot
                self._begin(choice.take)
            elif choice.renumber is not None and not self.busy:
                self._save(slot.renumbered(choice.renumber))
            else:
                self._save(slot if choice.why_not is None or self.busy else slot.told(*choice.why_not))

    def step(self) -> None:
        """Do the next step; returns soon but for a download or a trial."""
        if self._owes_swap:
            self._swap_back()
            return
        failure = self._looks.failure() if self._slot.watching else None
        if failure is None:
            super().step()
            return
        with self._noting_the_disk():
            self._roll_back("load_failed", failure)

    # The steps

    def _begin(self, offered: Offered) -> None:
        offer, signed = offered.offer, offered.signed
        model = Held(name=offer.name, version=offer.version, sha256=signed.sha256, serial=offer.serial)
        golden = self._parts.repository.find(offer.golden) if offer.golden else None
        candidate = Candidate(
            model=model,
            family=offer.family,
            target=signed.path,
            golden=None if golden is None else (golden.path, golden.sha256),
            max_slowdown_percent=offer.max_slowdown_percent,
        )
        self._take_up(self._slot, candidate, signed, self._parts.largest_bytes)

    def _download(self) -> None:
        candidate = self._candidate()
        wanted = [(candidate.target, candidate.model.sha256)]
        if candidate.golden is not None:
            wanted.append(candidate.golden)
        self._bring(self._parts.repository, wanted)

    def _verify(self) -> None:
        """Hold the file against what was signed about it."""
        candidate = self._candidate()

        def judge() -> None:
            model = self._store.model(candidate.model.sha256, candidate.model.name)
            _require_same(model.description, candidate)
            self._golden()

        self._verify_by(judge)

    def _try(self) -> None:
        candidate = self._candidate()
        if not self._may_try():
            return
        terms = Terms(self.plan.budget_s, candidate.max_slowdown_percent)
        try:
            report = self._parts.trial.run(self._subject(candidate.model), self._in_charge(), self._golden(), terms)
        except UpdateError as error:
            self._give_up(error)
            return
        _log.info("the trial of %s is passed: %s", candidate.model.name, report)
        self._save(self._slot.to("shadow", self._utc_s()))

    def _look_along(self) -> None:
        """One frame of the shadow, if one is due."""
        candidate = self._candidate()
        try:
            if self._eyes is None or self._shadow is None:
                self._eyes = self._parts.open_eyes(self._subject(candidate.model))
                self._shadow = Shadow(self._parts.shadow, self._clock.now().mono_s)
                self._looks.keep_live(self._parts.shadow.period_s)
            live = self._looks.live()
            if live is not None:
                self._shadow = self._shadow.saw(live.found, self._eyes.look(live.image).found)
        except UpdateError as error:
            self._give_up(error)
            return
        now_s = self._clock.now().mono_s
        verdict = self._shadow.verdict(now_s)
        if verdict is None:
            return
        self._slot = replace(self._slot, shadow=self._shadow.report(now_s))
        if verdict.refused is not None:
            self._refuse(verdict.refused, verdict.why)
        else:
            self._commit()

    def _commit(self) -> None:
        """Put the candidate in charge: first on disk, in one step, then in the running pipeline."""
        self.close()
        try:
            candidate = self._candidate().model
            model = self._store.model(candidate.sha256, candidate.name)
        except UpdateError as error:
            self._give_up(error)
            return
        before = self._slot
        self._save(before.committed(self._utc_s(), self._looks.usual(self.plan.budget_s)))
        try:
            self._parts.host.swap(self.plan.name, model)
        except ModelError as error:
            self._go_back("load_failed", str(error))
            return
        except UpdateError as error:
            self._return_to(before.abandoned(error.kind, str(error), self._utc_s()))
            return
        self._looks.forget_failures()
        self._tidy()
        self._took_over(model)

    def _watch(self) -> None:
        if not self._slot.watching:
            return
        now_s = self._clock.now().mono_s
        against = self._looks.against(self._slot.usual, self.plan.budget_s, self._began_s, now_s)
        if against is not None:
            self._roll_back(*against)
        elif now_s - self._began_s >= self._parts.watch_s:
            self._save(self._slot.proven())
        elif self._slot.starts and now_s - self._began_s >= _STEADY_S:
            self._save(replace(self._slot, starts=0))

    # Ways back

    def _retract(self, why: str) -> None:
        """Go back from the model in charge; one under way was held against it, so it begins anew, with no blame."""
        self._missed = self._slot.under_way
        self.close()
        self._roll_back("withdrawn", _withdrawn(why))

    def _roll_back(self, kind: Kind, why: str) -> None:
        """Put the model before in charge again, on disk and in the pipeline."""
        self._owes_swap = True
        self._go_back(kind, why)
        self._swap_back()

    def _swap_back(self) -> None:
        """Let the pipeline go on with what is in charge; each step tries again until it does."""
        try:
            self._parts.host.swap(self.plan.name, self._load_in_charge())
        except KentonganError as error:
            _log.warning("the model of %s that was taken back still counts: %s", self.plan.name, error)
            return
        self._owes_swap = False
        self._looks.forget_failures()

    def _go_back(self, kind: Kind, why: str) -> None:
        _log.warning("the model of %s is taken back (%s): %s", self.plan.name, kind, why)
        self._return_to(self._slot.rolled_back(kind, why, self._utc_s()))

    def _return_to(self, slot: Slot) -> None:
        """Remember that what was in charge before is again."""
        try:
            self._save(slot)
        except OSError:  # a full disk must not keep a bad model in charge: the next start takes the same way
            self._slot = slot
        self._tidy()

    # Small parts

    def _load_in_charge(self) -> ModelFile:
        """The bytes of the model in charge; one that is lost or broken gives way to the one before it."""
        while (held := self._slot.in_charge) is not None:
            try:
                model = self._store.model(held.sha256, held.name)
            except UpdateError as error:
                self._go_back("load_failed", str(error))
            else:
                self._took_over(model)
                return model
        model = read_model(self.plan.installed.path, self.plan.installed.foreign)
        self._took_over(model)
        return model

    def _took_over(self, model: ModelFile) -> None:
        self._began_s = self._clock.now().mono_s
        self._present = Present(model.description.name, model.description.version, model.description.sha256)

    def _describe_present(self) -> Present:
        if self._present is None:
            self._load_in_charge()
        present = self._present
        if present is None:
            raise UpdateError("bad_model", f"nothing is in charge of {self.plan.name}")
        return present

    def _offers(self) -> list[Offered]:
        """The models on offer for this slot.

        Raises:
            UpdateError: One is signed in a way this agent does not understand.
        """
        folder = f"models/{self.plan.name}/"
        signed = [one for one in self._parts.repository.on_offer(folder) if one.path.endswith(".onnx") and one.sha256]
        offers = [Offered(one, read_custom(ModelOffer, one.custom, one.path)) for one in signed]
        return [offered for offered in offers if offered.offer.slot == self.plan.name]

    def _tallies(self) -> Mapping[int, Tally]:
        path = f"outcomes/{self.plan.name}"
        signed = self._parts.repository.find(path)
        outcomes: Outcomes = Outcomes() if signed is None else read_custom(Outcomes, signed.custom, path)
        return outcomes.by_serial

    def _golden(self) -> tuple[GoldenFrame, ...]:
        golden = self._candidate().golden
        return () if golden is None else read_golden(self._store.read(golden[1]), golden[0])

    def _subject(self, held: Held) -> Subject:
        return Subject(self._store.path(held.sha256), held.sha256)

    def _in_charge(self) -> Subject:
        held = self._slot.in_charge
        return self.plan.installed if held is None else self._subject(held)


def _withdrawn(why: str) -> str:
    return f"it was withdrawn: {why}"


def _require_same(found: ModelDescription, candidate: Candidate) -> None:
    """A file must call itself what the maintainer signed it as."""
    says = (found.name, found.version, found.family.value)
    signed = (candidate.model.name, candidate.model.version, candidate.family)
    if says != signed:
        raise UpdateError("wrong_target", f"the file says {' '.join(says)}, signed is {' '.join(signed)}")
