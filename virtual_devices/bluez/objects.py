"""The objects of a D-Bus service: their properties, methods and signals, and who calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dbus_fast import DBusError, ErrorType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

_OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"

Reply = tuple[str, list[Any]]
"""Signature and body of what a method returns."""

DONE: Final[Reply] = ("", [])


@dataclass(frozen=True, slots=True)
class Call:
    """One method call: the caller's unique name, and the arguments."""

    sender: str
    arguments: list[Any]


Method = tuple[str, Callable[[Call], Awaitable[Reply]]]
"""Signature of a method's arguments, and what to do."""


@dataclass(slots=True)
class Interface:
    """One interface of one object; ``setters`` are called before a property is set."""

    name: str
    properties: dict[str, Variant]
    methods: Mapping[str, Method] = field(default_factory=dict[str, Method])
    setters: Mapping[str, Callable[[Any], Awaitable[None]]] = field(
        default_factory=dict[str, Callable[[Any], Awaitable[None]]]
    )


class Objects:
    """All objects of a service on one bus, announced as BlueZ announces its own."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._interfaces: dict[str, dict[str, Interface]] = {}

    def add(self, path: str, *interfaces: Interface) -> None:
        """Add interfaces to an object and announce them."""
        self._interfaces.setdefault(path, {}).update({each.name: each for each in interfaces})
        self._emit(
            "/",
            _OBJECT_MANAGER,
            "InterfacesAdded",
            "oa{sa{sv}}",
            [path, {each.name: dict(each.properties) for each in interfaces}],
        )

    def remove(self, path: str, names: Iterable[str] | None = None) -> None:
        """Remove interfaces of an object, or all, and announce it."""
        known = self._interfaces.get(path, {})
        gone = [name for name in (known if names is None else names) if name in known]
        for name in gone:
            del known[name]
        if not known:
            self._interfaces.pop(path, None)
        if gone:
            self._emit("/", _OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, gone])

    def under(self, path: str) -> list[str]:
        """Return the objects below this one, deepest first."""
        below = (each for each in self._interfaces if each.startswith(path + "/"))
        return sorted(below, reverse=True)

    def change(
        self,
        path: str,
        interface: Interface,
        changed: Mapping[str, Variant],
        invalidated: Iterable[str] = (),
    ) -> None:
        """Change properties and announce it; say nothing of an object that is not there."""
        gone = [name for name in invalidated if interface.properties.pop(name, None) is not None]
        interface.properties.update(changed)
        if self._interfaces.get(path, {}).get(interface.name) is interface:
            self._emit(
                path,
                _PROPERTIES,
                "PropertiesChanged",
                "sa{sv}as",
                [interface.name, dict(changed), gone],
            )

    async def answer(self, message: Message) -> Message:
        """Carry out a method call and return its reply, be it an error."""
        try:
            signature, body = await self._call(message)
        except DBusError as failure:
            return Message.new_error(message, failure.type, failure.text)
        return Message.new_method_return(message, signature, body)

    async def _call(self, message: Message) -> Reply:
        known = self._interfaces.get(message.path or "", {})
        if message.interface == _OBJECT_MANAGER and message.path == "/":
            return "a{oa{sa{sv}}}", [self._everything()]
        if not known:
            raise DBusError(ErrorType.UNKNOWN_OBJECT, f"no object at {message.path}")
        if message.interface == _PROPERTIES:
            return await self._access(known, message)
        interface = known.get(message.interface or "")
        method = interface.methods.get(message.member or "") if interface else None
        if method is None or method[0] != message.signature:
            text = f"{message.interface}.{message.member}({message.signature}) does not exist"
            raise DBusError(ErrorType.UNKNOWN_METHOD, text)
        return await method[1](Call(message.sender or "", message.body))

    async def _access(self, known: dict[str, Interface], message: Message) -> Reply:
        name = message.body[0] if message.body else ""
        interface = known.get(name)
        if interface is None:
            raise DBusError(ErrorType.UNKNOWN_INTERFACE, f"no interface {name}")
        match message.member, message.signature:
            case "GetAll", "s":
                return "a{sv}", [dict(interface.properties)]
            case "Get", "ss" if message.body[1] in interface.properties:
                return "v", [interface.properties[message.body[1]]]
            case "Set", "ssv":
                _, member, value = message.body
                setter = interface.setters.get(member)
                if setter is None:
                    raise DBusError(ErrorType.PROPERTY_READ_ONLY, f"{member} is read-only")
                if value.signature != interface.properties[member].signature:
                    raise DBusError(ErrorType.INVALID_SIGNATURE, f"{member}: {value.signature}")
                await setter(value.value)
                self.change(message.path or "", interface, {member: value})
                return DONE
            case _:
                raise DBusError(ErrorType.UNKNOWN_PROPERTY, f"{message.member} {message.body[1:]}")

    def _everything(self) -> dict[str, dict[str, dict[str, Variant]]]:
        return {
            path: {name: dict(each.properties) for name, each in interfaces.items()}
            for path, interfaces in self._interfaces.items()
        }

    def _emit(
        self, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> None:
        self._bus.send(  # pyright: ignore[reportUnknownMemberType] - a future of nothing
            Message(
                message_type=MessageType.SIGNAL,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )
