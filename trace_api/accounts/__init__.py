"""Accounts of people: passwords, sessions, who may enter what, and requests that are made twice."""
