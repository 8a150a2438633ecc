-- Other people's goods, `%(first)s` to `%(last)s`: each event names a lot as its input, one as its output, and a pallet. In the order
-- of the indexes, so that filling takes minutes and not hours; what refers to what is made right, and not looked up row by row.
SET session_replication_role = replica;
INSERT INTO event (id, organisation, event_id, is_error, type, event_time, biz_step, received_at) OVERRIDING SYSTEM VALUE
SELECT 1000000000 + n, 'grower', 'urn:suyuan:bench:noise:' || lpad(n::text, 9, '0'), false, 'TransformationEvent',
       '2025-01-01'::timestamptz + n * INTERVAL '1 second', 'commissioning', '2026-05-01'
FROM generate_series(%(first)s, %(last)s) AS n;
INSERT INTO leaf (organisation, leaf_index, entry, leaf_hash, record_time, position, event)
SELECT 'grower', 1000000000 + n, '\x00', decode(repeat('00', 32), 'hex'), '2026-05-01', 1000000000 + n, 1000000000 + n
FROM generate_series(%(first)s, %(last)s) AS n;
INSERT INTO event_mention (event, identifier, role)
SELECT 1000000000 + n, 'https://id.gs1.org/01/09521234000303/10/N' || lpad((n / 3 * 3 + part)::text, 9, '0'), role
FROM generate_series(%(first)s, %(last)s) AS n CROSS JOIN (VALUES (0, 'input'), (1, 'output'), (2, 'parent')) AS named (part, role);
INSERT INTO trace_name (id, name, scheme, is_class) OVERRIDING SYSTEM VALUE
SELECT 100000000 + n, 'https://id.gs1.org/01/09521234000303/10/N' || lpad(n::text, 9, '0'), 'lgtin', false
FROM generate_series(%(first)s, %(last)s) AS n;
INSERT INTO trace_named (name, at, event)
SELECT 100000000 + n / 3 * 3 + part, (1735689600000 + n::bigint * 1000) << 20, 1000000000 + n
FROM generate_series(%(first)s, %(last)s) AS n CROSS JOIN generate_series(0, 2) AS part;
INSERT INTO trace_run (run, name, output, first, last, event)
SELECT 1000000000 + n, 100000000 + n / 3 * 3 + part, part = 1, (1735689600000 + n::bigint * 1000) << 20, (1735689600000 + n::bigint * 1000) << 20, 1000000000 + n
FROM generate_series(%(first)s, %(last)s) AS n CROSS JOIN generate_series(0, 1) AS part;
INSERT INTO trace_edge (event, source, target, beside, told)
SELECT 1000000000 + n, 100000000 + n / 3 * 3, 100000000 + n / 3 * 3 + 1, false,
       '{"from":"https://id.gs1.org/01/09521234000303/10/N000000000","to":"https://id.gs1.org/01/09521234000303/10/N000000001","kind":"transformed"}'
FROM generate_series(%(first)s, %(last)s) AS n;
INSERT INTO trace_told
SELECT 1000000000 + n, ARRAY[100000000 + n / 3 * 3, 100000000 + n / 3 * 3 + 1],
       '{"from":"https://id.gs1.org/01/09521234000303/10/N000000000","to":"https://id.gs1.org/01/09521234000303/10/N000000001","kind":"transformed"}'
FROM generate_series(%(first)s, %(last)s) AS n;
INSERT INTO trace_inside (child, parent, first, last, event)
SELECT 100000000 + n, 100000000 + n / 3 * 3 + 2, (1735689600000 + n::bigint * 1000) << 20, 9223372036854775807, 1000000000 + n
FROM generate_series(%(first)s, %(last)s) AS n WHERE n % 3 < 2;
UPDATE projection SET position = 2000000000;
SET session_replication_role = DEFAULT;
