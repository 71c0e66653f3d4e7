-- The jobs ask gateways for numbers; whose readings those are is none of their business.
-- depends: 0006-unowned-readings

REVOKE SELECT ON care_provider, care_unit, patient, device, assignment, limit_set, quarantine
  FROM hemvital_jobs;
