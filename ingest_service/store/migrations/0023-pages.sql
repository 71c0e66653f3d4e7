-- What the pages need: what somebody may do in a session follows from the roles that the identity
-- provider vouched for when it was opened; a patient's page tells whether their gateway is heard.
-- depends: 0022-rejudging

ALTER TABLE web_session
      ADD COLUMN roles text[] NOT NULL DEFAULT '{}';

GRANT SELECT (gateway_id, is_online, heard_at) ON gateway_status TO hemvital_api;
