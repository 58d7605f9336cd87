"""The vLLM server of a run: its command, its log, its health."""
