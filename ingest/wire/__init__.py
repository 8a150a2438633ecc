"""What devices say and where: topics and payloads, decoded into values the line can judge."""
