-- procrastinate brings its own migrations, which are applied beside ours; what its tables allow
-- whom is ours to say.
-- depends: 0004-access 03.04.00_50_post_add_retry_failed_job_procedure

GRANT SELECT, INSERT, UPDATE, DELETE
   ON procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers, procrastinate_workers
   TO hemvital_jobs;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hemvital_jobs;
