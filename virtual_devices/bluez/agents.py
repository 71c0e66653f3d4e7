"""Pairing agents: who has registered one, and what each is asked while devices pair."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from bumble.pairing import PairingConfig, PairingDelegate
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from virtual_devices.bluez.errors import error
from virtual_devices.bluez.objects import DONE, Call, Interface, Reply

PATH: Final = "/org/bluez"
_ANSWER_WITHIN_S: Final = 60.0
_SILENT: Final = "NoInputNoOutput"
_CAPABILITIES: Final = {
    "DisplayOnly": PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY,
    "DisplayYesNo": PairingDelegate.IoCapability.DISPLAY_OUTPUT_AND_YES_NO_INPUT,
    "KeyboardOnly": PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY,
    _SILENT: PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT,
    "KeyboardDisplay": PairingDelegate.IoCapability.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
    "": PairingDelegate.IoCapability.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
}


@dataclass(frozen=True, slots=True)
class Agent:
    """An ``org.bluez.Agent1`` that a client serves."""

    sender: str
    path: str
    capability: str

    @property
    def is_silent(self) -> bool:
        """Tell whether there is nobody to show or ask anything."""
        return self.capability == _SILENT


class Agents:
    """``org.bluez.AgentManager1``: at most one agent a client; the first one is the default."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._by_sender: dict[str, Agent] = {}
        self._default: str | None = None
        self.interface = Interface(
            "org.bluez.AgentManager1",
            {},
            {
                "RegisterAgent": ("os", self._register),
                "UnregisterAgent": ("o", self._unregister),
                "RequestDefaultAgent": ("o", self._request_default),
            },
        )

    def choose(self, sender: str | None) -> Agent | None:
        """Return the client's own agent, or the default one, or ``None``."""
        own = self._by_sender.get(sender or "")
        return own or self._by_sender.get(self._default or "")

    def client_gone(self, sender: str) -> None:
        """Forget the agent of a client that has left the bus."""
        self._by_sender.pop(sender, None)
        if self._default == sender:
            self._default = next(iter(self._by_sender), None)

    async def ask(self, agent: Agent, member: str, signature: str, *body: Any) -> list[Any] | None:  # noqa: ANN401 - D-Bus arguments
        """Call an agent; return what it says, or ``None`` when it refuses or is silent."""
        message = Message(
            destination=agent.sender,
            path=agent.path,
            interface="org.bluez.Agent1",
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                reply = await self._bus.call(message)
        except TimeoutError:
            return None
        return reply.body if reply.message_type is MessageType.METHOD_RETURN else None

    async def _register(self, call: Call) -> Reply:
        path, capability = call.arguments
        if call.sender in self._by_sender:
            raise error("AlreadyExists", "Already Exists")
        if capability not in _CAPABILITIES:
            raise error("InvalidArguments", "Invalid arguments in method call")
        self._by_sender[call.sender] = Agent(call.sender, path, capability)
        self._default = self._default or call.sender
        return DONE

    async def _unregister(self, call: Call) -> Reply:
        self._own(call)
        self.client_gone(call.sender)
        return DONE

    async def _request_default(self, call: Call) -> Reply:
        self._own(call)
        self._default = call.sender
        return DONE

    def _own(self, call: Call) -> Agent:
        agent = self._by_sender.get(call.sender)
        if agent is None or agent.path != call.arguments[0]:
            raise error("DoesNotExist", "Does Not Exist")
        return agent


class Questions(PairingDelegate):
    """Carries the questions of one pairing to an agent.

    Args:
        agents: Through whom to ask.
        agent: Whom to ask; without one every question is answered with no.
        device_path: The device that pairs.
        is_requested: Whether a client called ``Pair``; else bluetoothd pairs by itself, and
            must be allowed to.
    """

    def __init__(
        self, agents: Agents, agent: Agent | None, device_path: str, *, is_requested: bool
    ) -> None:
        # No identity key: no address here changes, and Bumble would scan before it connects.
        keys = PairingDelegate.KeyDistribution.DISTRIBUTE_ENCRYPTION_KEY
        super().__init__(_CAPABILITIES[agent.capability if agent else _SILENT], keys, keys)
        self._agents = agents
        self._agent = agent
        self._device_path = device_path
        self._is_requested = is_requested

    def rules(self) -> PairingConfig:
        """Return the rules of this pairing."""
        is_shown = self._agent is not None and not self._agent.is_silent
        return PairingConfig(sc=True, mitm=is_shown, bonding=True, delegate=self)

    async def confirm(self, auto: bool = False) -> bool:  # noqa: ARG002 - Bumble's
        """Allow a pairing without a question, which a client must have wanted or now allow."""
        if self._is_requested:
            return self._agent is not None
        return await self._ask("RequestAuthorization", "o") is not None

    async def compare_numbers(self, number: int, digits: int) -> bool:  # noqa: ARG002 - Bumble's
        """Ask whether both sides show the same number."""
        return await self._ask("RequestConfirmation", "ou", number) is not None

    async def get_number(self) -> int | None:
        """Ask for the passkey that the device shows."""
        answer = await self._ask("RequestPasskey", "o")
        return answer[0] if answer else None

    async def display_number(self, number: int, digits: int) -> None:  # noqa: ARG002 - Bumble's
        """Have a passkey shown, to be typed on the device."""
        await self._ask("DisplayPasskey", "ouq", number, 0)

    async def _ask(self, member: str, signature: str, *body: int) -> list[Any] | None:
        if self._agent is None:
            return None
        return await self._agents.ask(self._agent, member, signature, self._device_path, *body)
