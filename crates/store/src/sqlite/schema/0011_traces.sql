-- The trace context of a start, sent with each request of its run.
ALTER TABLE entry_texts ADD COLUMN traceparent TEXT;
