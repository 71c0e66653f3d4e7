"""The server that people and EHR systems talk to: FHIR R4 and the nurse's pages."""
