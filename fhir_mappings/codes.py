"""Codes of the terminologies we write, with their names.

Sources: LOINC and SNOMED CT by their public browsers; MDC as 32-bit codes from IEEE
11073-10101 (partition * 65536 + term); UCUM; the value sets of FHIR R4 and of the HL7 Personal
Health Device implementation guide 2.0.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from device_adapters.contract.readings import (
    NAN,
    NEGATIVE_INFINITY,
    NRES,
    POSITIVE_INFINITY,
    RESERVED,
    Special,
    TemperatureSite,
)
from fhir_mappings.elements import CodeableConcept, Coding, raw

LOINC: Final = "http://loinc.org"
SNOMED_CT: Final = "http://snomed.info/sct"
MDC: Final = "urn:iso:std:iso:11073:10101"
UCUM: Final = "http://unitsofmeasure.org"

STRUCTURE: Final = "http://hl7.org/fhir/StructureDefinition/"
PHD_STRUCTURE: Final = "http://hl7.org/fhir/uv/phd/StructureDefinition/"

GATEWAY_DEVICE: Final = STRUCTURE + "observation-gatewayDevice"
QUANTITY_TRANSLATION: Final = STRUCTURE + "iso21090-PQ-translation"

#: Ours: the rest before a reading that followed another one too soon.
REST: Final = "urn:hemvital:extension:rest"
#: Ours: by which protocol an average was made, of how much, and whether that is enough.
AVERAGING: Final = "urn:hemvital:extension:averaging"
#: Ours: a reading that is not in an average, and why.
LEFT_OUT: Final = "urn:hemvital:extension:left-out"
#: Ours, of a plan: by what it alerts, when nothing is expected, who approved it as what and when,
#: when patients were judged by this version, and why it was stopped.
LIMITS: Final = "urn:hemvital:extension:limits"
PAUSE: Final = "urn:hemvital:extension:pause"
APPROVAL: Final = "urn:hemvital:extension:approval"
IN_FORCE: Final = "urn:hemvital:extension:in-force"
STATUS_REASON: Final = "urn:hemvital:extension:status-reason"
#: Ours, of what a plan asks for: the window by the home's clock, and the protocol.
WINDOW: Final = "urn:hemvital:extension:window"
PROTOCOL: Final = "urn:hemvital:extension:protocol"

TEST_DATA: Final = Coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST")

PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
DATA_OPERATION: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_PHD_CATEGORY: Final = "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories"
# PHD 2.0.0 pins this system; later drafts of its source renamed it.
_MEASUREMENT_STATUS: Final = "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status"
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"

_VITAL_SIGNS: Final = CodeableConcept((Coding(_CATEGORY, "vital-signs", "Vital Signs"),))
CATEGORIES: Final = raw((_VITAL_SIGNS, CodeableConcept((Coding(_PHD_CATEGORY, "phd"),))))
#: Of what no device measured.
CATEGORIES_OF_DERIVED: Final = raw((_VITAL_SIGNS,))


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its UCUM code and how people write it."""

    code: str
    text: str


MMHG: Final = Unit("mm[Hg]", "mmHg")
KPA: Final = Unit("kPa", "kPa")
PERCENT: Final = Unit("%", "%")
SECOND: Final = Unit("s", "s")
PER_MINUTE: Final = Unit("/min", "beats/min")
CELSIUS: Final = Unit("Cel", "°C")
FAHRENHEIT: Final = Unit("[degF]", "°F")
KILOGRAM: Final = Unit("kg", "kg")
POUND: Final = Unit("[lb_av]", "lb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is measured.

    ``code`` is what it is stored and searched by, ``mdc`` the device standard's code, ``concept``
    all codings as JSON, ``unit`` the unit it is compared in. ``vital_sign`` is the R4 profile
    that its Observations claim, ``vital_sign_of_phd`` the same with the PHD guide's; components
    and series have none.
    """

    code: str
    mdc: int
    concept: msgspec.Raw
    unit: Unit = MMHG
    vital_sign: msgspec.Raw | None = None
    vital_sign_of_phd: msgspec.Raw | None = None


def _measure(
    *,
    text: str | None = None,
    loinc: tuple[Coding, ...],
    mdc: tuple[int, str],
    snomed: Coding | None = None,
    unit: Unit = MMHG,
    profiles: tuple[str, str] | None = None,
) -> Measure:
    number, label = mdc
    codings = (*loinc, Coding(MDC, str(number), label), *((snomed,) if snomed else ()))
    return Measure(
        code=loinc[0].code,
        mdc=number,
        concept=raw(CodeableConcept(codings, text)),
        unit=unit,
        vital_sign=raw([STRUCTURE + profiles[0]]) if profiles else None,
        vital_sign_of_phd=(
            raw([STRUCTURE + profiles[0], PHD_STRUCTURE + profiles[1]]) if profiles else None
        ),
    )


_HEART_RATE: Final = (Coding(LOINC, "8867-4", "Heart rate"),)
_HEART_RATE_SNOMED: Final = Coding(SNOMED_CT, "364075005", "Heart rate")

BLOOD_PRESSURE: Final = _measure(
    text="Blood pressure",
    loinc=(Coding(LOINC, "85354-9", "Blood pressure panel with all children optional"),),
    mdc=(150020, "MDC_PRESS_BLD_NONINV"),
    snomed=Coding(SNOMED_CT, "75367002", "Blood pressure"),
    profiles=("bp", "PhdCompoundNumericObservation"),
)
SYSTOLIC: Final = _measure(
    loinc=(Coding(LOINC, "8480-6", "Systolic blood pressure"),),
    mdc=(150021, "MDC_PRESS_BLD_NONINV_SYS"),
    snomed=Coding(SNOMED_CT, "271649006", "Systolic blood pressure"),
)
DIASTOLIC: Final = _measure(
    loinc=(Coding(LOINC, "8462-4", "Diastolic blood pressure"),),
    mdc=(150022, "MDC_PRESS_BLD_NONINV_DIA"),
    snomed=Coding(SNOMED_CT, "271650006", "Diastolic blood pressure"),
)
MEAN: Final = _measure(
    loinc=(Coding(LOINC, "8478-0", "Mean blood pressure"),),
    mdc=(150023, "MDC_PRESS_BLD_NONINV_MEAN"),
)
CUFF_PULSE: Final = _measure(
    text="Pulse rate (blood pressure monitor)",
    loinc=_HEART_RATE,
    mdc=(149546, "MDC_PULS_RATE_NON_INV"),
    snomed=_HEART_RATE_SNOMED,
    unit=PER_MINUTE,
    profiles=("heartrate", "PhdNumericObservation"),
)
OXIMETER_PULSE: Final = _measure(
    text="Pulse rate (pulse oximeter)",
    loinc=_HEART_RATE,
    mdc=(149530, "MDC_PULS_OXIM_PULS_RATE"),
    snomed=_HEART_RATE_SNOMED,
    unit=PER_MINUTE,
    profiles=("heartrate", "PhdNumericObservation"),
)
SPO2: Final = _measure(
    text="SpO2",
    loinc=(  # the profile asks for the first, United States and many others for the second
        Coding(LOINC, "2708-6", "Oxygen saturation in Arterial blood"),
        Coding(LOINC, "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
    ),
    mdc=(150456, "MDC_PULS_OXIM_SAT_O2"),
    snomed=Coding(SNOMED_CT, "431314004", "Peripheral oxygen saturation"),
    unit=PERCENT,
    profiles=("oxygensat", "PhdNumericObservation"),
)
BODY_TEMPERATURE: Final = _measure(
    text="Body temperature",
    loinc=(Coding(LOINC, "8310-5", "Body temperature"),),
    mdc=(150364, "MDC_TEMP_BODY"),
    snomed=Coding(SNOMED_CT, "386725007", "Body temperature"),
    unit=CELSIUS,
    profiles=("bodytemp", "PhdNumericObservation"),
)
BODY_WEIGHT: Final = _measure(
    text="Body weight",
    loinc=(Coding(LOINC, "29463-7", "Body weight"),),
    mdc=(188736, "MDC_MASS_BODY_ACTUAL"),
    snomed=Coding(SNOMED_CT, "27113001", "Body weight"),
    unit=KILOGRAM,
    profiles=("bodyweight", "PhdNumericObservation"),
)
HEART_RATE: Final = _measure(
    text="Heart rate (heart rate sensor)",
    loinc=_HEART_RATE,
    mdc=(147842, "MDC_ECG_HEART_RATE"),
    snomed=_HEART_RATE_SNOMED,
    unit=PER_MINUTE,
    profiles=("heartrate", "PhdNumericObservation"),
)

#: A pulse by whatever device: what a plan asks for.
PULSE: Final = raw(CodeableConcept((*_HEART_RATE, _HEART_RATE_SNOMED), "Pulse rate"))


def _series(
    *, text: str, mdc: tuple[int, str], loinc: Coding, snomed: Coding, unit: Unit
) -> Measure:
    number, label = mdc
    codings = (Coding(MDC, str(number), label), loinc, snomed)
    concept = raw(CodeableConcept(codings, text))
    return Measure(code=str(number), mdc=number, concept=concept, unit=unit)


# Claim no profile: the guide's one for series wants every sample there, and ours have gaps.
SPO2_SERIES: Final = _series(
    text="SpO2 (continuous)",
    mdc=(150456, "MDC_PULS_OXIM_SAT_O2"),
    loinc=Coding(LOINC, "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
    snomed=Coding(SNOMED_CT, "431314004", "Peripheral oxygen saturation"),
    unit=PERCENT,
)
PULSE_SERIES: Final = _series(
    text="Pulse rate (pulse oximeter, continuous)",
    mdc=(149530, "MDC_PULS_OXIM_PULS_RATE"),
    loinc=Coding(LOINC, "8889-8", "Heart rate by Pulse oximetry"),
    snomed=_HEART_RATE_SNOMED,
    unit=PER_MINUTE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaged:
    """What an average is of: the code it is stored by, all codings as JSON, and the unit."""

    code: str
    concept: msgspec.Raw
    unit: Unit


def _averaged(
    loinc: tuple[str, str], snomed: tuple[str, str] | None, unit: Unit, text: str
) -> Averaged:
    codings = [Coding(LOINC, *loinc)]
    if snomed:
        codings.append(Coding(SNOMED_CT, *snomed))
    concept = raw(CodeableConcept(tuple(codings), text))
    return Averaged(code=loinc[0], concept=concept, unit=unit)


# Never 85354-9, 8480-6, 8462-4 or 8867-4 beside them: whoever asks for readings must not get a
# mean among them, and count it as one more.
AVERAGE_PRESSURE: Final = _averaged(
    ("96607-7", "Blood pressure panel mean systolic and mean diastolic"),
    ("723232008", "Average blood pressure"),
    MMHG,
    "Average home blood pressure",
)
AVERAGE_SYSTOLIC: Final = _averaged(
    ("96608-5", "Systolic blood pressure mean"),
    ("413606001", "Average home systolic blood pressure"),
    MMHG,
    "Average systolic",
)
AVERAGE_DIASTOLIC: Final = _averaged(
    ("96609-3", "Diastolic blood pressure mean"),
    ("413605002", "Average home diastolic blood pressure"),
    MMHG,
    "Average diastolic",
)
AVERAGE_PULSE: Final = _averaged(
    ("103205-1", "Mean heart rate"), None, PER_MINUTE, "Average pulse rate"
)
NUMBER_OF_READINGS: Final = raw(
    CodeableConcept(
        (Coding(SNOMED_CT, "246432004", "Number of occurrences"),), "Number of readings"
    )
)


def _absent(code: str, display: str) -> msgspec.Raw:
    return raw(CodeableConcept((Coding(_ABSENT, code, display),)))


ABSENT_ERROR: Final = _absent("error", "Error")
ABSENT_NOT_PERFORMED: Final = _absent("not-performed", "Not Performed")
ABSENT_FOR_NOW: Final = _absent("temp-unknown", "Temporarily Unknown")
ABSENT_OF_SPECIAL: Final[dict[Special, msgspec.Raw]] = {
    NAN: _absent("not-a-number", "Not a Number (NaN)"),
    POSITIVE_INFINITY: _absent("positive-infinity", "Positive Infinity (PINF)"),
    NEGATIVE_INFINITY: _absent("negative-infinity", "Negative Infinity (NINF)"),
    NRES: ABSENT_ERROR,
    RESERVED: ABSENT_ERROR,
}


def _status(code: str, display: str) -> msgspec.Raw:
    return raw(CodeableConcept((Coding(_MEASUREMENT_STATUS, code, display),)))


QUESTIONABLE: Final = _status("questionable", "Questionable")
EARLY_INDICATION: Final = _status("early-indication", "Early indication")
CALIBRATION_ONGOING: Final = _status("calibration-ongoing", "Calibration ongoing")
VALIDATED: Final = _status("validated-data", "Validated data")


def _body_site(code: str, display: str) -> msgspec.Raw:
    return raw(CodeableConcept((Coding(SNOMED_CT, code, display),)))


#: The sites that a thermometer can name, but for the body in general.
BODY_SITES: Final[dict[TemperatureSite, msgspec.Raw]] = {
    TemperatureSite.ARMPIT: _body_site("91470000", "Axillary region structure"),
    TemperatureSite.EAR: _body_site("117590005", "Ear structure"),
    TemperatureSite.FINGER: _body_site("7569003", "Finger structure"),
    TemperatureSite.GASTROINTESTINAL_TRACT: _body_site(
        "122865005", "Gastrointestinal tract structure"
    ),
    TemperatureSite.MOUTH: _body_site("74262004", "Oral cavity structure"),
    TemperatureSite.RECTUM: _body_site("34402009", "Rectum structure"),
    TemperatureSite.TOE: _body_site("29707007", "Toe structure"),
    TemperatureSite.TYMPANUM: _body_site("42859004", "Tympanic membrane structure"),
}


def mdc(code: int, display: str) -> CodeableConcept:
    """Return a concept of the device standard's nomenclature."""
    return CodeableConcept((Coding(MDC, str(code), display),))


PERSONAL_HEALTH_DEVICE: Final = mdc(65573, "MDC_MOC_VMS_MDS_SIMP")
PERSONAL_HEALTH_GATEWAY: Final = mdc(531981, "MDC_MOC_VMS_MDS_AHD")
SPECIALIZED_IN_BLOOD_PRESSURE: Final = mdc(528391, "MDC_DEV_SPEC_PROFILE_BP")
SPECIALIZED_IN_OXIMETRY: Final = mdc(528388, "MDC_DEV_SPEC_PROFILE_PULS_OXIM")
SPECIALIZED_IN_THERMOMETRY: Final = mdc(528392, "MDC_DEV_SPEC_PROFILE_TEMP")
SPECIALIZED_IN_WEIGHT: Final = mdc(528399, "MDC_DEV_SPEC_PROFILE_SCALE")
SPECIALIZED_IN_GENERAL: Final = mdc(528457, "MDC_DEV_SPEC_PROFILE_GENERIC")
SOFTWARE_VERSION: Final = mdc(531975, "MDC_ID_PROD_SPEC_SW")
FIRMWARE_VERSION: Final = mdc(531976, "MDC_ID_PROD_SPEC_FW")
