-- `quarantine_count` is read at each scrape of the metrics: from an index, and not past the payloads.
CREATE INDEX quarantine_reason ON quarantine (reason, coalesce(device_id, 0)) INCLUDE (id, device_id, records, received_at);
