-- What somebody may do in a session follows from the roles that the identity provider vouched for
-- when it was opened.
ALTER TABLE web_session
      ADD COLUMN roles text[] NOT NULL DEFAULT '{}';
