"""Prefect flows around the pipeline's stages; the only place that imports Prefect."""

import os

# Nothing is sent anywhere unless the user's own environment says so.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
