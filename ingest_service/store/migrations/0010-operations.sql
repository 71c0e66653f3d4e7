-- What operations watch, without seeing whose it is; and a repeated message found without a search.
-- depends: 0009-space

-- How much waits, why and since when; nothing of what it is or whose.
GRANT SELECT (reason, priority, received_at, raised_at, resolved_at) ON quarantine TO hemvital_jobs;
CREATE INDEX quarantine_waiting ON quarantine (reason, priority, received_at, raised_at)
 WHERE resolved_at IS NULL;

-- What has no number of its own is kept once: its bytes are looked for at every arrival, among
-- everything that its gateway ever sent of the kind.
CREATE INDEX quarantine_repeated_payload ON quarantine (gateway_id, reason, sha256(payload))
 WHERE number IS NULL OR reason = 'number_reused';
