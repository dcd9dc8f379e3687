"""Scalar expressions: their PostgreSQL types, and their meaning in each warehouse's dialect."""
