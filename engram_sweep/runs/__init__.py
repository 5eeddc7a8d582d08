"""Run folders on disk: work order, progress, record, provenance."""
