"""Programmes' templates: what a plan may begin as; never a patient's plan by itself."""
