"""Pure mappings from readings to FHIR R4 resources, with their codes and identifiers."""
