"""Enrolment: how a gateway comes by its certificate, renews it and gives it up.

A process of its own, started by ``hemvital-gateway enrol``, ``renew`` and ``retire``: what speaks
HTTPS and X.509 takes memory that the daemon beside the radio does not have to carry.
"""
