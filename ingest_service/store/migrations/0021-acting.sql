-- Nurses act through the API: what that says to others, and when the patient is due again.
-- depends: 0015-alerts-life 0016-messages 0019-patient-clocks

GRANT SELECT, INSERT, UPDATE (state, state_at, cause) ON message TO hemvital_api;
GRANT INSERT, UPDATE ON patient_clock TO hemvital_api;
GRANT SELECT, INSERT, UPDATE (valid, ended_by) ON backup_agreement TO hemvital_operator;
