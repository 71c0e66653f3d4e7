"""The contract's documents: a JSON Schema and an AsyncAPI document, generated from the types.

``python -m device_adapters.contract.documents --write DIR`` writes them, ``--check DIR`` tells
whether those in DIR are current.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from device_adapters.contract.configuration import GatewayConfiguration
from device_adapters.contract.messages import (
    MAX_RECORDS,
    MAX_SENT_BYTES,
    SCHEMA_VERSION,
    Delivery,
    Message,
    Receipt,
    Record,
    Resend,
)
from device_adapters.contract.standing import GatewayEvent, GatewayStatus
from device_adapters.contract.topics import ROOT, Leaf

SCHEMA_FILE: Final = "messages.schema.json"
ASYNCAPI_FILE: Final = "asyncapi.json"

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FORMAT: Final = "application/schema+json;version=draft-2020-12"
_UP: Final[Mapping[Leaf, tuple[type, str]]] = {
    Leaf.READINGS: (Message, "Records with consecutive numbers, one or more."),
    Leaf.STATUS: (GatewayStatus, "How the gateway stands; retained, and its last will."),
    Leaf.EVENTS: (GatewayEvent, "What happened to the gateway or its devices; history."),
}
_DOWN: Final[Mapping[Leaf, tuple[type, str]]] = {
    Leaf.RECEIPTS: (Receipt, "Numbers that the database has dealt with."),
    Leaf.RESEND: (Resend, "Numbers that the server misses."),
    Leaf.CONFIG: (GatewayConfiguration, "What the gateway is to do; retained."),
}
_PAYLOADS: Final = (
    Message,
    Record,
    Receipt,
    Resend,
    GatewayStatus,
    GatewayEvent,
    GatewayConfiguration,
)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of every payload; each is a definition of its own.

    Unknown members are allowed everywhere: a reader of one major version passes over what a
    later minor version adds.
    """
    (_, record, *_), definitions = msgspec.json.schema_components(
        _PAYLOADS, ref_template="#/$defs/{name}"
    )
    # In the type, records are raw bytes: each is read by itself, so that one that breaks the
    # contract does not take the others with it.
    definitions["Message"]["properties"]["records"] |= {
        "items": {"$ref": "#/$defs/Record"},
        "minItems": 1,
        "maxItems": MAX_RECORDS,
    }
    definitions["Record"] = {"title": "Record", **record}
    return {
        "$schema": _DIALECT,
        "$id": f"urn:hemvital:contract:{SCHEMA_VERSION}",
        "title": f"Hemvital messages between gateway and server, {SCHEMA_VERSION}",
        "$ref": "#/$defs/Message",
        "$defs": {name: _tidy(definitions[name]) for name in sorted(definitions)},
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document, seen from the gateway."""
    leaves = {**_UP, **_DOWN}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hemvital gateway",
            "version": SCHEMA_VERSION,
            "description": (
                "MQTT 5 over mutual TLS; the certificate's name is the gateway's id, and its "
                "session's. PUBACK means nothing for delivery: what has no receipt is sent "
                "again. Services find every address below homes/, by a door of their own."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {leaf.value: _channel(leaf, payload) for leaf, (payload, _) in leaves.items()},
        "operations": {
            **{f"send_{leaf}": _operation(leaf, "send", text) for leaf, (_, text) in _UP.items()},
            **{
                f"receive_{leaf}": _operation(leaf, "receive", text)
                for leaf, (_, text) in _DOWN.items()
            },
        },
    }


def documents() -> dict[str, str]:
    """Return the text of every document by its file's name."""
    built = {SCHEMA_FILE: schema(), ASYNCAPI_FILE: asyncapi()}
    return {
        name: json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        for name, document in built.items()
    }


def outdated(directory: Path) -> list[str]:
    """Return the names of the documents that are missing or other than they should be."""
    found = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.json")}
    return [name for name, text in documents().items() if found.get(name) != text]


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the documents; return 1 if they are not current."""
    parser = argparse.ArgumentParser(description="Write or check the contract's documents.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="DIR", help="write them")
    action.add_argument("--check", type=Path, metavar="DIR", help="tell whether they are current")
    arguments = parser.parse_args(argv)
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        for name, text in documents().items():
            (arguments.write / name).write_text(text, encoding="utf-8")
        return 0
    stale = outdated(arguments.check)
    for name in stale:
        sys.stderr.write(f"{arguments.check / name}: not current, write it again\n")
    return 1 if stale else 0


def _channel(leaf: Leaf, payload: type) -> dict[str, Any]:
    reference = f"./{SCHEMA_FILE}#/$defs/{payload.__name__}"
    message: dict[str, Any] = {
        "name": payload.__name__,
        "payload": {"schemaFormat": _FORMAT, "schema": {"$ref": reference}},
    }
    if leaf is Leaf.READINGS:
        message |= {"headers": _headers(), "summary": f"At most {MAX_SENT_BYTES} bytes."}
    return {
        "address": f"{ROOT}/{{gateway}}/{leaf}",
        "parameters": {"gateway": {"description": "The gateway's id, its certificate's name."}},
        "messages": {payload.__name__: message},
    }


def _headers() -> dict[str, Any]:
    """Return the MQTT user properties, all of them text, as `Delivery.to_properties` writes."""
    _, definitions = msgspec.json.schema_components([Delivery], ref_template="{name}")
    delivery = definitions["Delivery"]
    return {
        "type": "object",
        "description": "MQTT 5 user properties: the message's place among its gateway's records.",
        "properties": {name: {"type": "string"} for name in delivery["properties"]},
        "required": delivery["required"],
    }


def _operation(leaf: Leaf, action: str, text: str) -> dict[str, Any]:
    binding: dict[str, Any] = {"qos": 1, "bindingVersion": "0.2.0"}
    if action == "send":
        binding["retain"] = leaf is Leaf.STATUS
    return {
        "action": action,
        "summary": text,
        "channel": {"$ref": f"#/channels/{leaf}"},
        "bindings": {"mqtt": binding},
    }


def _tidy(definition: dict[str, Any]) -> dict[str, Any]:
    if "description" in definition:
        definition["description"] = inspect.cleandoc(definition["description"])
    return definition


if __name__ == "__main__":
    sys.exit(main())
