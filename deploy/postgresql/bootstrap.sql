-- What only the superuser can do, once and again: roles, the database, extensions.
-- Run by psql as postgres. The passwords come as psql variables of the roles' names.
-- Tables and grants on them are made by the migrations, as hemvital_owner.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

SELECT format('CREATE ROLE %I', name)
  FROM unnest(ARRAY['hemvital_owner', 'hemvital_ingest', 'hemvital_operator', 'hemvital_api',
                    'hemvital_jobs', 'hemvital_enrolment', 'hemvital_revocations',
                    'hemvital_canary', 'hemvital_downtime']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
-- CREATEDB: the owner makes the databases of the tests; production may take it away.
ALTER ROLE hemvital_owner LOGIN CREATEDB PASSWORD :'hemvital_owner';
GRANT pg_signal_backend TO hemvital_owner;  -- to drop those while somebody is connected
ALTER ROLE hemvital_ingest LOGIN PASSWORD :'hemvital_ingest';
-- Whoever decides whose a reading is may do what a worker may, and change what a worker may not.
ALTER ROLE hemvital_operator LOGIN PASSWORD :'hemvital_operator';
GRANT hemvital_ingest TO hemvital_operator;
ALTER ROLE hemvital_api LOGIN PASSWORD :'hemvital_api';
ALTER ROLE hemvital_jobs LOGIN PASSWORD :'hemvital_jobs';
ALTER ROLE hemvital_enrolment LOGIN PASSWORD :'hemvital_enrolment';
ALTER ROLE hemvital_revocations LOGIN PASSWORD :'hemvital_revocations';
ALTER ROLE hemvital_canary LOGIN PASSWORD :'hemvital_canary';
ALTER ROLE hemvital_downtime LOGIN PASSWORD :'hemvital_downtime';

-- An empty database with the extensions, to clone from: the owner could not add them.
SELECT 'CREATE DATABASE hemvital_empty TEMPLATE template0'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'hemvital_empty')
\gexec
SELECT datallowconn AS unfinished FROM pg_database WHERE datname = 'hemvital_empty'
\gset
\if :unfinished
\connect hemvital_empty
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS timescaledb;
CREATE EXTENSION IF NOT EXISTS btree_gist;
\connect postgres
-- Nobody connected, so cloning never has to wait; and any role with CREATEDB may clone it.
ALTER DATABASE hemvital_empty WITH IS_TEMPLATE true ALLOW_CONNECTIONS false;
\endif

SELECT 'CREATE DATABASE hemvital TEMPLATE hemvital_empty OWNER hemvital_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'hemvital')
\gexec
REVOKE ALL ON DATABASE hemvital FROM PUBLIC;
GRANT CONNECT ON DATABASE hemvital TO hemvital_ingest, hemvital_operator, hemvital_api,
                                   hemvital_jobs, hemvital_enrolment, hemvital_revocations,
                                   hemvital_canary, hemvital_downtime;
