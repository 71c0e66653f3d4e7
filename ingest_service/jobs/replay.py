"""Kept bytes through the installed codecs: the one place on the server that decodes devices."""

from __future__ import annotations

import logging

from device_adapters.contract.messages import ReadingRecord
from device_adapters.contract.readings import Reading
from device_adapters.registry import Adapters
from device_adapters.session import read_frame
from ingest_service.admission.replaying import Decode

logger = logging.getLogger(__name__)


def decoder(adapters: Adapters) -> Decode:
    """Return what reads a stored record's bytes with the adapter that read them first.

    It answers ``None``, and the record stays as it is, where that adapter is not installed here,
    finds no reading, or breaks its promise and raises something else than it may.
    """

    def decode(record: ReadingRecord) -> Reading | None:
        adapter = adapters.get(record.adapter)
        if adapter is None:
            return None
        try:
            return read_frame(adapter, record.reception.characteristic, record.reception.raw)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            logger.exception("adapter failed", extra={"trace_id": record.trace_id})
            return None

    return decode
