"""Commands from the broker: a table of what may be asked, and a gate that checks everything else away.

Promises that only commands in the table run, with arguments that fit their type, at a bounded rate, one at a time,
and that each is logged and answered. A command that arrives twice runs once; one that the broker had retained never
does. Never runs anything by name.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from agent.clock import Clock
from agent.errors import KentonganError
from agent.mqtt.coding import MessageError, decode
from agent.mqtt.messages import Command, Reply
from agent.records import Scalar, Seq, load

_log = logging.getLogger(__name__)
_REMEMBERED: Final = 64
_RETAINED: Final = "is retained and would run at every start; delete it from the broker and send it without retain"
_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)


@checked_dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class NoArgs:
    """A command without arguments."""


@checked_dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class ResendArgs:
    """Send again the records from ``first`` to ``last``, both included, that are still held."""

    first: Seq
    last: Seq


@dataclass(frozen=True, slots=True)
class Order:
    """One line of the table: a command's name, the type of its arguments, and what it does.

    ``run`` is handed a value of ``args`` and returns what the reply shall tell; a KentonganError it raises becomes
    the reply's one sentence.
    """

    name: str
    args: type[Any]
    run: Callable[[Any], Mapping[str, Scalar]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How many commands may come: ``burst`` at once, then ``per_s`` a second."""

    burst: int = 10
    per_s: float = 1.0


class Commands:
    """The gate and the table.

    Args:
        table: Every command this box knows.
        device: For the replies.
        boot: The same.
        clock: For the replies' time and the rate.
        pace: Beyond it, commands are refused.

    Raises:
        ValueError: Two commands have one name.
    """

    def __init__(
        self, table: Iterable[Order], *, device: str, boot: str, clock: Clock, pace: Pace | None = None
    ) -> None:
        orders = list(table)
        self._table: Final[Mapping[str, Order]] = {order.name: order for order in orders}
        if len(self._table) != len(orders):
            raise ValueError("two commands have one name")
        self._device = device
        self._boot = boot
        self._clock = clock
        self._pace = pace or Pace()
        self._tokens = float(self._pace.burst)
        self._filled_s = clock.now().mono_s
        self._answered: OrderedDict[str, Reply] = OrderedDict()
        self.refused = 0

    def answer(self, payload: bytes, correlation: bytes | None = None, *, retained: bool = False) -> Reply | None:
        """Check a command, run it, and say what became of it.

        Args:
            payload: As it came from the broker.
            correlation: MQTT 5 correlation data, by which a command that comes twice is known.
            retained: The broker had kept it and would send it again at every start, so it is refused.

        Returns:
            The reply; ``None`` for a command beyond the pace, which is only counted: to answer a flood is to join it.
        """
        if not self._take_token():
            self.refused += 1
            if self.refused & (self.refused - 1) == 0:  # logged at 1, 2, 4, 8 …: a flood can't fill the log
                _log.warning(
                    "%d commands refused so far: they come faster than %g a second", self.refused, self._pace.per_s
                )
            return None
        try:
            command = decode(Command, payload, "command")
        except MessageError as error:
            _log.warning("refused a command: %s", error)
            return self._reply(None, error=str(error))
        if retained:
            _log.warning("refused the retained command %s: it would run at every start", command.command)
            return self._reply(command, error=f"{command.command}: {_RETAINED}")
        key = command.id or (correlation.hex() if correlation else None)
        if key is not None and key in self._answered:
            return replace(self._answered[key], time=self._clock.now().utc_s)
        reply = self._run(command)
        if key is not None:
            self._answered[key] = reply
            if len(self._answered) > _REMEMBERED:
                self._answered.popitem(last=False)
        return reply

    def _run(self, command: Command) -> Reply:
        order = self._table.get(command.command)
        if order is None:
            _log.warning("refused the unknown command %s", command.command)
            known = ", ".join(sorted(self._table))
            return self._reply(command, error=f"{command.command}: this box knows no such command, only {known}")
        try:
            args = load(order.args, command.args)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
            place = ".".join(str(part)[:40] for part in fault["loc"][:3]) or "args"
            _log.warning("refused the command %s: %s: %s", command.command, place, fault["msg"])
            return self._reply(command, error=f"{command.command}: {place}: {fault['msg'][:200]}")
        _log.info("command %s %s", command.command, args)
        try:
            return self._reply(command, result=order.run(args))
        except KentonganError as error:
            _log.warning("the command %s failed: %s", command.command, error)
            return self._reply(command, error=str(error))
        except Exception:  # noqa: BLE001 - a command's own bug must not take the link down
            _log.exception("the command %s failed", command.command)
            return self._reply(command, error=f"{command.command}: failed inside the agent; its log says more")

    def _reply(
        self, command: Command | None, *, error: str | None = None, result: Mapping[str, Scalar] | None = None
    ) -> Reply:
        return Reply(
            device=self._device,
            boot=self._boot,
            time=self._clock.now().utc_s,
            command=None if command is None else command.command,
            id=None if command is None else command.id,
            ok=error is None,
            error=None if error is None else error[:1000],
            result=dict(result or {}),
        )

    def _take_token(self) -> bool:
        now_s = self._clock.now().mono_s
        self._tokens = min(self._pace.burst, self._tokens + (now_s - self._filled_s) * self._pace.per_s)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
