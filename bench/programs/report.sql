-- SPDX-License-Identifier: BSD-2-Clause
-- What a session takes memory for: a sort, a hash, strings that grow.
SET work_mem = '32MB';
SELECT count(*) FROM (SELECT aid, md5(aid::text) AS h FROM pgbench_accounts WHERE aid <= 100000 ORDER BY h) AS sorted;
SELECT bid, count(DISTINCT abalance), max(length(filler)) FROM pgbench_accounts WHERE aid > 100000 GROUP BY bid;
SELECT length(string_agg(md5(aid::text), ',')) FROM pgbench_accounts WHERE aid < 50000;
