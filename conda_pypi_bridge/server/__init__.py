"""The channel server: an index's projects as a conda channel over HTTP.

Starlette, uvicorn and what else the extra ``server`` brings are imported by `running` and what it imports;
no other door needs them.
"""
