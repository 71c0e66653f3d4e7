"""Enrolment: gateways get their certificates here, renew them and lose them.

A process of its own (``hemvital-api enrolment run``): the authority's key is not in the one that
serves staff and EHR systems, and this one's database role sees no patient.
"""
