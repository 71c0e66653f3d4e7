-- Nurses act through the API: what that says to others, and when the patient is due again.
-- depends: 0016-messages 0020-answers

-- It puts messages and stops them; what they are it does not see.
GRANT INSERT, SELECT (patient_id, alert_id, kind, state), UPDATE (state, state_at, cause)
   ON message TO hemvital_api;
GRANT INSERT, UPDATE ON patient_clock TO hemvital_api;
GRANT SELECT, INSERT, UPDATE (valid, ended_by) ON backup_agreement TO hemvital_operator;
