"""FHIR R4 as this server speaks it: search parameters, Bundles, capability statement."""
