"""The report: numbers, sentences, page."""
