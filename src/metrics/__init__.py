"""The judges: they load no part of the generator and share neither weights nor people with it."""

import os

# onnxruntime (since 1.32) looks up its maker's host and keeps a device id in ~/.cache, unless told so before its import
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
