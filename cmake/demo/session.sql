-- SPDX-License-Identifier: BSD-2-Clause
-- What PostgreSQL is asked, in one session: a sort of 400 MB that is allowed to be in
-- memory; then whether the session and what it had are still there.
CREATE TEMP TABLE kept AS SELECT i FROM generate_series(1, 1000) i;
SET work_mem = '1GB';
SELECT 'sorted=' || count(*)
	FROM (SELECT repeat('x', 1000) || i FROM generate_series(1, 400000) i ORDER BY 1) t;
RESET work_mem;
SELECT 'kept=' || count(*) FROM kept;
SELECT 'answer=' || count(*)
	FROM (SELECT repeat('x', 1000) || i FROM generate_series(1, 1000) i ORDER BY 1) t;
-- Freed memory goes back half a second later, when memory is next asked for.
SELECT 'slept=' || coalesce(pg_sleep(0.6)::text, '');
DO $$
BEGIN
	FOR i IN 1..300 LOOP
		PERFORM count(*) FROM generate_series(1, 1000);
		PERFORM pg_sleep(0.001);
	END LOOP;
END $$;
SELECT 'peak_kib=' || (regexp_match(status, 'VmHWM:\s*(\d+)'))[1] || ' rss_kib=' || (regexp_match(status, 'VmRSS:\s*(\d+)'))[1]
	FROM pg_read_file('/proc/self/status') AS status;
