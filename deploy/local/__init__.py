"""A whole Hemvital on one machine, without Docker: for the demo, the tests and the benchmarks.

``python -m deploy.local up`` brings up TimescaleDB and mosquitto; everything they keep lies
under ``.local/`` in the checkout.
"""
