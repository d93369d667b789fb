"""``call_service`` beside what else calls services over HTTP."""
